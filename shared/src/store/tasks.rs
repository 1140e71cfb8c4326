//! The operations on tasks, each one call of an SQL function.

use tokio_postgres::{Row, types::Type};
use uuid::Uuid;

use super::{Store, Write, composite::Composite, idempotency::hash_of_new_task, pool::Arguments};
use crate::{
    error::Error,
    logs::audit,
    task::{
        Caller, Completion, Created, ListStart, NewTask, Patch, Task, TaskChanges, TaskKey, TaskList,
        TaskQuery,
    },
};

impl Store {
    /// Creates a task, and the caller's user row with the first one. With an idempotency key the task is created once
    /// per user and key.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the key was used with another task; [`Error::NotFound`] if the connection broke and the
    /// task was deleted before the outcome could be asked for; [`Error::Unavailable`], [`Error::Internal`].
    pub async fn create_task(&self, caller: &Caller, new: &NewTask) -> Result<Created, Error> {
        let Caller { user_id, email, name, image, email_verified } = caller;
        let NewTask { fields, idempotency_key } = new;
        let id = Uuid::now_v7();
        let hash = idempotency_key.as_ref().map(|_| hash_of_new_task(fields));
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
            (idempotency_key, Type::TEXT),
            (&hash, Type::BYTEA),
        ];
        let rows = self.call("create_task", arguments, Some(Write::new(id))).await?;
        let task = Task::from(done(&rows)?);
        let replayed = task.id != id;
        if !replayed {
            audit("created", task.id);
        }
        Ok(Created { task, replayed })
    }

    /// One task.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Unavailable`], [`Error::Internal`].
    pub async fn get_task(&self, caller: &Caller, key: TaskKey) -> Result<Task, Error> {
        let (id, number) = id_and_number(key);
        let arguments: Arguments = &[(&caller.user_id, Type::TEXT), (&id, Type::UUID), (&number, Type::INT8)];
        let rows = self.call("get_task", arguments, None).await?;
        Ok(Task::from(done(&rows)?))
    }

    /// A part of the caller's tasks.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Internal`].
    pub async fn list_tasks(&self, caller: &Caller, query: &TaskQuery) -> Result<TaskList, Error> {
        let (newest_first, offset, after) = match query.start {
            ListStart::Newest { offset } => (true, offset, 0),
            ListStart::After { number } => (false, 0, number),
        };
        let arguments: Arguments = &[
            (&caller.user_id, Type::TEXT),
            (&newest_first, Type::BOOL),
            (&query.limit, Type::INT8),
            (&offset, Type::INT8),
            (&after, Type::INT8),
        ];
        let rows = self.call("list_tasks", arguments, None).await?;
        let (mut total, mut tasks) = (0, Vec::with_capacity(rows.len()));
        for mut fields in rows.iter().map(Composite::from) {
            total = fields.read();
            // An empty page is one row without a task.
            if { fields }.read::<Option<Uuid>>().is_some() {
                tasks.push(Task::from(fields));
            }
        }
        let limit = usize::try_from(query.limit).expect("a limit is positive");
        let has_more = tasks.len() > limit;
        tasks.truncate(limit);
        Ok(TaskList { tasks, total, has_more })
    }

    /// Changes a task. Without any change, returns it as it is.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Unavailable`], [`Error::Internal`].
    pub async fn update_task(
        &self,
        caller: &Caller,
        key: TaskKey,
        changes: &TaskChanges,
    ) -> Result<Task, Error> {
        if *changes == TaskChanges::default() {
            return self.get_task(caller, key).await;
        }
        let TaskChanges { title, description, due_date, completed } = changes;
        let (id, number) = id_and_number(key);
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
        ];
        let rows = self.call("update_task", arguments, Some(Write::new(Uuid::now_v7()))).await?;
        let task = Task::from(done(&rows)?);
        audit("updated", task.id);
        Ok(task)
    }

    /// Deletes a task.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Unavailable`], [`Error::Internal`].
    pub async fn delete_task(&self, caller: &Caller, key: TaskKey) -> Result<(), Error> {
        let (id, number) = id_and_number(key);
        let arguments: Arguments = &[(&caller.user_id, Type::TEXT), (&id, Type::UUID), (&number, Type::INT8)];
        let rows = self.call("delete_task", arguments, Some(Write::new(Uuid::now_v7()))).await?;
        // There is no id if this is the answer to the second of two attempts and the first deleted the task.
        let id: Option<Uuid> = done(&rows)?.read();
        audit("deleted", id.map_or_else(|| format!("{key:?}"), |id| id.to_string()));
        Ok(())
    }
}

/// The arguments that identify a task: one of them is null.
fn id_and_number(key: TaskKey) -> (Option<Uuid>, Option<i64>) {
    match key {
        TaskKey::Id(id) => (Some(id), None),
        TaskKey::Number(number) => (None, Some(number)),
    }
}

/// What a call returned that did what it was asked for, from the field after the outcome.
fn done(rows: &[Row]) -> Result<Composite<'_>, Error> {
    let row = rows.first().ok_or_else(|| Error::Internal("a call returned no row".into()))?;
    let mut fields = Composite::from(row);
    match fields.read() {
        "done" | "replayed" => Ok(fields),
        "not_found" | "deleted" => Err(Error::NotFound),
        "conflict" => Err(Error::Conflict),
        "void" => Err(Error::Unavailable(
            "the write reached the database after its deadline, or their clocks differ by seconds".into(),
        )),
        "unknown" => Err(Error::Unavailable(
            "the user made too many writes meanwhile to know whether the first attempt was carried out"
                .into(),
        )),
        other => Err(Error::Internal(format!("a call ended with the outcome {other}"))),
    }
}

impl From<Composite<'_>> for Task {
    fn from(mut fields: Composite<'_>) -> Self {
        Self {
            id: fields.read(),
            number: fields.read(),
            user_id: fields.read(),
            title: fields.read(),
            description: fields.read(),
            due_date: fields.read(),
            completed: fields.read(),
            completed_at: fields.read(),
            created_at: fields.read(),
            updated_at: fields.read(),
        }
    }
}
