//! The database: pooled connections, the scope of one user, and what to do when it fails.

mod connection;
mod tasks;

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, Instant},
};

use chrono::Utc;
use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, TimeoutType,
};
use tokio::time::timeout;
use tokio_postgres::{
    Client, Row,
    error::SqlState,
    types::{ToSql, Type},
};
use tracing::{info, warn};

use crate::{Error, telemetry::milliseconds};

pub use connection::DatabaseConfig;
pub use tasks::Created;

/// Bound on all database work of one request. The functions' own time limit must lie above it.
const REQUEST_LIMIT: Duration = Duration::from_secs(8);

/// Bound on getting a connection: reaching the server, TLS and login.
const CONNECT_LIMIT: Duration = Duration::from_secs(4);

/// Bound on waiting for a statement's answer.
const STATEMENT_LIMIT: Duration = Duration::from_secs(4);

/// Bound on a statement on the server, in milliseconds: below the one above, so that what the server is still busy
/// with ends there too.
const SERVER_STATEMENT_LIMIT_MS: &str = "3500";

/// Bound on finding out whether a connection still works.
const CHECK_LIMIT: Duration = Duration::from_secs(1);

/// A connection is checked before use when the database has been silent for so long (in seconds). Between requests
/// the process is frozen: the server may have hung up unseen.
const CHECK_AFTER_SECONDS: i64 = 30;

/// Takes on the role that row-level security binds, for one user and one transaction.
const SCOPE: &str = "select set_config('role', 'task_api', true), \
                     set_config('app.user_id', $1, true), \
                     set_config('statement_timeout', $2, true)";

/// A statement's parameters, each with its type: with them the server is told all in one packet, without a statement
/// prepared beforehand, which a pooler in transaction mode would not keep.
type Params<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

/// Whether a statement whose fate is unknown may be sent again.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Repeat {
    /// Sent twice, it leaves the database and the answer as sent once.
    Harmless,
    /// It would do its work twice, or tell otherwise.
    Never,
}

/// Why there is no answer from the database.
#[derive(Debug)]
enum Failure {
    /// The connection is no more; whether the statement was carried out is unknown.
    Disconnected(String),
    /// The database can't serve now.
    Unavailable(String),
    /// The database refused what it should not have been asked.
    Unexpected(String),
}

/// The task store. Every statement is bound to one user twice over: by its own filter, and by row-level security.
#[derive(Debug)]
pub struct Store {
    pool: Pool,
    /// Seconds since the epoch when the database last answered. The wall clock: a frozen process's timers stand still.
    last_answer: AtomicI64,
}

impl Store {
    /// A store without connections as yet.
    pub fn new(config: DatabaseConfig) -> Self {
        let manager_config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(config.postgres, config.tls, manager_config);
        let pool = Pool::builder(manager)
            .max_size(config.pool_size)
            .runtime(Runtime::Tokio1)
            .build()
            .expect("a pool with a runtime can be built");
        Self { pool, last_answer: AtomicI64::new(0) }
    }

    /// Connects ahead of the first request. Failure is logged and no more: the database may be back by then.
    pub async fn connect(&self) {
        let started = Instant::now();
        match self.client(started + CONNECT_LIMIT).await {
            Ok(_) => info!(ms = milliseconds(started.elapsed()), "database connected"),
            Err(failure) => warn!(reason = %failure.into_error(), "database out of reach at start"),
        }
    }

    /// Whether the database answers within two seconds.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where it doesn't.
    pub async fn ping(&self) -> Result<(), Error> {
        const PING_LIMIT: Duration = Duration::from_secs(2);
        let client = self.client(Instant::now() + PING_LIMIT).await.map_err(Failure::into_error)?;
        match timeout(PING_LIMIT, client.check_connection()).await {
            Ok(Ok(())) => Ok(()),
            answer => {
                discard(client);
                let cause =
                    answer.map_or_else(|_| "no answer in time".into(), |result| format!("{result:?}"));
                Err(Error::Unavailable(cause))
            }
        }
    }

    /// Runs one statement for one user, in one round trip.
    async fn run(
        &self,
        user_id: &str,
        repeat: Repeat,
        statement: &str,
        params: Params<'_>,
    ) -> Result<Vec<Row>, Error> {
        let deadline = Instant::now() + REQUEST_LIMIT;
        let answer = match self.attempt(user_id, statement, params, deadline).await {
            Err(Failure::Disconnected(cause)) if repeat == Repeat::Harmless => {
                warn!(reason = cause, "connection lost, trying once more");
                self.attempt(user_id, statement, params, deadline).await
            }
            answer => answer,
        };
        answer.map_err(Failure::into_error)
    }

    async fn attempt(
        &self,
        user_id: &str,
        statement: &str,
        params: Params<'_>,
        deadline: Instant,
    ) -> Result<Vec<Row>, Failure> {
        let client = self.client(deadline).await?;
        let limit = STATEMENT_LIMIT.min(deadline.saturating_duration_since(Instant::now()));
        match timeout(limit, in_scope(&client, user_id, statement, params)).await {
            Ok(Ok(rows)) => {
                self.last_answer.store(Utc::now().timestamp(), Ordering::Relaxed);
                Ok(rows)
            }
            Ok(Err(error)) => {
                let failure = Failure::from(error);
                if matches!(failure, Failure::Disconnected(_)) {
                    discard(client);
                }
                Err(failure)
            }
            Err(_) => {
                discard(client);
                Err(Failure::Unavailable(format!("no answer within {limit:?}")))
            }
        }
    }

    /// A connection that works, as far as can be told.
    async fn client(&self, deadline: Instant) -> Result<Object, Failure> {
        loop {
            let limit = CONNECT_LIMIT.min(deadline.saturating_duration_since(Instant::now()));
            let client = match timeout(limit, self.pool.get()).await {
                Ok(client) => client?,
                Err(_) => return Err(Failure::Unavailable(format!("no connection within {limit:?}"))),
            };
            let now = Utc::now().timestamp();
            if Object::metrics(&client).recycled.is_none() {
                // New: the database has just let us in.
                self.last_answer.store(now, Ordering::Relaxed);
                return Ok(client);
            }
            let silence = now - self.last_answer.load(Ordering::Relaxed);
            if silence <= CHECK_AFTER_SECONDS {
                return Ok(client);
            }
            if let Ok(Ok(())) = timeout(CHECK_LIMIT, client.check_connection()).await {
                return Ok(client);
            }
            info!(silence, "connection no longer works, taking another");
            discard(client);
        }
    }
}

/// Takes a connection out of the pool, and thereby closes it.
fn discard(client: Object) {
    drop(Object::take(client));
}

/// Runs a statement as `task_api` for one user. The four messages are written before the first answer is read, so
/// they make one round trip together; should an early one fail, the server refuses the later ones by itself.
async fn in_scope(
    client: &Client,
    user_id: &str,
    statement: &str,
    params: Params<'_>,
) -> Result<Vec<Row>, tokio_postgres::Error> {
    let scope: Params = &[(&user_id, Type::TEXT), (&SERVER_STATEMENT_LIMIT_MS, Type::TEXT)];
    let (begun, scoped, rows, committed) = tokio::join!(
        biased;
        client.batch_execute("begin"),
        client.query_typed(SCOPE, scope),
        client.query_typed(statement, params),
        client.batch_execute("commit"),
    );
    begun?;
    scoped?;
    let rows = rows?;
    committed?;
    Ok(rows)
}

impl Failure {
    fn into_error(self) -> Error {
        match self {
            Failure::Disconnected(cause) | Failure::Unavailable(cause) => Error::Unavailable(cause),
            Failure::Unexpected(cause) => Error::Internal(cause),
        }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(database) = error.as_db_error() else {
            // Without word from the database it is the connection that failed, unless an answer could not be read.
            let cause = causes(&error);
            return match error.is_closed() || is_io(&error) {
                true => Failure::Disconnected(cause),
                false => Failure::Unexpected(cause),
            };
        };
        // Not the detail: it quotes values.
        let cause = format!("{} (SQLSTATE {})", database.message(), database.code().code());
        let code = database.code();
        let is_shutdown =
            [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::CANNOT_CONNECT_NOW].contains(code);
        match &code.code()[..2] {
            _ if is_shutdown => Failure::Disconnected(cause),
            // Connection exceptions.
            "08" => Failure::Disconnected(cause),
            // Insufficient resources, intervention of an operator (time limits), system error, rollback, lock not
            // available; a read-only transaction is what a server has that stands by.
            "53" | "57" | "58" | "40" | "55" => Failure::Unavailable(cause),
            _ if *code == SqlState::READ_ONLY_SQL_TRANSACTION => Failure::Unavailable(cause),
            _ => Failure::Unexpected(cause),
        }
    }
}

impl From<PoolError> for Failure {
    /// Whatever keeps us from a connection, a refused password included, is for the caller a service out of reach.
    fn from(error: PoolError) -> Self {
        let cause = match &error {
            PoolError::Backend(error) => causes(error),
            PoolError::Timeout(TimeoutType::Wait) => "all connections are in use".into(),
            error => error.to_string(),
        };
        Failure::Unavailable(cause)
    }
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<std::io::Error>())
}

/// An error and what it came from, in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    line
}
