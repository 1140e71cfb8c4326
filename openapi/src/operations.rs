//! Assembles the operations.

use serde_json::json;
use shared::{
    Contract::{self, Envelope, Plain},
    contract::describe::{
        Body, Operation as Described, changes, errors, lists, parameter, samples,
        tasks::{self, user_id},
        users,
    },
};
use utoipa::openapi::{
    HttpMethod, Paths, SecurityRequirement,
    path::{Operation, OperationBuilder, Parameter, ParameterIn},
    response::ResponsesBuilder,
};

use crate::health;

/// The name of the security scheme.
pub const TOKEN: &str = "token";

/// The errors of every operation that needs a token.
const ERRORS: [&str; 4] = ["401", "403", "500", "503"];

/// Describes all operations.
pub fn paths() -> Paths {
    let mut paths = Paths::new();
    let tasks = [Envelope, Plain].into_iter().flat_map(operations);
    for (method, path, operation) in tasks.chain(health::operations()) {
        paths.add_path_operation(path, vec![method], operation);
    }
    paths
}

/// Describes the operations of a contract.
fn operations(contract: Contract) -> impl Iterator<Item = (HttpMethod, String, Operation)> {
    let resources = [
        lists::operations(contract),
        changes::operations(contract),
        tasks::operations(contract),
        users::operations(),
    ];
    resources.into_iter().flatten().map(move |operation| {
        let path = format!("{}/api/{{user_id}}{}", contract.prefix(), operation.path);
        (operation.method.clone(), path, describe(contract, operation))
    })
}

/// Adds what all operations have in common.
fn describe(contract: Contract, operation: Described) -> Operation {
    let responses = operation
        .responses
        .into_iter()
        .fold(ResponsesBuilder::new(), |responses, (status, response)| responses.response(status, response));
    let statuses = [&ERRORS, operation.errors].concat();
    OperationBuilder::new()
        .operation_id(Some(contract.operation_id(operation.id)))
        .tag(match contract {
            Envelope => "envelope",
            Plain => "plain",
        })
        .summary(Some(operation.summary))
        .description(Some(operation.description).filter(|description| !description.is_empty()))
        .parameters(Some([vec![user()], operation.parameters].concat()))
        .responses(responses.responses_from_iter(errors::references(contract, &statuses)).build())
        .security(SecurityRequirement::new(TOKEN, [""; 0]))
        .request_body(operation.body.map(Body::describe))
        .build()
}

/// The path parameter `user_id`.
fn user() -> Parameter {
    parameter("user_id", ParameterIn::Path, user_id())
        .description(Some("The signed-in user: the token's claim `sub` or `user_id`. Any other user is 403."))
        .example(Some(json!(samples::USER_ID)))
        .build()
}
