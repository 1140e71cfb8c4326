//! Starts a function: reads its configuration and sets up logging.

use std::process::ExitCode;

use tracing::{error, warn};

use super::panics::log_panics;
use crate::{
    error::Recorded,
    logs::{self, LogConfig},
    secrets::{self, Loaded},
    variables::Variables,
};

/// Reads the configuration and starts logging.
///
/// # Errors
/// If the configuration is invalid. All its errors have been logged in one line.
pub(super) async fn start<C>(
    read: impl FnOnce(&mut Variables) -> Result<C, Recorded>,
) -> Result<Loaded<C>, ExitCode> {
    let loaded = secrets::load(|variables| {
        if variables.get("AWS_LAMBDA_RUNTIME_API").is_none() {
            variables
                .error::<()>(
                    "AWS_LAMBDA_RUNTIME_API is not set: this program runs in Lambda, or locally \
                     under `cargo dev`",
                )
                .ok();
        }
        let log = LogConfig::read(variables);
        let config = read(variables);
        Ok((log?, config?))
    })
    .await;
    let (log, outcome) = match loaded {
        Ok(Loaded { config: (log, config), warnings, secret }) => {
            (log, Ok(Loaded { config, warnings, secret }))
        }
        Err(errors) => (LogConfig::default(), Err(errors)),
    };
    logs::init(&log);
    log_panics();
    let loaded = outcome.map_err(|errors| {
        error!("cannot start: {errors}");
        ExitCode::FAILURE
    })?;
    loaded.warnings.iter().for_each(|warning| warn!("{warning}"));
    Ok(loaded)
}
