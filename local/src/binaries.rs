//! Builds the functions with cargo and finds their executables.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// Prefixes of the variables that describe the package whose program cargo runs.
const RUN_VARIABLES: [&str; 2] = ["CARGO_MANIFEST_", "CARGO_PKG_"];

/// How the functions are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Fast to build, with debug assertions and line numbers in backtraces.
    Dev,
    /// As deployed.
    Release,
}

/// Returns the folder of the workspace that this process was started in: the one of the package that cargo
/// runs or tests, else the one around the current folder.
///
/// Not the folder that this crate was built in: in a copy of that folder, cargo runs the copied executable.
pub fn workspace_root() -> PathBuf {
    let current = std::env::current_dir().unwrap_or_default();
    let start = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| current.clone(), PathBuf::from);
    let root = start.ancestors().find(|folder| folder.join("template.yaml").is_file());
    root.map_or(current, Path::to_owned)
}

/// Builds `packages` and returns the executable of each, by package name. Cargo's progress goes to stderr.
///
/// Cargo inherits the environment, so `CARGO_TARGET_DIR`, `RUSTFLAGS` and the variables of a coverage run
/// apply.
///
/// # Errors
/// If cargo can't be run, the build fails, or a package has no executable of the same name.
pub fn build(workspace: &Path, packages: &[String], profile: Profile) -> Result<BTreeMap<String, PathBuf>> {
    let mut cargo = command(workspace, packages, profile).spawn().context("can't run cargo")?;
    let stdout = cargo.stdout.take().expect("stdout is piped");

    let mut executables = BTreeMap::new();
    for line in BufReader::new(stdout).lines() {
        let line = line.context("can't read cargo's output")?;
        let Some(Executable { name, path, fresh }) = executable(&line) else { continue };
        executables.insert(name, path);
        if !fresh {
            // Also visible if cargo shows no progress bar, because its output is not a terminal.
            eprintln!("{} of {} programs are built", executables.len(), packages.len());
        }
    }
    ensure!(cargo.wait()?.success(), "the functions don't compile; cargo's messages above say why");

    packages
        .iter()
        .map(|package| {
            let executable = executables
                .get(package)
                .with_context(|| format!("package {package} has no binary of the same name"))?;
            Ok((package.clone(), executable.clone()))
        })
        .collect()
}

fn command(workspace: &Path, packages: &[String], profile: Profile) -> Command {
    // Selecting packages gives dependencies the features that these packages need, as when they are deployed.
    // Selecting only executables gives them the features that the whole workspace needs, so that
    // `cargo dev`, `cargo test` and `cargo build` share what they compile.
    let (selection, release) = match profile {
        Profile::Dev => ("--bin", None),
        Profile::Release => ("--package", Some("--release")),
    };
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(workspace)
        .args(["build", "--message-format=json-render-diagnostics"])
        .args(packages.iter().flat_map(|package| [selection, package]))
        .args(release)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    // Cargo sets these for a program that it runs. Build scripts, such as ring's, run again if they change.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| RUN_VARIABLES.iter().any(|prefix| name.starts_with(prefix))) {
            command.env_remove(name);
        }
    }
    command
}

/// An executable that cargo reports.
#[derive(Debug, PartialEq)]
struct Executable {
    name: String,
    path: PathBuf,
    /// Whether it had been built before.
    fresh: bool,
}

/// Returns the executable that a line of cargo's output reports, if any.
fn executable(line: &str) -> Option<Executable> {
    #[derive(Deserialize)]
    struct Message {
        reason: String,
        target: Option<Target>,
        executable: Option<PathBuf>,
        #[serde(default)]
        fresh: bool,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
    }

    let message: Message = serde_json::from_str(line).ok()?;
    let (target, path) = (message.target?, message.executable?);
    (message.reason == "compiler-artifact").then_some(Executable {
        name: target.name,
        path,
        fresh: message.fresh,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_does_not_get_the_variables_of_the_package_that_runs() {
        for profile in [Profile::Dev, Profile::Release] {
            let command = command(Path::new("/"), &["health".into()], profile);
            let removed: Vec<_> = command.get_envs().filter(|(_, value)| value.is_none()).collect();
            for name in ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_PKG_NAME"] {
                assert!(std::env::var_os(name).is_some(), "cargo sets {name} for tests");
                assert!(removed.iter().any(|(removed, _)| *removed == name), "{name}");
            }
        }
    }

    #[test]
    fn only_executables_are_read_from_cargos_output() {
        let binary = r#"{"reason":"compiler-artifact","target":{"name":"health"},"executable":"/t/debug/health","fresh":true}"#;
        let health = Executable { name: "health".into(), path: "/t/debug/health".into(), fresh: true };
        assert_eq!(executable(binary), Some(health));
        let library = r#"{"reason":"compiler-artifact","target":{"name":"shared"},"executable":null}"#;
        assert_eq!(executable(library), None);
        assert_eq!(executable(r#"{"reason":"build-finished","success":true}"#), None);
        assert_eq!(executable("warning: something else"), None);
    }
}
