//! Tasks, whose they are, and what can be asked of them.

use chrono::{DateTime, Utc};
use serde::Serialize;
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
    /// The revision of the owner's list at its last change.
    pub revision: i64,
}

impl Task {
    /// Its version.
    pub fn version(&self) -> Version {
        Version { revision: self.revision, updated_at: self.updated_at }
    }
}

/// A version of a task or of a user's list, which no other version of it equals. The revision alone would not do: one
/// that was lost when the database was restored to an earlier point is used again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Version {
    /// The revision of the list at the last change.
    pub revision: i64,
    /// When that was.
    pub updated_at: DateTime<Utc>,
}

/// The versions that a request has a condition on.
#[derive(Debug, Clone, PartialEq)]
pub enum Versions {
    /// Any.
    Any,
    /// One of these.
    These(Vec<Version>),
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

/// Input of `GET …/tasks/{task_id}`.
#[derive(Debug)]
pub struct GetTask {
    /// The task to show.
    pub key: TaskKey,
    /// The header `If-None-Match`: versions that need not be shown again.
    pub known: Option<Versions>,
}

/// What a request shows, or nothing if the client has it.
#[derive(Debug)]
pub enum Shown<T> {
    /// It is a version that the client doesn't have.
    New(T),
    /// It is this version, which the client has.
    Known(Version),
}

/// What a write carries besides its content.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WriteHeaders {
    /// `Idempotency-Key`: 1–255 visible ASCII characters.
    pub idempotency_key: Option<String>,
    /// `If-Match`: the versions that may be changed. `None` if any may.
    pub expected: Option<Versions>,
}

/// What has become of a write.
#[derive(Debug)]
pub struct Written<T> {
    /// What was written, as it is now.
    pub value: T,
    /// Whether an earlier request with the same idempotency key carried it out.
    pub replayed: bool,
    /// How many writes the user may still make.
    pub rate_limit: Option<RateLimit>,
}

/// A user's write budget. It fills continuously, to at most [`WINDOW`](Self::WINDOW) seconds' worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateLimit {
    /// The writes that a full budget allows.
    pub quota: i64,
    /// The writes that it still allows.
    pub remaining: i64,
    /// Seconds until it is full, rounded up.
    pub reset: i64,
    /// Seconds until it allows a write, rounded up; 0 if it does.
    pub retry_after: i64,
}

impl RateLimit {
    /// How long an empty budget takes to fill, in seconds.
    pub const WINDOW: i64 = 600;
}

/// Input of `POST …/tasks`.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTask {
    /// The task to create.
    pub fields: NewTaskFields,
    /// What else the request carries. A task that does not exist has no version, so `If-Match` is not read.
    pub headers: WriteHeaders,
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

/// A change of one task. The input type of an endpoint decides how its body is read, so each endpoint has its own.
#[derive(Debug)]
pub struct TaskUpdate {
    /// The task to change.
    pub key: TaskKey,
    /// The HTTP method, which is a part of what an idempotency key stands for.
    pub method: &'static str,
    /// What to change.
    pub changes: TaskChanges,
    /// What else the request carries.
    pub headers: WriteHeaders,
}

/// Input of `PUT …/tasks/{task_id}`. In the envelope contract it changes every field.
#[derive(Debug)]
pub struct PutTask(pub TaskUpdate);

/// Input of `PATCH …/tasks/{task_id}`.
#[derive(Debug)]
pub struct PatchTask(pub TaskUpdate);

/// Input of `PATCH …/tasks/{task_id}/complete`.
#[derive(Debug)]
pub struct CompleteTask(pub TaskUpdate);

/// Input of `DELETE …/tasks/{task_id}`.
#[derive(Debug)]
pub struct DeleteTask {
    /// The task to delete.
    pub key: TaskKey,
    /// What else the request carries.
    pub headers: WriteHeaders,
}

/// Input of `DELETE /api/{user_id}`: nothing, because the caller is the user to erase.
#[derive(Debug)]
pub struct EraseUser;

/// Input of `GET …/tasks/changes`.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangesQuery {
    /// Where the copy ends that the client has; `None` for a new copy.
    pub since: Option<ChangesPosition>,
    /// The most changes to return.
    pub limit: i64,
}

/// A point in the changes of a user's list: a client that has been sent everything before it has a copy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChangesPosition {
    /// The revision of the last change that was sent.
    pub revision: i64,
    /// Its task's number: tasks that have not changed since revisions exist share one revision.
    pub number: i64,
    /// The list's revision when the copy was begun. Deletions before it need not be sent.
    pub copied_from: i64,
    /// When the list had last been changed.
    pub list_updated_at: DateTime<Utc>,
}

/// A part of the changes of a user's list, in the order of revisions.
#[derive(Debug)]
pub struct ChangeList {
    /// The changes.
    pub changes: Vec<Change>,
    /// Whether there are changes beyond this part.
    pub has_more: bool,
    /// The point behind the last of all changes, whether or not they are in this part. `None` if the user has no list yet.
    pub end: Option<ChangesPosition>,
}

/// A change of a task.
#[derive(Debug)]
pub enum Change {
    /// It was created or changed: the task as it is now.
    Changed(Task),
    /// It was deleted.
    Deleted {
        /// See [`Task::id`].
        id: Uuid,
        /// See [`Task::number`].
        number: i64,
        /// The revision of the list at the deletion.
        revision: i64,
    },
}

/// Input of `GET …/tasks`: which of the caller's tasks, in which order, and which part of them.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskQuery {
    /// Which tasks the list contains.
    pub filter: TaskFilter,
    /// Their order.
    pub order: TaskOrder,
    /// The most tasks to return.
    pub limit: i64,
    /// Where to start.
    pub start: ListStart,
    /// The header `If-None-Match`: versions of the list that need not be shown again.
    pub known: Option<Versions>,
}

/// Which tasks a list contains: those that meet every condition.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TaskFilter {
    /// Whether they are completed.
    pub completed: Option<bool>,
    /// Text that title or description contains, in upper or lower case.
    pub search: Option<String>,
    /// They are due at this time or later.
    pub due_after: Option<DateTime<Utc>>,
    /// They are due before this time.
    pub due_before: Option<DateTime<Utc>>,
}

/// The order of a list. Equal tasks come oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TaskOrder {
    /// What they are sorted by.
    pub by: SortKey,
    /// Whether the greatest comes first.
    pub descending: bool,
}

/// What a list is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SortKey {
    /// [`Task::number`], which is the order of creation. No sorting is needed for it.
    Number,
    /// [`Task::created_at`].
    CreatedAt,
    /// [`Task::updated_at`].
    UpdatedAt,
    /// [`Task::due_date`]. Tasks without one come last in either direction.
    DueDate,
    /// [`Task::title`] in lower case, then as it is; both by code point.
    Title,
}

/// Where a page of a list starts.
#[derive(Debug, Clone, PartialEq)]
pub enum ListStart {
    /// After this many tasks.
    Offset(i64),
    /// After this position.
    After(ListPosition),
}

/// A position in a sorted list, which stays the same when the task that is there is changed or deleted.
#[derive(Debug, Clone, PartialEq)]
pub struct ListPosition {
    /// [`TaskList::begun_at`].
    pub begun_at: DateTime<Utc>,
    /// [`Task::number`].
    pub number: i64,
    /// The time that the list is sorted by. `None` if it is sorted by something else, or the task has no such time.
    pub time: Option<DateTime<Utc>>,
    /// The title if the list is sorted by it.
    pub title: Option<String>,
}

/// A page of a list.
#[derive(Debug)]
pub struct TaskList {
    /// The tasks of this page.
    pub tasks: Vec<Task>,
    /// The number of tasks in the list, whichever page this is.
    pub total: i64,
    /// Whether there are tasks after this page.
    pub has_more: bool,
    /// The version of the user's list as a whole.
    pub version: Version,
    /// When the user's list was begun: another time once it was erased. `None` if there is none.
    pub begun_at: Option<DateTime<Utc>>,
}
