//! The whole API on one machine: a PostgreSQL server, API Gateway and Lambda, each only as far as this project needs it.
//!
//! What runs here is what runs on AWS: the functions' own binaries, driven through the Lambda Runtime API with events
//! of payload format 2.0, for the routes that `template.yaml` names. `cargo dev` puts the parts together for a person,
//! the test suites do for a test run.
//!
//! It runs on Linux and macOS.

#![warn(missing_docs)]

pub mod binaries;
pub mod configuration;
pub mod gateway;
pub mod lambda;
pub mod logs;
pub mod postgres;
pub mod template;
pub mod token;
