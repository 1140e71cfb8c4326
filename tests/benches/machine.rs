//! The machine: processor cores, processor time, and a description.

use std::{
    env, fs,
    process::{self, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

/// Runs this program, and what it starts from now on, on one core only. Driver, function and database wait
/// for each other, so exactly one of them has work at any time and the core never sleeps. With several cores,
/// the time until another core wakes would be measured as well, which on a virtual machine is longer than the
/// work itself.
pub fn use_one_core() -> Result<()> {
    set_cores(&(cores() - 1).to_string())
}

/// Runs this program, and what it starts from now on, on all cores again.
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

/// The processor time that all threads of a process have used so far.
pub fn processor_time(process: u32) -> Option<Duration> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let nanoseconds = tasks.flatten().filter_map(|task| {
        let statistics = fs::read_to_string(task.path().join("schedstat")).ok()?;
        statistics.split(' ').next()?.parse::<u64>().ok()
    });
    Some(Duration::from_nanos(nanoseconds.sum()))
}

/// Describes the machine in one line.
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

/// The number of cores of the machine, whether or not this program may use all of them.
fn cores() -> usize {
    let online = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    match online.lines().filter(|line| line.starts_with("processor")).count() {
        0 => thread::available_parallelism().map_or(1, usize::from),
        count => count,
    }
}
