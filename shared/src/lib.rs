//! What the functions share.
//!
//! The modules form layers; each uses only modules of lower layers, which a test checks. From the bottom up:
//!
//! 1. [`task`]: tasks, users' lists, and what can be asked of them.
//! 2. [`error`]: everything that can go wrong with a request.
//! 3. [`variables`], [`request`], [`response`] and `http_client`: reading from and writing to the outside.
//! 4. [`logs`].
//! 5. [`auth`], `store` and [`secrets`]: tokens, tasks and configuration, each with the services they need.
//! 6. [`contract`]: how requests are read and results rendered in each of the two contracts.
//! 7. `run`: starts a function and takes every request through the layers.
//!
//! A function's `main.rs` names its input type, its call of the store and its success status; the rest is here.

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

pub use contract::Contract;
pub use error::{Error, in_one_line};
pub use http_client::HttpClient;
pub use lambda_http::http::{StatusCode, header};
pub use response::{Body, Response};
pub use run::{PublicRequest, Request, serve, serve_public};
pub use store::{DatabaseConfig, Limits, Store, sql};
pub use task::{
    ChangeList, ChangesQuery, CompleteTask, Completion, DeleteTask, EraseUser, GetTask, ListPosition,
    ListStart, NewTask, NewTaskFields, Patch, PatchTask, PutTask, Shown, SortKey, Task, TaskChanges,
    TaskFilter, TaskKey, TaskList, TaskOrder, TaskQuery, TaskUpdate, Version, Versions, WriteHeaders,
    Written,
};
