//! Reads values from an API Gateway event and collects all errors, so that a response can report them
//! together.

mod values;

use std::{borrow::Cow, collections::BTreeSet, fmt, ops::RangeInclusive};

use base64::{Engine, prelude::BASE64_STANDARD};
use lambda_http::{aws_lambda_events::apigw::ApiGatewayV2httpRequest, http::header::CONTENT_TYPE};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    error::{Error, Errors, InputError, Place, Recorded, shortened},
    task::Patch,
};
pub use values::{
    MAX_IDEMPOTENCY_KEY_LEN, MAX_TAG_CHARS, MAX_TAGS, MAX_TAGS_CHARS, Parse, Problem, YEARS, boolean,
    date_time, due_date_value, idempotency_key, integer, one_of, priority, search, tag, tags, text, title,
};

/// Maximum size of a body, in bytes after base64 decoding.
pub const MAX_BODY_LEN: usize = 256 * 1024;

/// Maximum length of a name from a body in an error, in bytes of JSON. An error contains it up to twice.
const MAX_NAME_LEN: usize = 200;

const REPEATED: Problem = ("repeated", Cow::Borrowed("Given more than once"));

/// Reads a request and collects the errors found.
pub struct Reader<'a> {
    event: &'a ApiGatewayV2httpRequest,
    query: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    errors: Errors<InputError>,
    unreadable_body: Option<Error>,
}

impl<'a> Reader<'a> {
    /// Creates a reader of an event.
    pub fn new(event: &'a ApiGatewayV2httpRequest) -> Self {
        let query = event.raw_query_string.as_deref().unwrap_or_default();
        let query = form_urlencoded::parse(query.as_bytes()).collect();
        Self { event, query, errors: Errors::default(), unreadable_body: None }
    }

    /// Finishes reading: returns `input` unless an error was found.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the recorded errors. Without any, the reason why the body could not be read.
    pub fn finish<T>(self, input: Result<T, Recorded>) -> Result<T, Error> {
        self.errors.finish(input).map_err(|errors| match self.unreadable_body {
            Some(error) if errors.is_empty() => error,
            None if errors.is_empty() => Error::Internal("input rejected without an error".into()),
            _ => Error::Invalid(errors),
        })
    }

    /// Reads a UUID in the path, which must have the hyphenated form (RFC 9562 §4).
    pub fn path_uuid(&mut self, name: &'static str) -> Result<Uuid, Recorded> {
        let text = self.path(name);
        let uuid = match text.len() {
            uuid::fmt::Hyphenated::LENGTH => Uuid::try_parse(text).ok(),
            _ => None,
        };
        self.check(Place::Path, name, uuid.ok_or(("uuid_parsing", "Input should be a valid UUID".into())))
    }

    /// Reads an integer in the path.
    pub fn path_integer(&mut self, name: &'static str, range: RangeInclusive<i64>) -> Result<i64, Recorded> {
        let result = integer(self.path(name), range);
        self.check(Place::Path, name, result)
    }

    /// Reads an integer in the query. Returns `default` if the parameter is absent.
    pub fn query_integer(
        &mut self,
        name: &'static str,
        range: RangeInclusive<i64>,
        default: i64,
    ) -> Result<i64, Recorded> {
        Ok(self.query(name, |value| integer(value, range))?.unwrap_or(default))
    }

    /// Reads a query parameter, if present.
    pub fn query<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Result<Option<T>, Recorded> {
        let mut values = self.query.iter().filter(|(key, _)| key == name);
        let result = match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some((_, value)), None) => parse(value).map(Some),
            (Some(_), Some(_)) => Err(REPEATED),
        };
        self.check(Place::Query, name, result)
    }

    /// Rejects a query parameter of another operation. Ignored, it would send a client round in circles.
    pub fn no_query(&mut self, name: &'static str, message: &'static str) -> Result<(), Recorded> {
        self.query(name, |_| Err(("value_error", message.into()))).map(|_: Option<()>| ())
    }

    /// Records an error of a query parameter that is valid on its own, but not together with others.
    pub fn reject_query(&mut self, name: &'static str, problem: Problem) -> Recorded {
        self.errors.record(InputError::new(Place::Query, name, problem))
    }

    /// Reads a header, if present. API Gateway joins the values of repeated headers with commas.
    pub fn header<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&[u8]) -> Result<T, Problem>,
    ) -> Result<Option<T>, Recorded> {
        let result = self.event.headers.get(name).map(|value| parse(value.as_bytes())).transpose();
        self.check(Place::Header, name, result)
    }

    /// Returns the user id in the path.
    pub fn user_id(&self) -> &'a str {
        self.path("user_id")
    }

    /// Parses the body, which must be a JSON object, and returns its fields.
    pub fn body(&mut self) -> Result<Fields<'_>, Recorded> {
        match self.read_body() {
            Ok(Some(Object { values, repeated })) => {
                for name in repeated {
                    let name = shortened(&name, MAX_NAME_LEN).into_owned();
                    self.errors.record(InputError::new(Place::Body, name, REPEATED));
                }
                Ok(Fields { values, errors: &mut self.errors })
            }
            Ok(None) => Err(self.errors.record(InputError {
                place: Place::Body,
                field: None,
                kind: "model_attributes_type",
                message: "Input should be a valid dictionary or object".into(),
            })),
            Err(error) => {
                self.unreadable_body = Some(error);
                Err(Recorded)
            }
        }
    }

    /// Parses the body. Returns `None` if it is JSON, but not an object.
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

    fn check<T>(
        &mut self,
        place: Place,
        name: &'static str,
        result: Result<T, Problem>,
    ) -> Result<T, Recorded> {
        record(&mut self.errors, place, name, result)
    }
}

/// The fields of a JSON object. Each can be read once. Fields that are never read are ignored.
pub struct Fields<'a> {
    values: Map<String, Value>,
    errors: &'a mut Errors<InputError>,
}

impl Fields<'_> {
    /// Reads a field that must be present.
    pub fn required<T>(&mut self, name: &'static str, parse: impl Parse<T>) -> Result<T, Recorded> {
        match self.values.remove(name) {
            Some(value) => self.check(name, parse(value)),
            None => self.check(name, Err(("missing", "Field required".into()))),
        }
    }

    /// Reads a field that may be absent.
    pub fn optional<T>(&mut self, name: &'static str, parse: impl Parse<T>) -> Result<Option<T>, Recorded> {
        self.values.remove(name).map(|value| self.check(name, parse(value))).transpose()
    }

    /// Reads a field that may be absent or null.
    pub fn nullable<T>(&mut self, name: &'static str, parse: impl Parse<T>) -> Result<Patch<T>, Recorded> {
        match self.values.remove(name) {
            None => Ok(Patch::Absent),
            Some(Value::Null) => Ok(Patch::Null),
            Some(value) => self.check(name, parse(value)).map(Patch::Value),
        }
    }

    /// Reads a field that may be absent or null, and that has an alias. If both names are present, their
    /// values must be equal.
    pub fn nullable_or_alias<T: PartialEq>(
        &mut self,
        name: &'static str,
        alias: &'static str,
        parse: impl Fn(Value) -> Result<T, Problem>,
    ) -> Result<Patch<T>, Recorded> {
        let (value, other) = (self.nullable(name, &parse), self.nullable(alias, &parse));
        match (value?, other?) {
            (value, Patch::Absent) => Ok(value),
            (Patch::Absent, other) => Ok(other),
            (value, other) if value == other => Ok(value),
            _ => {
                let differ = || Err(("value_error", format!("{name} and {alias} should not differ").into()));
                self.check(name, differ()).or_else(|_: Recorded| self.check(alias, differ()))
            }
        }
    }

    fn check<T>(&mut self, name: &'static str, result: Result<T, Problem>) -> Result<T, Recorded> {
        record(self.errors, Place::Body, name, result)
    }
}

fn record<T>(
    errors: &mut Errors<InputError>,
    place: Place,
    name: &'static str,
    result: Result<T, Problem>,
) -> Result<T, Recorded> {
    result.map_err(|problem| errors.record(InputError::new(place, name, problem)))
}

impl InputError {
    fn new(place: Place, field: impl Into<Cow<'static, str>>, (kind, message): Problem) -> Self {
        Self { place, field: Some(field.into()), kind, message }
    }
}

/// Whether a content type is `application/json` or has the suffix `+json` (RFC 6839), with any parameters.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// A JSON object, and the names that appear in it more than once. RFC 8259 §4 doesn't define which of their
/// values counts, so they are rejected.
struct Object {
    values: Map<String, Value>,
    repeated: BTreeSet<String>,
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
                let mut object = Object { values: Map::new(), repeated: BTreeSet::new() };
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if object.values.insert(name.clone(), value).is_some() {
                        object.repeated.insert(name);
                    }
                }
                Ok(object)
            }
        }

        deserializer.deserialize_map(ObjectVisitor)
    }
}
