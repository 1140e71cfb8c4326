//! A local stand-in for API Gateway: an HTTP server that turns requests into events for the template's
//! functions, and the functions' payloads into HTTP responses.

mod cors;
mod event;
mod response;
mod routes;

use std::{collections::BTreeMap, fmt, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, Request, State},
    http::{HeaderValue, StatusCode, header::ORIGIN, request::Parts},
    response::{IntoResponse, Response},
    serve::ListenerExt,
};
use http_body_util::BodyExt;
use tokio::{
    net::TcpListener,
    sync::oneshot,
    task::{JoinHandle, JoinSet},
    time,
};
use uuid::Uuid;

use crate::{
    lambda::{Function, FunctionSpec, InvokeError},
    logs::LogSink,
    template::Template,
};
use cors::Cors;
use event::RequestContext;
pub use routes::{MalformedPath, RouteMatch, Routes};

/// API Gateway's limit for a request body, in bytes.
pub const BODY_LIMIT: usize = 10 * 1024 * 1024;

/// API Gateway's limit for the request line and all header values together, in bytes.
pub const HEAD_LIMIT: usize = 10_240;

/// How long [`Gateway::shutdown`] waits for requests in progress.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// Settings of a [`Gateway`].
pub struct GatewayOptions {
    /// The functions and their routes.
    pub template: Template,
    /// The executable of each function that has routes, by the name of its binary.
    pub binaries: BTreeMap<String, PathBuf>,
    /// Environment variables for every function.
    pub environment: BTreeMap<String, String>,
    /// The socket to accept connections on.
    pub listener: TcpListener,
    /// Receives the functions' output, and a line for each failed invocation and each request without a
    /// route.
    pub logs: LogSink,
    /// Maximum number of concurrent processes of each function.
    pub max_instances: usize,
}

/// A running gateway. Serves until [`Gateway::shutdown`].
pub struct Gateway {
    address: SocketAddr,
    api: Arc<Api>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Gateway {
    /// Starts serving. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If a function with routes has no executable, or the template's routes or CORS settings are invalid.
    pub fn start(options: GatewayOptions) -> Result<Self> {
        let mut functions = BTreeMap::new();
        for resource in options.template.functions.iter().filter(|function| !function.routes.is_empty()) {
            let name = &resource.binary;
            let binary = options.binaries.get(name);
            let spec = FunctionSpec {
                name: name.clone(),
                binary: binary.with_context(|| format!("function {name} has no executable"))?.clone(),
                timeout: resource.timeout,
                memory: resource.memory,
                environment: options.environment.clone(),
                max_instances: options.max_instances,
            };
            functions.insert(name.clone(), Function::new(spec, Arc::clone(&options.logs)));
        }
        let cors = options.template.cors.as_ref().map(Cors::new).transpose()?;
        let address = options.listener.local_addr()?;
        let api = Arc::new(Api {
            cors,
            functions,
            logs: options.logs,
            port: address.port(),
            routes: Routes::new(options.template.functions)?,
        });

        let service = Router::new()
            .fallback(handle)
            .with_state(Arc::clone(&api))
            .into_make_service_with_connect_info::<SocketAddr>();
        let listener = options.listener.tap_io(|stream| {
            stream.set_nodelay(true).ok();
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let server = axum::serve(listener, service).with_graceful_shutdown(async {
            stopped.await.ok();
        });
        Ok(Self {
            address,
            api,
            stop,
            server: tokio::spawn(async {
                server.await.expect("axum::serve handles the listener's errors");
            }),
        })
    }

    /// Returns the API's base URL, without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the function with this binary, if it has a route.
    pub fn function(&self, binary: &str) -> Option<&Function> {
        self.api.functions.get(binary)
    }

    /// Stops accepting requests, waits up to [`SHUTDOWN_TIMEOUT`] for those in progress, and stops the
    /// functions.
    pub async fn shutdown(self) {
        self.stop.send(()).ok();
        let abort = self.server.abort_handle();
        if time::timeout(SHUTDOWN_TIMEOUT, self.server).await.is_err() {
            abort.abort();
        }
        let functions = self.api.functions.values().cloned();
        let mut ending: JoinSet<()> =
            functions.map(|function| async move { function.shutdown().await }).collect();
        while ending.join_next().await.is_some() {}
    }
}

struct Api {
    routes: Routes,
    cors: Option<Cors>,
    functions: BTreeMap<String, Function>,
    logs: LogSink,
    port: u16,
}

/// An error response from the gateway itself.
#[derive(Debug)]
struct GatewayError(StatusCode);

impl IntoResponse for GatewayError {
    fn into_response(self) -> Response {
        let message = match self.0 {
            StatusCode::PAYLOAD_TOO_LARGE => "Request Entity Too Large",
            status => status.canonical_reason().unwrap_or_default(),
        };
        let body = format!(r#"{{"message":"{message}"}}"#);
        (self.0, [("content-type", "application/json")], body).into_response()
    }
}

async fn handle(
    State(api): State<Arc<Api>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let request_id = Uuid::new_v4().to_string();
    let origin = request.headers().get(ORIGIN).cloned();
    let preflight = api.cors.as_ref().and_then(|cors| cors.preflight(&request));
    let mut response = match preflight {
        Some(response) => response,
        None => {
            let context = RequestContext { peer, port: api.port, request_id: &request_id };
            let mut response =
                answer(&api, context, request).await.unwrap_or_else(GatewayError::into_response);
            if let Some(cors) = &api.cors {
                cors.apply(origin.as_ref(), response.headers_mut());
            }
            response
        }
    };
    let request_id = HeaderValue::try_from(request_id).expect("a UUID is visible ASCII");
    response.headers_mut().insert("apigw-requestid", request_id);
    response
}

async fn answer(api: &Api, context: RequestContext<'_>, request: Request) -> Result<Response, GatewayError> {
    let (parts, body) = request.into_parts();
    let body = read(body).await?;
    if head_size(&parts) > HEAD_LIMIT {
        return Err(GatewayError(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
    }
    let malformed = |_| GatewayError(StatusCode::BAD_REQUEST);
    let path = routes::decode(parts.uri.path()).map_err(malformed)?;
    let (method, raw_path) = (parts.method.as_str(), parts.uri.path());
    let Some(found) = api.routes.find(method, raw_path).map_err(malformed)? else {
        let nearest = api.routes.nearest(method, raw_path).map(|route| route.route_key());
        let nearest = nearest.map(|route| format!("; the nearest is {route}")).unwrap_or_default();
        (api.logs)("gateway", &format!("404  no route for {method} {raw_path}{nearest}"));
        return Err(GatewayError(StatusCode::NOT_FOUND));
    };

    let event = event::event(&parts, &path, &body, &found, context);
    let function = &api.functions[&found.function.binary];
    let failed = |reason: &dyn fmt::Display, status| {
        (api.logs)(&found.function.binary, &reason.to_string());
        GatewayError(status)
    };
    match function.invoke(Bytes::from(event.to_string())).await {
        Ok(payload) => {
            response::response(&payload).map_err(|error| failed(&error, StatusCode::INTERNAL_SERVER_ERROR))
        }
        Err(error @ InvokeError::Timeout(_)) => Err(failed(&error, StatusCode::SERVICE_UNAVAILABLE)),
        Err(error) => Err(failed(&error, StatusCode::INTERNAL_SERVER_ERROR)),
    }
}

/// Returns the size of the request line and all header values, in bytes.
fn head_size(parts: &Parts) -> usize {
    let target = parts.uri.path_and_query().map_or(1, |target| target.as_str().len());
    let line = parts.method.as_str().len() + target + " HTTP/1.1 ".len();
    line + parts.headers.values().map(HeaderValue::len).sum::<usize>()
}

/// Reads the whole body. A body over the limit is read to its end too, but discarded: otherwise a client that
/// is still sending would see its connection close instead of the response.
async fn read(mut body: Body) -> Result<Vec<u8>, GatewayError> {
    let mut read = Vec::new();
    let mut too_large = false;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| GatewayError(StatusCode::BAD_REQUEST))?;
        let data = frame.into_data().unwrap_or_default();
        too_large |= read.len() + data.len() > BODY_LIMIT;
        if !too_large {
            read.extend_from_slice(&data);
        }
    }
    if too_large {
        return Err(GatewayError(StatusCode::PAYLOAD_TOO_LARGE));
    }
    Ok(read)
}
