//! Pooled connections, each of which knows when the database was last heard on it.

use std::{
    collections::HashMap,
    ops::Deref,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use chrono::Utc;
use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use deadpool_postgres::{ClientWrapper, ManagerConfig, RecyclingMethod};
use futures_util::future::try_join_all;
use tokio::time::timeout;
use tokio_postgres::{
    Client, Error, Row, Statement as Prepared,
    types::{ToSql, Type},
};
use tracing::{info, warn};

use super::{config::DatabaseConfig, query_error::QueryError};

/// Bound on finding out whether a connection still works.
const CHECK_LIMIT: Duration = Duration::from_secs(1);

/// A connection is checked before use when it has been silent for so long (in seconds). Between requests the process
/// is frozen: the server, or something on the way, may have hung up unseen.
const CHECK_AFTER_SECONDS: i64 = 30;

/// A statement's parameters, each with its type: with them the server is told all in one packet, without a statement
/// prepared beforehand, which not every pooler in transaction mode keeps.
pub(super) type Params<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

/// A statement and its parameters.
pub(super) type Statement<'a> = (&'a str, Params<'a>);

/// Makes connections, and looks at each before it is used again.
#[derive(Debug)]
pub(super) struct Manager {
    postgres: deadpool_postgres::Manager,
    prepared_statements: bool,
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
    /// What the server has prepared for this connection, by the statement's text; `None` where it is to prepare nothing.
    prepared: Option<HashMap<String, Prepared>>,
}

impl Manager {
    pub(super) fn new(config: DatabaseConfig) -> Self {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let postgres = deadpool_postgres::Manager::from_config(config.postgres, config.tls, recycling);
        let prepared_statements = config.prepared_statements;
        Self { postgres, prepared_statements, silent_are_dead: AtomicI64::new(0) }
    }
}

impl managed::Manager for Manager {
    type Type = Connection;
    type Error = tokio_postgres::Error;

    async fn create(&self) -> Result<Connection, Self::Error> {
        Ok(Connection {
            client: self.postgres.create().await?,
            last_heard: now(),
            prepared: self.prepared_statements.then(HashMap::new),
        })
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

    /// Sends a statement: by the name that the server has prepared it under, or else with all that there is to it.
    pub(super) async fn query(&self, &(text, params): &Statement<'_>) -> Result<Vec<Row>, Error> {
        match self.prepared.as_ref().and_then(|prepared| prepared.get(text)) {
            Some(prepared) => {
                let values: Vec<_> = params.iter().map(|(value, _)| *value).collect();
                self.client.query(prepared, &values).await
            }
            None => self.client.query_typed(text, params).await,
        }
    }

    /// Has the server prepare those of these statements that it hasn't yet.
    pub(super) async fn prepare(
        &self,
        statements: &[Statement<'_>],
    ) -> Result<Vec<(String, Prepared)>, Error> {
        let Some(prepared) = &self.prepared else { return Ok(Vec::new()) };
        let new = statements.iter().filter(|(text, _)| !prepared.contains_key(*text));
        try_join_all(new.map(async |(text, params)| {
            let types: Vec<Type> = params.iter().map(|(_, of)| of.clone()).collect();
            Ok(((*text).to_owned(), self.client.prepare_typed(text, &types).await?))
        }))
        .await
    }

    /// Keeps what was prepared. A connection on which that failed does without.
    pub(super) fn keep(&mut self, outcome: Result<Vec<(String, Prepared)>, Error>) {
        match (outcome, &mut self.prepared) {
            (Ok(statements), Some(prepared)) => prepared.extend(statements),
            (Ok(_), None) => {}
            (Err(error), prepared) => {
                let reason = QueryError::from(error).into_error();
                warn!(%reason, "statements can't be prepared, check DATABASE_PREPARED_STATEMENTS");
                *prepared = None;
            }
        }
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
