//! Drives a function through the Lambda Runtime API over a bare socket, so that little but the function is
//! measured.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::machine::processor_time;

/// Time limit for a process to start, or to respond.
const PATIENCE: Duration = Duration::from_secs(30);

/// Maximum length of a request's head, in bytes.
const HEAD_LIMIT: usize = 16 * 1024;

/// A running function that waits for its next event.
pub struct Function {
    process: Child,
    messages: mpsc::UnboundedReceiver<Message>,
    next: oneshot::Sender<String>,
    started: Instant,
    /// Time from the start until it requested an event.
    init: Duration,
}

/// The outcome of an invocation.
pub struct Outcome {
    /// Time from the first byte of the event to the last byte of the response.
    pub elapsed: Duration,
    arrived: Instant,
    response: Vec<u8>,
}

enum Message {
    /// The function waits for an event.
    Next(oneshot::Sender<String>),
    Response(Outcome),
    Failed(Vec<u8>),
}

impl Function {
    /// Starts a process and waits until it requests an event. Its output is discarded.
    pub async fn start(program: &Path, environment: &BTreeMap<String, String>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (sender, mut messages) = mpsc::unbounded_channel();
        let sent = Arc::new(Mutex::new(Instant::now()));
        tokio::spawn(async move {
            // Ends when the `Function` is dropped.
            while let Ok((stream, _)) = listener.accept().await
                && !sender.is_closed()
            {
                tokio::spawn(serve(stream, sender.clone(), Arc::clone(&sent)));
            }
        });
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(["PATH", "HOME"].iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .envs(environment)
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .envs([
                ("AWS_LAMBDA_FUNCTION_NAME", "benchmark"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
                ("AWS_REGION", "eu-central-1"),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let started = Instant::now();
        let process = command.spawn().with_context(|| format!("{} can't be run", program.display()))?;
        let next = next(&mut messages).await.with_context(|| program.display().to_string())?;
        Ok(Self { process, messages, next, started, init: started.elapsed() })
    }

    /// Starts a process and sends one event. Returns the times until it requested the event, and until the
    /// last byte of its response arrived.
    pub async fn start_once(
        program: &Path,
        environment: &BTreeMap<String, String>,
        event: String,
        status: u16,
    ) -> Result<(Duration, Duration)> {
        let mut function = Self::start(program, environment).await?;
        let outcomes = function.invoke_all(&[event], status).await?;
        Ok((function.init, outcomes[0].arrived - function.started))
    }

    /// Sends one event after the other. Fails if a response does not have this status.
    pub async fn invoke_all(&mut self, events: &[String], status: u16) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(events.len());
        for event in events {
            outcomes.push(self.invoke(event).await?);
        }
        // Afterwards, so that it does not disturb the measurement.
        for outcome in &outcomes {
            let response: Value = serde_json::from_slice(&outcome.response)?;
            ensure!(response["statusCode"] == status, "expected status {status}: {response}");
        }
        Ok(outcomes)
    }

    async fn invoke(&mut self, event: &str) -> Result<Outcome> {
        let (unused, _) = oneshot::channel();
        let sent = std::mem::replace(&mut self.next, unused).send(event.to_owned());
        ensure!(sent.is_ok(), "the function no longer waits for an event");
        let outcome = match timeout(PATIENCE, self.messages.recv()).await? {
            Some(Message::Response(outcome)) => outcome,
            Some(Message::Failed(body)) => bail!("{}", String::from_utf8_lossy(&body)),
            _ => bail!("the function requested another event without a response to the last one"),
        };
        self.next = next(&mut self.messages).await?;
        Ok(outcome)
    }

    /// The processor time that it has used so far.
    pub fn processor_time(&self) -> Option<Duration> {
        processor_time(self.process.id())
    }

    /// The peak memory (VmHWM), in bytes.
    pub fn peak_memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

async fn next(messages: &mut mpsc::UnboundedReceiver<Message>) -> Result<oneshot::Sender<String>> {
    match timeout(PATIENCE, messages.recv()).await.context("the function requested no event")? {
        Some(Message::Next(next)) => Ok(next),
        Some(Message::Failed(body)) => bail!("{}", String::from_utf8_lossy(&body)),
        _ => bail!("the function responded without an event"),
    }
}

/// Serves one connection of a function. The function can receive an event on one connection and respond on
/// another, so `sent`, the time of the last event, is shared by all of them.
async fn serve(
    mut stream: TcpStream,
    messages: mpsc::UnboundedSender<Message>,
    sent: Arc<Mutex<Instant>>,
) -> Result<()> {
    let sent = || sent.lock().unwrap_or_else(PoisonError::into_inner);
    stream.set_nodelay(true)?;
    let mut number = 0;
    loop {
        let (path, body) = read_request(&mut stream).await?;
        let arrived = Instant::now();
        if path.ends_with("/next") {
            let (sender, event) = oneshot::channel();
            messages.send(Message::Next(sender))?;
            let event = event.await?;
            number += 1;
            let response = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
                 lambda-runtime-aws-request-id: 8476a536-e9f4-11e8-9739-{number:012}\r\n\
                 lambda-runtime-deadline-ms: 4102444800000\r\n\
                 lambda-runtime-invoked-function-arn: arn:aws:lambda:eu-central-1:123456789012:function:benchmark\r\n\
                 lambda-runtime-trace-id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0\r\n\r\n{event}",
                event.len()
            );
            *sent() = Instant::now();
            stream.write_all(response.as_bytes()).await?;
        } else {
            messages.send(match path.ends_with("/response") {
                true => Message::Response(Outcome { elapsed: arrived - *sent(), arrived, response: body }),
                false => Message::Failed(body),
            })?;
            stream.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n").await?;
        }
    }
}

/// Reads the next request and returns its path and body.
async fn read_request(stream: &mut TcpStream) -> Result<(String, Vec<u8>)> {
    let mut buffer = Vec::with_capacity(HEAD_LIMIT);
    loop {
        ensure!(stream.read_buf(&mut buffer).await? > 0, "closed");
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(head) = request.parse(&buffer)? else {
            ensure!(buffer.len() < HEAD_LIMIT, "the head of the request is longer than {HEAD_LIMIT} bytes");
            continue;
        };
        let path = request.path.unwrap_or_default().to_owned();
        let length = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
        let length: usize = match length {
            Some(header) => std::str::from_utf8(header.value)?.parse()?,
            None => 0,
        };
        let mut body = buffer.split_off(head);
        let read = body.len();
        body.resize(length, 0);
        stream.read_exact(&mut body[read..]).await?;
        return Ok((path, body));
    }
}
