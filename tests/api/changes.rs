//! `GET …/tasks/changes`: full copies, and the changes after a cursor.

mod cursors;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tests::{ApiClient, App, Changes, Contract, Replica};

async fn changes(client: &ApiClient<'_>, query: &str) -> Changes {
    Changes::of(client, &client.changes(query).await)
}

/// Returns a page of the changes after a cursor.
async fn since(client: &ApiClient<'_>, cursor: &str, limit: usize) -> Changes {
    changes(client, &format!("?since={cursor}&limit={limit}")).await
}

/// The titles of tasks, sorted.
fn titles<'a>(tasks: impl IntoIterator<Item = &'a Value>) -> Vec<&'a str> {
    let mut titles: Vec<_> = tasks.into_iter().map(|task| task["title"].as_str().expect("text")).collect();
    titles.sort_unstable();
    titles
}

/// Creates tasks with these titles and returns their ids.
async fn new_tasks(client: &ApiClient<'_>, titles: &[&str]) -> Vec<String> {
    let mut ids = Vec::new();
    for title in titles {
        ids.push(client.id(&client.new_task(title).await));
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn without_since_returns_every_task_in_order_of_last_change() {
    let app = App::start().await;
    for contract in Contract::BOTH {
        let (alice, bob) = (app.user("alice"), app.user("bob"));
        let client = alice.at(contract);
        bob.at(contract).new_task("Bob's").await;
        let ids = new_tasks(&client, &["a", "b", "c"]).await;
        let body = json!({ "title": "d", "description": "Ü", "due_date": "2026-12-24" });
        alice.envelope().create(body).await.expect_status(201);
        client.complete(&ids[0], true).await.expect_status(200);
        client.delete(&ids[1]).await.expect_status(204);

        let copy = changes(&client, "").await;
        assert!(!copy.has_more);
        assert_eq!(copy.deleted, [""; 0], "a full copy lists no earlier deletions");
        let by_id: BTreeMap<_, _> = copy.changed.iter().map(|task| (client.id(task), task.clone())).collect();
        assert_eq!(by_id, client.all_tasks().await);
        let order: Vec<_> = copy.changed.iter().map(|task| task["title"].as_str().expect("text")).collect();
        assert_eq!(order, ["c", "d", "a"], "tasks are in the order of their last changes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn since_returns_later_writes_in_order_of_writing() {
    let app = App::start().await;
    for client in app.clients("alice") {
        let ids = new_tasks(&client, &["a", "b", "c", "d"]).await;
        let start = changes(&client, "").await.cursor;
        let nothing = since(&client, &start, 100).await;
        assert_eq!((nothing.changed.len(), nothing.deleted.len(), nothing.has_more), (0, 0, false));

        client.put(&ids[2], json!({ "title": "c2" })).await.expect_status(200);
        client.delete(&ids[1]).await.expect_status(204);
        new_tasks(&client, &["e"]).await;
        client.put(&ids[0], json!({ "title": "a2" })).await.expect_status(200);
        client.put(&ids[2], json!({ "title": "c3" })).await.expect_status(200);
        for cursor in [&start, &nothing.cursor] {
            let news = since(&client, cursor, 100).await;
            let order: Vec<_> =
                news.changed.iter().map(|task| task["title"].as_str().expect("text")).collect();
            assert_eq!((order, &news.deleted[..]), (vec!["e", "a2", "c3"], &ids[1..2]));
            assert!(!news.has_more);
            let nothing = since(&client, &news.cursor, 100).await;
            assert_eq!((nothing.changed.len(), nothing.deleted.len(), nothing.has_more), (0, 0, false));
        }

        // With limit 1, the order of changes relative to deletions is visible. A task that was changed twice
        // is listed once, at its last change.
        let (mut cursor, mut order) = (start, Vec::new());
        loop {
            let page = since(&client, &cursor, 1).await;
            assert_eq!(page.changed.len() + page.deleted.len(), 1);
            order.extend(page.changed.iter().map(|task| task["title"].as_str().expect("text").to_owned()));
            order.extend(page.deleted.iter().map(|_| "deletion".to_owned()));
            cursor = page.cursor;
            if !page.has_more {
                break;
            }
        }
        assert_eq!(order, ["deletion", "e", "a2", "c3"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn task_created_and_deleted_after_the_cursor_is_never_in_changed() {
    let app = App::start().await;
    for client in app.clients("alice") {
        new_tasks(&client, &["a"]).await;
        let start = changes(&client, "").await.cursor;
        let ids = new_tasks(&client, &["brief"]).await;
        client.delete(&ids[0]).await.expect_status(204);
        let news = since(&client, &start, 100).await;
        assert_eq!((news.changed.len(), news.has_more), (0, false));
        assert!(news.deleted.is_empty() || news.deleted == ids, "{:?}", news.deleted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limit_counts_changes_and_deletions_together_and_pages_cover_everything_once() {
    let app = App::start().await;
    for client in app.clients("alice") {
        let old = new_tasks(&client, &["a", "b", "c", "d", "e"]).await;
        let start = changes(&client, "").await.cursor;
        for id in &old[..3] {
            client.delete(id).await.expect_status(204);
            new_tasks(&client, &["new", "new"]).await;
        }
        for limit in [1, 2, 3, 4, 8, 9, 10, 500] {
            let (mut cursor, mut seen, mut pages) = (start.clone(), Vec::new(), 0);
            loop {
                let page = since(&client, &cursor, limit).await;
                assert!(page.changed.len() + page.deleted.len() <= limit);
                seen.extend(page.changed.iter().map(|task| client.id(task)).chain(page.deleted));
                (cursor, pages) = (page.cursor, pages + 1);
                if !page.has_more {
                    break;
                }
            }
            assert_eq!((seen.len(), pages), (9, 9_usize.div_ceil(limit)), "limit {limit}");
            assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 9, "limit {limit}");
        }
        // The default limit is 100.
        new_tasks(&client, &[""; 101].map(|_| "many")).await;
        let page = since(&client, &start, 500).await;
        assert_eq!((page.changed.len() + page.deleted.len(), page.has_more), (110, false));
        let page = changes(&client, &format!("?since={start}")).await;
        assert_eq!((page.changed.len() + page.deleted.len(), page.has_more), (100, true));
        let page = changes(&client, "").await;
        assert_eq!((page.changed.len(), page.deleted.len(), page.has_more), (100, 0, true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_between_the_pages_of_a_full_copy_are_not_missed() {
    let app = App::start().await;
    for contract in Contract::BOTH {
        let alice = app.user("alice");
        let client = alice.at(contract);
        let ids = new_tasks(&client, &["a", "b", "c", "d", "e", "f", "g"]).await;
        let mut replica = Replica::new(alice.at(contract));
        assert_eq!(replica.pull(3).await, Some(true));
        assert_eq!(titles(replica.tasks.values()), ["a", "b", "c"]);
        // Deletes one task and changes another, among the tasks already sent and among those not sent yet.
        for sent in [0, 4] {
            client.delete(&ids[sent]).await.expect_status(204);
            client.put(&ids[sent + 1], json!({ "title": "changed" })).await.expect_status(200);
        }
        assert_eq!(replica.pull(3).await, Some(true));
        client.delete(&ids[2]).await.expect_status(204);
        new_tasks(&client, &["h"]).await;
        replica.assert_current(3).await;
        assert_eq!(titles(replica.tasks.values()), ["changed", "changed", "d", "g", "h"]);
        assert_eq!(replica.restarts, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cursor_of_a_user_without_tasks_stays_valid_until_the_first_task() {
    let app = App::start().await;
    for contract in Contract::BOTH {
        let alice = app.user("alice");
        let client = alice.at(contract);
        let mut replica = Replica::new(alice.at(contract));
        for _ in 0..3 {
            replica.assert_current(100).await;
            assert_eq!((replica.tasks.len(), replica.restarts), (0, 0));
        }
        // The cursor either still works or is 410 and the replica starts again. The task is not missed in
        // either case.
        new_tasks(&client, &["first"]).await;
        replica.assert_current(100).await;
        assert_eq!(titles(replica.tasks.values()), ["first"]);
        let restarts = replica.restarts;
        new_tasks(&client, &["second"]).await;
        replica.assert_current(100).await;
        assert_eq!(replica.restarts, restarts);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_writes_and_writes_without_fields_are_not_listed() {
    let app = App::start().await;
    for contract in Contract::BOTH {
        let (alice, bob) = (app.user("alice"), app.user("bob"));
        let client = alice.at(contract);
        let ids = new_tasks(&client, &["a"]).await;
        let start = changes(&client, "").await.cursor;
        match contract {
            Contract::Envelope => client.patch(&ids[0], json!({})).await.expect_status(200),
            Contract::Plain => client.put(&ids[0], json!({})).await.expect_status(200),
        };
        client.put(&client.unknown_id(), json!({ "title": "b" })).await.expect_status(404);
        client.delete(&client.unknown_id()).await.expect_status(404);
        client.put(&ids[0], json!({ "title": "" })).await.expect_status(422);
        bob.at(contract).new_task("Bob's").await;
        let news = since(&client, &start, 100).await;
        assert_eq!((news.changed.len(), news.deleted.len(), news.has_more), (0, 0, false));
    }
}
