//! Pooled connections, each of which knows when the database was last heard on it.

use std::{
    pin::pin,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use chrono::Utc;
use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use deadpool_postgres::{ClientWrapper, ManagerConfig, RecyclingMethod};
use tokio::time::timeout;
use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::info;

use super::{
    config::DatabaseConfig,
    query_error::{Kind, QueryError},
    sql,
};

/// Limit on finding out whether a connection still works.
const CHECK_LIMIT: Duration = Duration::from_secs(1);

/// A connection is checked before it is used if the database was not heard on it for longer than this, in seconds. The
/// process is frozen between requests, and the server or a router may have dropped the connection unnoticed.
const CHECK_AFTER_SECONDS: i64 = 30;

/// How much of the limit on a call is left for cancelling it.
const CANCEL_LIMIT: Duration = Duration::from_millis(500);

/// Arguments of an SQL function, each with its type. With types a statement needs no preparation, which not every pooler
/// supports.
pub(super) type Arguments<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

/// Creates connections, and checks them before they are used again.
pub(super) struct Manager {
    postgres: deadpool_postgres::Manager,
    tls: MakeRustlsConnect,
    /// Connections last heard before this second are not worth a check each, because one of them was found dead.
    silent_are_dead: AtomicI64,
}

/// A connection. Dropping it closes its socket at once, whether or not the server can be reached.
pub(super) struct Connection {
    client: ClientWrapper,
    /// For the connection that carries a cancel request.
    tls: MakeRustlsConnect,
    /// When the database was last heard, in seconds since the epoch. By the wall clock, because the timers of a frozen
    /// process stand still.
    last_heard: i64,
}

impl Manager {
    pub(super) fn new(config: DatabaseConfig) -> Self {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let tls = config.tls.clone();
        let postgres = deadpool_postgres::Manager::from_config(config.postgres, config.tls, recycling);
        Self { postgres, tls, silent_are_dead: AtomicI64::new(0) }
    }
}

impl managed::Manager for Manager {
    type Type = Connection;
    type Error = tokio_postgres::Error;

    async fn create(&self) -> Result<Connection, Self::Error> {
        Ok(Connection { client: self.postgres.create().await?, tls: self.tls.clone(), last_heard: now() })
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<Self::Error> {
        // A close received while the process was frozen has been processed by now: it came before the request.
        if connection.client.is_closed() {
            info!("pooled connection was closed, using another one");
            return Err(RecycleError::message("closed"));
        }
        let silence = now() - connection.last_heard;
        if silence <= CHECK_AFTER_SECONDS {
            return Ok(());
        }
        if connection.last_heard >= self.silent_are_dead.load(Ordering::Relaxed) && connection.check().await {
            return Ok(());
        }
        self.silent_are_dead.fetch_max(now() - CHECK_AFTER_SECONDS, Ordering::Relaxed);
        info!(silence, "pooled connection does not respond, using another one");
        Err(RecycleError::message("dead"))
    }

    /// Lets the manager below forget the connection as well, which keeps a record of each that it created.
    fn detach(&self, connection: &mut Connection) {
        self.postgres.detach(&mut connection.client);
    }
}

impl Connection {
    /// Whether the database answers on this connection, within a second.
    pub(super) async fn check(&mut self) -> bool {
        let answers = matches!(timeout(CHECK_LIMIT, self.client.check_connection()).await, Ok(Ok(())));
        if answers {
            self.heard();
        }
        answers
    }

    /// Calls an SQL function of the schema that belongs to this code: one statement, which is a transaction of its own.
    ///
    /// Without an answer in time the call is cancelled. The answer to that says whether it was carried out.
    pub(super) async fn call(
        &self,
        function: &str,
        arguments: Arguments<'_>,
        limit: Duration,
    ) -> Result<Vec<Row>, QueryError> {
        let statement = statement(function, arguments.len());
        let mut answer = pin!(self.client.query_typed(&statement, arguments));
        let outcome = match timeout(limit.saturating_sub(CANCEL_LIMIT), &mut answer).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let cancelled = self.client.cancel_token();
                let cancelled = timeout(CANCEL_LIMIT, cancelled.cancel_query(self.tls.clone()));
                let (_, outcome) = tokio::join!(cancelled, timeout(CANCEL_LIMIT, answer));
                outcome.map_err(|_| {
                    Kind::NoAnswer.because(format!("no response from the database within {limit:?}"))
                })?
            }
        };
        Ok(outcome?)
    }

    /// Notes that the database has just been heard.
    pub(super) fn heard(&mut self) {
        self.last_heard = now();
    }
}

/// The statement that calls a function.
fn statement(function: &str, arguments: usize) -> String {
    let placeholders: Vec<_> = (1..=arguments).map(|number| format!("${number}")).collect();
    // Not `select * from`, which costs the database a quarter more for a get: it sets up a scan with those columns.
    format!("select {}.{function}({})", *sql::SCHEMA, placeholders.join(", "))
}

fn now() -> i64 {
    Utc::now().timestamp()
}
