//! Runs every case, and holds the outcomes against the README.

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

/// Cases of one endpoint, in one contract, over one transport, that run at the same time.
const LANES: usize = 2;

/// Cases that run at the same time besides those that mostly wait: with more of them, what is slow would be the machine.
const BUSY: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_at_every_moment_leaves_right_answers_and_a_right_database() {
    // To those who only prefer TLS, too, it would show a certificate that they don't know.
    let cluster = Arc::new(migrated_cluster().await);
    let authority = Authority::new();
    let superuser = connect(&cluster.url("postgres")).await;
    serve_tls(&superuser, &authority.issue("127.0.0.1", false)).await;
    let authority: Arc<str> = authority.certificate().into();

    let cases = Case::all();
    let total = cases.len();
    // Each queue is for one function, so that a lane needs one process.
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
                // Turns come in the order in which they are asked for: all lanes are made before the first case begins.
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
            eprintln!("{} of {total} cases", counter.load(Ordering::Relaxed));
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
    assert!(mistakes.is_empty(), "{} of {total}:\n{}", mistakes.len(), mistakes.join("\n"));
    let outcomes: Vec<(Case, Outcome)> =
        outcomes.into_iter().filter_map(|(case, outcome)| Some((case, outcome.ok()?))).collect();
    let slowest = |warm| {
        outcomes.iter().filter(|(case, _)| case.warm == warm).map(|(_, outcome)| outcome.elapsed).max()
    };
    println!("{}", table::render(&outcomes));
    println!(
        "{} cases; slowest request {:?}, with a new process {:?}",
        outcomes.len(),
        slowest(true),
        slowest(false)
    );
    assert_eq!(outcomes.len(), total);
    table::assert_in_readme(&table::render(&outcomes));
}
