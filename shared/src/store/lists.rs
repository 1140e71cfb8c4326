//! Lists of tasks.

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{
    Store,
    composite::Composite,
    pool::Arguments,
    tasks::{cut_off, revisions_and_times, task, unexpected},
};
use crate::{
    error::{Error, InputError, Place},
    task::{Caller, ListStart, Shown, SortKey, TaskFilter, TaskList, TaskQuery, Version},
};

impl Store {
    /// Returns a page of the caller's tasks.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the cursor belongs to a list that has been erased; [`Error::Unavailable`],
    /// [`Error::Internal`].
    pub async fn list_tasks(&self, caller: &Caller, query: &TaskQuery) -> Result<Shown<TaskList>, Error> {
        let TaskQuery { filter, order, limit, start, known } = query;
        let TaskFilter { completed, search, due_after, due_before } = filter;
        let sort = match order.by {
            SortKey::Number => None,
            SortKey::CreatedAt => Some("created_at"),
            SortKey::UpdatedAt => Some("updated_at"),
            SortKey::DueDate => Some("due_date"),
            SortKey::Title => Some("title"),
        };
        let (offset, after) = match start {
            ListStart::Offset(offset) => (*offset, None),
            ListStart::After(position) => (0, Some(position)),
        };
        let (known_revisions, known_times) = revisions_and_times(known.as_ref());
        let arguments: Arguments = &[
            (&caller.user_id, Type::TEXT),
            (completed, Type::BOOL),
            (search, Type::TEXT),
            (due_after, Type::TIMESTAMPTZ),
            (due_before, Type::TIMESTAMPTZ),
            (&sort, Type::TEXT),
            (&order.descending, Type::BOOL),
            (limit, Type::INT8),
            (&offset, Type::INT8),
            (&after.map(|after| after.begun_at), Type::TIMESTAMPTZ),
            (&after.map(|after| after.number), Type::INT8),
            (&after.and_then(|after| after.time), Type::TIMESTAMPTZ),
            (&after.and_then(|after| after.title.as_ref()), Type::TEXT),
            (&known_revisions, Type::INT8_ARRAY),
            (&known_times, Type::TIMESTAMPTZ_ARRAY),
        ];
        let rows = self.call("list_tasks", arguments, None).await?;
        let mut list = None;
        for mut fields in rows.iter().map(Composite::from) {
            let outcome = fields.read();
            let version = Version { revision: fields.read(), updated_at: fields.read() };
            match outcome {
                "done" => {}
                "known" => return Ok(Shown::Known(version)),
                "gone" => return Err(Error::Invalid(vec![cursor_of_erased_list()])),
                other => return Err(unexpected(other)),
            }
            let (begun_at, total) = (fields.read(), fields.read());
            let list = list.get_or_insert_with(|| {
                let tasks = Vec::with_capacity(rows.len());
                TaskList { tasks, total, has_more: false, version, begun_at }
            });
            // An empty page consists of one row without a task.
            if { fields }.read::<Option<Uuid>>().is_some() {
                list.tasks.push(task(fields));
            }
        }
        let mut list = list.ok_or_else(|| Error::Internal("an SQL function returned no row".into()))?;
        list.has_more = cut_off(&mut list.tasks, *limit);
        Ok(Shown::New(list))
    }
}

fn cursor_of_erased_list() -> InputError {
    InputError {
        place: Place::Query,
        field: Some("cursor".into()),
        kind: "value_error",
        message: "Input should be the cursor of a list that was not erased since".into(),
    }
}
