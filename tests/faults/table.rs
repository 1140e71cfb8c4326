//! The table of faults and outcomes in docs/faults.md.

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

/// Returns the outcomes as a Markdown table: a row for each fault and phase, a column for each kind of
/// endpoint.
pub fn render(outcomes: &[(Case, Outcome)]) -> String {
    let mut lines: BTreeMap<_, (BTreeMap<Kind, BTreeSet<&str>>, usize)> = BTreeMap::new();
    for (case, outcome) in outcomes {
        let (cells, cases) = lines.entry((case.fault, case.times, stage(case.moment))).or_default();
        let kind = case.endpoint.kind();
        cells.entry(kind).or_default().insert(words(kind, outcome));
        *cases += 1;
    }
    let mut table =
        String::from("| fault | when | reads, `/health/ready` | writes | cases |\n|---|---|---|---|--:|\n");
    for ((fault, times, (_, stage)), (cells, cases)) in lines {
        let cells = KINDS.map(|kind| {
            let words: Vec<_> = cells.get(&kind).into_iter().flatten().copied().collect();
            words.join(" or ")
        });
        let fault = describe(fault, times);
        writeln!(table, "| {fault} | {stage} | {} | {cases} |", cells.join(" | ")).expect("memory");
    }
    table
}

/// Checks that docs/faults.md contains this table.
pub fn assert_documented(table: &str) {
    let document = std::fs::read_to_string(workspace_root().join("docs/faults.md")).expect("the document");
    assert!(document.contains(table), "docs/faults.md must contain this table:\n{table}");
}

fn describe(fault: Fault, times: Times) -> &'static str {
    match (fault, times) {
        (Fault::Reset, Times::Always) => "every connection is reset",
        (Fault::Reset, _) => "the connection is reset",
        (Fault::Close, _) => "the connection is closed",
        (Fault::Stall, _) => "silence",
        (Fault::Drop, _) => "bytes are lost",
        (Fault::Corrupt, _) => "bits are flipped",
        (Fault::Delay, _) => "a delay of 0.3 s",
    }
}

fn stage(moment: Moment) -> (u8, &'static str) {
    match moment {
        Moment::Connect | Moment::Tls | Moment::Login => (0, "while connecting"),
        Moment::BeforeStatement | Moment::MidStatement => (1, "while the call is sent"),
        Moment::BeforeResponse | Moment::MidResponse => (2, "while the answer is sent"),
    }
}

fn words(kind: Kind, outcome: &Outcome) -> &'static str {
    match (kind, outcome.success, outcome.done) {
        (Kind::Read, true, _) => "correct",
        (Kind::Read, false, _) => "503",
        (_, true, _) => "success",
        (_, false, true) => "503 (carried out)",
        (_, false, false) => "503 (not carried out)",
    }
}
