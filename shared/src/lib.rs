//! What the functions share. A request runs through the modules in one direction:
//!
//! API Gateway event → [`http`] → [`Contract`] (from the route) → [`auth`] (token → [`Caller`]) →
//! [`input`] (typed, all faults gathered) → [`Store`] (one statement, one round trip) →
//! [`Contract`] renders → event back.
//!
//! A function's `main.rs` names its input type, its store call and its success status; the rest is here.

#![warn(missing_docs)]

pub mod auth;
pub mod config;
mod contract;
mod error;
pub mod http;
mod https;
pub mod input;
#[cfg(feature = "openapi")]
pub mod openapi;
mod secrets;
mod service;
mod store;
mod task;
pub mod telemetry;

pub use auth::Caller;
#[cfg(feature = "openapi")]
pub use contract::bodies;
pub use contract::{Contract, ENVELOPE_LIMIT, ENVELOPE_LIMIT_DEFAULT, OFFSET, PLAIN_PAGE, TASK_NUMBER};
pub use error::{Error, in_one_line};
pub use http::{Request, Response, serve};
pub use https::HttpsClient;
pub use lambda_http::http::StatusCode;
pub use store::{Created, DatabaseConfig, Store};
pub use task::{
    CompleteTask, Completion, NewTask, NewTaskFields, PatchTask, PutTask, Task, TaskChanges, TaskKey,
    TaskList, TaskQuery,
};
