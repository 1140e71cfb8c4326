//! The tasks in PostgreSQL. Each operation is one call of an SQL function, which takes one round trip.
//!
//! A write whose connection breaks is sent once more, under the same attempt id: the function that is called knows then
//! whether the first attempt was carried out, and voids it if not. Each attempt also has a deadline after which the
//! database does not carry it out any more. So a write that is answered with 503 has been carried out by then or never
//! will be, as long as the clocks of function and database differ by no more than [`CLOCK_TOLERANCE`].

mod composite;
mod config;
mod idempotency;
mod limits;
mod lists;
mod pool;
mod query_error;
pub mod sql;
mod tasks;
mod writes;

use std::time::{Duration, Instant};

use chrono::Utc;
use deadpool::managed::{Object, Pool};
use tokio::time::{sleep_until, timeout};
use tokio_postgres::{Row, types::Type};
use tracing::{Span, info, warn};
use uuid::Uuid;

use crate::{error::Error, logs::milliseconds};
pub use config::DatabaseConfig;
pub use limits::Limits;
use pool::{Arguments, Connection, Manager};
use query_error::{Kind, QueryError};

/// Limit on all database work of a request. The functions' timeout must be greater.
const REQUEST_LIMIT: Duration = Duration::from_secs(8);

/// Limit on getting a connection: checking one from the pool, or reaching the server, TLS and login.
const CONNECT_LIMIT: Duration = Duration::from_secs(4);

/// Limit on waiting for the answer to a call.
const CALL_LIMIT: Duration = Duration::from_secs(4);

/// Limit on finding out whether the database answers.
const PING_LIMIT: Duration = Duration::from_secs(2);

/// How much the clocks of function and database may differ. The deadline of a write is this long before its caller is
/// told that it failed.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(1);

/// The task store. Every call is bound to one user twice over: by a filter in each statement of the SQL functions, and
/// by row-level security, which applies to their owner.
pub struct Store {
    pool: Pool<Manager>,
    limits: Limits,
}

impl Store {
    /// A store without connections.
    pub fn new(config: DatabaseConfig, limits: Limits) -> Self {
        let size = config.pool_size;
        let pool = Pool::builder(Manager::new(config)).max_size(size).build();
        Self { pool: pool.expect("a pool without timers of its own needs no runtime"), limits }
    }

    /// Connects before the first request. A failure is only logged: the database may be back by then.
    pub async fn connect(&self) {
        let started = Instant::now();
        match self.connection(started + CONNECT_LIMIT).await {
            Ok(_) => info!(ms = milliseconds(started.elapsed()), "database connected"),
            Err(error) => {
                warn!(reason = %error.into_error(), "database can't be reached at start-up, each request will try again")
            }
        }
    }

    /// Finds out whether the database answers within two seconds.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if it doesn't.
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

    /// Calls an SQL function. If its connection breaks, it is called once more on another one.
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
        Span::current().record("database_ms", milliseconds(started.elapsed()));
        outcome.map_err(QueryError::into_error)
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

    /// A connection that works, as far as can be known.
    async fn connection(&self, deadline: Instant) -> Result<Object<Manager>, QueryError> {
        let limit = CONNECT_LIMIT.min(remaining(deadline));
        let connection = timeout(limit, self.pool.get()).await;
        Ok(connection
            .map_err(|_| Kind::Unavailable.because(format!("no database connection within {limit:?}")))??)
    }
}

/// A write, which may take two attempts.
struct Write {
    /// Identifies its attempts.
    id: Uuid,
    /// Until when an attempt that got no answer may be carried out. Before that, nobody may be told that it failed.
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
        let attempt: Arguments =
            &[(&self.id, Type::UUID), (&is_retry, Type::BOOL), (&void_after, Type::TIMESTAMPTZ)];
        let outcome = connection.call(function, &[arguments, attempt].concat(), limit).await;
        if outcome.as_ref().is_err_and(QueryError::is_unknown) {
            self.pending_until = self.pending_until.max(Some(pending_until));
        }
        outcome
    }
}

fn remaining(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// Takes a connection out of the pool, which closes it.
fn discard(connection: Object<Manager>) {
    drop(Object::take(connection));
}
