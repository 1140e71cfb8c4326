//! Reads requests into the inputs of endpoints: one function for each.

use chrono::{DateTime, Utc};

pub use super::lists::list_tasks;
use super::{
    Contract::{self, Envelope, Plain},
    bounds::{CHANGES_LIMIT, CHANGES_LIMIT_DEFAULT, TASK_NUMBER},
    cursor::read_changes,
    etag::{if_match, known},
};
use crate::{
    error::Recorded,
    request::{Fields, Reader, boolean, date_time_value, idempotency_key, text, title},
    task::{
        ChangesQuery, Completion, DeleteTask, GetTask, NewTask, NewTaskFields, Patch, TaskChanges, TaskKey,
        TaskUpdate, WriteHeaders,
    },
};

/// Reads the input of `GET …/tasks/{task_id}`.
pub fn get_task(contract: Contract, request: &mut Reader) -> Result<GetTask, Recorded> {
    Ok(GetTask { key: task_key(contract, request)?, known: known(request)? })
}

/// Reads the input of `GET …/tasks/changes`.
pub fn list_changes(_: Contract, request: &mut Reader) -> Result<ChangesQuery, Recorded> {
    let user_id = request.user_id();
    let since = request.query("since", |cursor| {
        read_changes(user_id, cursor)
            .ok_or(("value_error", "Input should be a cursor from an earlier response".into()))
    });
    let limit = request.query_integer("limit", CHANGES_LIMIT, CHANGES_LIMIT_DEFAULT);
    Ok(ChangesQuery { since: since?.flatten(), limit: limit? })
}

/// Reads the input of `POST …/tasks`.
pub fn create_task(contract: Contract, request: &mut Reader) -> Result<NewTask, Recorded> {
    let idempotency_key = request.header("idempotency-key", idempotency_key);
    let fields = new_task(contract, &mut request.body()?);
    let headers = WriteHeaders { idempotency_key: idempotency_key?, expected: None };
    Ok(NewTask { fields: fields?, headers })
}

/// Reads the input of `PUT …/tasks/{task_id}`.
pub fn update_task(contract: Contract, request: &mut Reader) -> Result<TaskUpdate, Recorded> {
    update(contract, request, "PUT", |request| match contract {
        Envelope => replacement(&mut request.body()?),
        Plain => plain_changes(&mut request.body()?),
    })
}

/// Reads the input of `PATCH …/tasks/{task_id}`.
pub fn patch_task(contract: Contract, request: &mut Reader) -> Result<TaskUpdate, Recorded> {
    update(contract, request, "PATCH", |request| match contract {
        Envelope => envelope_changes(&mut request.body()?),
        Plain => plain_changes(&mut request.body()?),
    })
}

/// Reads the input of `PATCH …/tasks/{task_id}/complete`.
pub fn complete_task(contract: Contract, request: &mut Reader) -> Result<TaskUpdate, Recorded> {
    update(contract, request, "PATCH", |request| {
        let completion = match contract {
            Envelope => request.body()?.required("completed", boolean).map(Completion::Set),
            Plain => Ok(Completion::Toggle),
        };
        Ok(TaskChanges { completed: Some(completion?), ..TaskChanges::default() })
    })
}

/// Reads the input of `DELETE …/tasks/{task_id}`.
pub fn delete_task(contract: Contract, request: &mut Reader) -> Result<DeleteTask, Recorded> {
    let key = task_key(contract, request);
    let headers = write_headers(request);
    Ok(DeleteTask { key: key?, headers: headers? })
}

/// `DELETE /api/{user_id}` has no input: the user to erase is the caller.
pub fn erase_user(_: Contract, _: &mut Reader) -> Result<(), Recorded> {
    Ok(())
}

fn task_key(contract: Contract, request: &mut Reader) -> Result<TaskKey, Recorded> {
    match contract {
        Envelope => request.path_uuid("task_id").map(TaskKey::Id),
        Plain => request.path_integer("task_id", TASK_NUMBER).map(TaskKey::Number),
    }
}

fn update(
    contract: Contract,
    request: &mut Reader,
    method: &'static str,
    read_changes: impl FnOnce(&mut Reader) -> Result<TaskChanges, Recorded>,
) -> Result<TaskUpdate, Recorded> {
    let key = task_key(contract, request);
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
