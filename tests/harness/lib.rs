//! The test harness: an API with a database of its own, users with tokens, checks of responses, and networks
//! that fail.
//!
//! Each test starts an [`App`]: the functions' real binaries behind the local gateway, with a new database on
//! a server that all tests of a run share. If `TASK_API_URL` names a deployment, the suites run against that
//! instead, with tokens signed by `TASK_API_SECRET`. Tests that need access to the database or to processes
//! are skipped then.

mod app;
#[cfg(target_os = "linux")]
mod clock;
mod issuer;
mod journal;
#[cfg(target_os = "linux")]
mod network;
mod pooler;
mod proxy;
mod replica;
mod response;
mod tls;
mod user;

pub use app::{
    App, Local, MIGRATED, Options, SECRET, binary, cluster_migrated_by, connect, database_port,
    empty_database, endpoints_url, migrate, migrated_cluster, migrated_database,
};
#[cfg(target_os = "linux")]
pub use clock::Clock;
pub use issuer::{Issuer, SigningKey};
pub use journal::{Counts, work_with_journals};
#[cfg(target_os = "linux")]
pub use network::Network;
pub use proxy::{Cut, DELAY, Moment, NetworkFault, Proxy};
pub use replica::{Changes, Replica};
pub use response::{ErrorResponse, FieldError, Response, errors};
pub use tls::{Authority, Certificate, TlsProxy, serve_tls};
pub use user::{ApiClient, Contract, User, changes};
