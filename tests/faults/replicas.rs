//! Offline clients of one user while the network fails at random: replicas that follow the list of changes,
//! and queues of writes with idempotency keys.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use local::postgres::Cluster;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tests::{
    ApiClient, App, Contract, MIGRATED, Moment, NetworkFault as Fault, Options, Proxy, Replica, Response,
    connect, errors, migrated_cluster,
};
use tokio::time::sleep;
use uuid::Uuid;

use crate::{calls::Task, load::duration};

const WRITERS: usize = 16;
const REPLICAS: usize = 4;

/// Maximum number of tasks in the list that the writers share.
const MAX_TASKS: usize = 300;

/// Number of writes in the queue of an offline client.
const QUEUE: usize = 500;

/// An API that reaches the database through a proxy which can fail.
async fn app_through_faults(cluster: &Cluster) -> Option<(App, Proxy)> {
    let proxy = Proxy::start(cluster.port()).await;
    let url = cluster.endpoints_url_through(proxy.port, MIGRATED) + "?sslmode=disable";
    let options = Options { max_instances: Some(WRITERS), ..Options::default() }.with("DATABASE_URL", url);
    Some((App::local_with(options).await?, proxy))
}

/// Makes faults happen at random until `over` is set.
async fn trouble(proxy: &Proxy, over: &AtomicBool) {
    let mut random = fastrand::Rng::new();
    let faults = [Fault::Reset, Fault::Close, Fault::Stall, Fault::Delay];
    let moments = Moment::ALL;
    while !over.load(Ordering::Relaxed) {
        if random.u8(..20) == 0 {
            proxy.hang_up().await;
        }
        let fault = faults[random.usize(..faults.len())];
        proxy.arm(fault, moments[random.usize(..moments.len())], random.usize(1..4));
        sleep(Duration::from_millis(random.u64(20..200))).await;
    }
    proxy.disarm();
}

/// Arms a reset for some of the writes. For a few of these it also hits the function's own retry; then the
/// function answers 503 once the write is void.
fn cut_at_random(proxy: &Proxy, random: &mut fastrand::Rng) {
    let moments = Moment::OF_A_CALL;
    if random.u8(..10) == 0 {
        let times = if random.u8(..24) == 0 { 2 } else { 1 };
        proxy.arm(Fault::Reset, moments[random.usize(..moments.len())], times);
    }
}

/// Sends a request until it is answered with something other than 503.
async fn insist(request: impl Fn() -> RequestBuilder) -> Response {
    for _ in 0..60 {
        let response = Response::to(request()).await;
        if response.status != 503 {
            return response;
        }
        sleep(Duration::from_millis(200)).await;
    }
    panic!("60 responses in a row were 503")
}

/// What the writers have done, according to the responses.
#[derive(Default)]
struct Journal {
    /// The existing tasks.
    tasks: Vec<Task>,
    /// When the response to a deletion arrived, by the task's id and by its number.
    deleted: BTreeMap<String, Instant>,
}

fn lock(journal: &Mutex<Journal>) -> MutexGuard<'_, Journal> {
    journal.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Carries out one random write with an idempotency key of its own, to a new task or to any task of the list.
/// Repeats it until the response is not 503.
async fn write(
    client: &ApiClient<'_>,
    others: &ApiClient<'_>,
    journal: &Mutex<Journal>,
    random: &mut fastrand::Rng,
) {
    let key = Uuid::new_v4().to_string();
    let send = async |method: Method, rest: &str, body: Option<Value>| {
        insist(|| {
            let request = client.request(method.clone(), rest).header("idempotency-key", &key);
            match &body {
                Some(body) => request.json(body),
                None => request,
            }
        })
        .await
    };
    let (some, action) = {
        let tasks = &lock(journal).tasks;
        let some = (!tasks.is_empty()).then(|| tasks[random.usize(..tasks.len())].clone());
        // Without this bound, a long run would make the list, and every request for it, slower and slower.
        let creates = tasks.len() < MAX_TASKS;
        (some, random.u8(if creates { 0..6 } else { 2..6 }))
    };
    match (action, some) {
        (0 | 1, _) | (_, None) => {
            let body = json!({ "title": key });
            let task = client.task(&send(Method::POST, "", Some(body.clone())).await.expect_status(201));
            // A repeat through the other contract returns the task's id in that contract.
            let repeat = || others.request(Method::POST, "").header("idempotency-key", &key).json(&body);
            let repeat = insist(repeat).await;
            let (one, other) = (client.id(&task), others.id(&others.task(&repeat.expect_status(201))));
            let (id, number) =
                if client.contract == Contract::Envelope { (one, other) } else { (other, one) };
            lock(journal).tasks.push(Task { id, number, title: key });
        }
        (2, Some(task)) => {
            let response = send(Method::DELETE, &format!("/{}", task.id(client.contract)), None).await;
            assert!(matches!(response.status, 204 | 404), "{}", response.text);
            let mut journal = lock(journal);
            journal.tasks.retain(|other| other.id != task.id);
            if response.status == 204 {
                let now = Instant::now();
                journal.deleted.insert(task.id, now);
                journal.deleted.insert(task.number, now);
            }
        }
        (3, Some(task)) => {
            let rest = format!("/{}/complete", task.id(client.contract));
            let body = (client.contract == Contract::Envelope).then(|| json!({ "completed": random.bool() }));
            let response = send(Method::PATCH, &rest, body).await;
            assert!(matches!(response.status, 200 | 404), "{}", response.text);
        }
        (_, Some(task)) => {
            let body = json!({ "title": key, "completed": random.bool() });
            let response = send(Method::PUT, &format!("/{}", task.id(client.contract)), Some(body)).await;
            assert!(matches!(response.status, 200 | 404), "{}", response.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_equal_the_database_after_16_writers_and_random_faults() {
    let cluster = migrated_cluster().await;
    let Some((app, proxy)) = app_through_faults(&cluster).await else { return };
    let user = app.user("shared");
    let (journal, over, syncs) =
        (Mutex::new(Journal::default()), AtomicBool::new(false), AtomicUsize::new(0));
    let end = Instant::now() + duration(15);

    let writers = async {
        let writes = join_all((0..WRITERS).map(async |writer| {
            let mut random = fastrand::Rng::new();
            let contract = Contract::BOTH[writer % 2];
            let mut writes = 0;
            while Instant::now() < end {
                write(&user.at(contract), &user.at(contract.other()), &journal, &mut random).await;
                writes += 1;
            }
            writes
        }))
        .await;
        over.store(true, Ordering::Relaxed);
        writes.into_iter().sum::<usize>()
    };
    let replicas = async {
        let mut replicas: Vec<_> =
            (0..REPLICAS).map(|number| Replica::new(user.at(Contract::BOTH[number % 2]))).collect();
        join_all(replicas.iter_mut().zip([3, 10, 100, 500]).map(async |(replica, limit)| {
            while !over.load(Ordering::Relaxed) {
                let asked = Instant::now();
                if replica.pull(limit).await == Some(false) {
                    // What was deleted before the request must be missing from the copy after it.
                    let deleted = &lock(&journal).deleted;
                    let stale =
                        replica.tasks.keys().find(|id| deleted.get(*id).is_some_and(|at| *at < asked));
                    assert_eq!(stale, None, "a task that was deleted before the cursor is not shown");
                    syncs.fetch_add(1, Ordering::Relaxed);
                }
                sleep(Duration::from_millis(20)).await;
            }
        }))
        .await;
        replicas
    };
    let (writes, mut replicas, ()) = tokio::join!(writers, replicas, trouble(&proxy, &over));

    let lists = [user.envelope().all_tasks().await, user.plain().all_tasks().await];
    for (number, replica) in replicas.iter_mut().enumerate() {
        replica.sync(100).await;
        assert_eq!(replica.tasks, lists[number % 2]);
        assert_eq!(replica.restarts, 0);
    }
    let rows = "select id::text, title::text, completed from tasks where user_id = $1 order by id::text";
    let rows =
        connect(&cluster.url(MIGRATED)).await.query(rows, &[&user.id]).await.expect("the database is up");
    let held: Vec<_> = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    let shown: Vec<(&str, &str, bool)> = lists[0]
        .iter()
        .map(|(id, task)| (id.as_str(), task["title"].as_str().expect("text"), task["completed"] == true))
        .collect();
    assert_eq!(shown, held);
    let syncs = syncs.load(Ordering::Relaxed);
    println!(
        "{writes} writes by {WRITERS} clients, {syncs} complete syncs of {REPLICAS} replicas, {} tasks at the \
         end: all replicas equal the database",
        held.len()
    );
    assert!(syncs > REPLICAS && writes > WRITERS, "too few: {syncs} syncs, {writes} writes");
}

/// A queued write. Tasks are numbered in the order of their creation.
#[derive(Debug, Clone)]
enum Queued {
    Create { title: String },
    Rename { task: usize, title: String },
    Toggle { task: usize },
    Delete { task: usize },
}

/// A client's own copy of a task: `None` once it is deleted.
type Own = Option<(String, bool)>;

/// Returns random writes, and the tasks that must exist after them.
fn queue(random: &mut fastrand::Rng) -> (Vec<Queued>, Vec<Own>) {
    let (mut queue, mut own) = (Vec::new(), Vec::<Own>::new());
    for number in 0..QUEUE {
        let there: Vec<_> = (0..own.len()).filter(|&task| own[task].is_some()).collect();
        let task = if there.is_empty() { None } else { Some(there[random.usize(..there.len())]) };
        let title = format!("title {number}");
        queue.push(match (random.u8(..8), task) {
            (0 | 1, _) | (_, None) => {
                own.push(Some((title.clone(), false)));
                Queued::Create { title }
            }
            (2, Some(task)) => {
                own[task] = None;
                Queued::Delete { task }
            }
            (3 | 4, Some(task)) => {
                own[task].as_mut().expect("the task was not deleted").0.clone_from(&title);
                Queued::Rename { task, title }
            }
            (_, Some(task)) => {
                let completed = &mut own[task].as_mut().expect("the task was not deleted").1;
                *completed = !*completed;
                Queued::Toggle { task }
            }
        });
    }
    (queue, own)
}

/// The client forgets now and then how far it was, and sends writes again that were acknowledged before.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_of_500_writes_with_random_resets_and_replays_is_carried_out_once() {
    let cluster = migrated_cluster().await;
    let Some((app, proxy)) = app_through_faults(&cluster).await else { return };
    let user = app.user("offline");
    let client = user.plain();
    let mut random = fastrand::Rng::new();
    let (queue, own) = queue(&mut random);

    let send = async |number: usize, ids: &[String]| {
        insist(|| {
            let request = |method, rest: &str| {
                client.request(method, rest).header("idempotency-key", format!("write-{number}"))
            };
            match &queue[number] {
                Queued::Create { title } => request(Method::POST, "").json(&json!({ "title": title })),
                Queued::Rename { task, title } => {
                    request(Method::PUT, &format!("/{}", ids[*task])).json(&json!({ "title": title }))
                }
                Queued::Toggle { task } => request(Method::PATCH, &format!("/{}/complete", ids[*task])),
                Queued::Delete { task } => request(Method::DELETE, &format!("/{}", ids[*task])),
            }
        })
        .await
    };
    let (mut ids, mut sent, mut replays) = (Vec::new(), 0, 0);
    while sent < queue.len() {
        cut_at_random(&proxy, &mut random);
        let response = send(sent, &ids).await;
        match &queue[sent] {
            Queued::Create { .. } => ids.push(client.id(&client.task(&response.expect_status(201)))),
            Queued::Delete { .. } => drop(response.expect_status(204)),
            Queued::Rename { .. } | Queued::Toggle { .. } => drop(response.expect_status(200)),
        }
        sent += 1;
        if random.u8(..30) == 0 {
            for number in sent - random.usize(..sent.min(20))..sent {
                cut_at_random(&proxy, &mut random);
                let again = send(number, &ids).await;
                match again.status {
                    404 => again.assert_error(Contract::Plain, &errors::NOT_FOUND),
                    _ => assert_eq!(again.header("idempotency-replayed"), "true", "{}", again.text),
                }
                replays += 1;
            }
        }
    }
    proxy.disarm();

    let tasks = user.plain().all_tasks().await;
    let held: BTreeMap<_, _> = tasks
        .iter()
        .map(|(id, task)| (id, (task["title"].as_str().expect("text"), task["completed"] == true)))
        .collect();
    let journal: BTreeMap<_, _> = ids
        .iter()
        .zip(&own)
        .filter_map(|(id, own)| own.as_ref().map(|(title, completed)| (id, (title.as_str(), *completed))))
        .collect();
    assert_eq!(held, journal);
    println!("{QUEUE} writes, {replays} replays, {} tasks at the end: as the journal says", journal.len());
}
