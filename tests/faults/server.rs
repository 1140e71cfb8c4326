//! Faults of the database server, and of functions that are frozen or ended.

use std::{
    collections::BTreeMap,
    process::Command,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use tests::{
    ApiClient, App, Contract, MIGRATED, Options, Proxy, Response, connect, database_port, errors,
    migrated_cluster,
};
use tokio::time::sleep;
use tokio_postgres::Client;

use crate::{
    calls::{Task, check_success, send, tasks},
    cases::{Endpoint, Kind},
    lane::REQUEST_LIMIT,
};

/// A request of a new user, and its response.
struct Call<'a> {
    client: ApiClient<'a>,
    endpoint: Endpoint,
    task: Task,
    response: Response,
}

impl<'a> Call<'a> {
    async fn send(app: &'a App, database: &Client, contract: Contract, endpoint: Endpoint) -> Self {
        let client = app.user("caller").at(contract);
        let [task, ..] = tasks(database, &client.user.id).await;
        let response = send(app, &client, endpoint, &task, "asked for").await;
        Self { client, endpoint, task, response }
    }

    #[track_caller]
    fn assert_success(&self) {
        check_success(self.endpoint, &self.client, &self.response, &self.task, "asked for").unwrap_or_else(
            |error| {
                let Self { client, endpoint, .. } = self;
                panic!("{:?} {endpoint:?} {}: {error}", client.contract, client.user.id)
            },
        );
    }
}

/// Sends one request after the other to every endpoint in both contracts. Each must succeed.
async fn all_succeed(app: &App, database: &Client) {
    for (contract, endpoint) in everything() {
        Call::send(app, database, contract, endpoint).await.assert_success();
    }
}

fn everything() -> impl Iterator<Item = (Contract, Endpoint)> {
    Contract::BOTH
        .into_iter()
        .flat_map(|contract| Endpoint::of(contract).iter().map(move |endpoint| (contract, *endpoint)))
}

/// Returns the last endpoint of each function: a toggle or a deletion if it has one, because those would show
/// if they were carried out twice.
fn one_for_each_function() -> Vec<(Contract, Endpoint)> {
    let last: BTreeMap<_, _> = everything().map(|request| (request.1.function(), request)).collect();
    last.into_values().collect()
}

/// Ends every other session of a database.
async fn end_sessions(database: &Client) {
    let end = "select pg_terminate_backend(pid) from pg_stat_activity
               where datname = current_database() and pid <> pg_backend_pid()";
    database.execute(end, &[]).await.expect("superusers can end sessions");
}

/// The number of processes that have been started for all functions.
fn starts(app: &App) -> usize {
    let gateway = app.internals().gateway();
    everything().filter_map(|(_, endpoint)| Some(gateway.function(endpoint.function())?.starts())).sum()
}

/// Sends a signal to every process of the functions.
fn signal(app: &App, signal: &str) {
    let gateway = app.internals().gateway();
    for (_, endpoint) in everything() {
        for pid in gateway.function(endpoint.function()).map(|function| function.pids()).unwrap_or_default() {
            Command::new("kill").args([signal, &pid.to_string()]).status().expect("kill can be run");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_ended_by_the_server_are_replaced_without_an_error() {
    let Some(app) = App::local().await else { return };
    let database = app.internals().database().await;
    all_succeed(&app, &database).await;
    let processes = starts(&app);
    end_sessions(&database).await;
    // Gives the functions, which are not frozen, time to notice.
    sleep(Duration::from_millis(200)).await;
    all_succeed(&app, &database).await;
    assert_eq!(starts(&app), processes);
    assert!(!app.internals().log_text().contains("retrying on a new one"), "{}", app.internals().log_text());
}

/// A canceled wait for a standby ends as success, although the write exists on the primary server alone.
#[tokio::test(flavor = "multi_thread")]
async fn write_that_no_synchronous_standby_confirms_answers_503_and_can_be_repeated() {
    let cluster = migrated_cluster().await;
    let url = cluster.url(MIGRATED);
    let options = Options::default().with("DATABASE_URL", url.as_str());
    let Some(app) = App::local_with(options).await else { return };
    let superuser = connect(&url).await;
    let set = async |standby: &str| {
        let safe = format!("alter database {MIGRATED} set synchronous_commit = on");
        let standby = format!("alter system set synchronous_standby_names = '{standby}'");
        for statement in [safe.as_str(), standby.as_str(), "select pg_reload_conf()"] {
            superuser.batch_execute(statement).await.expect("superusers may");
        }
        sleep(Duration::from_millis(500)).await;
    };
    set("missing").await;
    let alice = app.user("alice");
    let create = async || {
        let request = alice.envelope().request(Method::POST, "").header("idempotency-key", "once");
        Response::to(request.json(&json!({ "title": "One" }))).await
    };
    let started = Instant::now();
    assert_eq!(create().await.status, 503);
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    set("").await;
    assert_eq!(create().await.expect_status(201).header("idempotency-replayed"), "true");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_was_frozen_while_its_session_ended_succeeds_after_the_thaw() {
    let Some(app) = App::local().await else { return };
    let database = app.internals().database().await;
    // The server ends sessions after 2 s of idleness.
    app.internals().set_for_sessions(&database, "idle_session_timeout = 2000").await;
    let (app, database) = (&app, &database);
    all_succeed(app, database).await;
    let processes = starts(app);
    signal(app, "-STOP");
    sleep(Duration::from_secs(3)).await;
    let sessions = "select count(*) from pg_stat_activity where datname = current_database()
                    and pid <> pg_backend_pid()";
    assert_eq!(
        database.query_one(sessions, &[]).await.expect("the database is up").get::<_, i64>(0),
        0,
        "all sessions have ended"
    );

    // As on Lambda, the request is there before the thaw, so the process finds it together with the end of
    // its session.
    let waking = one_for_each_function();
    let requests = waking.iter().map(async |&(contract, endpoint)| {
        Call::send(app, database, contract, endpoint).await.assert_success();
    });
    let wake = async {
        sleep(Duration::from_millis(300)).await;
        signal(app, "-CONT");
    };
    tokio::join!(join_all(requests), wake);
    assert_eq!(starts(app), processes, "the same processes");
    assert!(!app.internals().log_text().contains("retrying on a new one"), "{}", app.internals().log_text());
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_an_idle_process_and_the_next_request_starts_another() {
    let Some(app) = App::local().await else { return };
    let database = app.internals().database().await;
    all_succeed(&app, &database).await;
    let processes = starts(&app);
    signal(&app, "-TERM");
    // Gives the processes time to end.
    sleep(Duration::from_millis(200)).await;
    all_succeed(&app, &database).await;
    assert!(starts(&app) > processes, "SIGTERM has ended the processes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silently_dropped_connection_is_replaced_after_30_seconds_idle() {
    let proxy = Proxy::start(database_port().await).await;
    let Some(app) = App::local_with(Options::default().through(proxy.port)).await else { return };
    let database = app.internals().database().await;
    let (app, database) = (&app, &database);
    all_succeed(app, database).await;
    let processes = starts(app);
    proxy.forget();
    sleep(Duration::from_secs(32)).await;
    join_all(one_for_each_function().iter().map(async |&(contract, endpoint)| {
        let started = Instant::now();
        Call::send(app, database, contract, endpoint).await.assert_success();
        assert!(started.elapsed() < Duration::from_secs(3), "{endpoint:?} took {:?}", started.elapsed());
    }))
    .await;
    assert_eq!(starts(app), processes, "the same processes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_answers_503_until_it_accepts_connections_again() {
    let Some(owner) = App::local().await else { return };
    let database = owner.internals().database().await;
    let role = format!("limited_{}", uuid::Uuid::new_v4().simple());
    let create =
        format!("create role {role} login password 'limited' connection limit 0 in role task_api_endpoints");
    database.batch_execute(&create).await.expect("superusers can create roles");
    let (_, address) = owner.internals().database_url.split_once('@').expect("a URL with a password");
    let url = format!("postgres://{role}:limited@{address}");
    let Some(app) = App::local_with(Options::default().with("DATABASE_URL", url)).await else { return };
    for (contract, endpoint) in everything() {
        let call = Call::send(&app, &database, contract, endpoint).await;
        call.response.assert_error(contract, &errors::UNAVAILABLE);
    }
    assert!(app.internals().log_text().contains("53300"), "{}", app.internals().log_text());
    let processes = starts(&app);
    database
        .batch_execute(&format!("alter role {role} connection limit 100"))
        .await
        .expect("the role can be changed");
    all_succeed(&app, &database).await;
    assert_eq!(starts(&app), processes);
    drop(app);
    database.batch_execute(&format!("drop role {role}")).await.expect("the role can be dropped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_locked_by_another_session_answers_503_and_nothing_is_written() {
    let Some(app) = App::local_with(Options { max_instances: Some(8), ..Options::default() }).await else {
        return;
    };
    let database = app.internals().database().await;
    let (app, locker) = (&app, app.internals().database().await);
    let mut prepared = Vec::new();
    for (contract, endpoint) in everything().filter(|(_, endpoint)| *endpoint != Endpoint::Ready) {
        let user = app.user("locked");
        prepared.push((contract, endpoint, tasks(&database, &user.id).await, user));
    }
    locker.batch_execute("begin; lock table tasks").await.expect("the table can be locked");
    join_all(prepared.iter().map(async |(contract, endpoint, [task, ..], user)| {
        let started = Instant::now();
        let response = send(app, &user.at(*contract), *endpoint, task, "asked for").await;
        assert!(started.elapsed() < REQUEST_LIMIT, "{endpoint:?} took {:?}", started.elapsed());
        response.assert_error(*contract, &errors::UNAVAILABLE);
    }))
    .await;
    locker.batch_execute("rollback").await.expect("the lock is released");
    let changed = "select count(*) from tasks where title = 'asked for' or completed";
    assert_eq!(
        database.query_one(changed, &[]).await.expect("the database is up").get::<_, i64>(0),
        0,
        "nothing is written"
    );
    for (contract, endpoint, [task, ..], user) in &prepared {
        let (client, endpoint, task) = (user.at(*contract), *endpoint, task.clone());
        let response = send(app, &client, endpoint, &task, "asked for").await;
        Call { client, endpoint, task, response }.assert_success();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_database_still_answers_reads() {
    let Some(app) = App::local().await else { return };
    let database = app.internals().database().await;
    all_succeed(&app, &database).await;
    app.internals().set_for_sessions(&database, "default_transaction_read_only = on").await;
    end_sessions(&database).await;
    sleep(Duration::from_millis(200)).await;
    for (contract, endpoint) in everything() {
        let call = Call::send(&app, &database, contract, endpoint).await;
        match endpoint.kind() {
            Kind::Read => call.assert_success(),
            Kind::Write => call.response.assert_error(contract, &errors::UNAVAILABLE),
        }
    }
    // `database` can still write, because its session began before the change.
    app.internals().set_for_sessions(&database, "default_transaction_read_only = off").await;
    // The functions' sessions are still read-only, so the functions have to replace them.
    let processes = starts(&app);
    all_succeed(&app, &database).await;
    assert_eq!(starts(&app), processes);
}

#[tokio::test(flavor = "multi_thread")]
async fn temporary_errors_of_the_database_answer_503_and_others_500() {
    let proxy = Proxy::start(database_port().await).await;
    let Some(app) = App::local_with(Options::default().through(proxy.port)).await else { return };
    let database = app.internals().database().await;
    for (severity, code, status) in [
        ("ERROR", "53100", 503), // disk full
        ("ERROR", "53200", 503), // out of memory
        ("ERROR", "58030", 503), // I/O error
        ("ERROR", "40001", 503), // serialization failure
        ("ERROR", "40P01", 503), // deadlock
        ("ERROR", "55P03", 503), // lock not available
        ("ERROR", "57014", 503), // statement timeout
        ("ERROR", "25006", 503), // read-only transaction
        ("ERROR", "26000", 503), // no such statement: a pooler has mixed up its servers
        ("ERROR", "08P01", 503), // protocol violation, which PgBouncer reports for its own errors
        ("FATAL", "08P01", 503),
        ("FATAL", "57P01", 503), // ended by an administrator
        ("FATAL", "57P02", 503), // crash of another session
        ("FATAL", "57P03", 503), // starting up
        ("FATAL", "57P05", 503), // idle session timeout
        ("FATAL", "25P03", 503), // idle-in-transaction timeout
        ("FATAL", "XX000", 503),
        ("ERROR", "XX000", 500), // internal error
        ("ERROR", "42501", 500), // insufficient privilege
        ("ERROR", "42P01", 500), // no such table
    ] {
        proxy.answer_transactions(Some((severity, code)));
        // Concurrently, because each write with an unknown outcome takes until its deadline.
        let requests = everything().filter(|(_, endpoint)| *endpoint != Endpoint::Ready);
        join_all(requests.map(async |(contract, endpoint)| {
            let Call { response, .. } = Call::send(&app, &database, contract, endpoint).await;
            assert_eq!(response.status, status, "{severity} {code} {contract:?} {endpoint:?}");
            assert!(!response.text.contains("on purpose"), "shows the message: {}", response.text);
        }))
        .await;
        proxy.answer_transactions(None);
        all_succeed(&app, &database).await;
    }
    let lines = app.internals().log_lines();
    assert!(lines.iter().any(|line| line["reason"] == json!("SQLSTATE 53100")));
}
