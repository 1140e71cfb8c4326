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
    let mut log = LogConfig::default();
    let loaded = secrets::load(|variables| {
        let log = LogConfig::read(variables).map(|valid| log = valid);
        let runtime = check_runtime(variables);
        let config = read(variables);
        log.and(runtime).and(config)
    })
    .await;
    logs::init(&log);
    log_panics();
    let loaded = loaded.map_err(|errors| {
        error!("cannot start: {errors}");
        ExitCode::FAILURE
    })?;
    loaded.warnings.iter().for_each(|warning| warn!("{warning}"));
    Ok(loaded)
}

fn check_runtime(variables: &mut Variables) -> Result<(), Recorded> {
    match variables.get("AWS_LAMBDA_RUNTIME_API") {
        Some(_) => Ok(()),
        None => variables.error(
            "AWS_LAMBDA_RUNTIME_API is not set: this program runs in Lambda, or locally under `cargo dev`",
        ),
    }
}
