//! The subjects of the measurements: the functions, a handler that does nothing, other builds and the peers.

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

/// A handler that only responds.
pub const FLOOR: &str = "floor";

/// The functions of this checkout.
pub const HERE: &str = "here";

/// Implementations of the same endpoints with other frameworks, each a folder of `peers/` with a program
/// `bootstrap`.
pub const PEERS: [&str; 2] = ["fastapi", "node"];

/// The programs of the functions, the floor and the peers by name, and other builds of the functions.
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
    /// Makes release builds of these functions, `docs`, `migrate` and the floor, and installs the peers.
    pub fn prepare(functions: &[&str], with_peers: bool, baselines: &[PathBuf]) -> Result<Self> {
        let workspace = workspace_root();
        let build = |packages: &[&str]| {
            let packages: Vec<_> = packages.iter().map(|&package| package.to_owned()).collect();
            binaries::build(&workspace, &packages, Profile::Release)
        };
        let mut programs = build(&[functions, &[FLOOR]].concat())?;
        // Built apart: in one build, the others would get features of dependencies that only these two need.
        programs.extend(build(&["docs", "migrate"])?);
        if with_peers {
            let peers = workspace.join("tests/benches/peers");
            // Progress goes to standard error: standard output has only the results.
            let install = Command::new("bash").arg(peers.join("install.sh")).stdout(io::stderr()).status()?;
            ensure!(install.success(), "the peers can't be installed");
            programs.extend(PEERS.map(|peer| (peer.to_owned(), peers.join(peer).join("bootstrap"))));
        }
        let baselines = baselines.iter().map(|folder| Baseline::new(folder)).collect::<Result<_>>()?;
        Ok(Self { programs, baselines })
    }

    /// The path of a program.
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

    /// The path of this build of a function.
    pub fn program(&self, function: &str) -> PathBuf {
        self.folder.join("target/release").join(function)
    }
}

/// The sizes of a program, and of the archive that is uploaded for it, in bytes.
pub fn size(program: &Path) -> Result<(u64, u64)> {
    let program = fs::read(program)?;
    let mut archive = ZipWriter::new(io::Cursor::new(Vec::new()));
    archive.start_file("bootstrap", SimpleFileOptions::default().unix_permissions(0o755))?;
    archive.write_all(&program)?;
    Ok((program.len() as u64, archive.finish()?.into_inner().len() as u64))
}
