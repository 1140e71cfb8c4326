//! The operations on tasks, with their parameters and responses.

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

/// All operations.
pub fn paths() -> Paths {
    let mut paths = Paths::new();
    let tasks = [Envelope, Plain].into_iter().flat_map(tasks);
    for (method, path, operation) in tasks.chain(public::operations()) {
        paths.add_path_operation(path, vec![method], operation);
    }
    paths
}

/// The operations of a contract on tasks.
fn tasks(contract: Contract) -> Vec<(HttpMethod, String, Operation)> {
    let user = format!("{}/api/{{user_id}}", contract.prefix());
    let all = format!("{user}/tasks");
    let changes = format!("{all}/changes");
    let one = format!("{all}/{{task_id}}");
    let complete = format!("{one}/complete");
    let updated = |task| contract.updated(&samples::written(task));

    let list_description = match contract {
        Envelope => "Newest first, unless `sort` says otherwise.",
        Plain => {
            "In the order of creation, unless `sort` says otherwise. If they are too many for one response, `Link` \
             leads to the next page."
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
        Envelope => ("Replace a task", "Fields that are not in the body become null, and `completed` false."),
        Plain => ("Change a task", "Fields that are not in the body stay as they are."),
    };
    let (completion, completion_body) = match contract {
        Envelope => ("Set whether a task is completed", Some(inputs::completion())),
        Plain => ("Toggle whether a task is completed", None),
    };
    let operations = [
        TaskOperation {
            id: "createTask",
            summary: "Create a task",
            description: "",
            route: (HttpMethod::Post, &all),
            query: vec![],
            body: Some(inputs::new_task(contract)),
            success: "The task.",
            response: contract.created(&samples::written(samples::task())),
            shape: Some(Shape::Task),
        },
        TaskOperation {
            id: "listTasks",
            summary: "List the tasks",
            description: list_description,
            route: (HttpMethod::Get, &all),
            query: inputs::list(contract),
            body: None,
            success: "The tasks, or a page of them.",
            response: contract.list(samples::USER_ID, &list_query, &samples::list()),
            shape: Some(Shape::List),
        },
        TaskOperation {
            id: "listChanges",
            summary: "List what has changed",
            description: "A client that repeats the request with the last `cursor` has a copy of the list.",
            route: (HttpMethod::Get, &changes),
            query: inputs::changes(),
            body: None,
            success: "The changes, or a page of them.",
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
            success: "The task as it is now.",
            response: updated(samples::task()),
            shape: Some(Shape::Task),
        },
        TaskOperation {
            id: "patchTask",
            summary: "Change a task",
            description: "Fields that are not in the body stay as they are.",
            route: (HttpMethod::Patch, &one),
            query: vec![],
            body: Some(inputs::patch(contract)),
            success: "The task as it is now.",
            response: updated(samples::task()),
            shape: Some(Shape::Task),
        },
        TaskOperation {
            id: "completeTask",
            summary: completion,
            description: "",
            route: (HttpMethod::Patch, &complete),
            query: vec![],
            body: completion_body,
            success: "The task as it is now.",
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
            success: "The task is deleted.",
            response: contract.deleted(&samples::written(())),
            shape: None,
        },
        TaskOperation {
            id: "eraseUser",
            summary: "Delete the user's tasks and everything else about the user",
            description: "",
            route: (HttpMethod::Delete, &user),
            query: vec![],
            body: None,
            success: "Nothing is left.",
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

/// What is particular to an operation on tasks. What it has in common with others is in its methods.
struct TaskOperation<'a> {
    id: &'static str,
    summary: &'static str,
    description: &'static str,
    route: (HttpMethod, &'a String),
    query: Vec<Parameter>,
    body: Option<Body>,
    /// What a success means.
    success: &'static str,
    /// A success, as the code renders it. Its header fields are those of the description.
    response: Response,
    /// What its body shows.
    shape: Option<Shape>,
}

impl TaskOperation<'_> {
    /// The parameters, by the operations that have them.
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

    /// The statuses of errors, by the operations that can return them.
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

    /// Whether it changes tasks one by one: an erasure is not part of the list's history.
    fn is_write(&self) -> bool {
        self.route.0 != HttpMethod::Get && self.id != "eraseUser"
    }

    /// Whether it reads something that has an entity tag.
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

/// The operations that can be called with the task of a response.
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
