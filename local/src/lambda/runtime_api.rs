//! A server of the Lambda Runtime API for one process.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::{net::SocketAddr, time::SystemTime};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderName, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    io,
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::{AbortHandle, JoinSet},
};

/// Lambda's limit for a response payload, in bytes.
const RESPONSE_LIMIT: usize = 6 * 1024 * 1024;

/// An event for a process, with its metadata.
pub(super) struct Invocation {
    pub(super) request_id: String,
    pub(super) function_arn: String,
    pub(super) trace_id: String,
    pub(super) deadline: SystemTime,
    pub(super) event: Bytes,
}

/// A call that a process makes to the Runtime API.
pub(super) enum Message {
    /// The process waits for an event. Sending fails if the process has stopped waiting.
    Next(oneshot::Sender<Invocation>),
    /// The response to the invocation with this id.
    Response(String, Bytes),
    /// The invocation with this id failed.
    Error(String, Bytes),
    /// The process can't start.
    InitError(Bytes),
}

/// A running Runtime API server. Dropping it stops the server.
pub(super) struct RuntimeApi {
    pub(super) address: SocketAddr,
    server: AbortHandle,
}

impl RuntimeApi {
    /// Starts a server on a free port. The receiver gets the process's calls in order.
    pub(super) async fn start() -> io::Result<(Self, mpsc::Receiver<Message>)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (messages, received) = mpsc::channel(8);
        let invocation = "/2018-06-01/runtime/invocation";
        let router = Router::new()
            .route(&format!("{invocation}/next"), get(next))
            .route(&format!("{invocation}/{{id}}/response"), post(response))
            .route(&format!("{invocation}/{{id}}/error"), post(error))
            .route("/2018-06-01/runtime/init/error", post(init_error))
            .layer(DefaultBodyLimit::max(RESPONSE_LIMIT))
            .with_state(messages);
        let server = tokio::spawn(serve(listener, router)).abort_handle();
        Ok((Self { address, server }, received))
    }

    /// Closes the listener and every connection, which makes a runtime exit.
    pub(super) fn close(&self) {
        self.server.abort();
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.close();
    }
}

/// Like `axum::serve`, but dropping the future closes the connections.
async fn serve(listener: TcpListener, router: Router) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        // Avoids waiting for a delayed acknowledgement of a large event. A failure costs only time.
        stream.set_nodelay(true).ok();
        let service = TowerToHyperService::new(router.clone());
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        while connections.try_join_next().is_some() {}
    }
}

type Messages = State<mpsc::Sender<Message>>;

/// Responds when there is an event. If the process dies first, its connection closes and hyper drops this
/// future with the receiver, so sending the event fails and the event is not lost.
async fn next(State(messages): Messages) -> Response {
    let (sender, event) = oneshot::channel();
    if messages.send(Message::Next(sender)).await.is_err() {
        return StatusCode::GONE.into_response();
    }
    let Ok(invocation) = event.await else {
        return StatusCode::GONE.into_response();
    };
    let deadline = invocation.deadline.duration_since(SystemTime::UNIX_EPOCH);
    let deadline = deadline.expect("the deadline is after 1970").as_millis();
    let header = HeaderName::from_static;
    let headers = [
        (CONTENT_TYPE, "application/json".to_owned()),
        (header("lambda-runtime-aws-request-id"), invocation.request_id),
        (header("lambda-runtime-deadline-ms"), deadline.to_string()),
        (header("lambda-runtime-invoked-function-arn"), invocation.function_arn),
        (header("lambda-runtime-trace-id"), invocation.trace_id),
    ];
    (headers, invocation.event).into_response()
}

async fn response(state: Messages, Path(id): Path<String>, body: Bytes) -> Response {
    accept(state, Message::Response(id, body)).await
}

async fn error(state: Messages, Path(id): Path<String>, body: Bytes) -> Response {
    accept(state, Message::Error(id, body)).await
}

async fn init_error(state: Messages, body: Bytes) -> Response {
    accept(state, Message::InitError(body)).await
}

async fn accept(State(messages): Messages, message: Message) -> Response {
    match messages.send(message).await {
        Ok(()) => (StatusCode::ACCEPTED, r#"{"status":"OK"}"#).into_response(),
        Err(_) => StatusCode::GONE.into_response(),
    }
}
