//! Builds the functions with cargo and finds their executables.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// How the functions are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Fast to build, with debug assertions and line numbers in backtraces.
    Dev,
    /// As deployed.
    Release,
}

/// Returns the folder of the workspace that this crate was built from.
pub fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is inside the workspace").to_owned()
}

/// Builds `packages` and returns the executable of each, by package name. Cargo's progress goes to stderr.
///
/// Cargo inherits the environment, so `CARGO_TARGET_DIR`, `RUSTFLAGS` and the variables of a coverage run
/// apply.
///
/// # Errors
/// If cargo can't be run, the build fails, or a package has no executable of the same name.
pub fn build(workspace: &Path, packages: &[String], profile: Profile) -> Result<BTreeMap<String, PathBuf>> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(workspace)
        .args(["build", "--message-format=json-render-diagnostics"])
        .args(packages.iter().flat_map(|package| ["--package", package]))
        .args((profile == Profile::Release).then_some("--release"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut cargo = command.spawn().context("can't run cargo")?;
    let stdout = cargo.stdout.take().expect("stdout is piped");

    let mut executables = BTreeMap::new();
    for line in BufReader::new(stdout).lines() {
        if let Some((name, executable)) = executable(&line.context("can't read cargo's output")?) {
            executables.insert(name, executable);
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

/// Returns the name and path of the executable that a line of cargo's output reports, if any.
fn executable(line: &str) -> Option<(String, PathBuf)> {
    #[derive(Deserialize)]
    struct Message {
        reason: String,
        target: Option<Target>,
        executable: Option<PathBuf>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
    }

    let message: Message = serde_json::from_str(line).ok()?;
    (message.reason == "compiler-artifact").then_some(message.target?.name).zip(message.executable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_executables_are_read_from_cargos_output() {
        let binary =
            r#"{"reason":"compiler-artifact","target":{"name":"health"},"executable":"/t/debug/health"}"#;
        assert_eq!(executable(binary), Some(("health".into(), "/t/debug/health".into())));
        let library = r#"{"reason":"compiler-artifact","target":{"name":"shared"},"executable":null}"#;
        assert_eq!(executable(library), None);
        assert_eq!(executable(r#"{"reason":"build-finished","success":true}"#), None);
        assert_eq!(executable("warning: something else"), None);
    }
}
