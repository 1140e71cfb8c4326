//! Writes, each one call of an SQL function.

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{
    Store, Write,
    composite::Composite,
    idempotency::{hash_of_changes, hash_of_new_task},
    pool::Arguments,
    tasks::{RevisionsAndTimes, id_and_number, only, revisions_and_times, task, unexpected},
};
use crate::{
    error::{Error, Failure},
    logs::audit,
    task::{
        Caller, Completion, DeleteTask, NewTask, Patch, Task, TaskChanges, TaskUpdate, Versions,
        WriteHeaders, Written,
    },
};

impl Store {
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
            (user_id, Type::TEXT),
            (email, Type::TEXT),
            (name, Type::TEXT),
            (image, Type::TEXT),
            (email_verified, Type::BOOL),
            (&id, Type::UUID),
            (&fields.title, Type::TEXT),
            (&fields.description, Type::TEXT),
            (&fields.due_date, Type::TIMESTAMPTZ),
            (&fields.completed, Type::BOOL),
            (&self.limits.tasks_per_user, Type::INT4),
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
        let TaskChanges { title, description, due_date, completed } = changes;
        let (id, number) = id_and_number(*key);
        let (revisions, times) = expected(headers);
        let set_completed = match completed {
            Some(Completion::Set(completed)) => Some(*completed),
            Some(Completion::Toggle) | None => None,
        };
        let arguments: Arguments = &[
            (&caller.user_id, Type::TEXT),
            (&id, Type::UUID),
            (&number, Type::INT8),
            (title, Type::TEXT),
            (&(*description != Patch::Absent), Type::BOOL),
            (&description.as_ref().value(), Type::TEXT),
            (&(*due_date != Patch::Absent), Type::BOOL),
            (&due_date.value(), Type::TIMESTAMPTZ),
            (&set_completed, Type::BOOL),
            (&(*completed == Some(Completion::Toggle)), Type::BOOL),
            (&revisions, Type::INT8_ARRAY),
            (&times, Type::TIMESTAMPTZ_ARRAY),
        ];
        let hash = || hash_of_changes(method, changes);
        let attempt = Uuid::now_v7();
        let written = self.write("update_task", attempt, arguments, headers, hash, task).await?;
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
        let (revisions, times) = expected(headers);
        let arguments: Arguments = &[
            (&caller.user_id, Type::TEXT),
            (&id, Type::UUID),
            (&number, Type::INT8),
            (&revisions, Type::INT8_ARRAY),
            (&times, Type::TIMESTAMPTZ_ARRAY),
        ];
        let hash = || hash_of_changes("DELETE", &TaskChanges::default());
        // There is no id if the first of two attempts deleted the task and this is the response to the
        // second.
        let read_id = |mut fields: Composite| fields.read::<Option<Uuid>>();
        let Written { value: id, replayed, rate_limit } =
            self.write("delete_task", Uuid::now_v7(), arguments, headers, hash, read_id).await?;
        if !replayed {
            audit("deleted", id.map_or_else(|| format!("{key:?}"), |id| id.to_string()));
        }
        Ok(Written { value: (), replayed, rate_limit })
    }

    /// Deletes everything about the caller.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Internal`].
    pub async fn erase_user(&self, caller: &Caller) -> Result<(), Failure> {
        let arguments: Arguments = &[(&caller.user_id, Type::TEXT)];
        let rows = self.call("erase_user", arguments, Some(Write::new(Uuid::now_v7()))).await?;
        match only(&rows)?.get(0) {
            "done" => tracing::info!(audit = "erased", "user erased"),
            outcome => return Err(not_carried_out(outcome).into()),
        }
        Ok(())
    }

    /// Calls the SQL function of a write. `read` reads the columns of the task.
    async fn write<T>(
        &self,
        function: &str,
        attempt: Uuid,
        arguments: Arguments<'_>,
        headers: &WriteHeaders,
        hash: impl FnOnce() -> Vec<u8>,
        read: impl FnOnce(Composite) -> T,
    ) -> Result<Written<T>, Failure> {
        let hash = headers.idempotency_key.as_ref().map(|_| hash());
        let limits: Arguments = &[
            (&headers.idempotency_key, Type::TEXT),
            (&hash, Type::BYTEA),
            (&self.limits.writes_per_minute, Type::INT4),
        ];
        let rows = self.call(function, &[arguments, limits].concat(), Some(Write::new(attempt))).await?;
        let mut fields = Composite::from(only(&rows)?);
        let (outcome, written_at, budget_since) = (fields.read(), fields.read(), fields.read());
        let rate_limit = self.limits.rate_limit(budget_since, written_at);
        let error = match outcome {
            "done" | "replayed" => {
                return Ok(Written { value: read(fields), replayed: outcome == "replayed", rate_limit });
            }
            "conflict" => Error::Conflict,
            "limited" => Error::RateLimited,
            "full" => Error::TooManyTasks(self.limits.tasks_per_user),
            "not_found" | "deleted" => Error::NotFound,
            "changed" => Error::Changed(fields.version()),
            outcome => return Err(not_carried_out(outcome).into()),
        };
        Err(Failure { error, rate_limit })
    }
}

/// Returns the error of a write that was not carried out, or possibly not.
fn not_carried_out(outcome: &str) -> Error {
    match outcome {
        "void" => Error::Unavailable(
            "the write was not carried out: by the database's clock it arrived after its deadline".into(),
        ),
        "unknown" => Error::Unavailable(
            "the write may have been carried out: its connection broke, and the user has made too many \
             writes since to tell"
                .into(),
        ),
        other => unexpected(other),
    }
}

/// Returns the arguments for the versions that a write is allowed to change. They are null if any version is,
/// also for `*`: its only condition, that the task exists, is checked in any case.
fn expected(headers: &WriteHeaders) -> RevisionsAndTimes {
    revisions_and_times(headers.expected.as_ref().filter(|expected| **expected != Versions::Any))
}
