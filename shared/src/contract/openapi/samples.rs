//! Sample values for the examples of the API description.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::task::{DueDate, Priority, RateLimit, Task, Written};

/// A user's id.
pub const USER_ID: &str = "alice";
/// A task's id in the envelope contract.
pub const TASK_ID: Uuid = Uuid::from_u128(0x0199_d3c4_7a00_7000_8000_0000_0000_0001);
/// The id of a task that was deleted.
pub const DELETED_ID: Uuid = Uuid::from_u128(0x0199_d3c4_7a00_7000_8000_0000_0000_0002);
/// A task's id in the plain contract.
pub const TASK_NUMBER: i64 = 1;
/// The id of a request.
pub const REQUEST_ID: &str = "0d4b5c1e-6a53-4c64-9d0a-3f1f0a4b6f0e";
/// A title.
pub const TITLE: &str = "Buy milk";
/// A description.
pub const DESCRIPTION: &str = "2 litres";
/// When a task is due.
pub const DUE_DATE: &str = "2026-12-24";
/// The tags of a task.
pub const TAGS: [&str; 2] = ["home", "shopping"];

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
        due_date: DUE_DATE.parse().ok().map(DueDate::Date),
        priority: Priority::High,
        tags: TAGS.map(str::to_owned).into(),
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

fn time(text: &str) -> DateTime<Utc> {
    text.parse().expect("a sample time is RFC 3339")
}
