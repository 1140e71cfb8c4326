//! What the black-box suites stand on: the API with a database of its own, users with tokens, and answers.
//!
//! Each test starts an [`App`]: the functions' own binaries behind the local gateway, on a new database of a server
//! that the test run shares. Where `TASK_API_URL` names a deployment, the suites run against that instead, with
//! tokens signed by `TASK_API_SECRET`; what needs a hand in database or processes is skipped there.

mod answer;
mod app;
#[cfg(target_os = "linux")]
mod clock;
mod issuer;
#[cfg(target_os = "linux")]
mod network;
mod pooler;
mod proxy;
mod relay;
mod replica;
mod tls;
mod user;

pub use answer::{Answer, FieldError, Refusal, refusals};
pub use app::{
    App, Local, MIGRATED, Options, SECRET, binary, cluster_migrated_by, connect, database_port,
    empty_database, endpoints_url, migrate, migrated_cluster, migrated_database,
};
#[cfg(target_os = "linux")]
pub use clock::Clock;
pub use issuer::{Issuer, SigningKey};
#[cfg(target_os = "linux")]
pub use network::Network;
pub use proxy::{DELAY, Moment, NetworkFault, Proxy};
pub use relay::{Cut, Relay};
pub use replica::{Changes, Replica};
pub use tls::{Authority, Certificate, TlsFront, serve_tls};
pub use user::{Contract, Front, User, changes};
