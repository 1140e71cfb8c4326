//! Mixed load while everything fails at random. At the end, the database must contain what the responses
//! said.

use std::{
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use local::postgres::StopMode;
use tests::{
    App, Authority, MIGRATED, Moment, NetworkFault as Fault, Options, Proxy, connect, migrated_cluster,
    serve_tls, work_with_journals,
};
use tokio::{task::block_in_place, time::sleep};

use crate::lane::{REQUEST_LIMIT, START_LIMIT};

const USERS: usize = 12;

/// How long load with random faults lasts: `FAULT_SECONDS`, or this many seconds.
pub fn duration(seconds: u64) -> Duration {
    let set = std::env::var("FAULT_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(set.unwrap_or(seconds))
}

/// Lets users work while `trouble` happens. Then the database must contain exactly what their journals say.
async fn hold_journals_against_database(
    app: &App,
    database_url: &str,
    duration: Duration,
    trouble: impl AsyncFnOnce(&AtomicBool),
) {
    let counts = work_with_journals(app, USERS, duration, trouble).await;
    let tasks = connect(database_url).await.query_one("select count(*) from tasks", &[]).await;
    let tasks: i64 = tasks.expect("the database is up").get(0);
    assert_eq!(usize::try_from(tasks), Ok(counts.kept), "there are no tasks without a journal entry");
    // Any request may have started a process.
    assert!(counts.slowest < REQUEST_LIMIT + START_LIMIT, "a request took {:?}", counts.slowest);
    assert!(counts.refused < counts.requests / 2, "more than half of the requests succeed");
}

#[tokio::test(flavor = "multi_thread")]
async fn random_faults_lose_duplicate_and_mix_up_nothing() {
    let authority = Authority::new();
    let cluster = migrated_cluster().await;
    let superuser = connect(&cluster.url("postgres")).await;
    serve_tls(&superuser, &authority.issue("127.0.0.1", false)).await;
    let proxy = Proxy::start(cluster.port()).await;
    let url = cluster.endpoints_url_through(proxy.port, MIGRATED);
    let options = Options { max_instances: Some(USERS), ..Options::default() }
        .with("DATABASE_URL", url + "?sslmode=require")
        .with("DATABASE_CA_CERT", authority.certificate());
    let Some(app) = App::local_with(options).await else { return };

    let trouble = async |over: &AtomicBool| {
        let mut random = fastrand::Rng::new();
        let faults = [Fault::Reset, Fault::Close, Fault::Stall, Fault::Drop, Fault::Corrupt, Fault::Delay];
        let moments = [&Moment::ALL[..], &[Moment::Tls]].concat();
        while !over.load(Ordering::Relaxed) {
            match random.u8(..20) {
                0 => proxy.hang_up().await,
                1 => {
                    let end = "select pg_terminate_backend(pid) from pg_stat_activity
                               where backend_type = 'client backend' and pid <> pg_backend_pid()";
                    superuser.execute(end, &[]).await.expect("superusers can end sessions");
                }
                2 => freeze(&app, &mut random).await,
                _ => {
                    let fault = faults[random.usize(..faults.len())];
                    proxy.arm(fault, moments[random.usize(..moments.len())], random.usize(1..4));
                }
            }
            sleep(Duration::from_millis(random.u64(20..200))).await;
        }
        proxy.disarm();
    };
    hold_journals_against_database(&app, &cluster.url(MIGRATED), duration(20), trouble).await;
}

/// Freezes a process for 0.3 s, as Lambda does.
async fn freeze(app: &App, random: &mut fastrand::Rng) {
    let names = ["get-task", "list-tasks", "create-task", "update-task", "complete-task", "delete-task"];
    let function = app.internals().gateway().function(names[random.usize(..names.len())]);
    let pids = function.expect("a function of the template").pids();
    let Some(pid) = pids.get(random.usize(..pids.len().max(1))).map(u32::to_string) else { return };
    for signal in ["-STOP", "-CONT"] {
        Command::new("kill").args([signal, &pid]).status().expect("kill can be run");
        sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_crash_under_load_loses_and_duplicates_nothing() {
    let mut cluster = migrated_cluster().await;
    // Acknowledged writes must survive a crash of the server. A crash of the machine is not simulated.
    let safe = format!("alter database {MIGRATED} set synchronous_commit = on");
    connect(&cluster.url("postgres"))
        .await
        .batch_execute(&safe)
        .await
        .expect("a superuser can change settings");
    let url = cluster.url(MIGRATED);
    let options =
        Options { max_instances: Some(USERS), ..Options::default() }.with("DATABASE_URL", url.as_str());
    let Some(app) = App::local_with(options).await else { return };
    let trouble = async |_: &AtomicBool| {
        for _ in 0..3 {
            sleep(Duration::from_millis(2500)).await;
            block_in_place(|| cluster.stop(StopMode::Immediate)).expect("it stops");
            sleep(Duration::from_millis(500)).await;
            block_in_place(|| cluster.resume()).expect("it starts again");
        }
    };
    hold_journals_against_database(&app, &url, Duration::from_secs(12), trouble).await;
}
