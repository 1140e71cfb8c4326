//! The SQL of each operation on tasks: one statement each.

use sha2::{Digest, Sha256};
use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};
use uuid::Uuid;

use super::{Repeat, Store};
use crate::{
    Caller, Completion, Error, NewTask, Task, TaskChanges, TaskKey, TaskList, TaskQuery, telemetry::audit,
};

/// The columns of a task, as [`Task::from`] reads them.
const COLUMNS: &str =
    "id, number, user_id, title, description, due_date, completed, completed_at, created_at, updated_at";

/// How often a create is asked again whose key was being used at the same instant.
const CREATE_ATTEMPTS: usize = 3;

/// A task that was asked to be made.
#[derive(Debug)]
pub struct Created {
    /// The task.
    pub task: Task,
    /// Whether an earlier request with the same idempotency key made it.
    pub replayed: bool,
}

impl Store {
    /// Makes a task, and the caller's user row with the first one. With an idempotency key, once per user and key.
    ///
    /// # Errors
    /// [`Error::Conflict`] where the key was used with another task; [`Error::Unavailable`], [`Error::Internal`].
    pub async fn create_task(&self, caller: &Caller, new: &NewTask) -> Result<Created, Error> {
        // An insert that meets a row with its key or id does nothing, and then the last part shows that row: made
        // earlier, or by this very statement before its connection broke.
        let statement = format!(
            "with named as (
                 insert into users (id, email, name, image, email_verified)
                 select $1, $2, $3, $4, $5
                 where not exists (select from users where id = $1)
                 on conflict do nothing -- made meanwhile, or the e-mail is another user's
                 returning id
             ), nameless as (
                 insert into users (id, name, image)
                 select $1, $3, $4
                 where not exists (select from users where id = $1) and not exists (select from named)
                 on conflict do nothing
             ), created as (
                 insert into tasks (id, user_id, title, description, due_date, completed, completed_at,
                                    idempotency_key, idempotency_hash)
                 values ($6, $1, $7, $8, $9, $10, case when $10 then now() end, $11, $12)
                 on conflict do nothing
                 returning {COLUMNS}, idempotency_hash
             )
             select {COLUMNS}, idempotency_hash from created
             union all
             select {COLUMNS}, idempotency_hash from tasks
             where user_id = $1 and (id = $6 or idempotency_key = $11) and not exists (select from created)"
        );
        let id = Uuid::now_v7();
        let fields = &new.fields;
        let hash = new.idempotency_key.as_ref().map(|_| {
            let request = serde_json::to_vec(fields).expect("a struct of plain values is JSON");
            Sha256::digest(request).to_vec()
        });
        for _ in 0..CREATE_ATTEMPTS {
            let rows = self
                .run(
                    &caller.user_id,
                    Repeat::Harmless,
                    &statement,
                    &[
                        (&caller.user_id, Type::TEXT),
                        (&caller.email, Type::TEXT),
                        (&caller.name, Type::TEXT),
                        (&caller.image, Type::TEXT),
                        (&caller.email_verified, Type::BOOL),
                        (&id, Type::UUID),
                        (&fields.title, Type::TEXT),
                        (&fields.description, Type::TEXT),
                        (&fields.due_date, Type::TIMESTAMPTZ),
                        (&fields.completed, Type::BOOL),
                        (&new.idempotency_key, Type::TEXT),
                        (&hash, Type::BYTEA),
                    ],
                )
                .await?;
            if let Some(row) = rows.first() {
                let task = Task::from(row);
                if row.get::<_, Option<Vec<u8>>>("idempotency_hash") != hash {
                    return Err(Error::Conflict);
                }
                let replayed = task.id != id;
                if !replayed {
                    audit("created", task.id);
                }
                return Ok(Created { task, replayed });
            }
            // Two requests with one key at the same instant: this one waited for the other's row, but its snapshot
            // is older than that row and does not show it. The next snapshot does.
        }
        Err(Error::Unavailable("an idempotency key stayed in use".into()))
    }

    /// One task.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Unavailable`], [`Error::Internal`].
    pub async fn get_task(&self, caller: &Caller, key: TaskKey) -> Result<Task, Error> {
        let (column, value) = key_parts(&key);
        let statement = format!("select {COLUMNS} from tasks where user_id = $1 and {column} = $2");
        let params = &[(&caller.user_id as &(dyn ToSql + Sync), Type::TEXT), value];
        let rows = self.run(&caller.user_id, Repeat::Harmless, &statement, params).await?;
        rows.first().map(Task::from).ok_or(Error::NotFound)
    }

    /// A part of the caller's tasks.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Internal`].
    pub async fn list_tasks(&self, caller: &Caller, query: TaskQuery) -> Result<TaskList, Error> {
        let (filter, order, window, limit, start) = match query {
            TaskQuery::Newest { limit, offset } => {
                ("", "created_at desc, number desc", "limit $2 offset $3", limit, offset)
            }
            TaskQuery::Oldest { limit, after } => ("and number > $3", "number", "limit $2", limit, after),
        };
        // The count stands on the left, so that it comes even with no task beside it.
        let statement = format!(
            "select total.count, page.*
             from (select count(*) from tasks where user_id = $1) total
             left join (
                 select {COLUMNS} from tasks where user_id = $1 {filter} order by {order} {window}
             ) page on true
             order by {order}"
        );
        // One more than asked for tells whether there are more.
        let params = &[
            (&caller.user_id as &(dyn ToSql + Sync), Type::TEXT),
            (&(limit + 1), Type::INT8),
            (&start, Type::INT8),
        ];
        let rows = self.run(&caller.user_id, Repeat::Harmless, &statement, params).await?;
        let total = rows.first().map_or(0, |row| row.get("count"));
        let mut tasks: Vec<_> =
            rows.iter().filter(|row| row.get::<_, Option<i64>>("number").is_some()).map(Task::from).collect();
        let limit = usize::try_from(limit).expect("a limit is positive");
        let has_more = tasks.len() > limit;
        tasks.truncate(limit);
        Ok(TaskList { tasks, total, has_more })
    }

    /// Changes a task. Without any change, shows it as it is.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Unavailable`], [`Error::Internal`].
    pub async fn update_task(
        &self,
        caller: &Caller,
        key: TaskKey,
        changes: &TaskChanges,
    ) -> Result<Task, Error> {
        let TaskChanges { title, description, due_date, completed } = changes;
        if *changes == TaskChanges::default() {
            return self.get_task(caller, key).await;
        }
        let flip = *completed == Some(Completion::Flip);
        let set = match completed {
            Some(Completion::Set(completed)) => Some(*completed),
            Some(Completion::Flip) | None => None,
        };
        let (column, value) = key_parts(&key);
        let statement = format!(
            "update tasks set
                 title = coalesce($3, title),
                 description = case when $4 then $5 else description end,
                 due_date = case when $6 then $7 else due_date end,
                 completed = coalesce($8, completed <> $9), -- unequal to true is the other, to false the same
                 completed_at = case when coalesce($8, completed <> $9) then coalesce(completed_at, now()) end,
                 updated_at = now()
             where user_id = $1 and {column} = $2
             returning {COLUMNS}"
        );
        let params = &[
            (&caller.user_id as &(dyn ToSql + Sync), Type::TEXT),
            value,
            (title, Type::TEXT),
            (&description.is_some(), Type::BOOL),
            (&description.as_ref().and_then(Option::as_deref), Type::TEXT),
            (&due_date.is_some(), Type::BOOL),
            (&due_date.flatten(), Type::TIMESTAMPTZ),
            (&set, Type::BOOL),
            (&flip, Type::BOOL),
        ];
        let repeat = if flip { Repeat::Never } else { Repeat::Harmless };
        let rows = self.run(&caller.user_id, repeat, &statement, params).await?;
        let task = rows.first().map(Task::from).ok_or(Error::NotFound)?;
        audit("updated", task.id);
        Ok(task)
    }

    /// Deletes a task.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Unavailable`], [`Error::Internal`].
    pub async fn delete_task(&self, caller: &Caller, key: TaskKey) -> Result<(), Error> {
        let (column, value) = key_parts(&key);
        let statement = format!("delete from tasks where user_id = $1 and {column} = $2 returning id");
        let params = &[(&caller.user_id as &(dyn ToSql + Sync), Type::TEXT), value];
        let rows = self.run(&caller.user_id, Repeat::Never, &statement, params).await?;
        let id: Uuid = rows.first().map(|row| row.get("id")).ok_or(Error::NotFound)?;
        audit("deleted", id);
        Ok(())
    }
}

/// The column that a key names, and its value.
fn key_parts(key: &TaskKey) -> (&'static str, (&(dyn ToSql + Sync), Type)) {
    match key {
        TaskKey::Id(id) => ("id", (id, Type::UUID)),
        TaskKey::Number(number) => ("number", (number, Type::INT8)),
    }
}

impl From<&Row> for Task {
    fn from(row: &Row) -> Self {
        Self {
            id: row.get("id"),
            number: row.get("number"),
            user_id: row.get("user_id"),
            title: row.get("title"),
            description: row.get("description"),
            due_date: row.get("due_date"),
            completed: row.get("completed"),
            completed_at: row.get("completed_at"),
            created_at: row.get("created_at"),
            updated_at: row.get("updated_at"),
        }
    }
}
