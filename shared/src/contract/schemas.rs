//! Schemas of single values (JSON Schema 2020-12), with the bounds that the code enforces. They are part of
//! openapi.json and are not compiled into any function.

use std::ops::RangeInclusive;

use chrono::DateTime;
use utoipa::openapi::{
    KnownFormat, SchemaFormat,
    schema::{Object, ObjectBuilder, SchemaType, Type},
};

use super::{
    Contract,
    bounds::{SEARCH_MAX, TASK_NUMBER},
};
use crate::{
    auth::MAX_USER_ID_CHARS,
    error::{Error, TokenError},
    request::MAX_IDEMPOTENCY_KEY_LEN,
    task::Version,
};

/// Returns every error, once for each message that a response can have.
pub fn errors() -> Vec<Error> {
    vec![
        Error::InvalidJson,
        Error::Unauthorized(TokenError::Missing),
        Error::Unauthorized(TokenError::Invalid("")),
        Error::Unauthorized(TokenError::Expired),
        Error::Forbidden(String::new()),
        Error::NotFound,
        Error::Conflict,
        Error::TooManyTasks(10_000),
        Error::Gone,
        Error::Changed(Version { revision: 0, updated_at: DateTime::UNIX_EPOCH }),
        Error::RateLimited,
        Error::PayloadTooLarge,
        Error::UnsupportedMediaType,
        Error::Invalid(Vec::new()),
        Error::Internal(String::new()),
        Error::Unavailable(String::new()),
    ]
}

/// The value null.
pub fn null() -> Object {
    ObjectBuilder::new().schema_type(Type::Null).build()
}

/// A user's id, in a path or a response.
pub fn user_id() -> Object {
    text(MAX_USER_ID_CHARS).min_length(Some(1)).description(Some("The user's id, an opaque string.")).build()
}

/// A title in a request.
pub fn title(contract: Contract) -> ObjectBuilder {
    let shows = format!(r"^[^\u0000]*[^\u0000{}][^\u0000]*$", white_space());
    text(contract.title_max()).min_length(Some(1)).pattern(Some(shows)).description(Some(
        "Must contain more than white space, and no U+0000. Length is counted in Unicode scalar values.",
    ))
}

/// A description in a request, without null.
pub fn description(contract: Contract) -> ObjectBuilder {
    text(contract.description_max())
        .description(Some("Must not contain U+0000. Length is counted in Unicode scalar values."))
}

/// The query parameter `search`.
pub fn search() -> Object {
    text(SEARCH_MAX).min_length(Some(1)).build()
}

/// A title in a response. Both contracts show a title in full, even if it is longer than they accept.
pub fn shown_title() -> Object {
    text(longest(Contract::title_max)).min_length(Some(1)).description(Some("The title.")).build()
}

/// A description in a response. Both contracts show it in full, even if it is longer than they accept.
pub fn shown_description() -> Object {
    text(longest(Contract::description_max))
        .schema_type([Type::String, Type::Null].into_iter().collect::<SchemaType>())
        .description(Some("The description; null if the task has none."))
        .build()
}

/// The id of a task in the plain contract.
pub fn task_number() -> Object {
    integer(TASK_NUMBER)
        .description(Some("The task's number. Later tasks have greater numbers, but not consecutive ones."))
        .build()
}

/// The header `Idempotency-Key`.
pub fn idempotency_key() -> Object {
    text(MAX_IDEMPOTENCY_KEY_LEN).min_length(Some(1)).pattern(Some("^[!-~]+$")).build()
}

/// An integer within bounds.
pub fn integer(range: RangeInclusive<i64>) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(*range.start()))
        .maximum(Some(*range.end()))
}

fn text(max: usize) -> ObjectBuilder {
    // PostgreSQL can't hold U+0000.
    ObjectBuilder::new().schema_type(Type::String).max_length(Some(max)).pattern(Some(r"^[^\u0000]*$"))
}

fn longest(bound: fn(Contract) -> usize) -> usize {
    bound(Contract::Envelope).max(bound(Contract::Plain))
}

/// Returns the characters that [`title`](crate::request::title) considers white space, as ranges for a
/// character class of a regular expression. `\s` isn't used because it matches a different set in each regex
/// dialect.
fn white_space() -> String {
    let spaces = (char::MIN..=char::MAX).filter(|character| character.is_whitespace());
    let mut ranges = Vec::<(u32, u32)>::new();
    for space in spaces.map(u32::from) {
        match ranges.last_mut() {
            Some((_, end)) if *end + 1 == space => *end = space,
            _ => ranges.push((space, space)),
        }
    }
    ranges.iter().map(|(start, end)| format!(r"\u{start:04x}-\u{end:04x}")).collect()
}
