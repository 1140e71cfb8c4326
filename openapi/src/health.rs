//! Describes the health checks, which need no token. /docs and /openapi.json need none either, but are not
//! described: generated clients have no use for them.

use serde_json::{Value, json};
use shared::{
    Contract::{self, Envelope, Plain},
    Response, StatusCode,
    contract::describe::{NamedSchema, errors, headers::rendered},
};
use utoipa::openapi::{
    HttpMethod, KnownFormat, ObjectBuilder, Ref, RefOr, Schema, SchemaFormat, Type,
    path::{Operation, OperationBuilder},
    response::ResponsesBuilder,
    security::SecurityRequirement,
};

/// Returns the schemas of their response bodies, by name.
pub fn schemas() -> Vec<NamedSchema> {
    [("Health", "healthy"), ("Readiness", "ready")].map(|(name, status)| (name.into(), schema(status))).into()
}

/// Describes the health checks of both contracts.
pub fn operations() -> Vec<(HttpMethod, String, Operation)> {
    const RUNS: &str = "Check whether the service is running";
    const READY: &str = "Check whether the service can reach its database";
    vec![
        health("getHealth", "/health", Envelope, RUNS, ("Health", "healthy"), &["500"]),
        health("getReadiness", "/health/ready", Envelope, READY, ("Readiness", "ready"), &["500", "503"]),
        health("plainGetHealth", "/plain/health", Plain, RUNS, ("Health", "healthy"), &["500"]),
    ]
}

fn health(
    id: &str,
    path: &str,
    contract: Contract,
    summary: &str,
    (name, status): (&str, &str),
    statuses: &[&str],
) -> (HttpMethod, String, Operation) {
    let meaning = match status {
        "ready" => "The service is running and can reach its database.",
        _ => "The service is running.",
    };
    let response = Response::json(StatusCode::OK, &sample(status));
    let schema = Ref::from_schema_name(name).into();
    let responses = ResponsesBuilder::new()
        .response("200", rendered(meaning, &response, Some(schema)))
        .responses_from_iter(errors::references(contract, statuses));
    let operation = OperationBuilder::new()
        .operation_id(Some(id))
        .tag("service")
        .summary(Some(summary))
        .responses(responses.build())
        .securities(Some::<[SecurityRequirement; 0]>([]));
    (HttpMethod::Get, path.to_owned(), operation.build())
}

fn schema(status: &str) -> RefOr<Schema> {
    let time = text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
    let time = time.description(Some("The server's time, in UTC."));
    let body = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property(
            "status",
            text().enum_values(Some([status])).description(Some(format!("Always `{status}`."))),
        )
        .property("service", text().description(Some("The name of the service.")))
        .property("version", text().description(Some("The version of the service.")))
        .property("timestamp", time);
    ["status", "service", "version", "timestamp"].into_iter().fold(body, ObjectBuilder::required).into()
}

fn sample(status: &str) -> Value {
    json!({
        "status": status, "service": "task-api", "version": env!("CARGO_PKG_VERSION"),
        "timestamp": "2026-01-06T15:30:00Z",
    })
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}
