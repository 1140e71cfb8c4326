//! Sample values for the examples.

use chrono::{DateTime, Utc};
use shared::{
    ChangeList, Shown, Task, TaskList, Version, Written,
    task::{Change, RateLimit},
};
use uuid::Uuid;

pub const USER_ID: &str = "alice";
pub const TASK_ID: Uuid = Uuid::from_u128(0x0199_d3c4_7a00_7000_8000_0000_0000_0001);
const DELETED_ID: Uuid = Uuid::from_u128(0x0199_d3c4_7a00_7000_8000_0000_0000_0002);
pub const TASK_NUMBER: i64 = 1;
pub const REQUEST_ID: &str = "0d4b5c1e-6a53-4c64-9d0a-3f1f0a4b6f0e";
pub const TITLE: &str = "Buy milk";
pub const DESCRIPTION: &str = "2 litres";
pub const DUE_DATE: &str = "2026-12-24T18:00:00+01:00";

/// A user's write budget.
pub const RATE_LIMIT: RateLimit = RateLimit { quota: 1000, remaining: 999, reset: 1, retry_after: 1 };

/// A newly created task.
pub fn task() -> Task {
    Task {
        id: TASK_ID,
        number: TASK_NUMBER,
        user_id: USER_ID.into(),
        title: TITLE.into(),
        description: Some(DESCRIPTION.into()),
        due_date: Some(time(DUE_DATE)),
        completed: false,
        completed_at: None,
        created_at: time("2026-01-06T15:30:00.123456Z"),
        updated_at: time("2026-01-06T15:30:00.123456Z"),
        revision: 1_767_713_400_000_001,
    }
}

/// The same task, completed.
pub fn completed_task() -> Task {
    let done = time("2026-01-07T09:00:00.654321Z");
    Task { completed: true, completed_at: Some(done), updated_at: done, ..task() }
}

/// The outcome of a write.
pub fn written<T>(value: T) -> Written<T> {
    Written { value, replayed: true, rate_limit: Some(RATE_LIMIT) }
}

/// A task that was changed and one that was deleted.
pub fn changes() -> ChangeList {
    let deleted =
        Change::Deleted { id: DELETED_ID, number: TASK_NUMBER + 1, revision: 1_767_713_400_000_003 };
    ChangeList { changes: vec![Change::Changed(task()), deleted], has_more: false, end: None }
}

/// A page that is followed by another.
pub fn list() -> Shown<TaskList> {
    let task = task();
    let version = Version { revision: 2, updated_at: task.updated_at };
    let begun_at = Some(task.created_at);
    Shown::New(TaskList { tasks: vec![task], total: 2, has_more: true, version, begun_at })
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().expect("a sample time is RFC 3339")
}
