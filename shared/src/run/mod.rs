//! Runs an endpoint: starts it, hands it the requests and sends back its responses.

mod backend;
mod event;
mod panics;
mod requests;
mod route;
mod start;

use std::{process::ExitCode, sync::Arc};

use lambda_http::http::{HeaderMap, header::AUTHORIZATION};
use tracing::Span;

use crate::{
    contract::{Contract, Input},
    error::{Error, Recorded},
    response::Response,
    store::Store,
    task::Caller,
    variables::Variables,
};
use backend::{Config, LiveBackend};
use requests::{Event, handle_requests};
use route::Route;
use start::start;

/// A request for tasks that has passed every check that needs no database.
pub struct Request<I> {
    /// The contract of its route, which renders the response.
    pub contract: Contract,
    /// The user that its token identifies, who is also the user in its path.
    pub caller: Caller,
    /// What it asks for.
    pub input: I,
    /// The tasks.
    pub store: Arc<Store>,
}

/// A request that needs no token.
pub struct PublicRequest<C: 'static> {
    /// The path of its route.
    pub path: String,
    /// Its header fields.
    pub headers: HeaderMap,
    /// What [`serve_public`] read at start-up.
    pub config: &'static C,
}

/// Runs an endpoint of tasks until Lambda ends the process.
///
/// It connects to the database while Lambda initialises the process. If the database is down it starts all the same,
/// and each request is answered with 503 until the database is back.
pub async fn serve<I, F, Fut>(endpoint: F) -> ExitCode
where
    I: Input + Send,
    F: Fn(Request<I>) -> Fut + Copy + Send + 'static,
    Fut: Future<Output = Result<Response, Error>> + Send,
{
    let loaded = match start(Config::read).await {
        Ok(loaded) => loaded,
        Err(exit_code) => return exit_code,
    };
    // It lives as long as the process.
    let backend: &'static LiveBackend = Box::leak(Box::new(LiveBackend::new(loaded.config, loaded.secret)));
    backend.connect().await;
    handle_requests(move |event, contract| async move {
        let request = check(backend, &event, contract).await?;
        endpoint(request).await
    })
    .await
}

/// Identifies the caller and reads the input.
async fn check<I: Input>(
    backend: &LiveBackend,
    event: &Event,
    contract: Contract,
) -> Result<Request<I>, Error> {
    let backend = backend.current().await;
    let authorization = event.headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
    let caller = backend.verifier.caller(authorization).await?;
    Span::current().record("user_id", &caller.user_id);
    match event.path_parameters.get("user_id") {
        Some(user_id) if *user_id == caller.user_id => {}
        other => return Err(Error::Forbidden(other.cloned().unwrap_or_default())),
    }
    let input = contract.read(event)?;
    Ok(Request { contract, caller, input, store: Arc::clone(&backend.store) })
}

/// Runs an endpoint that needs no token, until Lambda ends the process, with a configuration that `read` reads.
pub async fn serve_public<C, F, Fut>(
    read: impl FnOnce(&mut Variables) -> Result<C, Recorded>,
    endpoint: F,
) -> ExitCode
where
    C: Send + Sync + 'static,
    F: Fn(PublicRequest<C>) -> Fut + Copy + Send + 'static,
    Fut: Future<Output = Result<Response, Error>> + Send,
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
