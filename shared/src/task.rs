//! Tasks, whose they are, and what can be asked of them.

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// A task as the database holds it. How much of it a front end sees is decided by its contract.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// UUID version 7, made by the function: the task's id in the envelope contract.
    pub id: Uuid,
    /// Counts up from 1 over all users: the task's id in the plain contract, and the order of creation.
    pub number: i64,
    /// The owner.
    pub user_id: String,
    /// 1–255 characters, not only white space.
    pub title: String,
    /// At most 2000 characters.
    pub description: Option<String>,
    /// When it is due.
    pub due_date: Option<DateTime<Utc>>,
    /// Whether it is completed.
    pub completed: bool,
    /// When it was completed; `None` while it is open.
    pub completed_at: Option<DateTime<Utc>>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// The user that a valid token identifies. All but the id is for the user's row, which is created with the first task.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Caller {
    /// The claim `sub` or `user_id`: opaque text of 1–255 characters, without U+0000.
    pub user_id: String,
    /// The claim `email`.
    pub email: Option<String>,
    /// The claim `name`.
    pub name: Option<String>,
    /// The claim `image` (Better Auth) or `picture` (OpenID Connect).
    pub image: Option<String>,
    /// The claim `emailVerified` (Better Auth) or `email_verified` (OpenID Connect); false if neither is present.
    pub email_verified: bool,
}

/// Identifies one of a user's tasks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TaskKey {
    /// By [`Task::id`].
    Id(Uuid),
    /// By [`Task::number`].
    Number(i64),
}

/// Input of `POST …/tasks`.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTask {
    /// The task to create.
    pub fields: NewTaskFields,
    /// The header `Idempotency-Key`: 1–255 visible ASCII characters.
    pub idempotency_key: Option<String>,
}

/// The fields of a task to create.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTaskFields {
    /// See [`Task::title`].
    pub title: String,
    /// See [`Task::description`].
    pub description: Option<String>,
    /// See [`Task::due_date`].
    pub due_date: Option<DateTime<Utc>>,
    /// See [`Task::completed`].
    pub completed: bool,
}

/// What a [`NewTask`] has become.
#[derive(Debug)]
pub struct Created {
    /// The task.
    pub task: Task,
    /// Whether an earlier request with the same idempotency key created it.
    pub replayed: bool,
}

/// What a request says about a field that may be empty.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Patch<T> {
    /// Nothing: it stays as it is.
    #[default]
    Absent,
    /// It becomes empty.
    Null,
    /// It becomes this.
    Value(T),
}

impl<T> Patch<T> {
    /// The new value; `None` if the field stays as it is or becomes empty.
    pub fn value(self) -> Option<T> {
        match self {
            Patch::Absent | Patch::Null => None,
            Patch::Value(value) => Some(value),
        }
    }

    /// The same about a borrowed value.
    pub fn as_ref(&self) -> Patch<&T> {
        match self {
            Patch::Absent => Patch::Absent,
            Patch::Null => Patch::Null,
            Patch::Value(value) => Patch::Value(value),
        }
    }

    /// The same, but a field that is absent becomes empty.
    pub fn or_null(self) -> Self {
        match self {
            Patch::Absent => Patch::Null,
            present => present,
        }
    }
}

/// What to change in a task. `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TaskChanges {
    /// See [`Task::title`].
    pub title: Option<String>,
    /// See [`Task::description`].
    pub description: Patch<String>,
    /// See [`Task::due_date`].
    pub due_date: Patch<DateTime<Utc>>,
    /// See [`Task::completed`].
    pub completed: Option<Completion>,
}

/// What to do with [`Task::completed`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Completion {
    /// Set it to this.
    Set(bool),
    /// Set it to the opposite of what it is.
    Toggle,
}

/// Input of `PUT …/tasks/{task_id}`. It holds the same as [`PatchTask`]: the two are types of their own because the
/// input type of an endpoint is what decides how its body is read.
#[derive(Debug)]
pub struct PutTask {
    /// The task to change.
    pub key: TaskKey,
    /// What to change; in the envelope contract that is every field.
    pub changes: TaskChanges,
}

/// Input of `PATCH …/tasks/{task_id}`.
#[derive(Debug)]
pub struct PatchTask {
    /// The task to change.
    pub key: TaskKey,
    /// What to change.
    pub changes: TaskChanges,
}

/// Input of `PATCH …/tasks/{task_id}/complete`.
#[derive(Debug)]
pub struct CompleteTask {
    /// The task to change.
    pub key: TaskKey,
    /// What to do with its completion.
    pub completion: Completion,
}

/// Input of `GET …/tasks`: which part of the caller's tasks, in which order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TaskQuery {
    /// The most tasks to return.
    pub limit: i64,
    /// Where to start, and in which order to go on.
    pub start: ListStart,
}

/// Where a list of tasks starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ListStart {
    /// At the newest task but this many, newest first.
    Newest {
        /// At least 0.
        offset: i64,
    },
    /// At the first task with a greater [`Task::number`] than this, in the order of creation.
    After {
        /// 0 for the user's first task.
        number: i64,
    },
}

/// A part of a user's tasks.
#[derive(Debug)]
pub struct TaskList {
    /// The tasks of this part.
    pub tasks: Vec<Task>,
    /// The number of all tasks of the user.
    pub total: i64,
    /// Whether there are tasks beyond this part.
    pub has_more: bool,
}
