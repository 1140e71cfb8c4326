//! Runs an endpoint: starts it, passes it the requests and returns its responses. Every request gets a
//! response and a log line, even if its handler panics.

mod backend;
mod event;
mod panics;
mod requests;
mod route;
mod start;

use std::{process::ExitCode, sync::Arc};

use lambda_http::http::{HeaderMap, header::AUTHORIZATION};

use crate::{
    contract::Contract,
    error::{Error, Failure, Recorded},
    logs::set_user,
    request::Reader,
    response::Response,
    store::Store,
    task::Caller,
    variables::Variables,
};
use backend::{Config, LiveBackend};
use requests::{Event, handle_requests};
use route::Route;
use start::start;

/// A request to a task endpoint that has passed every check that needs no database.
pub struct Request<I> {
    /// The contract of the route, which renders the response.
    pub contract: Contract,
    /// The user that the token identifies. The path names the same user.
    pub caller: Caller,
    /// The validated input.
    pub input: I,
    /// The task store.
    pub store: Arc<Store>,
}

/// A request that needs no token.
pub struct PublicRequest<C: 'static> {
    /// The path of the route.
    pub path: String,
    /// The header fields.
    pub headers: HeaderMap,
    /// The configuration that [`serve_public`] read at start-up.
    pub config: &'static C,
}

/// Reads the input of an endpoint; fails if a value is invalid. It must read every value before it returns an
/// error, so that all errors are reported.
pub type Read<I> = fn(Contract, &mut Reader) -> Result<I, Recorded>;

/// Runs a task endpoint until Lambda ends the process. `read` reads its input.
///
/// The endpoint connects to the database while Lambda initializes the process. If the database is down, the
/// endpoint starts anyway, and each request is answered with 503 until the database is back.
pub async fn serve<I, F, Fut>(read: Read<I>, endpoint: F) -> ExitCode
where
    I: Send + 'static,
    F: Fn(Request<I>) -> Fut + Copy + Send + 'static,
    Fut: Future<Output = Result<Response, Failure>> + Send,
{
    let loaded = match start(Config::read).await {
        Ok(loaded) => loaded,
        Err(exit_code) => return exit_code,
    };
    // Leaked because the backend lives as long as the process.
    let backend: &'static LiveBackend = Box::leak(Box::new(LiveBackend::new(loaded.config, loaded.secret)));
    backend.connect().await;
    handle_requests(move |event, contract| async move {
        let request = check(backend, &event, contract, read).await?;
        endpoint(request).await
    })
    .await
}

/// Identifies the caller, checks that the path names the same user, and reads the input.
async fn check<I>(
    backend: &LiveBackend,
    event: &Event,
    contract: Contract,
    read: Read<I>,
) -> Result<Request<I>, Error> {
    let backend = backend.current().await;
    let authorization = event.headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
    let caller = backend.verifier.caller(authorization).await?;
    set_user(&caller.user_id);
    match event.path_parameters.get("user_id") {
        Some(user_id) if *user_id == caller.user_id => {}
        other => return Err(Error::Forbidden(other.cloned().unwrap_or_default())),
    }
    let mut request = Reader::new(event);
    let input = read(contract, &mut request);
    let input = request.finish(input)?;
    Ok(Request { contract, caller, input, store: Arc::clone(&backend.store) })
}

/// Runs an endpoint that needs no token, until Lambda ends the process. `read` reads its configuration.
pub async fn serve_public<C, F, Fut>(
    read: impl FnOnce(&mut Variables) -> Result<C, Recorded>,
    endpoint: F,
) -> ExitCode
where
    C: Send + Sync + 'static,
    F: Fn(PublicRequest<C>) -> Fut + Copy + Send + 'static,
    Fut: Future<Output = Result<Response, Failure>> + Send,
{
    let config: &'static C = match start(read).await {
        Ok(loaded) => Box::leak(Box::new(loaded.config)),
        Err(exit_code) => return exit_code,
    };
    handle_requests(move |event, _| {
        let path = Route::of(&event).path().to_owned();
        endpoint(PublicRequest { path, headers: event.headers, config })
    })
    .await
}
