//! One task: creating, reading, changing and deleting it.

mod complete;
mod create;
mod delete;
mod get;
mod patch;
mod update;
