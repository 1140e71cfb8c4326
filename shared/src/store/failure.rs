//! What a failure of the database means for the request, and for the connection that it came by.

use std::{
    error::Error as _,
    io::{self, ErrorKind},
};

use deadpool::managed::PoolError;
use tokio_postgres::error::{DbError, Severity, SqlState};

use super::Repeat;
use crate::{Error, error::in_one_line};

/// What the server says of a prepared statement that it doesn't have, or whose columns are no longer the same.
const PREPARED_IN_VAIN: [SqlState; 2] =
    [SqlState::INVALID_SQL_STATEMENT_NAME, SqlState::FEATURE_NOT_SUPPORTED];

/// Why there is no answer from the database.
#[derive(Debug)]
pub(super) enum Failure {
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

impl Failure {
    /// The failure of what goes ahead of a statement. The server answers in order: where it refuses the beginning
    /// with its last word on this connection, it has done nothing that came after.
    pub(super) fn before_statement(error: tokio_postgres::Error) -> Self {
        let server_hung_up = error.as_db_error().is_some_and(|error| {
            is_fatal(error)
                // Through a pooler these alone are sure to be the database's own.
                && error.code().code().starts_with("57P")
        });
        match Failure::from(error) {
            Failure::Disconnected(cause) if server_hung_up => Failure::NotDone(cause),
            failure => failure,
        }
    }

    /// Whether the statement may be sent once more, on another connection.
    pub(super) fn allows(&self, repeat: Repeat) -> bool {
        match self {
            Failure::NotDone(_) => true,
            Failure::Disconnected(_) => repeat == Repeat::Harmless,
            // Trying longer would take the caller's time, or can't help.
            Failure::NoAnswer(_)
            | Failure::Unavailable(_)
            | Failure::ReadOnly(_)
            | Failure::Unexpected(_) => false,
        }
    }

    /// Whether the connection is of no further use.
    pub(super) fn ends_connection(&self) -> bool {
        !matches!(self, Failure::Unavailable(_) | Failure::Unexpected(_))
    }

    pub(super) fn into_error(self) -> Error {
        match self {
            Failure::Unexpected(cause) => Error::Internal(cause),
            Failure::NotDone(cause)
            | Failure::Disconnected(cause)
            | Failure::NoAnswer(cause)
            | Failure::Unavailable(cause)
            | Failure::ReadOnly(cause) => Error::Unavailable(cause),
        }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(database) = error.as_db_error() else {
            // Without word from the database it is the connection that failed, or what came by it made no sense;
            // unless it is a value of ours that could not be sent.
            let ours = error.source().is_some() && io_error(&error).is_none();
            return match ours {
                true => Failure::Unexpected(in_one_line(&error)),
                false => Failure::Disconnected(in_one_line(&error)),
            };
        };
        let code = database.code();
        let cause = describe(database);
        match &code.code()[..2] {
            // Connection exceptions, and whatever ends a session: a restart, a time limit, an administrator.
            "08" => Failure::Disconnected(cause),
            _ if is_fatal(database) => Failure::Disconnected(cause),
            // A prepared statement is gone, or has become another with a migration. The transaction comes to nothing.
            _ if PREPARED_IN_VAIN.contains(code) => Failure::NotDone(cause),
            _ if *code == SqlState::READ_ONLY_SQL_TRANSACTION => Failure::ReadOnly(cause),
            // Rollback, insufficient resources, lock not available, intervention of an operator (time limits), system
            // error.
            "40" | "53" | "55" | "57" | "58" => Failure::Unavailable(cause),
            _ => Failure::Unexpected(cause),
        }
    }
}

impl From<PoolError<tokio_postgres::Error>> for Failure {
    /// Whatever keeps us from a connection, a refused password included, is for the caller a service out of reach.
    fn from(error: PoolError<tokio_postgres::Error>) -> Self {
        match error {
            PoolError::Backend(error) => match (error.as_db_error(), io_error(&error)) {
                // It was said why, and would be again.
                (Some(refusal), _) => Failure::Unavailable(describe(refusal)),
                (_, Some(io)) if io.kind() == ErrorKind::ConnectionRefused => {
                    Failure::Unavailable(in_one_line(&error))
                }
                _ => Failure::NotDone(in_one_line(&error)),
            },
            error => Failure::Unavailable(error.to_string()),
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
