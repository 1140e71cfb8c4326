//! One process of a function.

use std::{
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use axum::body::Bytes;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::{mpsc, oneshot},
    task::JoinSet,
    time,
};
use uuid::Uuid;

use super::{
    FunctionSpec, INIT_TIMEOUT, Pids, SHUTDOWN_TIMEOUT, lock,
    runtime_api::{Invocation, Message, RuntimeApi},
};
use crate::logs::LogSink;

const REGION: &str = "us-east-1";

/// Variables that a function inherits: to find programs, and for coverage and backtraces.
const INHERITED: [&str; 3] = ["PATH", "LLVM_PROFILE_FILE", "RUST_BACKTRACE"];

/// Why an invocation returned no response.
pub(super) enum InvocationFailure {
    /// The process is dead or doesn't ask for events. It didn't get the event.
    NotTaken,
    /// The function returned an error. The process can take the next event.
    Function(Bytes),
    Timeout,
    Crashed(String),
}

/// A process that handles one event at a time. Dropping it kills the process.
pub(super) struct Instance {
    process: Child,
    pid: u32,
    pids: Pids,
    messages: mpsc::Receiver<Message>,
    /// Delivers the next event, if the process has already asked for it.
    next: Option<oneshot::Sender<Invocation>>,
    runtime_api: RuntimeApi,
    function_arn: String,
    output: Arc<Output>,
    readers: JoinSet<()>,
}

impl Instance {
    /// Starts a process and waits until it asks for an event. The error is the reason it failed, in one line.
    pub(super) async fn start(spec: &FunctionSpec, logs: &LogSink, pids: &Pids) -> Result<Self, String> {
        let api = RuntimeApi::start().await;
        let (runtime_api, messages) = api.map_err(|error| format!("can't serve the Runtime API: {error}"))?;
        let started = command(spec, &runtime_api).spawn();
        let mut process = started.map_err(|error| format!("can't run {}: {error}", spec.binary.display()))?;
        let pid = process.id().expect("the process has not been waited for");
        lock(pids).insert(pid);

        let output = Arc::new(Output {
            function: spec.name.clone(),
            logs: Arc::clone(logs),
            last_line: Mutex::default(),
            closed: AtomicBool::new(false),
        });
        let mut readers = JoinSet::new();
        let stdout = process.stdout.take().expect("stdout is piped");
        let stderr = process.stderr.take().expect("stderr is piped");
        readers.spawn(Arc::clone(&output).read(stdout));
        readers.spawn(Arc::clone(&output).read(stderr));

        let mut instance = Self {
            process,
            pid,
            pids: Arc::clone(pids),
            messages,
            next: None,
            runtime_api,
            function_arn: format!("arn:aws:lambda:{REGION}:123456789012:function:{}", spec.name),
            output,
            readers,
        };
        match time::timeout(INIT_TIMEOUT, instance.init()).await {
            Ok(Ok(next)) => {
                instance.next = Some(next);
                Ok(instance)
            }
            Ok(Err(reason)) => Err(reason),
            Err(_) => Err(format!("the process didn't ask for an event within {} s", INIT_TIMEOUT.as_secs())),
        }
    }

    async fn init(&mut self) -> Result<oneshot::Sender<Invocation>, String> {
        tokio::select! {
            biased;
            message = self.messages.recv() => match message {
                Some(Message::Next(next)) => Ok(next),
                Some(Message::InitError(payload)) => Err(error_message(&payload)),
                _ => Err("the process sent a response before it asked for an event".into()),
            },
            _ = self.process.wait() => Err(self.exit_reason().await),
        }
    }

    /// Passes the event to the process and waits for its response.
    pub(super) async fn invoke(&mut self, event: Bytes, limit: Duration) -> Result<Bytes, InvocationFailure> {
        let next = match self.next.take() {
            Some(next) => next,
            // The process has responded to its last event but might not have asked for another yet.
            None => time::timeout(limit, self.init())
                .await
                .map_err(|_| InvocationFailure::NotTaken)?
                .map_err(|_| InvocationFailure::NotTaken)?,
        };
        if !self.is_alive() {
            return Err(InvocationFailure::NotTaken);
        }
        let request_id = Uuid::new_v4().to_string();
        let invocation = Invocation {
            request_id: request_id.clone(),
            function_arn: self.function_arn.clone(),
            trace_id: trace_id(),
            deadline: SystemTime::now() + limit,
            event,
        };
        next.send(invocation).map_err(|_| InvocationFailure::NotTaken)?;
        time::timeout(limit, self.outcome(&request_id)).await.unwrap_or(Err(InvocationFailure::Timeout))
    }

    async fn outcome(&mut self, request_id: &str) -> Result<Bytes, InvocationFailure> {
        tokio::select! {
            // Biased, because the response counts even if the process exits right after it.
            biased;
            message = self.messages.recv() => match message {
                Some(Message::Response(id, body)) if id == request_id => Ok(body),
                Some(Message::Error(id, payload)) if id == request_id => Err(InvocationFailure::Function(payload)),
                _ => Err(InvocationFailure::Crashed("the process violated the Runtime API's protocol".into())),
            },
            status = self.process.wait() => Err(InvocationFailure::Crashed(match status {
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            })),
        }
    }

    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Returns the last line that an exited process wrote, which usually says why it exited.
    pub(super) async fn exit_reason(&mut self) -> String {
        // Limited, because the pipes stay open if the process has left children behind.
        let read_all = async { while self.readers.join_next().await.is_some() {} };
        time::timeout(Duration::from_millis(200), read_all).await.ok();
        match lock(&self.output.last_line).take() {
            Some(line) => message(&line).unwrap_or(line),
            None => match self.process.try_wait() {
                Ok(Some(status)) => format!("{status}, without any output"),
                _ => "no reason given".into(),
            },
        }
    }

    /// Kills the process and waits until it has exited.
    pub(super) async fn kill(mut self) {
        self.process.kill().await.ok();
    }

    /// Closes the Runtime API, which makes the process exit, and kills the process after
    /// [`SHUTDOWN_TIMEOUT`].
    pub(super) async fn stop(mut self) {
        // The process complains about the closed connection, which is no problem here.
        self.output.closed.store(true, Ordering::Relaxed);
        self.next = None;
        self.runtime_api.close();
        if time::timeout(SHUTDOWN_TIMEOUT, self.process.wait()).await.is_err() {
            self.kill().await;
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        lock(&self.pids).remove(&self.pid);
    }
}

fn command(spec: &FunctionSpec, runtime_api: &RuntimeApi) -> Command {
    let inherited = INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    let mut command = Command::new(&spec.binary);
    command
        .env_clear()
        .envs(inherited)
        .env("AWS_REGION", REGION)
        .envs(&spec.environment)
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", spec.memory.to_string())
        .env("AWS_LAMBDA_FUNCTION_NAME", &spec.name)
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", spec.name))
        .env("AWS_LAMBDA_LOG_STREAM_NAME", format!("local/{}", Uuid::new_v4().simple()))
        .env("TZ", ":UTC")
        .env("_HANDLER", "bootstrap")
        .env("AWS_LAMBDA_RUNTIME_API", runtime_api.address.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // In its own process group, so that a terminal's Ctrl-C reaches only the gateway, which then stops
        // the functions.
        .process_group(0)
        .kill_on_drop(true);
    command
}

/// Passes a process's output on to the log sink, line by line.
struct Output {
    function: String,
    logs: LogSink,
    last_line: Mutex<Option<String>>,
    closed: AtomicBool,
}

impl Output {
    async fn read(self: Arc<Self>, stream: impl AsyncRead + Unpin) {
        let mut stream = BufReader::new(stream);
        let mut bytes = Vec::new();
        while stream.read_until(b'\n', &mut bytes).await.is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&bytes);
            let line = text.trim_end_matches(['\n', '\r']);
            if !line.is_empty() && !self.closed.load(Ordering::Relaxed) {
                (self.logs)(&self.function, line);
                *lock(&self.last_line) = Some(line.to_owned());
            }
            bytes.clear();
        }
    }
}

/// Returns the `message` of a log line, if the line is a JSON object.
fn message(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    Some(line.get("message")?.as_str()?.to_owned())
}

/// Returns the `errorMessage` of an error payload.
fn error_message(payload: &[u8]) -> String {
    let payload: Value = serde_json::from_slice(payload).unwrap_or_default();
    payload["errorMessage"].as_str().unwrap_or("no reason given").to_owned()
}

/// Returns a new X-Ray trace header.
///
/// <https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader>
fn trace_id() -> String {
    let id = Uuid::new_v4().simple().to_string();
    let now = chrono::Utc::now().timestamp();
    format!("Root=1-{now:08x}-{};Parent={};Sampled=0", &id[..24], &id[16..])
}
