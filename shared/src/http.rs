//! The run loop around an endpoint: everything that happens to a request besides the endpoint's own store call.
//!
//! lambda_http's own adapter is gone around, to its event types: it builds a URI from what a stranger sent and
//! panics where that is none (a bare `<` in the query, an odd `Host`), and a panic is no answer in any contract.

use std::{
    panic::AssertUnwindSafe,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use futures_util::FutureExt;
use lambda_http::{
    aws_lambda_events::apigw::{ApiGatewayV2httpRequest as Event, ApiGatewayV2httpResponse},
    http::{
        HeaderMap, HeaderValue,
        header::{AUTHORIZATION, CONTENT_TYPE, HeaderName},
    },
    lambda_runtime::{LambdaEvent, Runtime, service_fn},
};
use serde::Serialize;
use tracing::{Instrument, Span, error, field::Empty, info_span, warn};

use crate::{
    Caller, Contract, Error, StatusCode, Store,
    config::{self, Config, Environment, LogConfig},
    input::{Input, Reader},
    secrets::{Secret, SecretSource},
    service::LiveService,
    telemetry::{self, milliseconds},
};

pub use lambda_http::aws_lambda_events::encodings::Body;
pub use lambda_http::http::header;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request that has passed every check short of the database.
pub struct Request<I> {
    /// The contract it came through, which renders the answer.
    pub contract: Contract,
    /// Whose token it carries; also the user that its path names.
    pub caller: Caller,
    /// What is to be done.
    pub input: I,
    /// Where the tasks are.
    pub store: Arc<Store>,
}

/// An answer.
#[derive(Debug)]
pub struct Response {
    /// Its status code.
    pub status: StatusCode,
    /// Its header fields, each given once.
    pub headers: HeaderMap,
    /// Its body, text or bytes; empty for none.
    pub body: Body,
}

impl Response {
    /// An answer without a body.
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Body::Empty }
    }

    /// An answer with a body of JSON.
    pub fn new(status: StatusCode, body: String) -> Self {
        let body = Body::Text(body);
        Self { body, ..Self::empty(status) }.with(CONTENT_TYPE, "application/json")
    }

    /// An answer with this value as its body.
    pub fn json(status: StatusCode, value: &impl Serialize) -> Self {
        Self::new(status, serde_json::to_string(value).expect("a struct of plain values is JSON"))
    }

    /// The answer that has nothing to say: 204.
    pub fn no_content() -> Self {
        Self::empty(StatusCode::NO_CONTENT)
    }

    /// The same with one more header field.
    ///
    /// # Panics
    /// If the value holds anything but visible ASCII.
    pub fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        let value = HeaderValue::try_from(value.into()).expect("values are made here, of ASCII");
        self.headers.insert(name, value);
        self
    }
}

/// Runs an endpoint of tasks until Lambda ends the process. The database is connected to while Lambda initialises
/// the process, when time costs nothing; its absence never fails that: it is a 503 for each request.
pub async fn serve<I, F, Fut>(endpoint: F) -> ExitCode
where
    I: Input + Send,
    F: Fn(Request<I>) -> Fut + Copy + Send + 'static,
    Fut: Future<Output = Result<Response, Error>> + Send,
{
    let (config, secret) = match start(Config::read).await {
        Ok(started) => started,
        Err(failure) => return failure,
    };
    // It lives as long as the process.
    let live: &'static LiveService = Box::leak(Box::new(LiveService::new(config, secret)));
    live.prepare().await;

    run(move |route, event| async move {
        let service = live.current().await;
        let authorization = event.headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
        let caller = service.verifier.caller(authorization).await?;
        Span::current().record("user_id", &caller.user_id);
        match event.path_parameters.get("user_id") {
            Some(user_id) if *user_id == caller.user_id => {}
            other => return Err(Error::Forbidden(other.cloned().unwrap_or_default())),
        }
        let input = Reader::read(route.contract, &event)?;
        endpoint(Request { contract: route.contract, caller, input, store: Arc::clone(&service.store) }).await
    })
    .await
}

/// Runs an endpoint that anyone may call, until Lambda ends the process. It gets the request's route and header
/// fields, and what `configure` made.
pub async fn serve_public<C, F, Fut>(
    configure: impl FnOnce(&mut Environment) -> Option<C>,
    endpoint: F,
) -> ExitCode
where
    C: Send + Sync + 'static,
    F: Fn(Route, HeaderMap, &'static C) -> Fut + Copy + Send + 'static,
    Fut: Future<Output = Result<Response, Error>> + Send,
{
    match start(configure).await {
        Ok((config, _)) => {
            let config: &'static C = Box::leak(Box::new(config));
            run(move |route, event| endpoint(route, event.headers, config)).await
        }
        Err(failure) => failure,
    }
}

/// Reads the configuration and starts logging; mistakes end the process with one line.
async fn start<C>(
    configure: impl FnOnce(&mut Environment) -> Option<C>,
) -> Result<(C, Option<(SecretSource, Secret)>), ExitCode> {
    let configured = config::load_with_secret(|environment| {
        environment.require_lambda();
        let log = LogConfig::read(environment);
        let config = configure(environment);
        Some((log?, config?))
    })
    .await;
    let (log, outcome) = match configured {
        Ok(((log, config), secret)) => (log, Ok((config, secret))),
        Err(mistakes) => (LogConfig::default(), Err(mistakes)),
    };
    telemetry::init(&log);
    log_panics();
    outcome.map_err(|mistakes| {
        error!("cannot start: {mistakes}");
        ExitCode::FAILURE
    })
}

/// A panic is one line in the log, and without its message unless that is fixed text: one made at run time may hold
/// what a user sent.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload().downcast_ref::<&str>().copied().unwrap_or("(message left out)");
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        error!(location, "panic: {message}");
    }));
}

/// Hands every event to `handle`, renders what it says and logs it.
async fn run<F, Fut>(handle: F) -> ExitCode
where
    F: Fn(Route, Event) -> Fut + Copy + Send + 'static,
    Fut: Future<Output = Result<Response, Error>> + Send,
{
    let service = service_fn(move |event: LambdaEvent<Event>| async move {
        let request_id = match event.payload.request_context.request_id.as_deref() {
            Some(id) if HeaderValue::from_str(id).is_ok() => id.to_owned(),
            _ => event.context.request_id.clone(),
        };
        let route = Route::of(&event.payload);
        let span = info_span!("request", request_id, user_id = Empty, database_ms = Empty);
        // Boxed, for the runtime's layers hand the future that they get from one to the other.
        let answer = Box::pin(answer(request_id, route, move |route| handle(route, event.payload)))
            .instrument(span)
            .await;
        Ok::<_, lambda_http::Error>(answer)
    });
    match Runtime::new(service).run_concurrent().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(gone) => {
            warn!("Lambda's runtime API is gone: {gone}");
            ExitCode::FAILURE
        }
    }
}

/// Whatever becomes of a request, it gets an answer in its contract's form, and a line in the log.
async fn answer<Fut>(
    request_id: String,
    route: Route,
    handle: impl FnOnce(Route) -> Fut,
) -> ApiGatewayV2httpResponse
where
    Fut: Future<Output = Result<Response, Error>>,
{
    static COLD: AtomicBool = AtomicBool::new(true);
    let started = Instant::now();
    let outcome = AssertUnwindSafe(async { handle(route.clone()).await }).catch_unwind().await;
    let outcome = outcome.unwrap_or_else(|_| Err(Error::Internal("panicked".into())));
    let (response, error) = match outcome {
        Ok(response) => (response, None),
        Err(error) => (route.contract.error(&error, &request_id), Some(error)),
    };
    macro_rules! log {
        ($level:ident) => {
            tracing::$level!(
                route = route.key,
                status = response.status.as_u16(),
                ms = milliseconds(started.elapsed()),
                cold_start = COLD.swap(false, Ordering::Relaxed),
                reason = error.map(|error| error.to_string()),
                "request"
            )
        };
    }
    match error {
        Some(Error::Unauthorized(_) | Error::Forbidden(_) | Error::Unavailable(_)) => log!(warn),
        Some(Error::Internal(_)) => log!(error),
        _ => log!(info),
    }
    response.with(X_REQUEST_ID, request_id).into()
}

/// The route that a request came by.
#[derive(Debug, Clone)]
pub struct Route {
    /// As in template.yaml: method and path template.
    pub key: String,
    /// The contract that it belongs to.
    pub contract: Contract,
}

impl Route {
    fn of(event: &Event) -> Self {
        // Not by the path alone where it can be helped: a stage's name may stand in front of it.
        let key = match event.route_key.as_deref() {
            Some(key) if key.contains(' ') => key.to_owned(),
            _ => {
                let path = event.raw_path.as_deref().unwrap_or_default();
                format!("{} {path}", event.request_context.http.method)
            }
        };
        let mut route = Self { key, contract: Contract::Envelope };
        route.contract = Contract::of_path(route.path());
        route
    }

    /// The path template.
    pub fn path(&self) -> &str {
        self.key.split_once(' ').map_or("", |(_, path)| path)
    }
}

impl From<Response> for ApiGatewayV2httpResponse {
    fn from(response: Response) -> Self {
        let mut answer = ApiGatewayV2httpResponse::default();
        answer.status_code = response.status.as_u16().into();
        answer.headers = response.headers;
        answer.is_base64_encoded = matches!(response.body, Body::Binary(_));
        answer.body = (!response.body.is_empty()).then_some(response.body);
        answer
    }
}
