//! Describes the operations on tasks, with their parameters and responses.

use serde_json::json;
use shared::{
    Contract::{self, Envelope, Plain},
    ListStart, Response, Shown, SortKey, TaskFilter, TaskOrder, TaskQuery,
    header::ETAG,
};
use utoipa::openapi::{
    HttpMethod, Paths, RefOr, SecurityRequirement,
    link::{Link, LinkBuilder},
    path::{Operation, OperationBuilder, Parameter},
    response::ResponsesBuilder,
};

use crate::{
    answers::{self, Shape},
    errors,
    inputs::{self, Body},
    public, samples,
};

/// The name of the security scheme.
pub const TOKEN: &str = "token";

const UPDATE: &str = "Changes only the fields in the body. A body without fields changes nothing.";

/// Describes all operations.
pub fn paths() -> Paths {
    let mut paths = Paths::new();
    let tasks = [Envelope, Plain].into_iter().flat_map(tasks);
    for (method, path, operation) in tasks.chain(public::operations()) {
        paths.add_path_operation(path, vec![method], operation);
    }
    paths
}

/// Describes the task operations of a contract.
fn tasks(contract: Contract) -> Vec<(HttpMethod, String, Operation)> {
    let user = format!("{}/api/{{user_id}}", contract.prefix());
    let all = format!("{user}/tasks");
    let changes = format!("{all}/changes");
    let one = format!("{all}/{{task_id}}");
    let complete = format!("{one}/complete");
    let updated = |task| contract.updated(&samples::written(task));

    let list_description = match contract {
        Envelope => {
            "Newest first, unless `sort` is given. To get the next page, send `next_cursor` as `cursor`."
        }
        Plain => {
            "Oldest first, unless `sort` is given. If there are more tasks than `limit` or than fit into one response, \
             the header `Link` has the URL of the next page."
        }
    };
    let list_query = TaskQuery {
        filter: TaskFilter::default(),
        order: TaskOrder { by: SortKey::Number, descending: contract == Envelope },
        limit: 1,
        start: ListStart::Offset(0),
        known: None,
    };
    let (put, put_description) = match contract {
        Envelope => (
            "Replace a task",
            "Replaces `title`, `description`, `due_date` and `completed`. `title` is required. If left out, \
             `description` and `due_date` become null, and `completed` becomes false.",
        ),
        Plain => ("Update a task", UPDATE),
    };
    let (completion, completion_body) = match contract {
        Envelope => ("Complete or reopen a task", Some(inputs::completion())),
        Plain => ("Toggle whether a task is completed", None),
    };
    let completion_description = match contract {
        Envelope => "",
        Plain => {
            "Completes an open task and reopens a completed one. Send an `Idempotency-Key`, so that a repeated request \
             doesn't toggle the task again."
        }
    };
    let operations = [
        TaskOperation {
            id: "createTask",
            summary: "Create a task",
            description: "Without an `Idempotency-Key`, a repeated request creates another task.",
            route: (HttpMethod::Post, &all),
            query: vec![],
            body: Some(inputs::new_task(contract)),
            success: "The created task.",
            response: contract.created(&samples::written(samples::task())),
            shape: Some(Shape::Task),
        },
        TaskOperation {
            id: "listTasks",
            summary: "List tasks",
            description: list_description,
            route: (HttpMethod::Get, &all),
            query: inputs::list(contract),
            body: None,
            success: "A page of tasks.",
            response: contract.list(samples::USER_ID, &list_query, &samples::list()),
            shape: Some(Shape::List),
        },
        TaskOperation {
            id: "listChanges",
            summary: "List changes",
            description: "Keeps a client's copy of all tasks up to date. The first request has no `since` and returns \
                          all tasks. Add or replace the tasks in `changed` and remove those in `deleted`, then send \
                          `cursor` as the next `since`: at once if `has_more` is true, otherwise at any later time. \
                          After a 410, start again without `since` and remove the tasks that are not sent again.",
            route: (HttpMethod::Get, &changes),
            query: inputs::changes(),
            body: None,
            success: "A page of changes, oldest first.",
            response: contract.changes(samples::USER_ID, &samples::changes()),
            shape: Some(Shape::Changes),
        },
        TaskOperation {
            id: "getTask",
            summary: "Get a task",
            description: "",
            route: (HttpMethod::Get, &one),
            query: vec![],
            body: None,
            success: "The task.",
            response: contract.shown(&Shown::New(samples::task())),
            shape: Some(Shape::Task),
        },
        TaskOperation {
            id: "updateTask",
            summary: put,
            description: put_description,
            route: (HttpMethod::Put, &one),
            query: vec![],
            body: Some(inputs::put(contract)),
            success: "The updated task.",
            response: updated(samples::task()),
            shape: Some(Shape::Task),
        },
        TaskOperation {
            id: "patchTask",
            summary: "Update a task",
            description: UPDATE,
            route: (HttpMethod::Patch, &one),
            query: vec![],
            body: Some(inputs::patch(contract)),
            success: "The updated task.",
            response: updated(samples::task()),
            shape: Some(Shape::Task),
        },
        TaskOperation {
            id: "completeTask",
            summary: completion,
            description: completion_description,
            route: (HttpMethod::Patch, &complete),
            query: vec![],
            body: completion_body,
            success: "The updated task.",
            response: updated(samples::completed_task()),
            shape: Some(Shape::Task),
        },
        TaskOperation {
            id: "deleteTask",
            summary: "Delete a task",
            description: "",
            route: (HttpMethod::Delete, &one),
            query: vec![],
            body: None,
            success: "The task was deleted.",
            response: contract.deleted(&samples::written(())),
            shape: None,
        },
        TaskOperation {
            id: "eraseUser",
            summary: "Delete all data of the user",
            description: "Deletes the user's tasks, idempotency keys and history of changes. This can't be undone. The \
                          user's account at the server where users sign in isn't affected. Afterwards, an earlier \
                          `since` is 410 and an earlier `cursor` of a list is 422.",
            route: (HttpMethod::Delete, &user),
            query: vec![],
            body: None,
            success: "The user's data was deleted.",
            response: Response::no_content(),
            shape: None,
        },
    ];
    let describe = |operation: TaskOperation| {
        let (method, path) = operation.route.clone();
        (method, path.clone(), operation.describe(contract))
    };
    operations.into_iter().map(describe).collect()
}

/// The parts in which task operations differ. The methods add what they have in common.
struct TaskOperation<'a> {
    id: &'static str,
    summary: &'static str,
    description: &'static str,
    route: (HttpMethod, &'a String),
    query: Vec<Parameter>,
    body: Option<Body>,
    /// The description of the successful response.
    success: &'static str,
    /// A successful response rendered by the code. Its headers are those described.
    response: Response,
    /// The content of its body.
    shape: Option<Shape>,
}

impl TaskOperation<'_> {
    /// The parameters of the operation.
    fn parameters(&self, contract: Contract) -> Vec<Parameter> {
        [
            (true, inputs::user()),
            (self.is_on_task(), inputs::task(contract)),
            (self.is_write(), inputs::idempotency_key()),
            (self.is_write() && self.is_on_task(), inputs::if_match()),
            (self.has_version(), inputs::if_none_match()),
        ]
        .into_iter()
        .filter_map(|(applies, parameter)| applies.then_some(parameter))
        .chain(self.query.iter().cloned())
        .collect()
    }

    /// The error statuses that the operation can return.
    fn errors(&self) -> Vec<u16> {
        let takes_input =
            self.is_on_task() || self.is_write() || self.body.is_some() || !self.query.is_empty();
        [
            (self.body.is_some(), 400),
            (true, 401),
            (true, 403),
            (self.is_on_task() || self.is_write(), 404),
            (self.is_write(), 409),
            (self.id == "listChanges", 410),
            (self.is_write() && self.is_on_task(), 412),
            (self.body.is_some(), 413),
            (self.body.is_some(), 415),
            (takes_input, 422),
            (self.is_write(), 429),
            (true, 500),
            (true, 503),
        ]
        .into_iter()
        .filter_map(|(applies, status)| applies.then_some(status))
        .collect()
    }

    fn is_on_task(&self) -> bool {
        self.route.1.contains("{task_id}")
    }

    /// Whether the operation writes a task. Erasing a user doesn't count: it has no idempotency key or write
    /// budget.
    fn is_write(&self) -> bool {
        self.route.0 != HttpMethod::Get && self.id != "eraseUser"
    }

    /// Whether the operation reads something that has an entity tag.
    fn has_version(&self) -> bool {
        self.route.0 == HttpMethod::Get && self.response.headers.contains_key(ETAG)
    }

    fn describe(self, contract: Contract) -> Operation {
        let schema = self.shape.map(|shape| answers::schema(contract, shape));
        let mut success = answers::rendered(self.success, &self.response, schema);
        if self.id == "createTask" {
            success.links = links(contract);
        }
        let responses = ResponsesBuilder::new().response(self.response.status.as_str(), success);
        let responses = match self.has_version() {
            true => responses.response("304", answers::not_modified(&self.response)),
            false => responses,
        };
        OperationBuilder::new()
            .operation_id(Some(operation_id(contract, self.id)))
            .tag(tag(contract))
            .summary(Some(self.summary))
            .description(Some(self.description).filter(|description| !description.is_empty()))
            .parameters(Some(self.parameters(contract)))
            .responses(responses.responses_from_iter(errors::references(contract, &self.errors())).build())
            .security(SecurityRequirement::new(TOKEN, [""; 0]))
            .request_body(self.body.map(Body::describe))
            .build()
    }
}

/// Links to the operations that can be called with the created task.
fn links(contract: Contract) -> std::collections::BTreeMap<String, RefOr<Link>> {
    let task_id = match contract {
        Envelope => "$response.body#/data/id",
        Plain => "$response.body#/id",
    };
    let ids = ["getTask", "updateTask", "patchTask", "completeTask", "deleteTask"];
    let link = |id| {
        let link = LinkBuilder::new()
            .operation_id(operation_id(contract, id))
            .parameter("user_id", json!("$request.path.user_id"))
            .parameter("task_id", json!(task_id));
        (id.to_owned(), link.build().into())
    };
    ids.into_iter().map(link).collect()
}

fn operation_id(contract: Contract, id: &str) -> String {
    match contract {
        Envelope => id.to_owned(),
        Plain => format!("plain{}{}", id[..1].to_uppercase(), &id[1..]),
    }
}

fn tag(contract: Contract) -> &'static str {
    match contract {
        Envelope => "envelope",
        Plain => "plain",
    }
}
