//! What the README says about faults.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use local::binaries::workspace_root;
use tests::{Moment, NetworkFault as Fault};

use crate::{
    cases::{Case, Kind, Times},
    lane::Outcome,
};

const KINDS: [Kind; 2] = [Kind::Read, Kind::Write];

/// The outcomes as a table in Markdown: a line for each fault and moment, a column for each kind of endpoint.
pub fn render(outcomes: &[(Case, Outcome)]) -> String {
    let mut lines: BTreeMap<_, (BTreeMap<Kind, BTreeSet<&str>>, usize)> = BTreeMap::new();
    for (case, outcome) in outcomes {
        let (cells, cases) = lines.entry((case.fault, case.times, stage(case.moment))).or_default();
        let kind = case.endpoint.kind();
        cells.entry(kind).or_default().insert(words(kind, outcome));
        *cases += 1;
    }
    let mut table =
        String::from("| fault | when | reads, `/health/ready` | writes | cases |\n|---|---|---|---|---|\n");
    for ((fault, times, (_, stage)), (cells, cases)) in lines {
        let cells = KINDS.map(|kind| {
            let words: Vec<_> = cells.get(&kind).into_iter().flatten().copied().collect();
            words.join("; ")
        });
        let fault = describe(fault, times);
        writeln!(table, "| {fault} | {stage} | {} | {cases} |", cells.join(" | ")).expect("memory");
    }
    table
}

/// Holds the README against it.
pub fn assert_in_readme(table: &str) {
    let readme = std::fs::read_to_string(workspace_root().join("README.md")).expect("the README is there");
    assert!(readme.contains(table), "the README has another table than this:\n{table}");
}

fn describe(fault: Fault, times: Times) -> &'static str {
    match (fault, times) {
        (Fault::Reset, Times::Always) => "every connection breaks",
        (Fault::Reset, _) => "connection breaks",
        (Fault::Close, _) => "connection is closed",
        (Fault::Stall, _) => "silence",
        (Fault::Drop, _) => "bytes are lost",
        (Fault::Corrupt, _) => "bits flip",
        (Fault::Delay, _) => "delay of 0.3 s",
    }
}

fn stage(moment: Moment) -> (u8, &'static str) {
    match moment {
        Moment::Connect | Moment::Tls | Moment::Login => (0, "connecting, TLS, login"),
        Moment::BeforeStatement | Moment::MidStatement => (1, "before or within the statement"),
        Moment::BeforeAnswer | Moment::MidAnswer => (2, "before or within the answer"),
    }
}

fn words(kind: Kind, outcome: &Outcome) -> &'static str {
    match (kind, outcome.success, outcome.done) {
        (Kind::Read, true, _) => "right",
        (Kind::Read, false, _) => "503",
        (_, true, _) => "done",
        (_, false, true) => "503, done",
        (_, false, false) => "503, not done",
    }
}
