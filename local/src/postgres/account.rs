//! The account that the server runs under. PostgreSQL refuses to run as root.

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

/// Accounts that root can run a server under, best first.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// Who runs the server: this process's own user, or for root an unprivileged one.
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
        let other =
            other.context("PostgreSQL doesn't run as root, and there is no user postgres or nobody")?;
        Ok(Self { other: Some(other) })
    }

    /// A command run by this account, in an environment that holds nothing to mislead PostgreSQL's programs.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var_os("PATH").unwrap_or_default();
        // English messages; and on macOS the server doesn't start without a locale.
        command.env_clear().env("PATH", path).env("LC_ALL", "C").current_dir("/").stdin(Stdio::null());
        if let Some(Ids { user, group }) = self.other {
            command.uid(user).gid(group);
        }
        command
    }

    /// Makes the account the owner of a file or folder.
    pub(super) fn own(&self, path: &Path) -> Result<()> {
        if let Some(Ids { user, group }) = self.other {
            chown(path, Some(user), Some(group))
                .with_context(|| format!("{} can't be given away", path.display()))?;
        }
        Ok(())
    }

    /// Makes a folder that is this account's alone, unless there is one already.
    pub(super) fn create_directory(&self, path: &Path) -> Result<()> {
        let name = path.display();
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("{} can't be made", parent.display()))?;
        }
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => self.own(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let owner = fs::symlink_metadata(path)?;
                let expected = self.other.map_or_else(|| id(&["-u"]), |ids| Ok(ids.user))?;
                // In a directory open to all, somebody else may have been there first.
                ensure!(
                    owner.is_dir() && owner.uid() == expected,
                    "{name} is not a folder of the user that PostgreSQL runs under (id {expected}): remove it"
                );
                Ok(())
            }
            Err(error) => Err(error).with_context(|| format!("{name} can't be made")),
        }
    }

    /// `path` where the account can get there, else a path in the system's temporary directory that stands for it.
    pub(super) fn reachable(&self, path: &Path) -> Result<PathBuf> {
        let Some(parent) = path.parent().filter(|_| self.other.is_some()) else {
            return Ok(path.to_owned());
        };
        fs::create_dir_all(parent).with_context(|| format!("{} can't be made", parent.display()))?;
        let reached = self.command("test").arg("-x").arg(parent).status().context("test can't be run")?;
        if reached.success() {
            return Ok(path.to_owned());
        }
        let name = path.display().to_string().trim_matches('/').replace('/', "-");
        Ok(std::env::temp_dir().join(name))
    }
}

/// What the program `id` says.
fn id(arguments: &[&str]) -> Result<u32> {
    let output =
        Command::new("id").args(arguments).stderr(Stdio::null()).output().context("id can't be run")?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().with_context(|| format!("there is no user {}", arguments.join(" ")))
}
