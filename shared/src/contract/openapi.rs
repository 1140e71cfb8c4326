//! What the descriptions of all resources share: the form of an operation, schemas of single values (JSON
//! Schema 2020-12), and samples. They are part of openapi.json and are not compiled into any function.

use std::ops::RangeInclusive;

use serde_json::Value;
use utoipa::openapi::{
    Content, HttpMethod, KnownFormat, Object, ObjectBuilder, Ref, RefOr, Required, Response, Schema,
    SchemaFormat,
    path::{Parameter, ParameterBuilder, ParameterIn},
    request_body::{RequestBody, RequestBodyBuilder},
    schema::{SchemaType, Type},
};

use super::Contract::{self, Envelope, Plain};
use crate::request::MAX_BODY_LEN;

pub mod samples;

/// A schema and its name.
pub type NamedSchema = (String, RefOr<Schema>);

/// An operation on the tasks of a user, in one contract. What all operations have is not part of it: the
/// token, the path parameter `user_id`, and the errors 401, 403, 500 and 503.
pub struct Operation {
    /// The id in the envelope contract.
    pub id: &'static str,
    /// A title.
    pub summary: &'static str,
    /// What a client has to know; empty if the summary says it.
    pub description: &'static str,
    /// The HTTP method.
    pub method: HttpMethod,
    /// The path after `/api/{user_id}`.
    pub path: &'static str,
    /// The parameters.
    pub parameters: Vec<Parameter>,
    /// The body of the request.
    pub body: Option<Body>,
    /// The responses without an error, by status.
    pub responses: Vec<(&'static str, Response)>,
    /// The statuses of errors.
    pub errors: &'static [&'static str],
}

impl Contract {
    /// Returns the id of an operation in this contract.
    pub fn operation_id(self, id: &str) -> String {
        match self {
            Envelope => id.to_owned(),
            Plain => format!("plain{}{}", id[..1].to_uppercase(), &id[1..]),
        }
    }
}

/// The body of a request.
pub struct Body {
    name: String,
    schema: ObjectBuilder,
    description: &'static str,
    example: Value,
}

impl Body {
    /// Creates the description of a body. The name is that of its schema, without the contract.
    pub(super) fn new(
        contract: Contract,
        name: &str,
        schema: ObjectBuilder,
        description: &'static str,
        example: Value,
    ) -> Self {
        Self { name: format!("{contract:?}{name}"), schema, description, example }
    }

    /// Returns the name and schema of the body.
    pub fn schema(self) -> NamedSchema {
        (self.name, self.schema.description(Some(self.description)).into())
    }

    /// Describes the body as part of an operation.
    pub fn describe(self) -> RequestBody {
        let mut content = Content::new(Some(Ref::from_schema_name(self.name)));
        content.example = Some(self.example);
        RequestBodyBuilder::new()
            .description(Some(format!("JSON of at most {} KiB.", MAX_BODY_LEN / 1024)))
            .required(Some(Required::True))
            .content("application/json", content)
            .build()
    }
}

/// A parameter that must be present.
pub fn parameter(name: &str, place: ParameterIn, schema: impl Into<RefOr<Schema>>) -> ParameterBuilder {
    ParameterBuilder::new().name(name).parameter_in(place).required(Required::True).schema(Some(schema))
}

/// A header that may be absent.
pub(super) fn optional_header(name: &str, schema: impl Into<RefOr<Schema>>, description: &str) -> Parameter {
    parameter(name, ParameterIn::Header, schema)
        .required(Required::False)
        .description(Some(description))
        .build()
}

/// A query parameter that may be absent. It has no example, because /docs would send it.
pub(super) fn optional_query(name: &str, schema: impl Into<RefOr<Schema>>, description: &str) -> Parameter {
    parameter(name, ParameterIn::Query, schema)
        .required(Required::False)
        .description(Some(description))
        .build()
}

/// An object without members.
pub(super) fn object() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Object)
}

/// Text without bounds.
pub(super) fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// Text of at most `max` characters.
pub(super) fn text(max: usize) -> ObjectBuilder {
    // PostgreSQL can't hold U+0000.
    string().max_length(Some(max)).pattern(Some(r"^[^\u0000]*$"))
}

/// One of several words.
pub(super) fn word(words: impl IntoIterator<Item = &'static str>) -> ObjectBuilder {
    string().enum_values(Some(words))
}

/// Text in a format.
pub(super) fn format(format: KnownFormat) -> Object {
    string().format(Some(SchemaFormat::KnownFormat(format))).build()
}

/// A date, or a date and time, in ISO 8601. One type, so that generated clients have one `string`.
pub(super) fn date_or_time() -> ObjectBuilder {
    string().pattern(Some(r"^\d{4}-\d{2}-\d{2}([Tt].+)?$"))
}

/// A boolean.
pub(super) fn boolean(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Boolean).description(Some(description))
}

/// An integer within bounds.
pub fn integer(range: RangeInclusive<i64>) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(*range.start()))
        .maximum(Some(*range.end()))
}

/// The value null.
pub(super) fn null() -> Object {
    ObjectBuilder::new().schema_type(Type::Null).build()
}

/// A value that may be null.
pub(super) fn nullable(schema: ObjectBuilder) -> ObjectBuilder {
    let mut schema = schema.build();
    if let SchemaType::Type(own) = schema.schema_type {
        schema.schema_type = SchemaType::Array(vec![own, Type::Null]);
    }
    schema.into()
}
