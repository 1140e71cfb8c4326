//! Pooled connections. Each stores when the database last responded on it, so that only idle ones need a
//! check.

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

/// Limit on checking whether a connection still works.
const CHECK_LIMIT: Duration = Duration::from_secs(1);

/// Time without a response after which a connection is checked before it is used, in seconds. While the
/// process is frozen between requests, the server or a router may drop the connection without the process
/// noticing.
const CHECK_AFTER_SECONDS: i64 = 30;

/// The part of the limit on a call that is reserved for canceling it.
const CANCEL_LIMIT: Duration = Duration::from_millis(500);

/// Arguments of an SQL function: the name of the parameter, the value and its type. Because the types are
/// given, a call needs no prepared statement, which not every pooler supports.
pub(super) type Arguments<'a> = &'a [(&'static str, &'a (dyn ToSql + Sync), Type)];

/// Creates connections, and checks them before they are used again.
pub(super) struct Manager {
    postgres: deadpool_postgres::Manager,
    tls: MakeRustlsConnect,
    /// Connections whose last response is older than this are presumed dead without a check, because a check
    /// of one of them has failed. In seconds since the epoch.
    silent_are_dead: AtomicI64,
}

/// A connection. Dropping it closes its socket immediately, even if the server can't be reached.
pub(super) struct Connection {
    client: ClientWrapper,
    /// For the connection that carries a cancel request.
    tls: MakeRustlsConnect,
    /// Time of the database's last response, in seconds since the epoch. By the wall clock, because timers
    /// stand still while the process is frozen.
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
        // A close that arrived while the process was frozen has been processed by now, because it came before
        // the request.
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

    /// Detaches the connection from deadpool_postgres's manager as well, which keeps a record of every
    /// connection that it created.
    fn detach(&self, connection: &mut Connection) {
        self.postgres.detach(&mut connection.client);
    }
}

impl Connection {
    /// Whether the database responds on this connection within [`CHECK_LIMIT`].
    pub(super) async fn check(&mut self) -> bool {
        let answers = matches!(timeout(CHECK_LIMIT, self.client.check_connection()).await, Ok(Ok(())));
        if answers {
            self.heard();
        }
        answers
    }

    /// Calls an SQL function in the schema of this build. The call is one statement and one transaction.
    ///
    /// If there is no response in time, the call is canceled. If it succeeds nevertheless, it counts as one
    /// without a response: a canceled wait for synchronous replication ends like that, and then the write may
    /// exist on the primary server alone.
    pub(super) async fn call(
        &self,
        function: &str,
        arguments: Arguments<'_>,
        limit: Duration,
    ) -> Result<Vec<Row>, QueryError> {
        let statement = statement(function, arguments);
        let values: Vec<_> = arguments.iter().map(|(_, value, ty)| (*value, ty.clone())).collect();
        let mut response = pin!(self.client.query_typed(&statement, &values));
        let outcome = match timeout(limit.saturating_sub(CANCEL_LIMIT), &mut response).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let cancelled = self.client.cancel_token();
                let cancelled = timeout(CANCEL_LIMIT, cancelled.cancel_query(self.tls.clone()));
                match tokio::join!(cancelled, timeout(CANCEL_LIMIT, response)) {
                    (_, Ok(Err(error))) => Err(error),
                    _ => {
                        let cause = format!("no response from the database within {limit:?}");
                        return Err(Kind::NoAnswer.because(cause));
                    }
                }
            }
        };
        Ok(outcome?)
    }

    /// Records that the database has just responded.
    pub(super) fn heard(&mut self) {
        self.last_heard = now();
    }
}

/// Returns the statement that calls a function.
fn statement(function: &str, arguments: Arguments<'_>) -> String {
    let named = |(place, (name, ..)): (usize, &(&str, _, _))| format!("{name} => ${}", place + 1);
    let named: Vec<_> = arguments.iter().enumerate().map(named).collect();
    // `select * from` would cost the database a quarter more for reading one task, because it sets up a
    // function scan.
    format!("select {}.{function}({})", *sql::SCHEMA, named.join(", "))
}

fn now() -> i64 {
    Utc::now().timestamp()
}
