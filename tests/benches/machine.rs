//! The machine that is measured on.

use std::{
    env, fs,
    process::{self, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

/// Has this program, and what it starts from now on, run on one core alone. Driver, function and database wait for each
/// other in turn, so that there is always just one with work to do: the core never sleeps, and nothing is measured of how
/// long another one takes to wake, which on a virtual machine is longer than the work.
pub fn use_one_core() -> Result<()> {
    set_cores(&(cores() - 1).to_string())
}

/// Has this program, and what it starts from now on, run on all cores again.
pub fn use_all_cores() -> Result<()> {
    set_cores(&format!("0-{}", cores() - 1))
}

fn set_cores(list: &str) -> Result<()> {
    let mut command = Command::new("taskset");
    command.args(["--all-tasks", "--cpu-list", "--pid", list, &process::id().to_string()]);
    let status = command.stdout(Stdio::null()).status().context("taskset (of util-linux) can't be run")?;
    ensure!(status.success(), "taskset failed");
    Ok(())
}

/// The processor time that a process has used so far, of all its threads.
pub fn processor_time(process: u32) -> Option<Duration> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let nanoseconds = tasks.flatten().filter_map(|task| {
        let statistics = fs::read_to_string(task.path().join("schedstat")).ok()?;
        statistics.split(' ').next()?.parse::<u64>().ok()
    });
    Some(Duration::from_nanos(nanoseconds.sum()))
}

/// In one line.
pub fn describe(database_version: &str) -> String {
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let processor = processor.map_or(env::consts::ARCH, |(_, name)| name);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{}, {} cores, {} {}, PostgreSQL {database_version}",
        processor.trim(),
        cores(),
        env::consts::OS,
        kernel.trim()
    )
}

/// As many as there are, whichever this program may use now.
fn cores() -> usize {
    let online = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    match online.lines().filter(|line| line.starts_with("processor")).count() {
        0 => thread::available_parallelism().map_or(1, usize::from),
        count => count,
    }
}
