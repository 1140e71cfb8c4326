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
use tracing::{Instrument, warn};

use super::{event::Payload, panics::catch_panic, route::Route};
use crate::{
    contract::Contract,
    error::{Error, Failure},
    logs::{log_request, request_span},
    response::Response,
};

pub(super) use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest as Event;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const NOT_AN_EVENT: &str = "the payload of the invocation is not an API Gateway event in payload format 2.0";

/// Whether this process has not answered a request yet.
static IS_COLD: AtomicBool = AtomicBool::new(true);

/// Answers every event with `handle` until Lambda ends the process.
pub(super) async fn handle_requests<F, Fut>(handle: F) -> ExitCode
where
    F: Fn(Event, Contract) -> Fut + Copy + Send + 'static,
    Fut: Future<Output = Result<Response, Failure>> + Send,
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
    Fut: Future<Output = Result<Response, Failure>>,
{
    let started = Instant::now();
    let request_id = match event.as_ref().and_then(|event| event.request_context.request_id.as_deref()) {
        Some(id) if !id.is_empty() && HeaderValue::from_str(id).is_ok() => id.to_owned(),
        _ => context.request_id,
    };
    let route = event.as_deref().map(Route::of);
    let contract = route.as_ref().map(|route| route.contract).unwrap_or_default();
    let span = request_span(&request_id);
    let outcome = catch_panic(async move {
        let event = event.ok_or_else(|| Error::Internal(NOT_AN_EVENT.into()))?;
        handle(*event, contract).await
    })
    .instrument(span.clone())
    .await;
    let (response, error) = match outcome {
        Ok(response) => (response, None),
        Err(failure) => (contract.error(&failure, &request_id), Some(failure.error)),
    };
    let cold_start = IS_COLD.swap(false, Ordering::Relaxed);
    let route = route.as_ref().map(|route| &*route.key);
    span.in_scope(|| log_request(route, response.status, error.as_ref(), started.elapsed(), cold_start));
    Ok(response.with(X_REQUEST_ID, request_id).with(X_CONTENT_TYPE_OPTIONS, "nosniff").into())
}
