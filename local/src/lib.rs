//! The whole API on one machine: a PostgreSQL server, and stand-ins for API Gateway and Lambda that implement
//! what this project uses of them.
//!
//! The functions are the binaries that run on AWS. They get events of payload format 2.0 through the Lambda
//! Runtime API, for the routes in `template.yaml`. `cargo dev` and the test suites are built from these
//! parts.
//!
//! Runs on Linux and macOS.

#![warn(missing_docs)]

pub mod binaries;
pub mod configuration;
pub mod gateway;
pub mod lambda;
pub mod logs;
pub mod postgres;
pub mod serve;
pub mod template;
pub mod token;
