//! What can go wrong with a request. What the caller may read of it is decided by
//! [`Contract::error`](crate::Contract::error); what is kept here besides is for the log alone.

use std::fmt;

use crate::{StatusCode, auth::TokenFault, input::Fault};

/// Why a request fails.
#[derive(Debug)]
pub enum Error {
    /// The token is missing or not to be trusted.
    Unauthorized(TokenFault),
    /// The path names another user than the token. Holds the user id that the path named.
    Forbidden(String),
    /// The task does not exist, or is another user's: an answer must not tell which.
    NotFound,
    /// The body is not JSON.
    InvalidJson,
    /// The body is larger than [`MAX_BODY_LEN`](crate::input::MAX_BODY_LEN).
    PayloadTooLarge,
    /// The body says it is something else than JSON.
    UnsupportedMediaType,
    /// Values out of bounds, of the wrong type or missing: all of them.
    Invalid(Vec<Fault>),
    /// An idempotency key came again with another task.
    Conflict,
    /// The database is out of reach, too slow or overloaded. Holds the cause.
    Unavailable(String),
    /// A mistake of ours. Holds the cause.
    Internal(String),
}

impl Error {
    /// The status code of the answer, the same in both contracts.
    pub fn status(&self) -> StatusCode {
        match self {
            Error::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Error::Forbidden(_) => StatusCode::FORBIDDEN,
            Error::NotFound => StatusCode::NOT_FOUND,
            Error::InvalidJson => StatusCode::BAD_REQUEST,
            Error::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Error::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Error::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Error::Conflict => StatusCode::CONFLICT,
            Error::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl fmt::Display for Error {
    /// The cause as the log gets it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unauthorized(fault) => fault.fmt(f),
            Error::Forbidden(attempted) => write!(f, "attempted user {attempted:?}"),
            Error::NotFound => f.write_str("no such task of this user"),
            Error::InvalidJson => f.write_str("body is not JSON"),
            Error::PayloadTooLarge => f.write_str("body too large"),
            Error::UnsupportedMediaType => f.write_str("content type is not JSON"),
            Error::Invalid(faults) => {
                f.write_str("invalid:")?;
                faults.iter().try_for_each(|fault| {
                    let field = fault.field.as_deref().unwrap_or("*");
                    write!(f, " {}.{field} {};", fault.place.as_str(), fault.kind)
                })
            }
            Error::Conflict => f.write_str("idempotency key used with a different request"),
            Error::Unavailable(cause) | Error::Internal(cause) => f.write_str(cause),
        }
    }
}

impl std::error::Error for Error {}

/// An error and what it came from, in one line.
pub fn in_one_line(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ").replace('\n', " ")
}
