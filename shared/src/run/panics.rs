//! Turns panics into errors, because an aborted process would cost the next request a cold start.

use std::panic::{AssertUnwindSafe, set_hook};

use futures_util::FutureExt;
use tracing::error;

use crate::{
    error::{Error, Failure},
    response::Response,
};

/// Makes every panic write one log line. A message that was formatted at run time is omitted, because it may
/// contain what a user sent.
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

/// Returns the outcome of a request, or [`Error::Internal`] if its handler panics.
pub(super) async fn catch_panic(
    request: impl Future<Output = Result<Response, Failure>>,
) -> Result<Response, Failure> {
    let outcome = AssertUnwindSafe(request).catch_unwind().await;
    outcome.unwrap_or_else(|_| {
        let reason = "the request handler panicked: see the panic line before this one";
        Err(Error::Internal(reason.into()).into())
    })
}
