//! The code that all functions share.
//!
//! The modules form layers. Each module uses only modules of lower layers, which `tests/api/layers.rs`
//! checks. From the bottom up:
//!
//! 1. [`task`]: tasks, users' lists, and the inputs and results of each operation.
//! 2. [`error`]: every way in which a request can fail.
//! 3. [`variables`], [`request`], [`response`] and `http_client`: reading configuration and requests, writing
//!    responses, and calling other services.
//! 4. [`logs`]: one JSON object per line.
//! 5. [`auth`], `store` and [`secrets`]: check tokens, store tasks in PostgreSQL, and load configuration.
//! 6. [`contract`]: how requests are read and results rendered in each of the two contracts.
//! 7. `run`: starts a function and takes every request through the layers.
//!
//! A function's `main.rs` only names its reader, its call of the store and how the result is rendered.

#![warn(missing_docs)]

pub mod auth;
pub mod contract;
pub mod error;
mod http_client;
pub mod logs;
pub mod request;
pub mod response;
mod run;
pub mod secrets;
mod store;
pub mod task;
pub mod variables;

pub use contract::{Contract, read};
pub use error::{Error, Failure, in_one_line};
pub use http_client::HttpClient;
pub use lambda_http::http::{StatusCode, header};
pub use response::{Body, Response};
pub use run::{PublicRequest, Read, Request, serve, serve_public};
pub use store::{DatabaseConfig, Limits, Store, sql};
pub use task::{
    ChangeList, ChangesQuery, Completion, DeleteTask, GetTask, ListPosition, ListStart, NewTask,
    NewTaskFields, Patch, Shown, SortKey, Task, TaskChanges, TaskFilter, TaskKey, TaskList, TaskOrder,
    TaskQuery, TaskUpdate, Version, Versions, WriteHeaders, Written,
};
