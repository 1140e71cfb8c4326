//! The fault matrix: runs every case, and compares the outcomes with the table in docs/faults.md.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use tests::{Authority, connect, migrated_cluster, serve_tls};
use tokio::{
    sync::{Mutex, Semaphore},
    time::interval,
};

use crate::{
    cases::Case,
    lane::{Lane, Outcome},
    table,
};

/// Number of cases that run at the same time for one endpoint, in one contract, with or without TLS.
const LANES: usize = 2;

/// Number of cases that run at the same time, not counting those that mostly wait. With more of them, the
/// machine would be so busy that requests exceed their time limits.
const BUSY: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_at_every_moment_leaves_correct_responses_and_a_correct_database() {
    // A server of its own: the functions of other tests would not trust its certificate.
    let cluster = Arc::new(migrated_cluster().await);
    let authority = Authority::new();
    let superuser = connect(&cluster.url("postgres")).await;
    serve_tls(&superuser, &authority.issue("127.0.0.1", false)).await;
    let authority: Arc<str> = authority.certificate().into();

    let cases = Case::all();
    let total = cases.len();
    // Each queue is for one endpoint, so that a lane needs one process.
    let mut queues: BTreeMap<_, Vec<Case>> = BTreeMap::new();
    for case in cases {
        queues.entry((case.tls, case.contract as u8, case.endpoint)).or_default().push(case);
    }
    let finished = Arc::new(AtomicUsize::new(0));
    let busy = Arc::new(Semaphore::new(BUSY));
    let mut lanes = Vec::new();
    for ((tls, ..), cases) in queues {
        let queue = Arc::new(Mutex::new(cases.into_iter()));
        for _ in 0..LANES {
            let (cluster, busy) = (Arc::clone(&cluster), Arc::clone(&busy));
            let (queue, finished) = (Arc::clone(&queue), Arc::clone(&finished));
            let authority = tls.then(|| Arc::clone(&authority));
            lanes.push(tokio::spawn(async move {
                let mut outcomes = Vec::new();
                // The semaphore is fair, so all lanes are started before the first case begins.
                let turn = busy.acquire().await;
                let Some(mut lane) = Lane::start(&cluster, authority.as_deref()).await else {
                    return outcomes;
                };
                drop(turn);
                loop {
                    let Some(case) = queue.lock().await.next() else { return outcomes };
                    let turn = if case.waits() { None } else { Some(busy.acquire().await) };
                    outcomes.push((case, lane.run(&case).await));
                    drop(turn);
                    finished.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
    }
    let counter = Arc::clone(&finished);
    let progress = tokio::spawn(async move {
        let mut ticks = interval(Duration::from_secs(5));
        loop {
            ticks.tick().await;
            eprintln!("fault matrix: {} of {total} cases done", counter.load(Ordering::Relaxed));
        }
    });
    let outcomes: Vec<_> =
        join_all(lanes).await.into_iter().flat_map(|lane| lane.expect("no panic")).collect();
    progress.abort();
    if outcomes.is_empty() {
        return;
    }

    let mistakes: Vec<String> = outcomes
        .iter()
        .filter_map(|(case, outcome)| Some(format!("{case:?}: {}", outcome.as_ref().err()?)))
        .collect();
    assert!(mistakes.is_empty(), "{} of {total} cases failed:\n{}", mistakes.len(), mistakes.join("\n"));
    let outcomes: Vec<(Case, Outcome)> =
        outcomes.into_iter().filter_map(|(case, outcome)| Some((case, outcome.ok()?))).collect();
    let slowest = |warm| {
        outcomes.iter().filter(|(case, _)| case.warm == warm).map(|(_, outcome)| outcome.elapsed).max()
    };
    let [warm, cold] = [slowest(true), slowest(false)].map(Option::unwrap_or_default);
    println!("The columns are explained in docs/faults.md; `cases` is the number of requests.\n");
    println!("{}", table::render(&outcomes));
    println!(
        "{} cases; slowest request: {warm:.1?} in a warm process, {cold:.1?} in a new one",
        outcomes.len()
    );
    assert_eq!(outcomes.len(), total, "every case ran");
    table::assert_documented(&table::render(&outcomes));
}
