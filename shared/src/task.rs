//! The task, and the typed input of each endpoint.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::input::{Input, Reader};

/// A task as the database holds it. How much of it a front end sees is the contract's affair.
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
    /// Whether it is done.
    pub completed: bool,
    /// When it was done; `None` while it is open.
    pub completed_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// How a front end names a task.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TaskKey {
    /// By [`Task::id`], in the envelope contract.
    Id(Uuid),
    /// By [`Task::number`], in the plain contract.
    Number(i64),
}

/// Input of `POST …/tasks`.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTask {
    /// What the task is to be.
    pub fields: NewTaskFields,
    /// The header `Idempotency-Key`: 1–255 visible ASCII characters.
    pub idempotency_key: Option<String>,
}

/// The fields of a task to be made.
#[derive(Debug, Clone, PartialEq, Serialize)]
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

/// What to change in a task. `None` leaves a field as it is; where a field may be empty, `Some(None)` empties it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TaskChanges {
    /// See [`Task::title`].
    pub title: Option<String>,
    /// See [`Task::description`].
    pub description: Option<Option<String>>,
    /// See [`Task::due_date`].
    pub due_date: Option<Option<DateTime<Utc>>>,
    /// See [`Task::completed`].
    pub completed: Option<Completion>,
}

/// What to do with [`Task::completed`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Completion {
    /// Make it this, whatever it was.
    Set(bool),
    /// Make it the other.
    Flip,
}

/// Input of `PUT …/tasks/{task_id}`.
#[derive(Debug)]
pub struct PutTask {
    /// The task to change.
    pub key: TaskKey,
    /// What to change: in the envelope contract, everything.
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
pub enum TaskQuery {
    /// Newest first.
    Newest {
        /// At most so many: 1–100.
        limit: i64,
        /// After leaving out so many: at least 0.
        offset: i64,
    },
    /// In the order of creation.
    Oldest {
        /// At most so many.
        limit: i64,
        /// Only tasks with a greater [`Task::number`].
        after: i64,
    },
}

/// A part of a user's tasks.
#[derive(Debug)]
pub struct TaskList {
    /// The tasks of this part.
    pub tasks: Vec<Task>,
    /// How many tasks the user has in all.
    pub total: i64,
    /// Whether there are tasks beyond this part.
    pub has_more: bool,
}

impl Input for NewTask {
    fn read(request: &mut Reader) -> Option<Self> {
        let idempotency_key = request.idempotency_key();
        let fields = request.contract.read_new_task(&mut request.body()?);
        Some(Self { fields: fields?, idempotency_key: idempotency_key? })
    }
}

impl Input for TaskKey {
    fn read(request: &mut Reader) -> Option<Self> {
        request.contract.read_task_key(request)
    }
}

impl Input for TaskQuery {
    fn read(request: &mut Reader) -> Option<Self> {
        request.contract.read_task_query(request)
    }
}

impl Input for PutTask {
    fn read(request: &mut Reader) -> Option<Self> {
        let key = TaskKey::read(request);
        let changes = request.contract.read_put(&mut request.body()?);
        Some(Self { key: key?, changes: changes? })
    }
}

impl Input for PatchTask {
    fn read(request: &mut Reader) -> Option<Self> {
        let key = TaskKey::read(request);
        let changes = request.contract.read_patch(&mut request.body()?);
        Some(Self { key: key?, changes: changes? })
    }
}

impl Input for CompleteTask {
    fn read(request: &mut Reader) -> Option<Self> {
        let key = TaskKey::read(request);
        let completion = request.contract.read_completion(request);
        Some(Self { key: key?, completion: completion? })
    }
}
