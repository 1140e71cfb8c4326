//! Versions as arguments of SQL functions.

use chrono::{DateTime, Utc};

use crate::task::Versions;

/// Parallel arrays of revisions and times. A null in them matches any version.
pub(super) type RevisionsAndTimes = (Option<Vec<Option<i64>>>, Option<Vec<Option<DateTime<Utc>>>>);

/// Returns the versions that a client has.
pub(super) fn known(versions: Option<&Versions>) -> RevisionsAndTimes {
    match versions {
        None => (None, None),
        Some(Versions::Any) => (Some(vec![None]), Some(vec![None])),
        Some(Versions::OnlyWeak) => (Some(Vec::new()), Some(Vec::new())),
        Some(Versions::These(versions)) => (
            Some(versions.iter().map(|version| Some(version.revision)).collect()),
            Some(versions.iter().map(|version| Some(version.updated_at)).collect()),
        ),
    }
}

/// Returns the versions that a write is allowed to change. Both are null if any version is, also for `*`: its
/// only condition, that the task exists, is checked in any case.
pub(super) fn expected(versions: Option<&Versions>) -> RevisionsAndTimes {
    known(versions.filter(|versions| **versions != Versions::Any))
}
