//! The log of a server, which is also its lock.

use std::{
    fs::File,
    io::{Read, Seek},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::account::Account;

/// How long to wait for the server of an earlier run to stop. It stops soon after that run is killed.
const PREDECESSOR_TIMEOUT: Duration = Duration::from_secs(5);

/// The server's log, locked while this process or the server's supervisor runs. The lock keeps other
/// processes from using the same data.
pub(super) struct Log {
    pub(super) path: PathBuf,
    pub(super) file: File,
}

impl Log {
    pub(super) fn lock(account: &Account, path: PathBuf) -> Result<Self> {
        let file = File::options().read(true).append(true).create(true).mode(0o600).open(&path)?;
        account.own(&path)?;
        let started = Instant::now();
        while file.try_lock().is_err() {
            ensure!(
                started.elapsed() < PREDECESSOR_TIMEOUT,
                "another `cargo dev` is using the database in {}",
                path.parent().unwrap_or(&path).display()
            );
            thread::sleep(Duration::from_millis(50));
        }
        file.set_len(0)?;
        Ok(Self { path, file })
    }

    /// Returns the last lines.
    pub(super) fn tail(&self) -> String {
        let mut text = String::new();
        // Through the open handle, because the file may have been removed.
        let read = (&self.file).rewind().and_then(|()| (&self.file).read_to_string(&mut text));
        read.map_or_else(|error| error.to_string(), |_| last_lines(&text))
    }
}

/// Returns the last lines of a text.
pub(super) fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}
