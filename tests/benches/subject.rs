//! What is measured: the functions, a handler that does nothing, and what people use instead.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use local::binaries::{self, Profile, workspace_root};
use zip::{ZipWriter, write::SimpleFileOptions};

/// The handler that only answers.
pub const FLOOR: &str = "floor";

/// The functions.
pub const HERE: &str = "here";

/// Frameworks with the same endpoints, each in `peers/` with a program `bootstrap`.
pub const PEERS: [&str; 2] = ["fastapi", "node"];

/// The programs, by name: those of the functions, the floor and the peers. And other builds of the functions.
pub struct Subjects {
    programs: BTreeMap<String, PathBuf>,
    pub baselines: Vec<Baseline>,
}

/// A checkout of this workspace with release binaries, to compare with.
#[derive(Clone, Debug)]
pub struct Baseline {
    /// The name of its folder, which is also that of its database.
    pub name: String,
    folder: PathBuf,
}

impl Subjects {
    /// Builds these functions, what they need around them, and the floor for release, and installs the peers.
    pub fn prepare(functions: &[&str], with_peers: bool, baselines: &[PathBuf]) -> Result<Self> {
        let workspace = workspace_root();
        let build = |packages: &[&str]| {
            let packages: Vec<_> = packages.iter().map(|&package| package.to_owned()).collect();
            binaries::build(&workspace, &packages, Profile::Release)
        };
        let mut programs = build(&[functions, &[FLOOR]].concat())?;
        // Built with the others, they would share features of dependencies that the others don't have when deployed.
        programs.extend(build(&["docs", "migrate"])?);
        if with_peers {
            let peers = workspace.join("tests/benches/peers");
            // Its progress is for whoever watches; what this program prints is for whoever reads.
            let install = Command::new("bash").arg(peers.join("install.sh")).stdout(io::stderr()).status()?;
            ensure!(install.success(), "the peers can't be installed");
            programs.extend(PEERS.map(|peer| (peer.to_owned(), peers.join(peer).join("bootstrap"))));
        }
        let baselines = baselines.iter().map(|folder| Baseline::new(folder)).collect::<Result<_>>()?;
        Ok(Self { programs, baselines })
    }

    /// The program of that name.
    pub fn program(&self, name: &str) -> Result<&Path> {
        self.programs.get(name).map(PathBuf::as_path).with_context(|| format!("{name} was not prepared"))
    }
}

impl Baseline {
    fn new(folder: &Path) -> Result<Self> {
        let folder = folder.canonicalize().with_context(|| format!("there is no {}", folder.display()))?;
        let name = folder.file_name().context("a baseline's folder has a name")?;
        Ok(Self { name: name.to_string_lossy().into_owned(), folder })
    }

    /// Its build of a function.
    pub fn program(&self, function: &str) -> PathBuf {
        self.folder.join("target/release").join(function)
    }
}

/// The bytes of a program, and those of the archive that is uploaded.
pub fn size(program: &Path) -> Result<(u64, u64)> {
    let program = fs::read(program)?;
    let mut archive = ZipWriter::new(io::Cursor::new(Vec::new()));
    archive.start_file("bootstrap", SimpleFileOptions::default().unix_permissions(0o755))?;
    archive.write_all(&program)?;
    Ok((program.len() as u64, archive.finish()?.into_inner().len() as u64))
}
