//! Pooled connections, each of which knows when the database was last heard on it.

use std::{
    ops::Deref,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use chrono::Utc;
use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use deadpool_postgres::{ClientWrapper, ManagerConfig, RecyclingMethod};
use tokio::time::timeout;
use tokio_postgres::Client;
use tracing::info;

use super::DatabaseConfig;

/// Bound on finding out whether a connection still works.
const CHECK_LIMIT: Duration = Duration::from_secs(1);

/// A connection is checked before use when it has been silent for so long (in seconds). Between requests the process
/// is frozen: the server, or something on the way, may have hung up unseen.
const CHECK_AFTER_SECONDS: i64 = 30;

/// Makes connections, and looks at each before it is used again.
#[derive(Debug)]
pub(super) struct Manager {
    postgres: deadpool_postgres::Manager,
    /// Connections last heard before this second are not worth a check each: one of their like was found dead.
    silent_are_dead: AtomicI64,
}

/// A connection. When it is dropped, its socket is closed at once, whether or not the other side is there to be told.
#[derive(Debug)]
pub(super) struct Connection {
    client: ClientWrapper,
    /// When the database was last heard, in seconds since the epoch. The wall clock: a frozen process's timers stand
    /// still.
    last_heard: i64,
}

impl Manager {
    pub(super) fn new(config: DatabaseConfig) -> Self {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let postgres = deadpool_postgres::Manager::from_config(config.postgres, config.tls, recycling);
        Self { postgres, silent_are_dead: AtomicI64::new(0) }
    }
}

impl managed::Manager for Manager {
    type Type = Connection;
    type Error = tokio_postgres::Error;

    async fn create(&self) -> Result<Connection, Self::Error> {
        Ok(Connection { client: self.postgres.create().await?, last_heard: now() })
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<Self::Error> {
        // A farewell that came while the process was frozen has been read by now: it was there before the request.
        if connection.client.is_closed() {
            info!("connection was closed, taking another");
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
        info!(silence, "connection no longer works, taking another");
        Err(RecycleError::message("dead"))
    }
}

impl Connection {
    /// Whether the database answers by this connection, within a second.
    pub(super) async fn check(&mut self) -> bool {
        let answers = matches!(timeout(CHECK_LIMIT, self.client.check_connection()).await, Ok(Ok(())));
        if answers {
            self.heard();
        }
        answers
    }

    /// Notes that the database has just been heard.
    pub(super) fn heard(&mut self) {
        self.last_heard = now();
    }
}

impl Deref for Connection {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

fn now() -> i64 {
    Utc::now().timestamp()
}
