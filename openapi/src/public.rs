//! The operations that need no token: health, and the documentation.

use serde_json::{Value, json};
use shared::{
    Contract::{self, Envelope, Plain},
    Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, ETAG},
};
use utoipa::openapi::{
    HttpMethod, KnownFormat, Object, ObjectBuilder, RefOr, Required, Schema, SchemaFormat, Type,
    path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
    response::ResponsesBuilder,
    security::SecurityRequirement,
};

use crate::answers;

/// What the service says of itself.
pub fn operations() -> Vec<(HttpMethod, String, Operation)> {
    let health = |id, path: &str, contract, status, summary, errors: &[u16]| {
        let answer = Response::json(StatusCode::OK, &health_sample(status));
        let answer = answers::rendered("It is well.", &answer, Some(health_schema(status).into()));
        let operation = operation(id, summary, contract, vec![("200", answer)], errors);
        (HttpMethod::Get, path.to_owned(), operation.build())
    };
    let document = |id, path: &str, summary, content_type, schema: Object| {
        let fresh = kept(Response::new(StatusCode::OK, String::new())).with(CONTENT_TYPE, content_type);
        let fresh =
            answers::rendered("It, where the caller has another one or none.", &fresh, Some(schema.into()));
        let same = kept(Response::empty(StatusCode::NOT_MODIFIED));
        let same = answers::rendered("The caller has it already.", &same, None);
        let mut answers = vec![("200", fresh), ("304", same)];
        if path == "/docs" {
            let refused = Response::new(StatusCode::NOT_ACCEPTABLE, String::new());
            let refused = refused.with(CONTENT_TYPE, "text/plain; charset=utf-8");
            answers
                .push(("406", answers::rendered("The caller does not accept gzip.", &refused, Some(text()))));
        }
        let operation = operation(id, summary, Envelope, answers, &[500]);
        (HttpMethod::Get, path.to_owned(), operation.parameter(if_none_match()).build())
    };
    vec![
        health("getHealth", "/health", Envelope, "healthy", "Whether the service runs", &[500]),
        health(
            "getReadiness",
            "/health/ready",
            Envelope,
            "ready",
            "Whether the service and its database can be reached",
            &[500, 503],
        ),
        health("plainGetHealth", "/plain/health", Plain, "healthy", "Whether the service runs", &[500]),
        document(
            "getDocs",
            "/docs",
            "This description, for people",
            "text/html; charset=utf-8",
            ObjectBuilder::new().schema_type(Type::String).build(),
        ),
        document(
            "getOpenApi",
            "/openapi.json",
            "This description, for programs",
            "application/json",
            ObjectBuilder::new()
                .schema_type(Type::Object)
                .required("openapi")
                .property("openapi", text())
                .build(),
        ),
    ]
}

fn operation(
    id: &str,
    summary: &str,
    contract: Contract,
    answers: Vec<(&str, utoipa::openapi::Response)>,
    errors: &[u16],
) -> OperationBuilder {
    let responses = ResponsesBuilder::new()
        .responses_from_iter(answers)
        .responses_from_iter(answers::error_refs(contract, errors));
    OperationBuilder::new()
        .operation_id(Some(id))
        .tag("service")
        .summary(Some(summary))
        .responses(responses.build())
        .securities(Some::<[SecurityRequirement; 0]>([]))
}

/// The answer with the header fields of one that may be kept.
fn kept(answer: Response) -> Response {
    answer.with(ETAG, "\"…\"").with(CACHE_CONTROL, "…")
}

fn if_none_match() -> Parameter {
    ParameterBuilder::new()
        .name("If-None-Match")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("The `ETag` of the one that the caller has (RFC 9110 §13.1.2)."))
        .schema(Some(text()))
        .build()
}

fn health_schema(status: &str) -> Object {
    let time = text_builder().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("status", text_builder().enum_values(Some([status])))
        .required("status")
        .property("service", text())
        .required("service")
        .property("version", text())
        .required("version")
        .property("timestamp", time)
        .required("timestamp")
        .build()
}

fn health_sample(status: &str) -> Value {
    json!({
        "status": status, "service": "task-api", "version": env!("CARGO_PKG_VERSION"),
        "timestamp": "2026-01-06T15:30:00Z",
    })
}

fn text() -> RefOr<Schema> {
    text_builder().into()
}

fn text_builder() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}
