//! Everything that can go wrong with a request. What the caller may read of it is decided by the contract; the reasons
//! kept here are for the log.

use std::{borrow::Cow, fmt};

use lambda_http::http::StatusCode;

use crate::task::{RateLimit, Version};

/// Why a request fails.
#[derive(Debug)]
pub enum Error {
    /// The token is missing or invalid.
    Unauthorized(TokenError),
    /// The path names another user than the token. Holds the user id in the path.
    Forbidden(String),
    /// The task does not exist or belongs to another user; a response must not reveal which.
    NotFound,
    /// The body is not JSON.
    InvalidJson,
    /// The body is larger than [`MAX_BODY_LEN`](crate::request::MAX_BODY_LEN).
    PayloadTooLarge,
    /// The content type of the body is not JSON.
    UnsupportedMediaType,
    /// Values out of bounds, of the wrong type or missing: all of them.
    Invalid(Vec<InputError>),
    /// An idempotency key was used again with a different request.
    Conflict,
    /// The user has as many tasks as they may have: this many.
    TooManyTasks(i32),
    /// The task is none of the versions that the request may change, but this one.
    Changed(Version),
    /// Some of the deletions since a position in the changes are not known any more.
    Gone,
    /// The user has made too many writes.
    RateLimited,
    /// A write that reached the database and was not carried out: why, and how many writes the user may still make.
    NotWritten(Box<Error>, RateLimit),
    /// The database is unreachable, too slow or overloaded. Holds the cause.
    Unavailable(String),
    /// A bug of ours. Holds the cause.
    Internal(String),
}

/// Why a token does not identify a caller.
#[derive(Debug, Clone, PartialEq)]
pub enum TokenError {
    /// There is no `Authorization` header.
    Missing,
    /// The token is properly signed, but past its `exp`.
    Expired,
    /// Anything else. The reason must not quote the token.
    Invalid(&'static str),
}

/// A value in a request that is invalid.
#[derive(Debug, Clone, PartialEq)]
pub struct InputError {
    /// The part of the request that holds it.
    pub place: Place,
    /// Its name; `None` if the body as a whole is invalid.
    pub field: Option<Cow<'static, str>>,
    /// The kind of error, for programs. These are the kinds and messages of Pydantic, which the front ends know.
    pub kind: &'static str,
    /// What is wrong, for people.
    pub message: Cow<'static, str>,
}

/// A part of a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Place {
    /// A field of the JSON body.
    Body,
    /// A parameter of the path.
    Path,
    /// A parameter of the query.
    Query,
    /// A header field.
    Header,
}

/// Says that a value is invalid, to code that only needs to know that: the reader that returned it has recorded why.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recorded;

impl Error {
    /// The status code of the response, the same in both contracts.
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
            Error::Changed(_) => StatusCode::PRECONDITION_FAILED,
            Error::Gone => StatusCode::GONE,
            Error::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Error::NotWritten(error, _) => error.status(),
            Error::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<TokenError> for Error {
    fn from(error: TokenError) -> Self {
        Error::Unauthorized(error)
    }
}

impl Place {
    /// Its name in the location of an error.
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
    /// The cause, for the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unauthorized(error) => error.fmt(f),
            Error::Forbidden(attempted) => write!(f, "attempted user {attempted:?}"),
            Error::NotFound => f.write_str("no such task of this user"),
            Error::InvalidJson => f.write_str("body is not JSON"),
            Error::PayloadTooLarge => f.write_str("body too large"),
            Error::UnsupportedMediaType => f.write_str("content type is not JSON"),
            Error::Invalid(errors) => {
                f.write_str("invalid:")?;
                errors.iter().try_for_each(|error| {
                    let field = error.field.as_deref().unwrap_or("*");
                    write!(f, " {}.{field} {};", error.place.as_str(), error.kind)
                })
            }
            Error::Conflict => f.write_str("idempotency key used with a different request"),
            Error::TooManyTasks(limit) => write!(f, "user has {limit} tasks"),
            Error::Changed(_) => f.write_str("task was changed since it was read"),
            Error::Gone => f.write_str("cursor has expired"),
            Error::RateLimited => f.write_str("user has no writes left"),
            Error::NotWritten(error, _) => error.fmt(f),
            Error::Unavailable(cause) | Error::Internal(cause) => f.write_str(cause),
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TokenError::Missing => "no Authorization header",
            TokenError::Expired => "token expired",
            TokenError::Invalid(reason) => reason,
        })
    }
}

impl std::error::Error for Error {}

/// An error and its sources, in one line.
pub fn in_one_line(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ").replace('\n', " ")
}
