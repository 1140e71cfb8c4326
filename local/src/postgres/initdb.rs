//! Creates the data directory of a server.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::{Context, Result, ensure};
use uuid::Uuid;

use super::{account::Account, log::last_lines, programs::Programs};

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

fn absent_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
