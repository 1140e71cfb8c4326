//! Reads requests into the inputs of endpoints.

use chrono::{DateTime, Utc};
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;

use super::{
    Contract::{self, Envelope, Plain},
    bounds::{ENVELOPE_LIMIT, ENVELOPE_LIMIT_DEFAULT, OFFSET, PLAIN_PAGE, TASK_NUMBER},
};
use crate::{
    error::{Error, Recorded},
    request::{Fields, Reader, boolean, date_time, text, title},
    task::{
        CompleteTask, Completion, ListStart, NewTask, NewTaskFields, Patch, PatchTask, PutTask, TaskChanges,
        TaskKey, TaskQuery,
    },
};

/// The input of an endpoint.
pub trait Input: Sized {
    /// Reads every value, so that every error is recorded, and only then returns.
    ///
    /// # Errors
    /// A value was invalid.
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

impl Input for TaskQuery {
    fn read(contract: Contract, request: &mut Reader) -> Result<Self, Recorded> {
        match contract {
            Envelope => {
                let limit = request.query_integer("limit", ENVELOPE_LIMIT, ENVELOPE_LIMIT_DEFAULT);
                let offset = request.query_integer("offset", OFFSET, 0);
                Ok(Self { limit: limit?, start: ListStart::Newest { offset: offset? } })
            }
            Plain => {
                let number = request.query_integer("after", OFFSET, 0)?;
                Ok(Self { limit: PLAIN_PAGE, start: ListStart::After { number } })
            }
        }
    }
}

impl Input for NewTask {
    fn read(contract: Contract, request: &mut Reader) -> Result<Self, Recorded> {
        let idempotency_key = request.idempotency_key();
        let fields = new_task(contract, &mut request.body()?);
        Ok(Self { fields: fields?, idempotency_key: idempotency_key? })
    }
}

impl Input for PutTask {
    fn read(contract: Contract, request: &mut Reader) -> Result<Self, Recorded> {
        let key = TaskKey::read(contract, request);
        let changes = match contract {
            Envelope => replacement(&mut request.body()?),
            Plain => plain_changes(&mut request.body()?),
        };
        Ok(Self { key: key?, changes: changes? })
    }
}

impl Input for PatchTask {
    fn read(contract: Contract, request: &mut Reader) -> Result<Self, Recorded> {
        let key = TaskKey::read(contract, request);
        let changes = match contract {
            Envelope => envelope_changes(&mut request.body()?),
            Plain => plain_changes(&mut request.body()?),
        };
        Ok(Self { key: key?, changes: changes? })
    }
}

impl Input for CompleteTask {
    fn read(contract: Contract, request: &mut Reader) -> Result<Self, Recorded> {
        let key = TaskKey::read(contract, request);
        let completion = match contract {
            Envelope => request.body()?.required("completed", boolean).map(Completion::Set),
            Plain => Ok(Completion::Toggle),
        };
        Ok(Self { key: key?, completion: completion? })
    }
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

/// In the envelope contract. Some of its front ends are written in camel case.
fn due_date(body: &mut Fields) -> Result<Patch<DateTime<Utc>>, Recorded> {
    body.nullable_or_alias("due_date", "dueDate", date_time)
}

/// The body of an envelope PUT: the whole task. What is absent becomes empty.
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

/// The body of an envelope PATCH: the fields to change.
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

/// The body of a plain PUT or PATCH: the fields to change. Null counts as absent for `title` and `completed`.
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
