//! What a failed query means for the request, and for the connection that it was sent on.

use std::{
    error::Error as _,
    io::{self, ErrorKind},
};

use deadpool::managed::PoolError;
use tokio_postgres::error::{DbError, Severity, SqlState};

use crate::error::{Error, in_one_line};

/// What the server says of a prepared statement that it doesn't have, or whose columns are no longer the same.
const PREPARED_IN_VAIN: [SqlState; 2] =
    [SqlState::INVALID_SQL_STATEMENT_NAME, SqlState::FEATURE_NOT_SUPPORTED];

/// Whether a statement whose outcome is unknown may be sent again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Repeat {
    /// Carried out twice, it leaves the same database and gives the same answer as carried out once.
    Harmless,
    /// Carried out twice, it would change something twice or give another answer.
    Never,
}

/// Why there is no answer from the database.
#[derive(Debug)]
pub(super) enum QueryError {
    /// The connection is of no further use, and the statement was not carried out.
    NotDone(String),
    /// The connection is no more; whether the statement was carried out is unknown.
    Disconnected(String),
    /// There is no word from the connection in time; whether the statement was carried out is unknown.
    NoAnswer(String),
    /// The database can't serve now.
    Unavailable(String),
    /// The database, which takes no writes, may have been replaced by another that this connection doesn't lead to.
    ReadOnly(String),
    /// The database refused what it should not have been asked.
    Unexpected(String),
}

impl QueryError {
    /// The failure of what goes ahead of a statement. The server answers in order: where it refuses the beginning
    /// with its last word on this connection, it has done nothing that came after.
    pub(super) fn before_statement(error: tokio_postgres::Error) -> Self {
        let server_hung_up = error.as_db_error().is_some_and(|error| {
            is_fatal(error)
                // Through a pooler these alone are sure to be the database's own.
                && error.code().code().starts_with("57P")
        });
        match QueryError::from(error) {
            QueryError::Disconnected(cause) if server_hung_up => QueryError::NotDone(cause),
            failure => failure,
        }
    }

    /// Whether the statement may be sent once more, on another connection.
    pub(super) fn allows(&self, repeat: Repeat) -> bool {
        match self {
            QueryError::NotDone(_) => true,
            QueryError::Disconnected(_) => repeat == Repeat::Harmless,
            // Trying longer would take the caller's time, or can't help.
            QueryError::NoAnswer(_)
            | QueryError::Unavailable(_)
            | QueryError::ReadOnly(_)
            | QueryError::Unexpected(_) => false,
        }
    }

    /// Whether the connection is of no further use.
    pub(super) fn ends_connection(&self) -> bool {
        !matches!(self, QueryError::Unavailable(_) | QueryError::Unexpected(_))
    }

    pub(super) fn into_error(self) -> Error {
        match self {
            QueryError::Unexpected(cause) => Error::Internal(cause),
            QueryError::NotDone(cause)
            | QueryError::Disconnected(cause)
            | QueryError::NoAnswer(cause)
            | QueryError::Unavailable(cause)
            | QueryError::ReadOnly(cause) => Error::Unavailable(cause),
        }
    }
}

impl From<tokio_postgres::Error> for QueryError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(database) = error.as_db_error() else {
            // Without word from the database it is the connection that failed, or what came by it made no sense;
            // unless it is a value of ours that could not be sent.
            let ours = error.source().is_some() && io_error(&error).is_none();
            return match ours {
                true => QueryError::Unexpected(in_one_line(&error)),
                false => QueryError::Disconnected(in_one_line(&error)),
            };
        };
        let code = database.code();
        let cause = describe(database);
        match &code.code()[..2] {
            // Connection exceptions, and whatever ends a session: a restart, a time limit, an administrator.
            "08" => QueryError::Disconnected(cause),
            _ if is_fatal(database) => QueryError::Disconnected(cause),
            // A prepared statement is gone, or has become another with a migration. The transaction comes to nothing.
            _ if PREPARED_IN_VAIN.contains(code) => QueryError::NotDone(cause),
            _ if *code == SqlState::READ_ONLY_SQL_TRANSACTION => QueryError::ReadOnly(cause),
            // Rollback, insufficient resources, lock not available, intervention of an operator (time limits), system
            // error.
            "40" | "53" | "55" | "57" | "58" => QueryError::Unavailable(cause),
            _ => QueryError::Unexpected(cause),
        }
    }
}

impl From<PoolError<tokio_postgres::Error>> for QueryError {
    /// Whatever keeps us from a connection, a refused password included, is for the caller a service out of reach.
    fn from(error: PoolError<tokio_postgres::Error>) -> Self {
        match error {
            PoolError::Backend(error) => match (error.as_db_error(), io_error(&error)) {
                // It was said why, and would be again.
                (Some(refusal), _) => QueryError::Unavailable(describe(refusal)),
                (_, Some(io)) if io.kind() == ErrorKind::ConnectionRefused => {
                    QueryError::Unavailable(in_one_line(&error))
                }
                _ => QueryError::NotDone(in_one_line(&error)),
            },
            error => QueryError::Unavailable(error.to_string()),
        }
    }
}

fn io_error(error: &tokio_postgres::Error) -> Option<&io::Error> {
    error.source()?.downcast_ref()
}

fn is_fatal(error: &DbError) -> bool {
    matches!(error.parsed_severity(), Some(Severity::Fatal | Severity::Panic))
}

/// Not with the detail: it quotes values.
fn describe(error: &DbError) -> String {
    format!("{} (SQLSTATE {})", error.message(), error.code().code())
}
