//! The files of a server: its data, its superuser's password and its log.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use uuid::Uuid;

use super::{account::Account, programs::Programs};

/// How long to wait for the server of an earlier run to stop. It stops soon after that run is killed.
const PREDECESSOR_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether a server's data is kept after the server stops.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lifetime {
    Persistent,
    Temporary,
}

/// Creates the data directory if it doesn't exist. Returns the superuser's password.
pub(super) fn initialize(
    account: &Account,
    programs: &Programs,
    directory: &Path,
    data: &Path,
    lifetime: Lifetime,
) -> Result<String> {
    let password_file = directory.join("password");
    if let Ok(version) = fs::read_to_string(data.join("PG_VERSION")) {
        let (theirs, ours) = (version.trim(), programs.major.to_string());
        ensure!(
            theirs == ours,
            "the database in {} was created by PostgreSQL {theirs}, but PostgreSQL {ours} is installed; \
             remove the folder to start with an empty database",
            directory.display()
        );
        return fs::read_to_string(&password_file)
            .with_context(|| format!("can't read {}", password_file.display()));
    }

    let password = Uuid::new_v4().simple().to_string();
    fs::remove_file(&password_file).or_else(absent_is_fine)?;
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&password_file)?;
    file.write_all(password.as_bytes())?;
    account.own(&password_file)?;

    // Renamed when complete, so that an interrupted run doesn't leave an incomplete data directory.
    let unfinished = directory.join("data.unfinished");
    let initdb = |locale: &str| {
        fs::remove_dir_all(&unfinished).or_else(absent_is_fine)?;
        let mut command = account.command(programs.initdb());
        command
            .args(["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--no-instructions"])
            .arg(format!("--locale={locale}"))
            .arg(format!("--pwfile={}", password_file.display()))
            .arg(format!("--pgdata={}", unfinished.display()));
        if lifetime == Lifetime::Temporary {
            command.arg("--no-sync");
        }
        command.output().context("can't run initdb")
    };
    let mut output = initdb("C.UTF-8")?;
    if !output.status.success() {
        // Not every system has the locale C.UTF-8; macOS doesn't.
        output = initdb("C")?;
    }
    ensure!(
        output.status.success(),
        "initdb failed: {}",
        last_lines(&String::from_utf8_lossy(&output.stderr))
    );
    fs::rename(&unfinished, data)?;
    Ok(password)
}

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

fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}

fn absent_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
