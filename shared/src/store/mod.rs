//! The database: pooled connections, the scope of one user, and what to do when it fails.

mod connection;
mod failure;
mod pool;
mod tasks;
mod transaction;

use std::time::{Duration, Instant};

use deadpool::managed::{Object, Pool};
use tokio::time::timeout;
use tokio_postgres::Row;
use tracing::{Span, info, warn};

use crate::{Error, telemetry::milliseconds};
use failure::Failure;
use pool::Manager;
use transaction::{Params, Statement, in_scope};

pub use connection::DatabaseConfig;
pub use tasks::Created;

/// Bound on all database work of one request. The functions' own time limit must lie above it.
const REQUEST_LIMIT: Duration = Duration::from_secs(8);

/// Bound on getting a connection: checking one that is there, or reaching the server, TLS and login.
const CONNECT_LIMIT: Duration = Duration::from_secs(4);

/// Bound on waiting for a statement's answer.
const STATEMENT_LIMIT: Duration = Duration::from_secs(4);

/// Bound on finding out whether the database answers at all.
const PING_LIMIT: Duration = Duration::from_secs(2);

/// Whether a statement whose fate is unknown may be sent again.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Repeat {
    /// Sent twice, it leaves the database and the answer as sent once.
    Harmless,
    /// It would do its work twice, or tell otherwise.
    Never,
}

/// The task store. Every statement is bound to one user twice over: by its own filter, and by row-level security.
#[derive(Debug)]
pub struct Store {
    pool: Pool<Manager>,
}

impl Store {
    /// A store without connections as yet.
    pub fn new(config: DatabaseConfig) -> Self {
        let size = config.pool_size;
        let pool = Pool::builder(Manager::new(config)).max_size(size).build();
        Self { pool: pool.expect("a pool without timers of its own needs no runtime") }
    }

    /// Connects ahead of the first request. Failure is logged and no more: the database may be back by then.
    pub async fn connect(&self) {
        let started = Instant::now();
        match self.connection(started + CONNECT_LIMIT).await {
            Ok(_) => info!(ms = milliseconds(started.elapsed()), "database connected"),
            Err(failure) => warn!(reason = %failure.into_error(), "database out of reach at start"),
        }
    }

    /// Whether the database answers within two seconds.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where it doesn't.
    pub async fn ping(&self) -> Result<(), Error> {
        let deadline = Instant::now() + PING_LIMIT;
        let mut outcome = self.attempt_ping(deadline).await;
        if outcome.as_ref().is_err_and(|failure| failure.allows(Repeat::Harmless)) {
            outcome = self.attempt_ping(deadline).await;
        }
        outcome.map_err(Failure::into_error)
    }

    async fn attempt_ping(&self, deadline: Instant) -> Result<(), Failure> {
        let mut connection = self.connection(deadline).await?;
        if let Ok(true) = timeout(remaining(deadline), connection.check()).await {
            return Ok(());
        }
        discard(connection);
        Err(Failure::Disconnected("no answer to a ping".into()))
    }

    /// Runs one statement for one user, in one round trip.
    async fn run(
        &self,
        user_id: &str,
        repeat: Repeat,
        statement: &str,
        params: Params<'_>,
    ) -> Result<Vec<Row>, Error> {
        let answers = self.run_all(user_id, repeat, &[(statement, params)]).await?;
        Ok(answers.into_iter().flatten().collect())
    }

    /// Runs statements for one user, in one transaction and one round trip.
    async fn run_all(
        &self,
        user_id: &str,
        repeat: Repeat,
        statements: &[Statement<'_>],
    ) -> Result<Vec<Vec<Row>>, Error> {
        let started = Instant::now();
        let deadline = started + REQUEST_LIMIT;
        let answers = match self.attempt(user_id, statements, deadline).await {
            Err(failure) if failure.allows(repeat) => {
                warn!(reason = %failure.into_error(), "connection of no further use, trying once more");
                self.attempt(user_id, statements, deadline).await
            }
            answers => answers,
        };
        Span::current().record("database_ms", milliseconds(started.elapsed()));
        answers.map_err(Failure::into_error)
    }

    async fn attempt(
        &self,
        user_id: &str,
        statements: &[Statement<'_>],
        deadline: Instant,
    ) -> Result<Vec<Vec<Row>>, Failure> {
        let mut connection = self.connection(deadline).await?;
        let limit = STATEMENT_LIMIT.min(remaining(deadline));
        let answers = timeout(limit, in_scope(&mut connection, user_id, statements)).await;
        let answers =
            answers.unwrap_or_else(|_| Err(Failure::NoAnswer(format!("no answer within {limit:?}"))));
        match &answers {
            Err(failure) if failure.ends_connection() => discard(connection),
            _ => connection.heard(),
        }
        answers
    }

    /// A connection that works, as far as can be told.
    async fn connection(&self, deadline: Instant) -> Result<Object<Manager>, Failure> {
        let limit = CONNECT_LIMIT.min(remaining(deadline));
        let connection = timeout(limit, self.pool.get()).await;
        Ok(connection.map_err(|_| Failure::Unavailable(format!("no connection within {limit:?}")))??)
    }
}

fn remaining(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// Takes a connection out of the pool, and thereby closes it.
fn discard(connection: Object<Manager>) {
    drop(Object::take(connection));
}
