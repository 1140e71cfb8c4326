//! The errors of a request. Their details and [`Display`](fmt::Display) texts are for the log only; the
//! contract decides what the client reads.

use std::{borrow::Cow, fmt};

use lambda_http::http::StatusCode;

use crate::task::{RateLimit, Version};

/// Maximum number of errors that are collected of one request or configuration.
const MAX_ERRORS: usize = 20;

/// The response to a request that failed: the error and, if the database judged a write, the user's write
/// budget.
#[derive(Debug)]
pub struct Failure {
    /// Why the request failed.
    pub error: Error,
    /// The state of the write budget. `None` if the request isn't a write, did not reach the database, or
    /// writes are unlimited.
    pub rate_limit: Option<RateLimit>,
}

/// Why a request failed.
#[derive(Debug)]
pub enum Error {
    /// The token is missing or invalid.
    Unauthorized(TokenError),
    /// The user in the path is not the token's. Holds the user id in the path.
    Forbidden(String),
    /// The task does not exist or belongs to another user. A response must not reveal which.
    NotFound,
    /// The body is not JSON.
    InvalidJson,
    /// The body is larger than [`MAX_BODY_LEN`](crate::request::MAX_BODY_LEN).
    PayloadTooLarge,
    /// The content type of the body is not JSON.
    UnsupportedMediaType,
    /// Values are missing, of the wrong type or out of bounds. Holds all of them.
    Invalid(Vec<InputError>),
    /// The idempotency key was already used with a different request.
    Conflict,
    /// The user has reached the maximum number of tasks. Holds that number.
    TooManyTasks(i32),
    /// The task is in none of the versions in `If-Match`.
    Changed {
        /// Its current version.
        version: Version,
        /// Whether `If-Match` had only weak tags, which never match.
        only_weak: bool,
    },
    /// The cursor of a changes request is too old: some deletions after it are no longer stored.
    Gone,
    /// The user has made too many writes.
    RateLimited,
    /// Another list of the user that reads all of their tasks is still running.
    Busy,
    /// The database is unreachable, too slow or overloaded, or the token's public key can't be fetched. Holds
    /// the cause.
    Unavailable(String),
    /// A bug in this service. Holds the cause.
    Internal(String),
}

/// Why a token does not identify a caller.
#[derive(Debug, Clone, PartialEq)]
pub enum TokenError {
    /// There is no `Authorization` header.
    Missing,
    /// The signature is valid, but `exp` has passed.
    Expired,
    /// The token is invalid for another reason, which must not quote the token.
    Invalid(&'static str),
}

/// An invalid value in a request.
#[derive(Debug, Clone, PartialEq)]
pub struct InputError {
    /// The part of the request that contains the value.
    pub place: Place,
    /// The name of the value. `None` if the body as a whole is invalid.
    pub field: Option<Cow<'static, str>>,
    /// The machine-readable kind of error. Kinds and messages are those of Pydantic, which the front ends
    /// expect.
    pub kind: &'static str,
    /// The human-readable message.
    pub message: Cow<'static, str>,
}

/// A part of a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Place {
    /// The JSON body.
    Body,
    /// The path.
    Path,
    /// The query string.
    Query,
    /// The headers.
    Header,
}

/// Signals that a value is invalid. The reader that returns it has already recorded why.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recorded;

/// Collects the errors found while something is read, so that all of them can be reported together.
#[derive(Debug)]
pub struct Errors<E>(Vec<E>);

impl<E> Default for Errors<E> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<E> Errors<E> {
    /// Records an error, unless there are already as many as are reported.
    pub fn record(&mut self, error: E) -> Recorded {
        if self.0.len() < MAX_ERRORS {
            self.0.push(error);
        }
        Recorded
    }

    /// Returns what was read, or the errors. They are empty if the reader rejected a value without recording
    /// why.
    pub fn finish<T>(self, value: Result<T, Recorded>) -> Result<T, Vec<E>> {
        value.ok().filter(|_| self.0.is_empty()).ok_or(self.0)
    }
}

impl Error {
    /// Returns the status code of the response, which is the same in both contracts.
    pub fn status(&self) -> StatusCode {
        match self {
            Error::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Error::Forbidden(_) => StatusCode::FORBIDDEN,
            Error::NotFound => StatusCode::NOT_FOUND,
            Error::InvalidJson => StatusCode::BAD_REQUEST,
            Error::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Error::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Error::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Error::Conflict | Error::TooManyTasks(_) => StatusCode::CONFLICT,
            Error::Changed { .. } => StatusCode::PRECONDITION_FAILED,
            Error::Gone => StatusCode::GONE,
            Error::RateLimited | Error::Busy => StatusCode::TOO_MANY_REQUESTS,
            Error::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, rate_limit: None }
    }
}

impl From<TokenError> for Error {
    fn from(error: TokenError) -> Self {
        Error::Unauthorized(error)
    }
}

impl Place {
    /// Returns the name used in the `loc` of an error.
    pub fn as_str(self) -> &'static str {
        match self {
            Place::Body => "body",
            Place::Path => "path",
            Place::Query => "query",
            Place::Header => "header",
        }
    }
}

impl fmt::Display for Error {
    /// Writes the cause, for the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unauthorized(error) => error.fmt(f),
            Error::Forbidden(attempted) => write!(f, "path names another user: {attempted:?}"),
            Error::NotFound => f.write_str("user has no such task"),
            Error::InvalidJson => f.write_str("body is not valid JSON"),
            Error::PayloadTooLarge => f.write_str("body is too large"),
            Error::UnsupportedMediaType => f.write_str("content type of the body is not JSON"),
            Error::Invalid(errors) => {
                f.write_str("invalid values:")?;
                errors.iter().try_for_each(|error| {
                    let field = error.field.as_deref().unwrap_or("*");
                    write!(f, " {}.{field} {};", error.place.as_str(), error.kind)
                })
            }
            Error::Conflict => f.write_str("idempotency key was used with a different request"),
            Error::TooManyTasks(limit) => write!(f, "user has reached the limit of {limit} tasks"),
            Error::Changed { .. } => f.write_str("task was changed since it was read"),
            Error::Gone => f.write_str("cursor has expired"),
            Error::RateLimited => f.write_str("user's write budget is used up"),
            Error::Busy => f.write_str("another list of the user with filters or a sort is running"),
            Error::Unavailable(cause) | Error::Internal(cause) => f.write_str(cause),
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TokenError::Missing => "no Authorization header",
            TokenError::Expired => "token has expired",
            TokenError::Invalid(reason) => reason,
        })
    }
}

impl std::error::Error for Error {}

/// Returns the beginning of a text that takes at most `max` bytes as JSON, with `…` if it is not all of it.
pub fn shortened(text: &str, max: usize) -> Cow<'_, str> {
    let mut len = 0;
    let mut exceeds = |character| {
        len += match character {
            '\0'..' ' => "\\u0000".len(),
            '"' | '\\' => 2,
            _ => char::len_utf8(character),
        };
        len > max
    };
    match text.char_indices().find(|(_, character)| exceeds(*character)) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// Returns an error and its sources in one line.
pub fn in_one_line(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ").replace('\n', " ")
}
