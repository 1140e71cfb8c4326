//! The changes of a user's list.

use tokio_postgres::types::Type;

use super::{Store, composite::Composite, lists::cut_off, pool::Arguments, tasks::task_of};
use crate::{
    error::Error,
    task::{Caller, Change, ChangeList, ChangesPosition, ChangesQuery},
};

impl Store {
    /// Returns a page of the changes of the caller's list.
    ///
    /// # Errors
    /// [`Error::Gone`] if the position is too old; [`Error::Unavailable`], [`Error::Internal`].
    pub async fn list_changes(&self, caller: &Caller, query: &ChangesQuery) -> Result<ChangeList, Error> {
        let since = query.since;
        let arguments: Arguments = &[
            ("p_user_id", &caller.user_id, Type::TEXT),
            ("p_revision", &since.map(|since| since.revision), Type::INT8),
            ("p_copied_from", &since.map(|since| since.copied_from), Type::INT8),
            ("p_list_updated_at", &since.map(|since| since.list_updated_at), Type::TIMESTAMPTZ),
            ("p_limit", &query.limit, Type::INT8),
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
                copied_from: since.map_or(revision, |since| since.copied_from),
                list_updated_at,
            });
            match (fields.composite(), fields.composite()) {
                (Some(mut deleted), _) => changes.push(Change::Deleted {
                    id: deleted.read(),
                    number: deleted.read(),
                    revision: deleted.read(),
                }),
                (None, Some(row)) => changes.push(Change::Changed(task_of(row))),
                // A list without changes is one row without either.
                (None, None) => {}
            }
        }
        let has_more = cut_off(&mut changes, query.limit);
        Ok(ChangeList { changes, has_more, end })
    }
}
