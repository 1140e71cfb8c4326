//! One task: read, create, change and delete it.

use chrono::{DateTime, Utc};
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{
    Store, Write,
    composite::Composite,
    idempotency::{hash_of_changes, hash_of_new_task},
    not_carried_out,
    pool::Arguments,
    unexpected,
    versions::{expected, known},
};
use crate::{
    error::{Error, Failure},
    logs::audit,
    task::{
        Caller, Completion, DeleteTask, DueDate, GetTask, NewTask, Patch, Priority, Shown, Task, TaskChanges,
        TaskKey, TaskUpdate, Versions, WriteHeaders, Written,
    },
};

impl Store {
    /// Returns one task of the caller.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unavailable`], [`Error::Internal`].
    pub async fn get_task(&self, caller: &Caller, query: &GetTask) -> Result<Shown<Task>, Error> {
        let (id, number) = id_and_number(query.key);
        let (revisions, times) = known(query.known.as_ref());
        let arguments: Arguments = &[
            ("p_user_id", &caller.user_id, Type::TEXT),
            ("p_id", &id, Type::UUID),
            ("p_number", &number, Type::INT8),
            ("p_known_revisions", &revisions, Type::INT8_ARRAY),
            ("p_known_times", &times, Type::TIMESTAMPTZ_ARRAY),
        ];
        let row = self.call_for_one("get_task", arguments, None).await?;
        let mut fields = Composite::from(&row);
        match fields.read() {
            "done" => Ok(Shown::New(task(&mut fields)?)),
            "known" => Ok(Shown::Known(task(&mut fields)?.version())),
            "not_found" => Err(Error::NotFound),
            other => Err(unexpected(other)),
        }
    }

    /// Creates a task. The caller's first task also creates their user row. With an idempotency key, one task
    /// is created per user and key.
    ///
    /// # Errors
    /// [`Error::Conflict`], [`Error::RateLimited`], [`Error::TooManyTasks`]; [`Error::NotFound`] if an
    /// earlier request or attempt created the task and it has been deleted since; [`Error::Unavailable`],
    /// [`Error::Internal`].
    pub async fn create_task(&self, caller: &Caller, new: &NewTask) -> Result<Written<Task>, Failure> {
        let Caller { user_id, email, name, image, email_verified } = caller;
        let NewTask { fields, headers } = new;
        let id = Uuid::now_v7();
        let arguments: Arguments = &[
            ("p_user_id", user_id, Type::TEXT),
            ("p_email", email, Type::TEXT),
            ("p_name", name, Type::TEXT),
            ("p_image", image, Type::TEXT),
            ("p_email_verified", email_verified, Type::BOOL),
            ("p_id", &id, Type::UUID),
            ("p_title", &fields.title, Type::TEXT),
            ("p_description", &fields.description, Type::TEXT),
            ("p_due_date", &fields.due_date.map(DueDate::time), Type::TIMESTAMPTZ),
            ("p_due_all_day", &is_all_day(fields.due_date), Type::BOOL),
            ("p_priority", &fields.priority.word(), Type::TEXT),
            ("p_tags", &fields.tags, Type::TEXT_ARRAY),
            ("p_completed", &fields.completed, Type::BOOL),
            ("p_tasks_per_user", &self.limits.tasks_per_user, Type::INT4),
        ];
        let hash = || hash_of_new_task(fields);
        let written = self.write("create_task", id, arguments, headers, hash, task).await?;
        if !written.replayed {
            audit("created", written.value.id);
        }
        Ok(written)
    }

    /// Changes a task. Returns the task unchanged if there are no changes.
    ///
    /// # Errors
    /// [`Error::Conflict`], [`Error::RateLimited`], [`Error::NotFound`], [`Error::Changed`];
    /// [`Error::Unavailable`], [`Error::Internal`].
    pub async fn update_task(&self, caller: &Caller, update: &TaskUpdate) -> Result<Written<Task>, Failure> {
        let TaskUpdate { key, method, changes, headers } = update;
        let TaskChanges { title, description, due_date, priority, tags, completed } = changes;
        let (id, number) = id_and_number(*key);
        let (revisions, times) = expected(headers.expected.as_ref());
        let set_completed = match completed {
            Some(Completion::Set(completed)) => Some(*completed),
            Some(Completion::Toggle) | None => None,
        };
        let arguments: Arguments = &[
            ("p_user_id", &caller.user_id, Type::TEXT),
            ("p_id", &id, Type::UUID),
            ("p_number", &number, Type::INT8),
            ("p_title", title, Type::TEXT),
            ("p_set_description", &(*description != Patch::Absent), Type::BOOL),
            ("p_description", &description.as_ref().value(), Type::TEXT),
            ("p_set_due_date", &(*due_date != Patch::Absent), Type::BOOL),
            ("p_due_date", &due_date.value().map(DueDate::time), Type::TIMESTAMPTZ),
            ("p_due_all_day", &is_all_day(due_date.value()), Type::BOOL),
            ("p_priority", &priority.map(Priority::word), Type::TEXT),
            ("p_tags", tags, Type::TEXT_ARRAY),
            ("p_completed", &set_completed, Type::BOOL),
            ("p_toggle", &(*completed == Some(Completion::Toggle)), Type::BOOL),
            ("p_expected_revisions", &revisions, Type::INT8_ARRAY),
            ("p_expected_times", &times, Type::TIMESTAMPTZ_ARRAY),
        ];
        let hash = || hash_of_changes(method, changes);
        let written = self.write("update_task", Uuid::now_v7(), arguments, headers, hash, task).await?;
        if !written.replayed && *changes != TaskChanges::default() {
            audit("updated", written.value.id);
        }
        Ok(written)
    }

    /// Deletes a task.
    ///
    /// # Errors
    /// [`Error::Conflict`], [`Error::RateLimited`], [`Error::NotFound`], [`Error::Changed`];
    /// [`Error::Unavailable`], [`Error::Internal`].
    pub async fn delete_task(&self, caller: &Caller, deletion: &DeleteTask) -> Result<Written<()>, Failure> {
        let DeleteTask { key, headers } = deletion;
        let (id, number) = id_and_number(*key);
        let (revisions, times) = expected(headers.expected.as_ref());
        let arguments: Arguments = &[
            ("p_user_id", &caller.user_id, Type::TEXT),
            ("p_id", &id, Type::UUID),
            ("p_number", &number, Type::INT8),
            ("p_expected_revisions", &revisions, Type::INT8_ARRAY),
            ("p_expected_times", &times, Type::TIMESTAMPTZ_ARRAY),
        ];
        let hash = || hash_of_changes("DELETE", &TaskChanges::default());
        // There is no task if the first of two attempts deleted it and this is the response to the second.
        let read_id = |fields: &mut Composite| Ok(fields.composite().map(|mut task| task.read::<Uuid>()));
        let Written { value: id, replayed, rate_limit } =
            self.write("delete_task", Uuid::now_v7(), arguments, headers, hash, read_id).await?;
        if !replayed {
            audit("deleted", id.map_or_else(|| format!("{key:?}"), |id| id.to_string()));
        }
        Ok(Written { value: (), replayed, rate_limit })
    }

    /// Calls the SQL function of a write. `read` reads the task.
    async fn write<T>(
        &self,
        function: &str,
        attempt: Uuid,
        arguments: Arguments<'_>,
        headers: &WriteHeaders,
        hash: impl FnOnce() -> Vec<u8>,
        read: impl FnOnce(&mut Composite) -> Result<T, Error>,
    ) -> Result<Written<T>, Failure> {
        let hash = headers.idempotency_key.as_ref().map(|_| hash());
        let conditions: Arguments = &[
            ("p_idempotency_key", &headers.idempotency_key, Type::TEXT),
            ("p_idempotency_hash", &hash, Type::BYTEA),
            ("p_writes_per_minute", &self.limits.writes_per_minute, Type::INT4),
        ];
        let arguments = [arguments, conditions].concat();
        let row = self.call_for_one(function, &arguments, Some(Write::new(attempt))).await?;
        let mut fields = Composite::from(&row);
        let (outcome, written_at, budget_since) = (fields.read(), fields.read(), fields.read());
        let rate_limit = self.limits.rate_limit(budget_since, written_at);
        let error = match outcome {
            "done" | "replayed" => {
                let value = read(&mut fields)?;
                return Ok(Written { value, replayed: outcome == "replayed", rate_limit });
            }
            "conflict" => Error::Conflict,
            "limited" => Error::RateLimited,
            "full" => Error::TooManyTasks(self.limits.tasks_per_user),
            "not_found" | "deleted" => Error::NotFound,
            "changed" => Error::Changed {
                version: task(&mut fields)?.version(),
                only_weak: headers.expected == Some(Versions::OnlyWeak),
            },
            outcome => return Err(not_carried_out(outcome).into()),
        };
        Err(Failure { error, rate_limit })
    }
}

/// Returns the arguments that identify a task. One of them is null.
fn id_and_number(key: TaskKey) -> (Option<Uuid>, Option<i64>) {
    match key {
        TaskKey::Id(id) => (Some(id), None),
        TaskKey::Number(number) => (None, Some(number)),
    }
}

fn is_all_day(due_date: Option<DueDate>) -> bool {
    matches!(due_date, Some(DueDate::Date(_)))
}

/// Reads the next field, a row of the table `tasks`.
pub(super) fn task(fields: &mut Composite) -> Result<Task, Error> {
    let row = fields.composite().ok_or_else(|| Error::Internal("an SQL function returned no task".into()))?;
    Ok(task_of(row))
}

/// Reads a row of the table `tasks`, whose columns are in this order.
pub(super) fn task_of(mut row: Composite) -> Task {
    Task {
        id: row.read(),
        number: row.read(),
        revision: row.read(),
        updated_at: row.read(),
        user_id: row.read(),
        title: row.read(),
        description: row.read(),
        due_date: due_date(row.read(), row.read()),
        priority: priority(row.read()),
        tags: row.read(),
        completed: row.read(),
        completed_at: row.read(),
        created_at: row.read(),
    }
}

fn due_date(time: Option<DateTime<Utc>>, is_all_day: bool) -> Option<DueDate> {
    time.map(|time| if is_all_day { DueDate::Date(time.date_naive()) } else { DueDate::Time(time) })
}

fn priority(word: &str) -> Priority {
    let (_, priority) =
        Priority::WORDS.iter().find(|(other, _)| *other == word).expect("the domain has these words");
    *priority
}
