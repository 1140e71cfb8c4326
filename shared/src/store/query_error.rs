//! What a failed call means for the request, and for the connection that it was sent on.

use std::{
    error::Error as _,
    fmt,
    io::{self, ErrorKind},
};

use deadpool::managed::PoolError;
use tokio_postgres::error::{DbError, Severity, SqlState};

use crate::error::{Error, in_one_line};

/// A failed call: what that means, and its cause for the log.
#[derive(Debug)]
pub(super) struct QueryError {
    kind: Kind,
    cause: String,
}

/// What a failure means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// There was no connection to send the call on.
    NotConnected,
    /// The connection broke; whether the call was carried out is unknown.
    Disconnected,
    /// There was no answer in time; whether the call was carried out is unknown.
    NoAnswer,
    /// The database can't serve now; the call was not carried out.
    Unavailable,
    /// The call was not carried out, and the connection is of no use any more: the database behind it accepts no writes
    /// and may have been replaced by another, or a cancel request is still on its way to the session.
    Abandoned,
    /// The database rejected a call that it should not have got.
    Unexpected,
}

impl Kind {
    pub(super) fn because(self, cause: impl Into<String>) -> QueryError {
        QueryError { kind: self, cause: cause.into() }
    }
}

impl QueryError {
    /// Whether another attempt, on another connection, makes sense.
    pub(super) fn allows_retry(&self) -> bool {
        matches!(self.kind, Kind::NotConnected | Kind::Disconnected)
    }

    /// Whether the call may have been carried out, or may still be.
    pub(super) fn is_unknown(&self) -> bool {
        matches!(self.kind, Kind::Disconnected | Kind::NoAnswer)
    }

    /// Whether the connection must not be used any more.
    pub(super) fn ends_connection(&self) -> bool {
        !matches!(self.kind, Kind::Unavailable | Kind::Unexpected)
    }

    pub(super) fn into_error(self) -> Error {
        match self.kind {
            Kind::Unexpected => Error::Internal(self.cause),
            _ => Error::Unavailable(self.cause),
        }
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause)
    }
}

impl From<tokio_postgres::Error> for QueryError {
    /// The failure of a call.
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(answer) = error.as_db_error() else {
            // If the database gave no error, the connection failed; unless an argument of ours could not be encoded.
            let is_ours = error.source().is_some() && io_error(&error).is_none();
            return match is_ours {
                true => Kind::Unexpected.because(in_one_line(&error)),
                false => Kind::Disconnected.because(in_one_line(&error)),
            };
        };
        let code = answer.code();
        let cause = describe(answer);
        match &code.code()[..2] {
            // Connection exceptions, and everything that ends a session: a restart, a time limit, an administrator.
            "08" => Kind::Disconnected.because(cause),
            _ if matches!(answer.parsed_severity(), Some(Severity::Fatal | Severity::Panic)) => {
                Kind::Disconnected.because(cause)
            }
            _ if [SqlState::READ_ONLY_SQL_TRANSACTION, SqlState::QUERY_CANCELED].contains(code) => {
                Kind::Abandoned.because(cause)
            }
            _ if [SqlState::INVALID_SCHEMA_NAME, SqlState::UNDEFINED_FUNCTION].contains(code) => {
                let advice = "the SQL functions of this version are not installed: run `migrate`";
                Kind::Unavailable.because(format!("{advice} ({cause})"))
            }
            // Rollback, insufficient resources, lock not available, operator intervention, system error.
            "40" | "53" | "55" | "57" | "58" => Kind::Unavailable.because(cause),
            _ => Kind::Unexpected.because(cause),
        }
    }
}

impl From<PoolError<tokio_postgres::Error>> for QueryError {
    /// The failure to connect. Whatever its reason, a wrong password included, the service is unavailable to the caller.
    fn from(error: PoolError<tokio_postgres::Error>) -> Self {
        match error {
            PoolError::Backend(error) => match (error.as_db_error(), io_error(&error)) {
                // The server would give the same reason again. Its message is about the login and quotes no data.
                (Some(answer), _) => {
                    Kind::Unavailable.because(format!("{} ({})", answer.message(), describe(answer)))
                }
                (_, Some(io)) if io.kind() == ErrorKind::ConnectionRefused => {
                    Kind::Unavailable.because(in_one_line(&error))
                }
                _ => Kind::NotConnected.because(in_one_line(&error)),
            },
            error => Kind::Unavailable.because(error.to_string()),
        }
    }
}

fn io_error(error: &tokio_postgres::Error) -> Option<&io::Error> {
    error.source()?.downcast_ref()
}

/// An error of the database by its code, and what it is about. Message and detail may quote values, such as a title.
fn describe(error: &DbError) -> String {
    let about = [error.schema(), error.table(), error.column(), error.constraint(), error.routine()];
    let about: Vec<_> = about.into_iter().flatten().collect();
    format!("SQLSTATE {} {}", error.code().code(), about.join(" ")).trim_end().to_owned()
}
