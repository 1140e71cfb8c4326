//! Mixed load while everything fails at random. At the end, the database must contain what the responses
//! said.

use std::{
    collections::BTreeMap,
    process::Command,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use local::postgres::StopMode;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    App, Authority, Contract, MIGRATED, Moment, NetworkFault as Fault, Options, Proxy, Response, User,
    connect, migrated_cluster, serve_tls,
};
use tokio::{task::block_in_place, time::sleep};

use crate::lane::{REQUEST_LIMIT, START_LIMIT};

const USERS: usize = 12;

/// How long the load with random faults lasts, in seconds: `FAULT_SECONDS`, or 20.
fn duration() -> Duration {
    let seconds = std::env::var("FAULT_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(20))
}

/// The tasks that a client should have according to the responses, by title, which is unique.
type Journal = BTreeMap<String, Entry>;

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    contract: Contract,
    id: String,
    completed: bool,
}

/// The counts of all clients together.
#[derive(Default)]
struct Counts {
    requests: AtomicUsize,
    refused: AtomicUsize,
    /// Writes that were answered with 503, but carried out.
    refused_and_done: AtomicUsize,
    slowest: Mutex<Duration>,
}

/// A client that uses both contracts and keeps a journal.
struct Client<'a> {
    user: &'a User<'a>,
    journal: Journal,
    random: fastrand::Rng,
    counts: &'a Counts,
    number: usize,
}

impl Client<'_> {
    /// Sends a request. The response must be a success, a 503 or one of `others`, and arrive in time.
    async fn ask(&self, ask: impl AsyncFn() -> Response, others: &[u16]) -> Response {
        let started = Instant::now();
        let response = ask().await;
        let elapsed = started.elapsed();
        self.counts.requests.fetch_add(1, Ordering::Relaxed);
        // Any request may have started a process.
        assert!(elapsed < REQUEST_LIMIT + START_LIMIT, "the request took {elapsed:?}");
        let mut slowest = self.counts.slowest.lock().unwrap_or_else(PoisonError::into_inner);
        *slowest = elapsed.max(*slowest);
        let status = response.status;
        let is_expected = matches!(status, 200..=204 | 503) || others.contains(&status);
        assert!(is_expected, "unexpected {status} {}", response.text);
        self.counts.refused.fetch_add(usize::from(status == 503), Ordering::Relaxed);
        response
    }

    /// Sends a request that can safely be repeated, until the response is not 503.
    async fn insist(&self, ask: impl AsyncFn() -> Response, others: &[u16]) -> Response {
        for _ in 0..60 {
            let response = self.ask(&ask, others).await;
            if response.status != 503 {
                return response;
            }
            sleep(Duration::from_secs(1)).await;
        }
        panic!("503 for a minute")
    }

    /// Carries out one random operation, and updates the journal.
    async fn operate(&mut self) {
        self.number += 1;
        let contract = Contract::BOTH[self.random.usize(..2)];
        let known = self.random.usize(..self.journal.len().max(1));
        let known = self.journal.iter().nth(known).map(|(title, entry)| (title.clone(), entry.clone()));
        match (self.random.u8(..10), known) {
            (0..3, _) | (_, None) => self.create(contract).await,
            (3, Some(_)) => {
                let client = self.user.at(contract);
                let response = self.ask(async || client.list("").await, &[]).await;
                if response.status == 200 {
                    for task in client.tasks(&response) {
                        self.assert_own(&task);
                    }
                }
            }
            (4, Some((title, entry))) => {
                let client = self.user.at(entry.contract);
                let response = self.ask(async || client.get(&entry.id).await, &[]).await;
                if response.status == 200 {
                    self.assert_shows(&client.task(&response), &title, &entry);
                }
            }
            (5, Some((title, entry))) => self.delete(title, entry).await,
            (6..8, Some((title, entry))) => self.rename(title, entry).await,
            (_, Some((title, entry))) => self.complete(title, entry).await,
        }
    }

    fn title(&self) -> String {
        format!("{} of {}", self.number, self.user.id)
    }

    async fn create(&mut self, contract: Contract) {
        let title = self.title();
        let client = self.user.at(contract);
        let create = async || {
            let request = client.request(Method::POST, "").header("idempotency-key", self.number.to_string());
            Response::to(request.json(&json!({ "title": title }))).await
        };
        let response = self.insist(create, &[]).await;
        let replayed = response.header("idempotency-replayed") == "true";
        self.counts.refused_and_done.fetch_add(usize::from(replayed), Ordering::Relaxed);
        let task = client.task(&response);
        let entry = Entry { contract, id: client.id(&task), completed: false };
        self.assert_shows(&task, &title, &entry);
        self.journal.insert(title, entry);
    }

    async fn delete(&mut self, title: String, entry: Entry) {
        let client = self.user.at(entry.contract);
        let response = self.ask(async || client.delete(&entry.id).await, &[]).await;
        if response.status == 503 {
            let now = self.insist(async || client.get(&entry.id).await, &[404]).await;
            if now.status == 200 {
                return self.assert_shows(&client.task(&now), &title, &entry);
            }
            self.counts.refused_and_done.fetch_add(1, Ordering::Relaxed);
        }
        self.journal.remove(&title);
    }

    async fn rename(&mut self, title: String, entry: Entry) {
        let new_title = self.title();
        let client = self.user.at(entry.contract);
        let after = Entry { completed: self.random.bool(), ..entry.clone() };
        let body = json!({ "title": new_title, "completed": after.completed });
        let response = self.ask(async || client.put(&entry.id, body.clone()).await, &[]).await;
        self.settle(response, (title, entry), (new_title, after)).await;
    }

    async fn complete(&mut self, title: String, entry: Entry) {
        let client = self.user.at(entry.contract);
        // One contract sets `completed`, the other toggles it. Both change it.
        let after = Entry { completed: !entry.completed, ..entry.clone() };
        let response = self.ask(async || client.complete(&entry.id, after.completed).await, &[]).await;
        self.settle(response, (title.clone(), entry), (title, after)).await;
    }

    /// Updates the journal after a change of a task. After a 503 it reads the task, which must be either
    /// unchanged or changed as requested.
    async fn settle(&mut self, response: Response, before: (String, Entry), after: (String, Entry)) {
        let client = self.user.at(before.1.contract);
        let refused = response.status == 503;
        let now = match refused {
            true => self.insist(async || client.get(&before.1.id).await, &[]).await,
            false => response,
        };
        let shown = client.task(&now);
        let done = shown["title"] == after.0.as_str() && shown["completed"] == after.1.completed;
        if !done {
            assert!(refused, "the response reports success, but shows {shown}");
            return self.assert_shows(&shown, &before.0, &before.1);
        }
        self.counts.refused_and_done.fetch_add(usize::from(refused), Ordering::Relaxed);
        self.journal.remove(&before.0);
        self.journal.insert(after.0, after.1);
    }

    fn assert_own(&self, task: &Value) {
        assert_eq!(task["user_id"], self.user.id.as_str());
        assert!(task["title"].as_str().is_some_and(|title| title.ends_with(&self.user.id)), "{task}");
    }

    #[track_caller]
    fn assert_shows(&self, task: &Value, title: &str, entry: &Entry) {
        self.assert_own(task);
        assert_eq!((&task["title"], &task["completed"]), (&json!(title), &json!(entry.completed)));
    }
}

/// Lets users work while `trouble` happens. Then the database must contain exactly what their journals say.
async fn hold_journals_against_database(
    app: &App,
    database_url: &str,
    duration: Duration,
    trouble: impl AsyncFnOnce(&AtomicBool),
) {
    let users: Vec<_> = (0..USERS).map(|number| app.user(&format!("user{number}"))).collect();
    let counts = Counts::default();
    let over = AtomicBool::new(false);
    let end = Instant::now() + duration;
    let work = async {
        let clients = users.iter().map(async |user| {
            let mut client = Client {
                user,
                journal: Journal::new(),
                random: fastrand::Rng::new(),
                counts: &counts,
                number: 0,
            };
            while Instant::now() < end {
                client.operate().await;
            }
            client.journal
        });
        let journals = join_all(clients).await;
        over.store(true, Ordering::Relaxed);
        journals
    };
    let (journals, ()) = tokio::join!(work, trouble(&over));

    let database = connect(database_url).await;
    let mut kept = 0;
    for (user, journal) in users.iter().zip(&journals) {
        let select =
            "select title, completed, id::text, number::text from tasks where user_id = $1 order by title";
        let rows = database.query(select, &[&user.id]).await.expect("the database is up");
        let held: Vec<(String, bool)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let written: Vec<_> = journal.iter().map(|(title, entry)| (title.clone(), entry.completed)).collect();
        let mut held_sorted = held.clone();
        held_sorted.sort();
        assert_eq!(held_sorted, written, "the tasks of {} are those of the journal", user.id);
        for row in rows {
            let entry = &journal[row.get::<_, &str>(0)];
            let column = if entry.contract == Contract::Envelope { 2 } else { 3 };
            assert_eq!(row.get::<_, &str>(column), entry.id);
        }
        kept += journal.len();
    }
    let everyone: i64 =
        database.query_one("select count(*) from tasks", &[]).await.expect("the database is up").get(0);
    assert_eq!(
        usize::try_from(everyone).expect("a small number"),
        kept,
        "there are no tasks without a journal entry"
    );
    let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    println!(
        "{USERS} users for {duration:?}: {} requests, {} responses were 503 ({} of these writes were carried \
         out), {kept} tasks at the end: none lost, duplicated or of another user; slowest request {:.1?}",
        count(&counts.requests),
        count(&counts.refused),
        count(&counts.refused_and_done),
        counts.slowest.lock().unwrap_or_else(PoisonError::into_inner),
    );
    assert!(count(&counts.refused) < count(&counts.requests) / 2, "more than half of the requests succeed");
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
    hold_journals_against_database(&app, &cluster.url(MIGRATED), duration(), trouble).await;
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
