//! The request loop. It answers every request in the form of its contract and logs it, whatever happens.
//!
//! It uses lambda_http's event types but not its adapter. The adapter builds a URI from the event and panics
//! if the URI is invalid, which a client can cause with a bare `<` in the query or an invalid `Host`.

use std::{
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use lambda_http::{
    aws_lambda_events::apigw::ApiGatewayV2httpResponse,
    http::{
        HeaderValue,
        header::{HeaderName, X_CONTENT_TYPE_OPTIONS},
    },
    lambda_runtime::{LambdaEvent, Runtime, service_fn},
};
use tracing::{Instrument, error_span, field::Empty, warn};

use super::{event::Payload, panics::catch_panic, route::Route};
use crate::{contract::Contract, error::Error, logs::milliseconds, response::Response};

pub(super) use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest as Event;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const NOT_AN_EVENT: &str = "the payload of the invocation is not an API Gateway event in payload format 2.0";

/// Whether this process has not answered a request yet.
static IS_COLD: AtomicBool = AtomicBool::new(true);

/// Answers every event with `handle` until Lambda ends the process.
pub(super) async fn handle_requests<F, Fut>(handle: F) -> ExitCode
where
    F: Fn(Event, Contract) -> Fut + Copy + Send + 'static,
    Fut: Future<Output = Result<Response, Error>> + Send,
{
    // Boxed because the runtime moves the future from layer to layer.
    let service = service_fn(move |event| async move { Box::pin(respond(event, handle)).await });
    match Runtime::new(service).run_concurrent().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            warn!("Lambda runtime API can't be reached, exiting: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn respond<F, Fut>(
    LambdaEvent { payload: Payload(event), context }: LambdaEvent<Payload>,
    handle: F,
) -> Result<ApiGatewayV2httpResponse, lambda_http::Error>
where
    F: Fn(Event, Contract) -> Fut,
    Fut: Future<Output = Result<Response, Error>>,
{
    let started = Instant::now();
    let request_id = match event.as_ref().and_then(|event| event.request_context.request_id.as_deref()) {
        Some(id) if !id.is_empty() && HeaderValue::from_str(id).is_ok() => id.to_owned(),
        _ => context.request_id,
    };
    let route = event.as_deref().map(Route::of).unwrap_or_default();
    let contract = route.contract;
    // The span has the most severe level, so that its fields are in the lines of every LOG_LEVEL.
    let span = error_span!("request", request_id, user_id = Empty, database_ms = Empty);
    let outcome = catch_panic(async move {
        let event = event.ok_or_else(|| Error::Internal(NOT_AN_EVENT.into()))?;
        handle(*event, contract).await
    })
    .instrument(span.clone())
    .await;
    let (response, error) = match outcome {
        Ok(response) => (response, None),
        Err(error) => (contract.error(&error, &request_id), Some(error)),
    };
    span.in_scope(|| log(&route, &response, error.as_ref(), started));
    Ok(response.with(X_REQUEST_ID, request_id).with(X_CONTENT_TYPE_OPTIONS, "nosniff").into())
}

/// Logs the one line that every request has.
fn log(route: &Route, response: &Response, error: Option<&Error>, started: Instant) {
    // Outside the macro, which evaluates fields only if the level is enabled.
    let cold_start = IS_COLD.swap(false, Ordering::Relaxed);
    macro_rules! log {
        ($level:ident) => {
            tracing::$level!(
                route = route.key,
                status = response.status.as_u16(),
                ms = milliseconds(started.elapsed()),
                cold_start,
                reason = error.map(ToString::to_string),
                "request"
            )
        };
    }
    match error {
        Some(Error::Unauthorized(_) | Error::Forbidden(_) | Error::Unavailable(_)) => log!(warn),
        Some(Error::Internal(_)) => log!(error),
        _ => log!(info),
    }
}
