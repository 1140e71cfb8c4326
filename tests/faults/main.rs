//! When something fails between functions and database, or one of them does: nothing is lost, nothing doubled, no
//! request hangs, and the next one succeeds.

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
mod requests;
mod server;
mod table;
mod tls;
