//! AWS Lambda on one machine: processes of a function's binary, started as concurrent invocations need them and driven
//! through the Lambda Runtime API.
//!
//! As on AWS, an instance handles one event at a time and stays for the next one; an instance that died, ran out of
//! time or broke the protocol is replaced by the next invocation. Unlike there, an idle instance is never frozen or
//! retired.

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

/// How long a process may take to ask for its first event.
pub const INIT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long [`Function::shutdown`] waits for events in progress, and after that for the processes to exit.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// A function's configuration.
#[derive(Clone, Debug)]
pub struct FunctionSpec {
    /// Its name.
    pub name: String,
    /// Its executable.
    pub binary: PathBuf,
    /// How long one invocation may take.
    pub timeout: Duration,
    /// Memory in MB. Told to the function, not enforced.
    pub memory: u32,
    /// Environment variables, besides those that Lambda itself sets.
    pub environment: BTreeMap<String, String>,
    /// The most processes that run at once, at least 1; further invocations wait their turn.
    pub max_instances: usize,
}

/// Why an invocation has no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvokeError {
    /// The function did not answer within its timeout. Its process was killed.
    Timeout(Duration),
    /// The process ended, or broke the protocol, before it answered.
    Crashed(String),
    /// The function answered with an error: a JSON object with `errorType` and `errorMessage`.
    Function(Bytes),
    /// The process did not get as far as to ask for an event. Holds the reason it gave.
    InitFailed(String),
}

impl fmt::Display for InvokeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout(limit) => write!(f, "timed out after {} s", limit.as_secs_f64()),
            Self::Crashed(detail) => write!(f, "crashed: {detail}"),
            Self::Function(payload) => {
                write!(f, "answered with an error: {}", String::from_utf8_lossy(payload))
            }
            Self::InitFailed(reason) => write!(f, "failed to start: {reason}"),
        }
    }
}

impl std::error::Error for InvokeError {}

/// A function and the processes that run it.
#[derive(Clone)]
pub struct Function {
    pool: Arc<Pool>,
}

struct Pool {
    spec: FunctionSpec,
    logs: LogSink,
    /// One for each instance that may be busy. Waiting callers get theirs in order.
    permits: Arc<Semaphore>,
    /// Most recently used last.
    idle: Mutex<Vec<Instance>>,
    pids: Pids,
    starts: AtomicUsize,
}

/// Ids of the processes that an [`Instance`] stands for.
type Pids = Arc<Mutex<BTreeSet<u32>>>;

impl Function {
    /// A function without a process as yet. What its processes write goes to `logs`, line by line.
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

    /// Its configuration.
    pub fn spec(&self) -> &FunctionSpec {
        &self.pool.spec
    }

    /// Has `event` handled by an idle process, else by a new one, and gives the function's response.
    ///
    /// An event that a process has taken is handled to its end, also when the future returned here is dropped.
    ///
    /// # Errors
    /// See [`InvokeError`]. A process that died before it was given the event is no error.
    pub async fn invoke(&self, event: Bytes) -> Result<Bytes, InvokeError> {
        let gone = |_| InvokeError::Crashed("the function has been shut down".into());
        let permit = Arc::clone(&self.pool.permits).acquire_owned().await.map_err(gone)?;
        let pool = Arc::clone(&self.pool);
        // A task of its own, so that a caller who goes away doesn't take a busy instance along.
        let invocation = tokio::spawn(async move {
            let result = pool.invoke(event).await;
            drop(permit);
            result
        });
        invocation.await.unwrap_or_else(|error| Err(InvokeError::Crashed(error.to_string())))
    }

    /// Ids of the live processes, busy and idle.
    pub fn pids(&self) -> Vec<u32> {
        self.pool.idle().retain_mut(|instance| instance.is_alive());
        lock(&self.pool.pids).iter().copied().collect()
    }

    /// How many processes have been started so far.
    pub fn starts(&self) -> usize {
        self.pool.starts.load(Ordering::Relaxed)
    }

    /// Lets the events in progress end and the processes exit by themselves, and kills what is left after
    /// [`SHUTDOWN_TIMEOUT`] each. Further invocations fail.
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
                // It died unseen while idle and has not had the event: the next one gets it.
                Err(InvocationFailure::NotTaken) if was_idle => continue,
                Err(InvocationFailure::NotTaken) => {
                    (Err(InvokeError::InitFailed(instance.last_words().await)), false)
                }
                Err(InvocationFailure::Timeout) => (Err(InvokeError::Timeout(self.spec.timeout)), false),
                Err(InvocationFailure::Crashed(detail)) => (Err(InvokeError::Crashed(detail)), false),
            };
            if reusable {
                // Before the caller hears of it, so that whoever asks one thing after the other finds it idle.
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

/// Locks data that a panic elsewhere can't leave half changed.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
