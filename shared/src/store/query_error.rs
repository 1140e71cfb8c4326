//! Classifies failed calls: whether a retry makes sense, whether the connection can be used again, and how
//! the request is answered.

use std::{
    error::Error as _,
    fmt,
    io::{self, ErrorKind},
};

use deadpool::managed::PoolError;
use tokio_postgres::error::{DbError, Severity, SqlState};

use crate::error::{Error, in_one_line};

/// A failed call: its kind, and its cause for the log.
#[derive(Debug)]
pub(super) struct QueryError {
    kind: Kind,
    cause: String,
}

/// The kinds of failures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// No connection could be opened; the call was not sent.
    NotConnected,
    /// The connection broke; whether the call was carried out is unknown.
    Disconnected,
    /// There was no response in time; whether the call was carried out is unknown.
    NoAnswer,
    /// The database can't serve the call now; the call was not carried out.
    Unavailable,
    /// The call was not carried out, and the connection must not be used again. Either the server is
    /// read-only and may have been replaced by another, or a cancel request for this session may still be on
    /// its way.
    Abandoned,
    /// The database rejected a call that should have been valid: a bug.
    Unexpected,
}

impl Kind {
    pub(super) fn because(self, cause: impl Into<String>) -> QueryError {
        QueryError { kind: self, cause: cause.into() }
    }
}

impl QueryError {
    /// Whether to retry on another connection.
    pub(super) fn allows_retry(&self) -> bool {
        matches!(self.kind, Kind::NotConnected | Kind::Disconnected)
    }

    /// Whether it is unknown if the call was, or will be, carried out.
    pub(super) fn is_unknown(&self) -> bool {
        matches!(self.kind, Kind::Disconnected | Kind::NoAnswer)
    }

    /// Whether the connection must not be used again.
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
    /// Classifies the failure of a call.
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(answer) = error.as_db_error() else {
            // Without an error from the database the connection failed, unless an argument could not be
            // encoded.
            let is_ours = error.source().is_some() && io_error(&error).is_none();
            return match is_ours {
                true => Kind::Unexpected.because(in_one_line(&error)),
                false => Kind::Disconnected.because(in_one_line(&error)),
            };
        };
        let code = answer.code();
        let cause = describe(answer);
        match &code.code()[..2] {
            // Connection exceptions, and everything that ends a session: a restart, a timeout, an
            // administrator.
            "08" => Kind::Disconnected.because(cause),
            // The statement that was just prepared is missing: a pooler has sent it to another server.
            _ if *code == SqlState::INVALID_SQL_STATEMENT_NAME => Kind::Disconnected.because(cause),
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
            // Transaction rollback, insufficient resources, lock not available, operator intervention, system
            // error.
            "40" | "53" | "55" | "57" | "58" => Kind::Unavailable.because(cause),
            _ => Kind::Unexpected.because(cause),
        }
    }
}

impl From<PoolError<tokio_postgres::Error>> for QueryError {
    /// Classifies the failure to connect. Whatever the reason, even a wrong password, the caller gets 503.
    fn from(error: PoolError<tokio_postgres::Error>) -> Self {
        match error {
            PoolError::Backend(error) => match (error.as_db_error(), io_error(&error)) {
                // No retry: the server would answer the same. Its message is about the login and quotes no
                // data.
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

/// Describes an error of the database by its code and the objects that it concerns. The message and the
/// detail are left out, because they may quote values such as a title.
fn describe(error: &DbError) -> String {
    let about = [error.schema(), error.table(), error.column(), error.constraint(), error.routine()];
    let about: Vec<_> = about.into_iter().flatten().collect();
    format!("SQLSTATE {} {}", error.code().code(), about.join(" ")).trim_end().to_owned()
}
