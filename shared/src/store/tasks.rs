//! The SQL of each operation on tasks: one round trip each.

use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};
use uuid::Uuid;

use super::{
    Store,
    idempotency::hash_of_new_task,
    pool::{Params, Statement},
    query_error::Repeat,
};
use crate::{
    error::Error,
    logs::audit,
    task::{
        Caller, Completion, Created, ListStart, NewTask, Patch, Task, TaskChanges, TaskKey, TaskList,
        TaskQuery,
    },
};

/// The columns of a task, as [`Task::from`] reads them.
const COLUMNS: &str =
    "id, number, user_id, title, description, due_date, completed, completed_at, created_at, updated_at";

/// From this offset on, what is skipped is skipped in the index alone. It takes longer to plan, and at an offset of
/// 100,000 a seventh of the time to carry out.
const DEEP: i64 = 1000;

impl Store {
    /// Makes a task, and the caller's user row with the first one. With an idempotency key, once per user and key.
    ///
    /// # Errors
    /// [`Error::Conflict`] where the key was used with another task; [`Error::Unavailable`], [`Error::Internal`].
    pub async fn create_task(&self, caller: &Caller, new: &NewTask) -> Result<Created, Error> {
        let Caller { user_id, email, name, image, email_verified } = caller;
        let NewTask { fields, idempotency_key: key } = new;
        let id = Uuid::now_v7();
        let hash = key.as_ref().map(|_| hash_of_new_task(fields));
        // One statement that did all of it would take the server two to three times as long, most of it to plan. Each of these sees
        // what was committed before it began, and so the last one also the task of a request with the same key at the
        // same instant, for which the one before has waited.
        let user: Params<'_> = &[
            (user_id, Type::TEXT),
            (name, Type::TEXT),
            (image, Type::TEXT),
            (email, Type::TEXT),
            (email_verified, Type::BOOL),
        ];
        let task: Params<'_> = &[
            (&id, Type::UUID),
            (user_id, Type::TEXT),
            (&fields.title, Type::TEXT),
            (&fields.description, Type::TEXT),
            (&fields.due_date, Type::TIMESTAMPTZ),
            (&fields.completed, Type::BOOL),
            (key, Type::TEXT),
            (&hash, Type::BYTEA),
        ];
        let insert_task = format!(
            "insert into tasks (id, user_id, title, description, due_date, completed, completed_at,
                                idempotency_key, idempotency_hash)
             values ($1, $2, $3, $4, $5, $6, case when $6 then now() end, $7, $8)
             on conflict do nothing
             returning {COLUMNS}, idempotency_hash"
        );
        let of_key: Params<'_> = &[(user_id, Type::TEXT), (key, Type::TEXT)];
        let task_of_key = format!(
            "select {COLUMNS}, idempotency_hash from tasks where user_id = $1 and idempotency_key = $2"
        );
        let mut statements: Vec<Statement<'_>> = vec![(
            "insert into users (id, name, image, email, email_verified) values ($1, $2, $3, $4, $5)
             on conflict do nothing",
            user,
        )];
        if email.is_some() {
            // It may be another user's.
            let without_email =
                "insert into users (id, name, image) values ($1, $2, $3) on conflict do nothing";
            statements.push((without_email, &user[..3]));
        }
        statements.push((&insert_task, task));
        if key.is_some() {
            statements.push((&task_of_key, of_key));
        }
        let answers = self.run_all(user_id, Repeat::Harmless, &statements).await?;
        let Some(row) = answers.iter().flatten().next() else {
            // Made by these very statements, before their connection broke; or what was in the way has just been deleted.
            let task = self.get_task(caller, TaskKey::Id(id)).await.map_err(|error| match error {
                Error::NotFound => Error::Unavailable("the task in the way of a new one was deleted".into()),
                error => error,
            })?;
            audit("created", id);
            return Ok(Created { task, replayed: false });
        };
        if row.get::<_, Option<Vec<u8>>>("idempotency_hash") != hash {
            return Err(Error::Conflict);
        }
        let task = Task::from(row);
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
    pub async fn list_tasks(&self, caller: &Caller, query: &TaskQuery) -> Result<TaskList, Error> {
        let newest = "created_at desc, number desc";
        let (filter, order, window, start) = match query.start {
            ListStart::Newest { offset: offset @ ..DEEP } => ("", newest, "limit $2 offset $3", offset),
            ListStart::Newest { offset } => (
                "and number = any (array(select number from tasks where user_id = $1
                                         order by created_at desc, number desc limit $2 offset $3))",
                newest,
                "",
                offset,
            ),
            ListStart::After { number } => ("and number > $3", "number", "limit $2", number),
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
            (&(query.limit + 1), Type::INT8),
            (&start, Type::INT8),
        ];
        let rows = self.run(&caller.user_id, Repeat::Harmless, &statement, params).await?;
        let total = rows.first().map_or(0, |row| row.get("count"));
        let mut tasks: Vec<_> =
            rows.iter().filter(|row| row.get::<_, Option<i64>>("number").is_some()).map(Task::from).collect();
        let limit = usize::try_from(query.limit).expect("a limit is positive");
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
        let toggle = *completed == Some(Completion::Toggle);
        let set = match completed {
            Some(Completion::Set(completed)) => Some(*completed),
            Some(Completion::Toggle) | None => None,
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
            (&(*description != Patch::Absent), Type::BOOL),
            (&description.clone().value(), Type::TEXT),
            (&(*due_date != Patch::Absent), Type::BOOL),
            (&due_date.value(), Type::TIMESTAMPTZ),
            (&set, Type::BOOL),
            (&toggle, Type::BOOL),
        ];
        let repeat = if toggle { Repeat::Never } else { Repeat::Harmless };
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
