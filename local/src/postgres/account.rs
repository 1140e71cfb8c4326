//! The operating system user that the server runs as. PostgreSQL refuses to run as root.

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder},
    io,
    os::unix::{
        fs::{DirBuilderExt, MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

/// Users that root can run a server as, in order of preference.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// The user that runs the server: this process's user, or an unprivileged one if that is root.
pub(super) struct Account {
    other: Option<Ids>,
}

#[derive(Clone, Copy)]
struct Ids {
    user: u32,
    group: u32,
}

impl Account {
    pub(super) fn for_server() -> Result<Self> {
        if id(&["-u"])? != 0 {
            return Ok(Self { other: None });
        }
        let ids = |&name: &&str| Some(Ids { user: id(&["-u", name]).ok()?, group: id(&["-g", name]).ok()? });
        let other = UNPRIVILEGED.iter().find_map(ids);
        let other = other
            .context("PostgreSQL can't run as root, and there is no user postgres or nobody to run it as")?;
        Ok(Self { other: Some(other) })
    }

    /// Returns a command that runs as this user, without the variables that change how PostgreSQL's programs
    /// work.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var_os("PATH").unwrap_or_default();
        // Keeps messages in English. On macOS the server also needs a locale to start.
        command.env_clear().env("PATH", path).env("LC_ALL", "C").current_dir("/").stdin(Stdio::null());
        if let Some(Ids { user, group }) = self.other {
            command.uid(user).gid(group);
        }
        command
    }

    /// Makes this user the owner of a file or folder.
    pub(super) fn own(&self, path: &Path) -> Result<()> {
        if let Some(Ids { user, group }) = self.other {
            chown(path, Some(user), Some(group))
                .with_context(|| format!("can't change the owner of {}", path.display()))?;
        }
        Ok(())
    }

    /// Creates a folder that only this user can access, unless it exists.
    pub(super) fn create_directory(&self, path: &Path) -> Result<()> {
        let name = path.display();
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("can't create {}", parent.display()))?;
        }
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => self.own(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let owner = fs::symlink_metadata(path)?;
                let expected = self.other.map_or_else(|| id(&["-u"]), |ids| Ok(ids.user))?;
                // In a directory that everyone can write to, another user may have created it.
                ensure!(
                    owner.is_dir() && owner.uid() == expected,
                    "{name} is not a folder that belongs to the user PostgreSQL runs as (id {expected}); remove it and retry"
                );
                Ok(())
            }
            Err(error) => Err(error).with_context(|| format!("can't create {name}")),
        }
    }

    /// Returns `path` if this user can access its parent, else a path in the system's temporary directory
    /// that is named after it.
    pub(super) fn reachable(&self, path: &Path) -> Result<PathBuf> {
        let Some(parent) = path.parent().filter(|_| self.other.is_some()) else {
            return Ok(path.to_owned());
        };
        fs::create_dir_all(parent).with_context(|| format!("can't create {}", parent.display()))?;
        let reached = self.command("test").arg("-x").arg(parent).status().context("can't run test")?;
        if reached.success() {
            return Ok(path.to_owned());
        }
        let name = path.display().to_string().trim_matches('/').replace('/', "-");
        Ok(std::env::temp_dir().join(name))
    }
}

/// Returns the number that the program `id` prints.
fn id(arguments: &[&str]) -> Result<u32> {
    let output = Command::new("id").args(arguments).stderr(Stdio::null()).output().context("can't run id")?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().with_context(|| format!("id {} printed no number", arguments.join(" ")))
}
