//! A local stand-in for AWS Lambda: runs a function's binary in as many processes as concurrent invocations
//! need, and drives them through the Lambda Runtime API.
//!
//! As on AWS, an instance handles one event at a time and is reused for the next. After a crash, a timeout or
//! a protocol error, the next invocation starts a new instance. Unlike on AWS, idle instances are never
//! frozen or removed.

mod instance;
mod runtime_api;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::body::Bytes;
use tokio::{sync::Semaphore, task::JoinSet, time};

use crate::logs::LogSink;
use instance::{Instance, InvocationFailure};

/// How long a process may take until it asks for its first event.
pub const INIT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long [`Function::shutdown`] waits for events in progress, and then again for the processes to exit.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// A function's configuration.
#[derive(Clone, Debug)]
pub struct FunctionSpec {
    /// The function's name.
    pub name: String,
    /// The function's executable.
    pub binary: PathBuf,
    /// Time limit of one invocation.
    pub timeout: Duration,
    /// Memory in MB, which the function can read but which is not enforced.
    pub memory: u32,
    /// Environment variables in addition to those that Lambda sets.
    pub environment: BTreeMap<String, String>,
    /// Maximum number of concurrent processes, at least 1. Further invocations wait.
    pub max_instances: usize,
}

/// Why an invocation returned no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvokeError {
    /// The function did not respond within its timeout, and its process was killed.
    Timeout(Duration),
    /// The process exited or violated the protocol before it responded.
    Crashed(String),
    /// The function returned an error: a JSON object with `errorType` and `errorMessage`.
    Function(Bytes),
    /// The process failed before it asked for an event. Contains the reason.
    InitFailed(String),
}

impl fmt::Display for InvokeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout(limit) => write!(f, "timed out after {} s", limit.as_secs_f64()),
            Self::Crashed(detail) => write!(f, "crashed: {detail}"),
            Self::Function(payload) => {
                write!(f, "returned an error: {}", String::from_utf8_lossy(payload))
            }
            Self::InitFailed(reason) => write!(f, "failed to start: {reason}"),
        }
    }
}

impl std::error::Error for InvokeError {}

/// A function and its processes.
#[derive(Clone)]
pub struct Function {
    pool: Arc<Pool>,
}

struct Pool {
    spec: FunctionSpec,
    logs: LogSink,
    /// One permit per instance that may be busy. Waiting callers get permits in order.
    permits: Arc<Semaphore>,
    /// Most recently used last.
    idle: Mutex<Vec<Instance>>,
    pids: Pids,
    starts: AtomicUsize,
}

/// Ids of the processes that have an [`Instance`].
type Pids = Arc<Mutex<BTreeSet<u32>>>;

impl Function {
    /// Creates a function that has no process yet. `logs` receives each line that its processes write.
    pub fn new(spec: FunctionSpec, logs: LogSink) -> Self {
        Self {
            pool: Arc::new(Pool {
                permits: Arc::new(Semaphore::new(spec.max_instances)),
                spec,
                logs,
                idle: Mutex::default(),
                pids: Pids::default(),
                starts: AtomicUsize::new(0),
            }),
        }
    }

    /// Returns the function's configuration.
    pub fn spec(&self) -> &FunctionSpec {
        &self.pool.spec
    }

    /// Passes `event` to an idle process, starting one if necessary, and returns the function's response.
    ///
    /// Once a process has the event, the invocation completes even if the returned future is dropped.
    ///
    /// # Errors
    /// See [`InvokeError`]. If an idle process has died before it got the event, another process gets it.
    pub async fn invoke(&self, event: Bytes) -> Result<Bytes, InvokeError> {
        let gone = |_| InvokeError::Crashed("the function has been shut down".into());
        let permit = Arc::clone(&self.pool.permits).acquire_owned().await.map_err(gone)?;
        let pool = Arc::clone(&self.pool);
        // In a separate task, so that a caller who disconnects doesn't cancel a busy instance.
        let invocation = tokio::spawn(async move {
            let result = pool.invoke(event).await;
            drop(permit);
            result
        });
        invocation.await.unwrap_or_else(|error| Err(InvokeError::Crashed(error.to_string())))
    }

    /// Returns the ids of the running processes, busy and idle.
    pub fn pids(&self) -> Vec<u32> {
        self.pool.idle().retain_mut(|instance| instance.is_alive());
        lock(&self.pool.pids).iter().copied().collect()
    }

    /// Returns how many processes have been started.
    pub fn starts(&self) -> usize {
        self.pool.starts.load(Ordering::Relaxed)
    }

    /// Waits for events in progress and then for the processes to exit, each up to [`SHUTDOWN_TIMEOUT`], and
    /// kills the remaining processes. Further invocations fail.
    pub async fn shutdown(&self) {
        let everyone = u32::try_from(self.pool.spec.max_instances).unwrap_or(u32::MAX);
        let idle = time::timeout(SHUTDOWN_TIMEOUT, self.pool.permits.acquire_many(everyone)).await;
        self.pool.permits.close();
        drop(idle);

        let instances = std::mem::take(&mut *self.pool.idle());
        let mut stopping: JoinSet<()> = instances.into_iter().map(Instance::stop).collect();
        while stopping.join_next().await.is_some() {}
    }
}

impl Pool {
    async fn invoke(&self, event: Bytes) -> Result<Bytes, InvokeError> {
        loop {
            let next_idle = self.idle().pop();
            let was_idle = next_idle.is_some();
            let mut instance = match next_idle {
                Some(instance) => instance,
                None => self.start().await?,
            };
            let (result, reusable) = match instance.invoke(event.clone(), self.spec.timeout).await {
                Ok(response) => (Ok(response), true),
                Err(InvocationFailure::Function(payload)) => (Err(InvokeError::Function(payload)), true),
                // The process died while idle and didn't get the event, so another process can have it.
                Err(InvocationFailure::NotTaken) if was_idle => continue,
                Err(InvocationFailure::NotTaken) => {
                    (Err(InvokeError::InitFailed(instance.exit_reason().await)), false)
                }
                Err(InvocationFailure::Timeout) => (Err(InvokeError::Timeout(self.spec.timeout)), false),
                Err(InvocationFailure::Crashed(detail)) => (Err(InvokeError::Crashed(detail)), false),
            };
            if reusable {
                // Before the response is returned, so that a caller's next invocation finds the instance
                // idle.
                self.idle().push(instance);
            } else {
                instance.kill().await;
            }
            return result;
        }
    }

    async fn start(&self) -> Result<Instance, InvokeError> {
        self.starts.fetch_add(1, Ordering::Relaxed);
        Instance::start(&self.spec, &self.logs, &self.pids).await.map_err(InvokeError::InitFailed)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Instance>> {
        lock(&self.idle)
    }
}

/// Locks a mutex even if it is poisoned: no panic can leave the data here half changed.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
