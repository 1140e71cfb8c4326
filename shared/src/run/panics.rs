//! Turns panics into errors. An aborted process would cost its next request a cold start.

use std::panic::{AssertUnwindSafe, set_hook};

use futures_util::FutureExt;
use tracing::error;

use crate::{error::Error, response::Response};

/// Logs every panic in one line. The message is left out unless it is fixed text: one made at run time may contain what
/// a user sent.
pub(super) fn log_panics() {
    set_hook(Box::new(|panic| {
        let message = panic
            .payload()
            .downcast_ref::<&str>()
            .copied()
            .unwrap_or("(message omitted because it may contain user data)");
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        error!(location, "panic: {message}");
    }));
}

/// The outcome of a request, or [`Error::Internal`] if handling it panics.
pub(super) async fn catch_panic(
    request: impl Future<Output = Result<Response, Error>>,
) -> Result<Response, Error> {
    let outcome = AssertUnwindSafe(request).catch_unwind().await;
    outcome.unwrap_or_else(|_| {
        Err(Error::Internal("the request handler panicked: see the panic line before this one".into()))
    })
}
