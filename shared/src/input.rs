//! Reading a request's values. Every fault is gathered, so that a caller hears of all of them at once. The kinds
//! and messages of faults are those of Pydantic, which the front ends know.

use std::{borrow::Cow, fmt, ops::RangeInclusive};

use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, Datelike, Utc};
use lambda_http::{aws_lambda_events::apigw::ApiGatewayV2httpRequest, http::header::CONTENT_TYPE};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{Contract, Error};

/// A larger body (in bytes, decoded) is refused.
pub const MAX_BODY_LEN: usize = 256 * 1024;

/// A user id has at least one and at most so many characters.
pub const MAX_USER_ID_CHARS: usize = 255;

/// An idempotency key has at least one and at most so many characters.
pub const MAX_IDEMPOTENCY_KEY_LEN: usize = 255;

/// The years that a point in time may lie in: those that RFC 3339 can say in the answer.
pub const YEARS: RangeInclusive<i32> = 1..=9999;

/// What a request is read into.
pub trait Input: Sized {
    /// Reads all of it, so that every fault is found; `None` where there was any.
    fn read(request: &mut Reader) -> Option<Self>;
}

/// One value that is not as it must be.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// The part of the request that it stands in.
    pub place: Place,
    /// Its name; `None` where the body as a whole is meant.
    pub field: Option<Cow<'static, str>>,
    /// The kind of fault, for programs.
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

/// What is wrong with a value: kind and message of a [`Fault`].
pub type Problem = (&'static str, Cow<'static, str>);

/// A request being read, and the faults found so far.
pub struct Reader<'a> {
    /// The contract that the request came through.
    pub contract: Contract,
    event: &'a ApiGatewayV2httpRequest,
    faults: Vec<Fault>,
    unreadable_body: Option<Error>,
}

impl<'a> Reader<'a> {
    /// Reads a whole input.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every fault; or, where there is none besides, that the body can't be read at all.
    pub fn read<I: Input>(contract: Contract, event: &'a ApiGatewayV2httpRequest) -> Result<I, Error> {
        let mut reader = Reader { contract, event, faults: Vec::new(), unreadable_body: None };
        let input = I::read(&mut reader);
        match (input, reader.unreadable_body) {
            _ if !reader.faults.is_empty() => Err(Error::Invalid(reader.faults)),
            (_, Some(error)) => Err(error),
            (Some(input), None) => Ok(input),
            (None, None) => Err(Error::Internal("input refused without a fault".into())),
        }
    }

    /// A UUID in the path, in its hyphenated form (RFC 9562 §4).
    pub fn path_uuid(&mut self, name: &'static str) -> Option<Uuid> {
        let text = self.path(name);
        let uuid = match text.len() {
            uuid::fmt::Hyphenated::LENGTH => Uuid::try_parse(text).ok(),
            _ => None,
        };
        self.check(Place::Path, name, uuid.ok_or(("uuid_parsing", "Input should be a valid UUID".into())))
    }

    /// A whole number in the path.
    pub fn path_integer(&mut self, name: &'static str, range: RangeInclusive<i64>) -> Option<i64> {
        let result = integer(self.path(name), range);
        self.check(Place::Path, name, result)
    }

    /// A whole number in the query.
    pub fn query_integer(
        &mut self,
        name: &'static str,
        range: RangeInclusive<i64>,
        default: i64,
    ) -> Option<i64> {
        let query = self.event.raw_query_string.as_deref().unwrap_or_default();
        let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
        let result = match (values.next(), values.next()) {
            (None, _) => Ok(default),
            (Some((_, value)), None) => integer(&value, range),
            (Some(_), Some(_)) => Err(REPEATED),
        };
        self.check(Place::Query, name, result)
    }

    /// The header `Idempotency-Key`, where there is one: 1–255 visible ASCII characters.
    pub fn idempotency_key(&mut self) -> Option<Option<String>> {
        const NAME: &str = "idempotency-key";
        let result = match self.event.headers.get(NAME).map(|value| value.as_bytes()) {
            None => Ok(None),
            Some(key)
                if (1..=MAX_IDEMPOTENCY_KEY_LEN).contains(&key.len())
                    && key.iter().all(u8::is_ascii_graphic) =>
            {
                Ok(Some(String::from_utf8_lossy(key).into_owned()))
            }
            Some(_) => {
                Err(("string_pattern_mismatch", "Input should be 1-255 visible ASCII characters".into()))
            }
        };
        self.check(Place::Header, NAME, result)
    }

    /// The fields of the JSON object in the body. `None` where there is no such object; that fault is noted.
    pub fn body(&mut self) -> Option<Fields<'_>> {
        let fault = match self.read_body() {
            Ok(Some(object)) => {
                let repeated =
                    object.repeated.into_iter().map(|name| Fault::new(Place::Body, name, REPEATED));
                self.faults.extend(repeated);
                return Some(Fields { values: object.values, faults: &mut self.faults });
            }
            Ok(None) => Fault {
                place: Place::Body,
                field: None,
                kind: "model_attributes_type",
                message: "Input should be a valid dictionary or object".into(),
            },
            Err(error) => {
                self.unreadable_body = Some(error);
                return None;
            }
        };
        self.faults.push(fault);
        None
    }

    /// `None` for JSON that is no object.
    fn read_body(&self) -> Result<Option<Object>, Error> {
        let body = self.event.body.as_deref().unwrap_or_default().as_bytes();
        let longest = if self.event.is_base64_encoded { MAX_BODY_LEN.div_ceil(3) * 4 } else { MAX_BODY_LEN };
        if body.len() > longest {
            return Err(Error::PayloadTooLarge);
        }
        let body = match self.event.is_base64_encoded {
            true => Cow::Owned(BASE64_STANDARD.decode(body).map_err(|_| Error::InvalidJson)?),
            false => Cow::Borrowed(body),
        };
        if body.len() > MAX_BODY_LEN {
            return Err(Error::PayloadTooLarge);
        }
        if let Some(content_type) = self.event.headers.get(CONTENT_TYPE)
            && !is_json(content_type.to_str().unwrap_or_default())
        {
            return Err(Error::UnsupportedMediaType);
        }
        if body.trim_ascii_start().starts_with(b"{") {
            serde_json::from_slice(&body).map(Some).map_err(|_| Error::InvalidJson)
        } else {
            serde_json::from_slice::<IgnoredAny>(&body).map(|_| None).map_err(|_| Error::InvalidJson)
        }
    }

    fn path(&self, name: &str) -> &'a str {
        self.event.path_parameters.get(name).map(String::as_str).unwrap_or_default()
    }

    fn check<T>(&mut self, place: Place, name: &'static str, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.faults.push(Fault::new(place, name, problem))).ok()
    }
}

/// The fields of a JSON object. Each is taken once; those never asked for are ignored.
pub struct Fields<'a> {
    values: Map<String, Value>,
    faults: &'a mut Vec<Fault>,
}

impl Fields<'_> {
    /// A field that must be there.
    pub fn required<T>(&mut self, name: &'static str, parse: impl Parse<T>) -> Option<T> {
        match self.values.remove(name) {
            Some(value) => self.check(name, parse(value)),
            None => self.check(name, Err(("missing", "Field required".into()))),
        }
    }

    /// A field that may be absent, which is `Some(None)`.
    pub fn optional<T>(&mut self, name: &'static str, parse: impl Parse<T>) -> Option<Option<T>> {
        match self.values.remove(name) {
            Some(value) => self.check(name, parse(value)).map(Some),
            None => Some(None),
        }
    }

    /// A field that may be absent, which is `Some(None)`, or null, which is `Some(Some(None))`.
    pub fn nullable<T>(&mut self, name: &'static str, parse: impl Parse<T>) -> Option<Option<Option<T>>> {
        self.optional(name, |value| match value {
            Value::Null => Ok(None),
            value => parse(value).map(Some),
        })
    }

    fn check<T>(&mut self, name: &'static str, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.faults.push(Fault::new(Place::Body, name, problem))).ok()
    }
}

/// Turns a JSON value into what it stands for.
pub trait Parse<T>: FnOnce(Value) -> Result<T, Problem> {}

impl<T, F: FnOnce(Value) -> Result<T, Problem>> Parse<T> for F {}

/// Text of at least one character, not of white space alone, at most `max` characters (Unicode scalar values).
pub fn title(max: usize) -> impl Parse<String> {
    move |value| match text(max)(value)? {
        empty if empty.is_empty() => {
            Err(("string_too_short", "String should have at least 1 character".into()))
        }
        blank if blank.trim().is_empty() => {
            Err(("string_blank", "String should not be white space alone".into()))
        }
        title => Ok(title),
    }
}

/// Text of at most `max` characters (Unicode scalar values). U+0000 is refused: PostgreSQL can't hold it.
pub fn text(max: usize) -> impl Parse<String> {
    move |value| match value {
        Value::String(text) if text.chars().count() > max => {
            Err(("string_too_long", format!("String should have at most {max} characters").into()))
        }
        Value::String(text) if text.contains('\0') => {
            Err(("string_null_character", "String should not contain U+0000".into()))
        }
        Value::String(text) => Ok(text),
        _ => Err(("string_type", "Input should be a valid string".into())),
    }
}

/// True or false, and nothing that resembles them.
pub fn boolean(value: Value) -> Result<bool, Problem> {
    value.as_bool().ok_or(("bool_type", "Input should be a valid boolean".into()))
}

/// A point in time in ISO 8601's extended format: a date alone (midnight UTC), or a date and a time, with an offset
/// or without (UTC); seconds may be left out. In [`YEARS`].
pub fn date_time(value: Value) -> Result<DateTime<Utc>, Problem> {
    let invalid = || ("datetime_parsing", "Input should be a valid datetime".into());
    let text = value.as_str().ok_or_else(invalid)?;
    let time = DateTime::parse_from_rfc3339(&to_rfc3339(text).ok_or_else(invalid)?).map_err(|_| invalid())?;
    Some(time.to_utc()).filter(|time| YEARS.contains(&time.year())).ok_or_else(invalid)
}

/// Completes what RFC 3339 demands and ISO 8601 lets one leave out: time, seconds, offset, the offset's minutes.
fn to_rfc3339(text: &str) -> Option<String> {
    let Some((date, time)) = text.split_at_checked(10).filter(|(_, time)| !time.is_empty()) else {
        return Some(format!("{text}T00:00:00Z"));
    };
    let (clock, offset) = match time.get(1..)?.find(['Z', 'z', '+', '-']) {
        Some(at) => time.split_at(at + 1),
        None => (time, "Z"),
    };
    let seconds = if clock.len() == "T00:00".len() { ":00" } else { "" };
    let offset = match offset.len() {
        3 => format!("{offset}:00"),
        5 if !offset.contains(':') => format!("{}:{}", offset.get(..3)?, offset.get(3..)?),
        _ => offset.to_owned(),
    };
    Some(format!("{date}{clock}{seconds}{offset}"))
}

fn integer(text: &str, range: RangeInclusive<i64>) -> Result<i64, Problem> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let message = "Input should be a valid integer, unable to parse string as an integer";
        return Err(("int_parsing", message.into()));
    }
    // Only its size can now keep it from being parsed; then its sign tells on which side of the range it lies.
    let number = text.parse::<i64>().ok();
    let is_below = number.map_or(text.starts_with('-'), |number| number < *range.start());
    match number {
        Some(number) if range.contains(&number) => Ok(number),
        _ if is_below => {
            let message = format!("Input should be greater than or equal to {}", range.start());
            Err(("greater_than_equal", message.into()))
        }
        _ => {
            Err(("less_than_equal", format!("Input should be less than or equal to {}", range.end()).into()))
        }
    }
}

/// `application/json`, or a type with the suffix `+json` (RFC 6839), whatever its parameters.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

const REPEATED: Problem = ("repeated", Cow::Borrowed("Given more than once"));

/// A JSON object, and the names that stand in it more than once: which of their values was meant, nobody can tell
/// (RFC 8259 §4).
struct Object {
    values: Map<String, Value>,
    repeated: Vec<String>,
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;

        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut object = Object { values: Map::new(), repeated: Vec::new() };
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if object.values.insert(name.clone(), value).is_some() && !object.repeated.contains(&name)
                    {
                        object.repeated.push(name);
                    }
                }
                Ok(object)
            }
        }

        deserializer.deserialize_map(ObjectVisitor)
    }
}

impl Fault {
    fn new(place: Place, field: impl Into<Cow<'static, str>>, (kind, message): Problem) -> Self {
        Self { place, field: Some(field.into()), kind, message }
    }
}

impl Place {
    /// Its name in an error's location.
    pub fn as_str(self) -> &'static str {
        match self {
            Place::Body => "body",
            Place::Path => "path",
            Place::Query => "query",
            Place::Header => "header",
        }
    }
}

#[cfg(test)]
mod tests;
