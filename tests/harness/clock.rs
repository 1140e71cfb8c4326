//! A wall clock that a test moves ahead, because nobody waits for an hour. Only the functions' own clock moves, and
//! their timers keep their pace: to the function it is as if it had been frozen for that time.

use std::{fs, path::PathBuf, process::Command};

use local::binaries::workspace_root;
use uuid::Uuid;

use crate::Options;

/// The wall clock of one test's functions.
pub struct Clock {
    directory: PathBuf,
}

impl Clock {
    /// A clock that shows the time. The C compiler that makes it is the one that Rust links with.
    pub fn start() -> Self {
        let directory = std::env::temp_dir().join(format!("task-api-clock-{}", Uuid::new_v4().simple()));
        fs::create_dir(&directory).expect("a new directory");
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-shared", "-fPIC", "-o"]).arg(directory.join("clock.so"));
        let status = compiler.arg(workspace_root().join("tests/harness/clock.c")).status();
        assert!(status.expect("Rust needs a C compiler as well").success());
        let clock = Self { directory };
        clock.set_ahead(0);
        clock
    }

    /// Options of an API whose functions go by this clock.
    pub fn options(&self) -> Options {
        let path = |name: &str| self.directory.join(name).to_str().expect("a name of our own").to_owned();
        Options::default().with("LD_PRELOAD", path("clock.so")).with("CLOCK_AHEAD", path("ahead"))
    }

    /// Shows a time that is ahead of the real one by this many seconds.
    pub fn set_ahead(&self, seconds: u32) {
        // Written beside and renamed, so that a function never reads an empty file.
        let (new, file) = (self.directory.join("new"), self.directory.join("ahead"));
        fs::write(&new, seconds.to_string()).and_then(|()| fs::rename(&new, &file)).expect("writable");
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.directory).ok();
    }
}
