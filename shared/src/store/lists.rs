//! Lists of tasks.

use tokio_postgres::types::Type;

use super::{Store, composite::Composite, pool::Arguments, tasks::task_of, unexpected, versions::known};
use crate::{
    error::{Error, InputError, Place},
    task::{Caller, ListStart, Priority, Shown, SortKey, TaskFilter, TaskList, TaskQuery, Version},
};

impl Store {
    /// Returns a page of the caller's tasks.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the cursor belongs to a list that has been erased; [`Error::Busy`];
    /// [`Error::Unavailable`], [`Error::Internal`].
    pub async fn list_tasks(&self, caller: &Caller, query: &TaskQuery) -> Result<Shown<TaskList>, Error> {
        let TaskQuery { filter, order, limit, start, known: known_versions } = query;
        let TaskFilter { completed, priority, tag, search, due_after, due_before } = filter;
        let sort = match order.by {
            SortKey::Number => None,
            SortKey::CreatedAt => Some("created_at"),
            SortKey::UpdatedAt => Some("updated_at"),
            SortKey::DueDate => Some("due_date"),
            SortKey::Title => Some("title"),
            SortKey::Priority => Some("priority"),
        };
        let (offset, after) = match start {
            ListStart::Offset(offset) => (*offset, None),
            ListStart::After(position) => (0, Some(position)),
        };
        let (known_revisions, known_times) = known(known_versions.as_ref());
        let arguments: Arguments = &[
            ("p_user_id", &caller.user_id, Type::TEXT),
            ("p_completed", completed, Type::BOOL),
            ("p_priority", &priority.map(Priority::word), Type::TEXT),
            ("p_tag", tag, Type::TEXT),
            ("p_search", search, Type::TEXT),
            ("p_due_after", due_after, Type::TIMESTAMPTZ),
            ("p_due_before", due_before, Type::TIMESTAMPTZ),
            ("p_sort", &sort, Type::TEXT),
            ("p_descending", &order.descending, Type::BOOL),
            ("p_limit", limit, Type::INT8),
            ("p_offset", &offset, Type::INT8),
            ("p_begun_at", &after.map(|after| after.begun_at), Type::TIMESTAMPTZ),
            ("p_after_number", &after.map(|after| after.number), Type::INT8),
            ("p_after_time", &after.and_then(|after| after.time), Type::TIMESTAMPTZ),
            ("p_after_text", &after.and_then(|after| after.text.as_ref()), Type::TEXT),
            ("p_known_revisions", &known_revisions, Type::INT8_ARRAY),
            ("p_known_times", &known_times, Type::TIMESTAMPTZ_ARRAY),
        ];
        let rows = self.call("list_tasks", arguments, None).await?;
        let mut list = None;
        for mut fields in rows.iter().map(Composite::from) {
            let outcome = fields.read();
            let version = Version { revision: fields.read(), updated_at: fields.read() };
            match outcome {
                "done" => {}
                "known" => return Ok(Shown::Known(version)),
                "busy" => return Err(Error::Busy),
                "gone" => return Err(Error::Invalid(vec![cursor_of_erased_list()])),
                other => return Err(unexpected(other)),
            }
            let (begun_at, total) = (fields.read(), fields.read());
            let list = list.get_or_insert_with(|| {
                let tasks = Vec::with_capacity(rows.len());
                TaskList { tasks, total, has_more: false, version, begun_at }
            });
            // An empty page consists of one row without a task.
            list.tasks.extend(fields.composite().map(task_of));
        }
        let mut list = list.ok_or_else(|| Error::Internal("an SQL function returned no row".into()))?;
        list.has_more = cut_off(&mut list.tasks, *limit);
        Ok(Shown::New(list))
    }
}

/// Truncates a page to its limit, and returns whether there was more.
pub(super) fn cut_off<T>(page: &mut Vec<T>, limit: i64) -> bool {
    let limit = usize::try_from(limit).expect("a limit is positive");
    let has_more = page.len() > limit;
    page.truncate(limit);
    has_more
}

fn cursor_of_erased_list() -> InputError {
    InputError {
        place: Place::Query,
        field: Some("cursor".into()),
        kind: "value_error",
        message: "Input should be the cursor of a list that was not erased since".into(),
    }
}
