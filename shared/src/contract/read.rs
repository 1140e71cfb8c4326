//! Reads requests into the inputs of endpoints.

use chrono::{DateTime, Utc};
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;

use super::{
    Contract::{self, Envelope, Plain},
    bounds::{CHANGES_LIMIT, CHANGES_LIMIT_DEFAULT, TASK_NUMBER},
    cursor::read_changes,
    etag::{if_match, if_none_match},
};
use crate::{
    error::{Error, Recorded},
    request::{Fields, Reader, boolean, date_time_value, idempotency_key, text, title},
    task::{
        ChangesQuery, CompleteTask, Completion, DeleteTask, EraseUser, GetTask, NewTask, NewTaskFields,
        Patch, PatchTask, PutTask, TaskChanges, TaskKey, TaskUpdate, Versions, WriteHeaders,
    },
};

/// The input of an endpoint.
pub trait Input: Sized {
    /// Reads the input from a request. Must read every value before it returns an error, so that all errors
    /// are reported.
    ///
    /// # Errors
    /// If a value is invalid.
    fn read(contract: Contract, request: &mut Reader) -> Result<Self, Recorded>;
}

impl Contract {
    /// Reads the input of an endpoint.
    ///
    /// # Errors
    /// See [`Reader::finish`].
    pub fn read<I: Input>(self, event: &ApiGatewayV2httpRequest) -> Result<I, Error> {
        let mut request = Reader::new(event);
        let input = I::read(self, &mut request);
        request.finish(input)
    }
}

impl Input for TaskKey {
    fn read(contract: Contract, request: &mut Reader) -> Result<Self, Recorded> {
        match contract {
            Envelope => request.path_uuid("task_id").map(TaskKey::Id),
            Plain => request.path_integer("task_id", TASK_NUMBER).map(TaskKey::Number),
        }
    }
}

impl Input for GetTask {
    fn read(contract: Contract, request: &mut Reader) -> Result<Self, Recorded> {
        Ok(Self { key: TaskKey::read(contract, request)?, known: known(request)? })
    }
}

impl Input for ChangesQuery {
    fn read(_: Contract, request: &mut Reader) -> Result<Self, Recorded> {
        let user_id = request.user_id();
        let since = request.query("since", |cursor| {
            read_changes(user_id, cursor)
                .ok_or(("value_error", "Input should be a cursor from an earlier response".into()))
        });
        let limit = request.query_integer("limit", CHANGES_LIMIT, CHANGES_LIMIT_DEFAULT);
        Ok(Self { since: since?.flatten(), limit: limit? })
    }
}

impl Input for NewTask {
    fn read(contract: Contract, request: &mut Reader) -> Result<Self, Recorded> {
        let idempotency_key = request.header("idempotency-key", idempotency_key);
        let fields = new_task(contract, &mut request.body()?);
        let headers = WriteHeaders { idempotency_key: idempotency_key?, expected: None };
        Ok(Self { fields: fields?, headers })
    }
}

impl Input for PutTask {
    fn read(contract: Contract, request: &mut Reader) -> Result<Self, Recorded> {
        let read_changes = |request: &mut Reader| match contract {
            Envelope => replacement(&mut request.body()?),
            Plain => plain_changes(&mut request.body()?),
        };
        update(contract, request, "PUT", read_changes).map(Self)
    }
}

impl Input for PatchTask {
    fn read(contract: Contract, request: &mut Reader) -> Result<Self, Recorded> {
        let read_changes = |request: &mut Reader| match contract {
            Envelope => envelope_changes(&mut request.body()?),
            Plain => plain_changes(&mut request.body()?),
        };
        update(contract, request, "PATCH", read_changes).map(Self)
    }
}

impl Input for CompleteTask {
    fn read(contract: Contract, request: &mut Reader) -> Result<Self, Recorded> {
        let read_changes = |request: &mut Reader| {
            let completion = match contract {
                Envelope => request.body()?.required("completed", boolean).map(Completion::Set),
                Plain => Ok(Completion::Toggle),
            };
            Ok(TaskChanges { completed: Some(completion?), ..TaskChanges::default() })
        };
        update(contract, request, "PATCH", read_changes).map(Self)
    }
}

impl Input for DeleteTask {
    fn read(contract: Contract, request: &mut Reader) -> Result<Self, Recorded> {
        let key = TaskKey::read(contract, request);
        let headers = write_headers(request);
        Ok(Self { key: key?, headers: headers? })
    }
}

impl Input for EraseUser {
    fn read(_: Contract, _: &mut Reader) -> Result<Self, Recorded> {
        Ok(Self)
    }
}

fn update(
    contract: Contract,
    request: &mut Reader,
    method: &'static str,
    read_changes: impl FnOnce(&mut Reader) -> Result<TaskChanges, Recorded>,
) -> Result<TaskUpdate, Recorded> {
    let key = TaskKey::read(contract, request);
    let headers = write_headers(request);
    let changes = read_changes(request);
    Ok(TaskUpdate { key: key?, method, changes: changes?, headers: headers? })
}

fn write_headers(request: &mut Reader) -> Result<WriteHeaders, Recorded> {
    let idempotency_key = request.header("idempotency-key", idempotency_key);
    let expected = request.header("if-match", |value| {
        if_match(value).ok_or(("value_error", "Input should be * or a list of entity tags".into()))
    });
    Ok(WriteHeaders { idempotency_key: idempotency_key?, expected: expected? })
}

/// Reads the header `If-None-Match`. A malformed value is ignored, because the header only saves a transfer.
pub(super) fn known(request: &mut Reader) -> Result<Option<Versions>, Recorded> {
    Ok(request.header("if-none-match", |value| Ok(if_none_match(value)))?.flatten())
}

fn new_task(contract: Contract, body: &mut Fields) -> Result<NewTaskFields, Recorded> {
    let title = body.required("title", title(contract.title_max()));
    let description = body.nullable("description", text(contract.description_max()));
    let (due_date, completed) = match contract {
        Envelope => (due_date(body), Ok(None)),
        Plain => (Ok(Patch::Absent), body.optional("completed", boolean)),
    };
    Ok(NewTaskFields {
        title: title?,
        description: description?.value(),
        due_date: due_date?.value(),
        completed: completed?.unwrap_or(false),
    })
}

/// Reads `due_date`, which only the envelope contract has. Some of its front ends send `dueDate`.
fn due_date(body: &mut Fields) -> Result<Patch<DateTime<Utc>>, Recorded> {
    body.nullable_or_alias("due_date", "dueDate", date_time_value)
}

/// Reads the body of an envelope PUT, which replaces the task: absent fields become null, `completed` false.
fn replacement(body: &mut Fields) -> Result<TaskChanges, Recorded> {
    let description = body.nullable("description", text(Envelope.description_max()));
    let title = body.required("title", title(Envelope.title_max()));
    let due_date = due_date(body);
    let completed = body.optional("completed", boolean);
    Ok(TaskChanges {
        title: Some(title?),
        description: description?.or_null(),
        due_date: due_date?.or_null(),
        completed: Some(Completion::Set(completed?.unwrap_or(false))),
    })
}

/// Reads the body of an envelope PATCH: the fields to change.
fn envelope_changes(body: &mut Fields) -> Result<TaskChanges, Recorded> {
    let title = body.optional("title", title(Envelope.title_max()));
    let description = body.nullable("description", text(Envelope.description_max()));
    let due_date = due_date(body);
    let completed = body.optional("completed", boolean);
    Ok(TaskChanges {
        title: title?,
        description: description?,
        due_date: due_date?,
        completed: completed?.map(Completion::Set),
    })
}

/// Reads the body of a plain PUT or PATCH: the fields to change. Null counts as absent for `title` and
/// `completed`.
fn plain_changes(body: &mut Fields) -> Result<TaskChanges, Recorded> {
    let description = body.nullable("description", text(Plain.description_max()));
    let title = body.nullable("title", title(Plain.title_max()));
    let completed = body.nullable("completed", boolean);
    Ok(TaskChanges {
        title: title?.value(),
        description: description?,
        due_date: Patch::Absent,
        completed: completed?.value().map(Completion::Set),
    })
}

#[cfg(test)]
mod tests;
