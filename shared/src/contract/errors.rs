//! How an error is shown in each contract.

#[cfg(feature = "openapi")]
pub mod describe;

use std::collections::BTreeMap;

use lambda_http::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;

use super::{
    Contract::{self, Envelope, Plain},
    headers::{with_rate_limit, with_version},
};
use crate::{
    error::{Error, Failure, InputError, Place, TokenError},
    response::Response,
};

/// `Retry-After` of a 503 and of a list that has to wait for another, in seconds.
const RETRY_AFTER_SECONDS: &str = "1";

impl Contract {
    /// Renders a failure, without the details that only the log may contain.
    pub fn error(self, failure: &Failure, request_id: &str) -> Response {
        let Failure { error, rate_limit } = failure;
        let status = error.status();
        let response = match (self, error) {
            (Envelope, _) => {
                let details = match error {
                    Error::Invalid(errors) => Some(Details::of_fields(errors)),
                    Error::Internal(_) => Some(Details::Request { request_id }),
                    _ => None,
                };
                let (code, message) = code_and_message(error);
                let error = EnvelopeError { code, message: &message, details };
                Response::json(status, &EnvelopeFailure { data: (), error })
            }
            (Plain, Error::Invalid(errors)) => Response::json(status, &PlainError::of_values(errors)),
            (Plain, _) => {
                let detail = detail(error);
                Response::json(status, &PlainError { detail: &detail, error: detail.clone() })
            }
        };
        let response = with_rate_limit(response, *rate_limit);
        match (error, rate_limit) {
            (Error::Unauthorized(_), _) => response.with(WWW_AUTHENTICATE, "Bearer"),
            (Error::Unavailable(_) | Error::Busy, _) => response.with(RETRY_AFTER, RETRY_AFTER_SECONDS),
            (Error::Changed { version, .. }, _) => with_version(response, *version),
            (Error::RateLimited, Some(rate_limit)) => {
                response.with(RETRY_AFTER, rate_limit.retry_after.to_string())
            }
            _ => response,
        }
    }
}

/// Returns the code and the message of an error in the envelope contract.
fn code_and_message(error: &Error) -> (&'static str, String) {
    let (code, message) = match error {
        Error::Unauthorized(TokenError::Missing | TokenError::Invalid(_)) => {
            ("UNAUTHORIZED", "Missing or invalid JWT token")
        }
        Error::Unauthorized(TokenError::Expired) => ("UNAUTHORIZED", "Token has expired"),
        Error::Forbidden(_) => ("FORBIDDEN", "You do not have permission to access this resource"),
        Error::NotFound => ("NOT_FOUND", "Task not found"),
        Error::InvalidJson => ("BAD_REQUEST", "Request body is not valid JSON"),
        Error::PayloadTooLarge => ("PAYLOAD_TOO_LARGE", "Request body is too large"),
        Error::UnsupportedMediaType => ("UNSUPPORTED_MEDIA_TYPE", "Content type must be application/json"),
        Error::Invalid(_) => ("VALIDATION_ERROR", "Request validation failed"),
        Error::Conflict => ("CONFLICT", "Idempotency-Key was used with a different request"),
        Error::TooManyTasks(limit) => return ("CONFLICT", format!("Limit of {limit} tasks reached")),
        Error::Changed { only_weak: false, .. } => {
            ("PRECONDITION_FAILED", "Task was changed since it was read")
        }
        // Some proxies weaken tags.
        Error::Changed { only_weak: true, .. } => (
            "PRECONDITION_FAILED",
            "Task was changed since it was read, or its entity tag was weakened on the way: a weak tag (W/) never \
             matches",
        ),
        Error::Gone => ("GONE", "Cursor has expired: start again without since"),
        Error::RateLimited | Error::Busy => ("RATE_LIMITED", "Too many requests"),
        Error::Unavailable(_) => ("SERVICE_UNAVAILABLE", "Service temporarily unavailable"),
        Error::Internal(_) => ("INTERNAL_SERVER_ERROR", "An unexpected error occurred"),
    };
    (code, message.into())
}

/// Returns the text of an error in the plain contract: mostly the message of the envelope contract.
fn detail(error: &Error) -> String {
    match error {
        Error::Unauthorized(TokenError::Missing) => "Missing authorization token".into(),
        Error::Unauthorized(TokenError::Invalid(_)) => "Invalid or malformed token".into(),
        Error::Forbidden(_) => "Access forbidden: user_id mismatch".into(),
        Error::Internal(_) => "Internal server error".into(),
        other => code_and_message(other).1,
    }
}

/// An error in the envelope contract.
#[derive(Serialize)]
struct EnvelopeFailure<'a> {
    data: (),
    error: EnvelopeError<'a>,
}

/// Why a request failed.
#[derive(Serialize)]
struct EnvelopeError<'a> {
    /// A machine-readable error code.
    code: &'static str,
    /// A human-readable error message.
    message: &'a str,
    details: Option<Details<'a>>,
}

/// More about an error.
#[derive(Serialize)]
#[serde(untagged)]
enum Details<'a> {
    /// The messages for each invalid field.
    Fields(BTreeMap<&'a str, Vec<&'a str>>),
    /// The request's id, by which it can be found in the log.
    Request { request_id: &'a str },
}

impl<'a> Details<'a> {
    /// Groups errors by field. An error of the body as a whole gets the key `body`.
    fn of_fields(errors: &'a [InputError]) -> Self {
        let mut fields = BTreeMap::<_, Vec<_>>::new();
        for error in errors {
            let field = error.field.as_deref().unwrap_or(error.place.as_str());
            fields.entry(field).or_default().push(&*error.message);
        }
        Details::Fields(fields)
    }
}

/// An error in the plain contract.
#[derive(Serialize)]
struct PlainError<T> {
    /// One text, or one entry for each invalid value.
    detail: T,
    /// `detail` as one line of text, ready to show to a user.
    error: String,
}

impl<'a> PlainError<Vec<PlainFieldError<'a>>> {
    /// Reports every invalid value.
    fn of_values(errors: &'a [InputError]) -> Self {
        let detail: Vec<_> = errors.iter().map(PlainFieldError::from).collect();
        let line = |error: &PlainFieldError| format!("{}: {}", error.loc[error.loc.len() - 1], error.msg);
        Self { error: detail.iter().map(line).collect::<Vec<_>>().join("; "), detail }
    }
}

/// An invalid value.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
struct PlainFieldError<'a> {
    /// A machine-readable error code.
    r#type: &'static str,
    /// Where the value is: `body`, `path`, `query` or `header`, then the field. The field is missing if the
    /// body as a whole is invalid.
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 2))]
    loc: Vec<&'a str>,
    /// A human-readable error message.
    msg: &'a str,
}

impl<'a> From<&'a InputError> for PlainFieldError<'a> {
    fn from(error: &'a InputError) -> Self {
        let loc = [Some(Place::as_str(error.place)), error.field.as_deref()].into_iter().flatten().collect();
        Self { r#type: error.kind, loc, msg: &error.message }
    }
}

#[cfg(test)]
mod tests;
