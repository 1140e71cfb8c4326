//! A write that the network delays, or that is sent twice, never undoes a write that was acknowledged
//! meanwhile.
//!
//! Two writers of one user write to the same task. The first writer's connection fails; the second writer's
//! works. If the first writer gets a success, its write must have been carried out exactly once; if it gets
//! 503, at most once, and not later than [`BOUND`]. Once the second writer has its response, the first one's
//! write must change nothing more.

mod commits;
mod erase;
#[cfg(target_os = "linux")]
mod partition;

use std::{
    fmt,
    time::{Duration, Instant, SystemTime},
};

use futures_util::future::join_all;
use local::postgres::Cluster;
use serde_json::{Value, json};
use tests::{
    ApiClient, App, Contract, Cut, MIGRATED, Options, Proxy, Response, User, connect, migrated_cluster,
};
use tokio::{
    sync::{OnceCell, oneshot},
    time::{sleep, timeout},
};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::{
    calls::{Task, check_success, send, tasks},
    cases::Endpoint,
    changes::{Change, changes, note_changes},
    lane::REQUEST_LIMIT,
};

/// Writes without an idempotency key, each handled by a different function.
const WITHOUT_KEY: [Endpoint; 5] =
    [Endpoint::Flip, Endpoint::Update, Endpoint::Patch, Endpoint::Delete, Endpoint::Create];

/// Writes with an idempotency key.
const WITH_KEY: [Endpoint; 3] = [Endpoint::FlipOnce, Endpoint::DeleteOnce, Endpoint::CreateOnce];

/// How often each test repeats each write, concurrently.
const REPETITIONS: usize = 3;

/// How long after its request a write that was answered with 503 can still be carried out.
const BOUND: Duration = Duration::from_secs(4);

/// Allowance for a busy machine: for the time from a test's request until the function reads its clock, and
/// from a statement to its commit.
const MARGIN: Duration = Duration::from_millis(700);

/// How long a test waits for late changes once the server has received everything.
const WATCH: Duration = Duration::from_millis(700);

/// Number of other writes of the user between an attempt and its retry, if there are any. More than the eight
/// whose attempt ids are stored.
const OTHER_WRITES: usize = 12;

/// A database, and the second writer's API.
struct Stage {
    name: String,
    superuser: Client,
    second: App,
}

impl Stage {
    async fn new() -> Option<Self> {
        let cluster = cluster().await;
        let name = format!("late_{}", Uuid::new_v4().simple());
        cluster.create_database_from(&name, MIGRATED).await.expect("a new name");
        let superuser = connect(&cluster.url(&name)).await;
        note_changes(&superuser).await;
        let url = cluster.endpoints_url_through(cluster.port(), &name);
        let url = url + "?sslmode=disable&application_name=second";
        let second = App::local_with(Options::default().with("DATABASE_URL", url)).await?;
        Some(Self { name, superuser, second })
    }

    /// Starts the first writer's API, with one process of each function.
    async fn first(&self, port: u16) -> App {
        let url = cluster().await.endpoints_url_through(port, &self.name);
        let url = url + "?sslmode=disable&application_name=first";
        self.first_with(Options::default().with("DATABASE_URL", url)).await
    }

    async fn first_with(&self, options: Options) -> App {
        let options = Options { max_instances: Some(1), ..options };
        App::local_with(options).await.expect("the second writer's API is on this machine as well")
    }
}

/// The database server that these tests share.
async fn cluster() -> &'static Cluster {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    CLUSTER.get_or_init(migrated_cluster).await
}

/// The two writers of a user, and the task that they write to.
struct Writers<'a> {
    stage: &'a Stage,
    endpoint: Endpoint,
    app: &'a App,
    first: User<'a>,
    second: User<'a>,
    task: Task,
    bystander: Task,
    /// The number of the last change before the first writer's request.
    last: i64,
}

/// The first writer's request and its response.
struct Attempt {
    sent: SystemTime,
    elapsed: Duration,
    response: Response,
}

impl<'a> Writers<'a> {
    /// Creates a user. The first writer's function has handled a request already, so it has a connection.
    async fn new(stage: &'a Stage, app: &'a App, endpoint: Endpoint) -> Self {
        let second = stage.second.user("shared");
        let first = app.user_with_id(&second.id);
        let [warm_up, task, bystander] = tasks(&stage.superuser, &first.id).await;
        let mut writers = Self { stage, endpoint, app, first, second, task, bystander, last: 0 };
        let response = writers.send(&warm_up, "warm-up").await;
        check_success(endpoint, &writers.at_first(), &response, &warm_up, "warm-up")
            .expect("the network works");
        writers.last = writers.changes().await.last().expect("tasks were inserted").number;
        writers
    }

    fn contract(&self) -> Contract {
        if matches!(self.endpoint, Endpoint::Flip | Endpoint::FlipOnce) {
            Contract::Plain
        } else {
            Contract::Envelope
        }
    }

    fn at_first(&self) -> ApiClient<'_> {
        self.first.at(self.contract())
    }

    fn at_second(&self) -> ApiClient<'_> {
        self.second.at(self.contract())
    }

    async fn send(&self, task: &Task, tag: &str) -> Response {
        send(self.app, &self.at_first(), self.endpoint, task, tag).await
    }

    async fn changes(&self) -> Vec<Change> {
        changes(&self.stage.superuser, &self.first.id).await
    }

    /// Sends the first writer's request.
    async fn attempt(&self) -> Attempt {
        let (sent, started) = (SystemTime::now(), Instant::now());
        let response = self.send(&self.task, "first").await;
        Attempt { sent, elapsed: started.elapsed(), response }
    }

    /// The changes that the first writer's request has made so far.
    async fn carried_out(&self) -> Vec<Change> {
        let changes = self.changes().await.into_iter();
        changes.filter(|change| change.number > self.last && change.application == "first").collect()
    }

    /// Waits until the first writer's request has been carried out, but at most 1 s.
    async fn wait_until_carried_out(&self) {
        let started = Instant::now();
        while self.carried_out().await.is_empty() && started.elapsed() < Duration::from_secs(1) {
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Sends the second writer's request, which must be acknowledged. Returns the task in the response, if
    /// there is one.
    async fn acknowledged_write(&self) -> Result<Option<Value>, String> {
        let (client, id) = (self.at_second(), self.task.id(self.contract()));
        let response = match self.endpoint {
            Endpoint::Flip | Endpoint::FlipOnce => client.complete(id, true).await,
            Endpoint::Patch => client.patch(id, json!({ "title": "second" })).await,
            Endpoint::Update | Endpoint::Delete | Endpoint::DeleteOnce => {
                client.put(id, json!({ "title": "second" })).await
            }
            _ => {
                let tasks = client.tasks(&client.list("?limit=100").await.expect_status(200));
                for task in tasks.iter().filter(|task| task["title"] == "first") {
                    client.delete(&client.id(task)).await.expect_status(204);
                }
                return Ok(None);
            }
        };
        match response.status {
            200 => Ok(Some(client.task(&response))),
            // The first writer has deleted the task.
            404 if matches!(self.endpoint, Endpoint::Delete | Endpoint::DeleteOnce) => Ok(None),
            status => Err(format!("the second writer was answered {status} {}", response.text)),
        }
    }

    /// Creates other tasks of the same user.
    async fn write_others(&self, count: usize) {
        for _ in 0..count {
            self.second.envelope().new_task("other").await;
        }
    }

    /// Checks the outcome of the first writer's request: it must agree with its response, and it must have
    /// changed nothing since the second writer was acknowledged. `then` and `acknowledged` are the changes
    /// and the task at that time.
    async fn check(
        &self,
        attempt: &Attempt,
        then: &[Change],
        acknowledged: Option<&Value>,
    ) -> Result<(), String> {
        let Attempt { sent, response, elapsed } = attempt;
        let carried_out = self.carried_out().await;
        let told = format!(
            "answered {} after {elapsed:.1?}; carried out {:.1?}",
            response.status,
            carried_out
                .iter()
                .map(|change| change.at.duration_since(*sent).unwrap_or_default())
                .collect::<Vec<_>>()
        );
        match (response.status, carried_out.len()) {
            (200..=299, 1) | (503, 0 | 1) => {}
            // The task was created, and deleted before the retry could return it.
            (404, 1) if matches!(self.endpoint, Endpoint::Create | Endpoint::CreateOnce) => {}
            (200..=299 | 503, count) => return Err(format!("carried out {count} times: {told}")),
            _ => return Err(format!("{} {}", response.status, response.text)),
        }
        if let Some(late) = carried_out.iter().find(|change| !then.contains(change)) {
            return Err(format!("{} after an acknowledged write: {told}", late.operation));
        }
        if response.status == 503 && carried_out.iter().any(|change| change.at > *sent + BOUND + MARGIN) {
            return Err(format!("carried out too late: {told}"));
        }
        if let Some(acknowledged) = acknowledged {
            let client = self.at_second();
            let now = client.get(self.task.id(self.contract())).await;
            if now.status != 200 || client.task(&now) != *acknowledged {
                return Err(format!("{acknowledged} has become {} {}: {told}", now.status, now.text));
            }
        }
        Ok(())
    }
}

/// The name and outcome of a trial.
type Outcome = (String, Result<(), String>);

/// Fails if any trial has failed, and lists those that have.
#[track_caller]
fn assert_all(outcomes: &[Outcome]) {
    let failed: Vec<_> = outcomes
        .iter()
        .filter_map(|(name, outcome)| Some(format!("{name}: {}", outcome.as_ref().err()?)))
        .collect();
    assert!(
        failed.is_empty(),
        "{} of {} trials failed:\n{}",
        failed.len(),
        outcomes.len(),
        failed.join("\n")
    );
}

/// Runs all trials for every write, [`REPETITIONS`] times. Each repetition of a write has an API and a proxy
/// of its own and runs its trials one after the other; all repetitions run at the same time.
async fn assert_trials<T: fmt::Debug>(
    trials: &[T],
    run: impl AsyncFn(&Proxy, Writers<'_>, &T) -> Result<(), String>,
) {
    let Some(stage) = Stage::new().await else { return };
    let mut lanes = Vec::new();
    for endpoint in [&WITHOUT_KEY[..], &WITH_KEY].concat().repeat(REPETITIONS) {
        let proxy = Proxy::start(cluster().await.port()).await;
        let app = stage.first(proxy.port).await;
        lanes.push((endpoint, proxy, app));
    }
    let lanes = lanes.iter().map(async |(endpoint, proxy, app)| {
        let mut outcomes = Vec::new();
        for trial in trials {
            let writers = Writers::new(&stage, app, *endpoint).await;
            let outcome = run(proxy, writers, trial).await;
            outcomes.push((format!("{endpoint:?} {trial:?}"), outcome));
        }
        outcomes
    });
    assert_all(&join_all(lanes).await.concat());
}

/// A request that reaches the server some time after its client was reset.
#[derive(Debug)]
struct Held {
    seconds: f64,
    other_writes: usize,
    /// Whether the function can reconnect, and find out the outcome with its retry.
    reconnects: bool,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_request_undoes_no_acknowledged_write() {
    let trials = [
        (0.2, 0, true),
        (1.0, 0, true),
        (2.5, 0, true),
        (4.0, 0, true),
        (2.5, OTHER_WRITES, true),
        (5.0, 0, false),
    ]
    .map(|(seconds, other_writes, reconnects)| Held { seconds, other_writes, reconnects });
    assert_trials(&trials, async |proxy, writers, held| {
        if !held.reconnects {
            proxy.close();
        }
        let delivered = proxy.cut_next(Cut::Request(Duration::from_secs_f64(held.seconds)));
        let attempt = writers.attempt().await;
        proxy.open();
        writers.write_others(held.other_writes).await;
        let acknowledged = writers.acknowledged_write().await?;
        let then = writers.changes().await;
        happens(delivered).await?;
        sleep(WATCH).await;
        writers.check(&attempt, &then, acknowledged.as_ref()).await
    })
    .await;
}

/// A connection that is cut after its write was carried out, or shortly before.
#[derive(Debug)]
struct Reconnect {
    cut: Cut,
    other_writes: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_undoes_no_write_that_was_acknowledged_while_reconnecting() {
    let held = Cut::Request(Duration::from_millis(200));
    let trials = [(Cut::Response, 0), (Cut::Response, OTHER_WRITES), (held, 0), (held, OTHER_WRITES)]
        .map(|(cut, other_writes)| Reconnect { cut, other_writes });
    assert_trials(&trials, async |proxy, writers, reconnect| {
        proxy.close();
        let delivered = proxy.cut_next(reconnect.cut);
        let meanwhile = async {
            happens(delivered).await?;
            writers.wait_until_carried_out().await;
            writers.write_others(reconnect.other_writes).await;
            let acknowledged = writers.acknowledged_write().await;
            let then = writers.changes().await;
            proxy.open();
            Ok::<_, String>((acknowledged?, then))
        };
        let (attempt, meanwhile) = tokio::join!(writers.attempt(), meanwhile);
        let (acknowledged, then) = meanwhile?;
        // With a key the outcome of the first attempt is known, however many other writes there were. Only on
        // a slow machine can the other writes take until the deadline.
        if writers.endpoint.has_key() && attempt.response.status == 503 && attempt.elapsed < BOUND - MARGIN {
            return Err(format!("503 after {:.1?}, although the request has a key", attempt.elapsed));
        }
        sleep(WATCH).await;
        writers.check(&attempt, &then, acknowledged.as_ref()).await
    })
    .await;
}

/// Waits until a proxy has delivered a request.
async fn happens(delivered: oneshot::Receiver<()>) -> Result<(), String> {
    match timeout(REQUEST_LIMIT, delivered).await {
        Ok(Ok(())) => Ok(()),
        _ => Err("the request did not reach the server".into()),
    }
}
