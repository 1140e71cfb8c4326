//! A wall clock that a test can set ahead, to simulate a freeze of an hour. Only the wall clock of the
//! functions moves. Their timers are not affected, as in a process that has been frozen.

use std::{fs, path::PathBuf, process::Command};

use local::binaries::workspace_root;
use uuid::Uuid;

use crate::Options;

/// The wall clock of one test's functions.
pub struct Clock {
    directory: PathBuf,
}

impl Clock {
    /// Creates a clock that shows the real time. Compiles `clock.c` with the C compiler that Rust needs for
    /// linking.
    pub fn start() -> Self {
        let directory = std::env::temp_dir().join(format!("task-api-clock-{}", Uuid::new_v4().simple()));
        fs::create_dir(&directory).expect("a new directory");
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-shared", "-fPIC", "-o"]).arg(directory.join("clock.so"));
        let status = compiler.arg(workspace_root().join("tests/harness/clock.c")).status();
        assert!(status.expect("`cc` runs, because Rust needs it as well").success());
        let clock = Self { directory };
        clock.set_ahead(0);
        clock
    }

    /// Options for an API whose functions use this clock.
    pub fn options(&self) -> Options {
        let path = |name: &str| self.directory.join(name).to_str().expect("a name of our own").to_owned();
        Options::default().with("LD_PRELOAD", path("clock.so")).with("CLOCK_AHEAD", path("ahead"))
    }

    /// Sets the clock ahead of the real time by this many seconds.
    pub fn set_ahead(&self, seconds: u32) {
        // Renamed into place, so that a function never reads an empty file.
        let (new, file) = (self.directory.join("new"), self.directory.join("ahead"));
        fs::write(&new, seconds.to_string())
            .and_then(|()| fs::rename(&new, &file))
            .expect("the directory is writable");
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.directory).ok();
    }
}
