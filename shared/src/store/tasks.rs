//! Reads of one task and of the changes, each one call of an SQL function.

use chrono::{DateTime, Utc};
use tokio_postgres::{Row, types::Type};
use uuid::Uuid;

use super::{Store, composite::Composite, pool::Arguments};
use crate::{
    error::Error,
    task::{
        Caller, Change, ChangeList, ChangesPosition, ChangesQuery, GetTask, Shown, Task, TaskKey, Version,
        Versions,
    },
};

impl Store {
    /// Returns one task of the caller.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unavailable`], [`Error::Internal`].
    pub async fn get_task(&self, caller: &Caller, query: &GetTask) -> Result<Shown<Task>, Error> {
        let (id, number) = id_and_number(query.key);
        let (revisions, times) = revisions_and_times(query.known.as_ref());
        let arguments: Arguments = &[
            (&caller.user_id, Type::TEXT),
            (&id, Type::UUID),
            (&number, Type::INT8),
            (&revisions, Type::INT8_ARRAY),
            (&times, Type::TIMESTAMPTZ_ARRAY),
        ];
        let rows = self.call("get_task", arguments, None).await?;
        let mut fields = Composite::from(only(&rows)?);
        match fields.read() {
            "done" => Ok(Shown::New(task(fields))),
            "known" => Ok(Shown::Known(fields.version())),
            "not_found" => Err(Error::NotFound),
            other => Err(unexpected(other)),
        }
    }

    /// Returns a page of the changes of the caller's list.
    ///
    /// # Errors
    /// [`Error::Gone`] if the position is too old; [`Error::Unavailable`], [`Error::Internal`].
    pub async fn list_changes(&self, caller: &Caller, query: &ChangesQuery) -> Result<ChangeList, Error> {
        let since = query.since;
        let arguments: Arguments = &[
            (&caller.user_id, Type::TEXT),
            (&since.map(|since| since.revision), Type::INT8),
            (&since.map(|since| since.number), Type::INT8),
            (&since.map(|since| since.copied_from), Type::INT8),
            (&since.map(|since| since.list_updated_at), Type::TIMESTAMPTZ),
            (&query.limit, Type::INT8),
        ];
        let rows = self.call("list_changes", arguments, None).await?;
        let (mut end, mut changes) = (None, Vec::with_capacity(rows.len()));
        for mut fields in rows.iter().map(Composite::from) {
            if fields.read::<&str>() == "gone" {
                return Err(Error::Gone);
            }
            let (revision, list_updated_at): (Option<i64>, Option<_>) = (fields.read(), fields.read());
            end = revision.zip(list_updated_at).map(|(revision, list_updated_at)| ChangesPosition {
                revision,
                number: i64::MAX,
                copied_from: since.map_or(revision, |since| since.copied_from),
                list_updated_at,
            });
            match fields.read() {
                None => {}
                Some(false) => changes.push(Change::Changed(task(fields))),
                Some(true) => {
                    let (id, number) = (fields.read(), fields.read());
                    fields.skip(8);
                    changes.push(Change::Deleted { id, number, revision: fields.read() });
                }
            }
        }
        let has_more = cut_off(&mut changes, query.limit);
        Ok(ChangeList { changes, has_more, end })
    }
}

/// Returns the arguments that identify a task. One of them is null.
pub(super) fn id_and_number(key: TaskKey) -> (Option<Uuid>, Option<i64>) {
    match key {
        TaskKey::Id(id) => (Some(id), None),
        TaskKey::Number(number) => (None, Some(number)),
    }
}

/// Versions as arguments: two parallel arrays of revisions and times. A null in them matches any version.
pub(super) type RevisionsAndTimes = (Option<Vec<Option<i64>>>, Option<Vec<Option<DateTime<Utc>>>>);

pub(super) fn revisions_and_times(versions: Option<&Versions>) -> RevisionsAndTimes {
    match versions {
        None => (None, None),
        Some(Versions::Any) => (Some(vec![None]), Some(vec![None])),
        Some(Versions::These(versions)) => (
            Some(versions.iter().map(|version| Some(version.revision)).collect()),
            Some(versions.iter().map(|version| Some(version.updated_at)).collect()),
        ),
    }
}

/// Returns the error of a call whose outcome is not expected.
pub(super) fn unexpected(outcome: &str) -> Error {
    Error::Internal(format!("an SQL function returned the unexpected outcome {outcome}"))
}

/// Truncates a page to its limit, and returns whether there was more.
pub(super) fn cut_off<T>(page: &mut Vec<T>, limit: i64) -> bool {
    let limit = usize::try_from(limit).expect("a limit is positive");
    let has_more = page.len() > limit;
    page.truncate(limit);
    has_more
}

/// Returns the row of a call that returns exactly one.
pub(super) fn only(rows: &[Row]) -> Result<&Row, Error> {
    rows.first().ok_or_else(|| Error::Internal("an SQL function returned no row".into()))
}

impl Composite<'_> {
    /// Reads the version of a task. No column of the task must have been read before.
    pub(super) fn version(mut self) -> Version {
        const COLUMNS_BEFORE: usize = 9;
        self.skip(COLUMNS_BEFORE);
        Version { updated_at: self.read(), revision: self.read() }
    }
}

/// Reads a task from the next columns.
pub(super) fn task(mut fields: Composite) -> Task {
    Task {
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
        revision: fields.read(),
    }
}
