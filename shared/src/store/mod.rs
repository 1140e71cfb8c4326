//! Stores tasks in PostgreSQL. Each operation is one call of an SQL function and takes one round trip.
//!
//! A write whose connection breaks is sent once more with the same attempt id. The SQL function checks
//! whether the first attempt was carried out, and voids it if not. Each attempt also has a deadline, after
//! which the database doesn't carry it out. So when a write is answered with 503, either it has already been
//! carried out or it never will be, as long as the clocks of function and database differ by no more than
//! [`CLOCK_TOLERANCE`].

mod changes;
mod composite;
mod config;
mod idempotency;
mod limits;
mod lists;
mod pool;
mod query_error;
pub mod sql;
mod tasks;
mod users;
mod versions;

use std::time::{Duration, Instant};

use chrono::Utc;
use deadpool::managed::{Object, Pool};
use tokio::time::{sleep_until, timeout};
use tokio_postgres::{Row, types::Type};
use tracing::{info, warn};
use uuid::Uuid;

use crate::{
    error::Error,
    logs::{milliseconds, set_database_time},
};
pub use config::DatabaseConfig;
pub use limits::Limits;
use pool::{Arguments, Connection, Manager};
use query_error::{Kind, QueryError};

/// Limit on all database work of a request. The Lambda functions' timeout must be greater.
const REQUEST_LIMIT: Duration = Duration::from_secs(8);

/// Limit on getting a connection: checking one from the pool, or connecting, TLS and login.
const CONNECT_LIMIT: Duration = Duration::from_secs(4);

/// Limit on a call, including the time for canceling it.
const CALL_LIMIT: Duration = Duration::from_secs(4);

/// Limit on a ping, including connecting and a retry.
const PING_LIMIT: Duration = Duration::from_secs(2);

/// The greatest allowed difference between the clocks of function and database. The deadline of a write is
/// this long before the function reports the write as failed.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(1);

/// The task store. Two mechanisms limit every call to one user's rows: each statement of the SQL functions
/// filters by user, and row-level security applies to the role that owns the functions.
pub struct Store {
    pool: Pool<Manager>,
    limits: Limits,
}

impl Store {
    /// Creates a store. It connects when a connection is needed.
    pub fn new(config: DatabaseConfig, limits: Limits) -> Self {
        let size = config.pool_size;
        let pool = Pool::builder(Manager::new(config)).max_size(size).build();
        Self { pool: pool.expect("a pool without timeouts needs no runtime"), limits }
    }

    /// Connects before the first request. Only logs a failure, because the database may be back when a
    /// request comes.
    pub async fn connect(&self) {
        let started = Instant::now();
        match self.connection(started + CONNECT_LIMIT).await {
            Ok(_) => info!(ms = milliseconds(started.elapsed()), "database connected"),
            Err(error) => {
                let reason = error.into_error();
                warn!(%reason, "database can't be reached at start-up, each request will try again");
            }
        }
    }

    /// Checks that the database responds within two seconds.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the database doesn't respond.
    pub async fn ping(&self) -> Result<(), Error> {
        let deadline = Instant::now() + PING_LIMIT;
        let mut outcome = self.attempt_ping(deadline).await;
        if outcome.as_ref().is_err_and(QueryError::allows_retry) {
            outcome = self.attempt_ping(deadline).await;
        }
        outcome.map_err(QueryError::into_error)
    }

    async fn attempt_ping(&self, deadline: Instant) -> Result<(), QueryError> {
        let mut connection = self.connection(deadline).await?;
        if let Ok(true) = timeout(remaining(deadline), connection.check()).await {
            return Ok(());
        }
        discard(connection);
        Err(Kind::Disconnected.because("no response to a ping"))
    }

    /// Calls an SQL function. If the connection breaks or can't be opened, calls it once more on another
    /// connection.
    async fn call(
        &self,
        function: &str,
        arguments: Arguments<'_>,
        mut write: Option<Write>,
    ) -> Result<Vec<Row>, Error> {
        let started = Instant::now();
        let deadline = started + REQUEST_LIMIT;
        let mut outcome = self.attempt(function, arguments, write.as_mut(), deadline).await;
        if let Err(error) = &outcome
            && error.allows_retry()
        {
            warn!(reason = %error, "database connection failed, retrying on a new one");
            outcome = self.attempt(function, arguments, write.as_mut(), deadline).await;
        }
        if outcome.is_err()
            && let Some(pending_until) = write.and_then(|write| write.pending_until)
        {
            sleep_until(pending_until.into()).await;
        }
        set_database_time(started.elapsed());
        outcome.map_err(QueryError::into_error)
    }

    /// Calls an SQL function that returns one row.
    async fn call_for_one(
        &self,
        function: &str,
        arguments: Arguments<'_>,
        write: Option<Write>,
    ) -> Result<Row, Error> {
        let row = self.call(function, arguments, write).await?.into_iter().next();
        row.ok_or_else(|| Error::Internal("an SQL function returned no row".into()))
    }

    async fn attempt(
        &self,
        function: &str,
        arguments: Arguments<'_>,
        write: Option<&mut Write>,
        deadline: Instant,
    ) -> Result<Vec<Row>, QueryError> {
        let mut connection = self.connection(deadline).await?;
        let limit = CALL_LIMIT.min(remaining(deadline));
        let outcome = match write {
            None => connection.call(function, arguments, limit).await,
            Some(write) => write.attempt(&connection, function, arguments, limit).await,
        };
        match &outcome {
            Err(error) if error.ends_connection() => discard(connection),
            _ => connection.heard(),
        }
        outcome
    }

    /// Returns a connection from the pool, or a new one. A connection that was idle for long has been
    /// checked.
    async fn connection(&self, deadline: Instant) -> Result<Object<Manager>, QueryError> {
        let limit = CONNECT_LIMIT.min(remaining(deadline));
        let connection = timeout(limit, self.pool.get()).await;
        Ok(connection
            .map_err(|_| Kind::Unavailable.because(format!("no database connection within {limit:?}")))??)
    }
}

/// A write and the state of its attempts, of which there are at most two.
struct Write {
    /// The id that both attempts share.
    id: Uuid,
    /// Time until which an attempt without a response can still be carried out. Before it, the write must not
    /// be reported as failed.
    pending_until: Option<Instant>,
}

impl Write {
    fn new(id: Uuid) -> Self {
        Self { id, pending_until: None }
    }

    async fn attempt(
        &mut self,
        connection: &Connection,
        function: &str,
        arguments: Arguments<'_>,
        limit: Duration,
    ) -> Result<Vec<Row>, QueryError> {
        let is_retry = self.pending_until.is_some();
        let void_after = Utc::now() + limit.saturating_sub(CLOCK_TOLERANCE);
        let pending_until = Instant::now() + limit;
        let attempt: Arguments = &[
            ("p_attempt", &self.id, Type::UUID),
            ("p_is_retry", &is_retry, Type::BOOL),
            ("p_void_after", &void_after, Type::TIMESTAMPTZ),
        ];
        let outcome = connection.call(function, &[arguments, attempt].concat(), limit).await;
        if outcome.as_ref().is_err_and(QueryError::is_unknown) {
            self.pending_until = self.pending_until.max(Some(pending_until));
        }
        outcome
    }
}

/// Returns the error of a write that was not carried out, or possibly not.
fn not_carried_out(outcome: &str) -> Error {
    match outcome {
        "void" => Error::Unavailable(
            "the write was not carried out: by the database's clock it arrived after its deadline".into(),
        ),
        "unknown" => Error::Unavailable(
            "the write may have been carried out: its connection broke, and the user has made too many \
             writes since to tell"
                .into(),
        ),
        other => unexpected(other),
    }
}

/// Returns the error of a call whose outcome is not expected.
fn unexpected(outcome: &str) -> Error {
    Error::Internal(format!("an SQL function returned the unexpected outcome {outcome}"))
}

fn remaining(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// Closes a connection by taking it out of the pool.
fn discard(connection: Object<Manager>) {
    drop(Object::take(connection));
}
