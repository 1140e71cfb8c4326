//! Starts a function: reads its configuration and sets up logging.

use std::process::ExitCode;

use tracing::error;

use super::panics::log_panics;
use crate::{
    error::Recorded,
    logs::{self, LogConfig},
    secrets::{self, Secret, SecretSource},
    variables::Variables,
};

/// Reads the configuration and starts logging. Returns the secret as well, so that it can be refreshed.
///
/// # Errors
/// The configuration is invalid. All its errors have been logged, in one line.
pub(super) async fn start<C>(
    read: impl FnOnce(&mut Variables) -> Result<C, Recorded>,
) -> Result<(C, Option<(SecretSource, Secret)>), ExitCode> {
    let loaded = secrets::load(|variables| {
        if variables.get("AWS_LAMBDA_RUNTIME_API").is_none() {
            variables
                .error::<()>("AWS_LAMBDA_RUNTIME_API is not set: start this program by `cargo dev`")
                .ok();
        }
        let log = LogConfig::read(variables);
        let config = read(variables);
        Ok((log?, config?))
    })
    .await;
    let (log, outcome) = match loaded {
        Ok(((log, config), secret)) => (log, Ok((config, secret))),
        Err(errors) => (LogConfig::default(), Err(errors)),
    };
    logs::init(&log);
    log_panics();
    outcome.map_err(|errors| {
        error!("cannot start: {errors}");
        ExitCode::FAILURE
    })
}
