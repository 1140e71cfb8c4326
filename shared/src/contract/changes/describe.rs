//! Describes the list of changes.

use serde_json::json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{HttpMethod, Ref},
};

use super::{Data, EnvelopeChanges, LIMIT, LIMIT_DEFAULT, PlainChanges};
use crate::{
    contract::{
        Contract::{self, Envelope, Plain},
        headers::describe::rendered,
        openapi::{NamedSchema, Operation, integer, optional_query, samples, string},
    },
    task::{Change, ChangeList},
};

fn body(contract: Contract) -> &'static str {
    match contract {
        Envelope => "EnvelopeChangesResponse",
        Plain => "PlainChanges",
    }
}

/// Returns the schemas of the responses, by name.
pub fn schemas() -> Vec<NamedSchema> {
    vec![
        (EnvelopeChanges::name().into_owned(), EnvelopeChanges::schema()),
        (body(Envelope).into(), Data::<EnvelopeChanges>::schema()),
        (body(Plain).into(), PlainChanges::schema()),
    ]
}

/// Describes the operations.
pub fn operations(contract: Contract) -> Vec<Operation> {
    let limit = integer(LIMIT).default(Some(json!(LIMIT_DEFAULT)));
    let deleted = Change::Deleted {
        id: samples::DELETED_ID,
        number: samples::TASK_NUMBER + 1,
        revision: 1_767_713_400_000_003,
    };
    let list =
        ChangeList { changes: vec![Change::Changed(samples::task()), deleted], has_more: false, end: None };
    let response = contract.changes(samples::USER_ID, &list);
    let schema = Ref::from_schema_name(body(contract));
    vec![Operation {
        id: "listChanges",
        summary: "List changes",
        description: "Keeps a client's copy of all tasks up to date. The first request has no `since` and returns \
                      all tasks. Add or replace the tasks in `changed` and remove those in `deleted`, then send \
                      `cursor` as the next `since`: at once if `has_more` is true, otherwise at any later time. \
                      After a 410, start again without `since` and remove the tasks that are not sent again.",
        method: HttpMethod::Get,
        path: "/tasks/changes",
        parameters: vec![
            optional_query(
                "since",
                string(),
                "The `cursor` of the previous response. Leave it out to get all tasks.",
            ),
            optional_query(
                "limit",
                limit,
                "The maximum number of changes to return: `changed` and `deleted` together.",
            ),
        ],
        body: None,
        responses: vec![(
            "200",
            rendered("A page of changes, oldest first.", &response, Some(schema.into())),
        )],
        errors: &["410", "422"],
    }]
}
