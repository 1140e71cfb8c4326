//! Old and new code write to the same lists. The old code updates no revisions and counts, and records no
//! deletions, so the new code must detect its writes.

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{ApiClient, App, Contract, Options, Replica, Response, errors};
use uuid::Uuid;

use super::{Before, write_before};

/// How long old and new code write at the same time.
const WRITING: Duration = Duration::from_secs(3);

/// Checks the total and the replicas against the stored tasks.
async fn assert_consistent(before: &Before, replicas: &mut [Replica<'_>], front: &ApiClient<'_>, user: &str) {
    let count = "select count(*) from tasks where user_id = $1";
    let count: i64 = before.database.query_one(count, &[&user]).await.expect("a table").get(0);
    let list = front.list("").await.expect_status(200);
    match front.contract {
        Contract::Envelope => assert_eq!(list.json()["data"]["pagination"]["total"], count),
        Contract::Plain => assert_eq!(list.header("x-total-count"), count.to_string()),
    }
    for replica in replicas {
        replica.assert_current(3).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_of_the_old_code_is_noticed_by_the_next_request() {
    if App::local().await.is_none() {
        return;
    }
    let before = Before::new().await;
    let old = before.old_code().await;
    for user in ["alice", "bob"] {
        write_before(&old, user, 5).await;
    }
    before.migrate().await;
    let app = before.app(Options::default()).await;
    // The new code's next request is either a read or a write.
    for (contract, id) in Contract::BOTH.into_iter().zip(["alice", "bob"]) {
        for new_writes in [false, true] {
            let user = app.user_with_id(id);
            let front = user.at(contract);
            let mut replicas = Contract::BOTH.map(|contract| Replica::new(user.at(contract)));
            assert_consistent(&before, &mut replicas, &front, id).await;
            let mut lists = Vec::new();
            for step in ["create", "update", "delete", "keyed create", "update again"] {
                println!("{contract:?} {new_writes} {step}");
                let newest = "select id, number from tasks where user_id = $1 order by number desc limit 1";
                let newest = before.database.query_one(newest, &[&id]).await.expect("a task");
                let (task, number): (Uuid, i64) = (newest.get(0), newest.get(1));
                let shown = match contract {
                    Contract::Envelope => task.to_string(),
                    Contract::Plain => number.to_string(),
                };
                let etag = front.get(&shown).await.expect_status(200).etag().to_owned();
                lists.push(front.list("").await.expect_status(200).etag().to_owned());
                let key = Uuid::new_v4().to_string();
                let outcome = match step {
                    "create" => old.create(id, "old", None).await.0,
                    "keyed create" => old.create(id, "old", Some(&key)).await.0,
                    "delete" => old.delete(id, task).await,
                    _ => old.update(id, task, "by old code").await,
                };
                assert_eq!(outcome, "done");
                if new_writes {
                    front.new_task("new").await;
                }
                let list = front.request(Method::GET, "").header("if-none-match", lists.join(", "));
                Response::to(list).await.expect_status(200);
                if step.starts_with("update") {
                    let get = front.request(Method::GET, &format!("/{shown}")).header("if-none-match", &etag);
                    Response::to(get).await.expect_status(200);
                    let put = front.request(Method::PUT, &format!("/{shown}")).header("if-match", &etag);
                    Response::to(put.json(&json!({ "title": "overwritten" }))).await.expect_status(412);
                }
                if step == "keyed create" {
                    let create = |title: &str| {
                        let request = front.request(Method::POST, "").header("idempotency-key", &key);
                        Response::to(request.json(&json!({ "title": title })))
                    };
                    create("another").await.expect_status(409);
                    let replayed = create("old").await.expect_status(201);
                    assert_eq!(replayed.header("idempotency-replayed"), "true");
                }
                assert_consistent(&before, &mut replicas, &front, id).await;
            }
        }
    }
}

/// The old code looks for keys in the table of tasks.
#[tokio::test(flavor = "multi_thread")]
async fn old_code_recognizes_a_key_used_with_the_new_code() {
    if App::local().await.is_none() {
        return;
    }
    let before = Before::new().await;
    before.migrate().await;
    let app = before.app(Options::default()).await;
    let old = before.old_code().await;
    for contract in Contract::BOTH {
        let user = app.user("alice");
        let front = user.at(contract);
        let create = front.request(Method::POST, "").header("idempotency-key", "key");
        Response::to(create.json(&json!({ "title": "a" }))).await.expect_status(201);
        assert_eq!(old.create(&user.id, "a", Some("key")).await.0, "replayed");
        assert_eq!(old.create(&user.id, "b", Some("key")).await.0, "conflict");
        front.only_task().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_from_before_an_erase_is_410_even_if_the_old_code_creates_the_user_again() {
    if App::local().await.is_none() {
        return;
    }
    let before = Before::new().await;
    let old = before.old_code().await;
    for user in ["alice", "bob"] {
        write_before(&old, user, 3).await;
    }
    before.migrate().await;
    let app = before.app(Options::default()).await;
    for (contract, id) in Contract::BOTH.into_iter().zip(["alice", "bob"]) {
        let user = app.user_with_id(id);
        let front = user.at(contract);
        let mut cursors = Vec::new();
        for _ in 0..3 {
            front.new_task("new").await;
            let mut replica = Replica::new(user.at(contract));
            replica.assert_current(100).await;
            cursors.push(replica.cursor.expect("a cursor"));
        }
        front.erase().await.expect_status(204);
        assert_eq!(old.create(id, "old", None).await.0, "done");
        for _ in 0..6 {
            for cursor in &cursors {
                let answer = front.changes(&format!("?since={cursor}")).await;
                answer.assert_error(contract, &errors::CURSOR_EXPIRED);
            }
            front.new_task("new").await;
        }
    }
}

/// The tasks that the new code returned, by id and ETag.
type Shown = Mutex<BTreeMap<(String, String), Value>>;

/// Checks that the task is the same as in every earlier response with this ETag.
fn note(shown: &Shown, front: &ApiClient<'_>, answer: &Response) {
    let task = front.task(answer);
    let key = (front.id(&task), answer.etag().to_owned());
    let mut shown = shown.lock().expect("no other task panicked");
    let before = shown.entry(key).or_insert_with(|| task.clone());
    assert_eq!(*before, task, "one ETag stands for one version of the task");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writes_of_old_and_new_code_keep_lists_and_replicas_consistent() {
    if App::local().await.is_none() {
        return;
    }
    let before = Before::new().await;
    let first = before.old_code().await;
    write_before(&first, "alice", 20).await;
    before.migrate().await;
    let app = before.app(Options::default()).await;
    let user = app.user_with_id("alice");
    let (shown, end) = (Shown::default(), Instant::now() + WRITING);

    let old_writer = async |number: u64| {
        let old = before.old_code().await;
        let mut random = fastrand::Rng::with_seed(number);
        let mut ids = Vec::new();
        while Instant::now() < end {
            let some = (!ids.is_empty()).then(|| random.usize(..ids.len()));
            match (random.u8(..4), some) {
                (0, _) | (_, None) => {
                    ids.push(old.create("alice", "by old code", None).await.1.expect("an id"))
                }
                (1, Some(index)) => assert_eq!(old.delete("alice", ids.swap_remove(index)).await, "done"),
                (_, Some(index)) => assert_eq!(old.update("alice", ids[index], "by old code").await, "done"),
            }
            tokio::time::sleep(Duration::from_millis(random.u64(..20))).await;
        }
    };
    let new_writer = async |number: u64| {
        let mut random = fastrand::Rng::with_seed(number);
        let front = user.at(Contract::BOTH[random.usize(..2)]);
        while Instant::now() < end {
            let tasks = front.all_tasks().await;
            let id = tasks.keys().nth(random.usize(..tasks.len().max(1)));
            let answer = match (random.u8(..5), id) {
                (0, _) | (_, None) => front.create(json!({ "title": "by new code" })).await,
                (1, Some(id)) if tasks[id]["title"] == "by new code" => front.delete(id).await,
                (2 | 3, Some(id)) => front.get(id).await,
                (_, Some(id)) => front.complete(id, random.bool()).await,
            };
            match answer.status {
                200 | 201 => note(&shown, &front, &answer),
                // 404: another writer deleted the task.
                status => assert!(matches!(status, 204 | 404), "{}", answer.text),
            }
        }
    };
    let replicas = async {
        let mut replicas = Contract::BOTH.map(|contract| Replica::new(user.at(contract)));
        join_all(replicas.iter_mut().map(async |replica| {
            while Instant::now() < end {
                replica.pull(5).await.expect("the database is available");
            }
        }))
        .await;
        replicas
    };
    let ((), (), mut replicas) = tokio::join!(
        async {
            join_all((0..2).map(old_writer)).await;
        },
        async {
            join_all((2..5).map(new_writer)).await;
        },
        replicas
    );
    for contract in Contract::BOTH {
        assert_consistent(&before, &mut replicas, &user.at(contract), "alice").await;
    }
    println!(
        "{} versions; {:?} restarts",
        shown.lock().expect("unused").len(),
        replicas.map(|it| it.restarts)
    );
}
