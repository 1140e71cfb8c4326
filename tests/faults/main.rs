//! The fault suites: when the network, the database or a process fails, nothing is lost or carried out twice,
//! no request hangs, and the next one succeeds. docs/faults.md describes them.

mod calls;
mod cases;
mod changes;
mod lane;
mod late_writes;
mod load;
mod matrix;
#[cfg(target_os = "linux")]
mod memory;
mod panics;
mod replicas;
mod server;
mod table;
mod tls;
