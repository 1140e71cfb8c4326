//! Cursors of the list of changes: how long they are valid, for which user, and in which form.

use serde_json::json;
use tests::{App, Contract, Replica, errors};
use tokio_postgres::Client;
use uuid::Uuid;

use super::{changes, new_tasks, since, titles};

/// Makes everything written so far this many days older.
async fn age(database: &Client, days: u32) {
    let age = format!(
        "update deleted_tasks set deleted_at = deleted_at - interval '{days} days';
         update users set updated_at = updated_at - interval '{days} days'"
    );
    database.batch_execute(&age).await.expect("a superuser can run this");
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_are_remembered_for_30_days_and_an_older_cursor_is_410() {
    let Some(app) = App::local().await else { return };
    let database = app.internals().database().await;
    for contract in Contract::BOTH {
        let alice = app.user("alice");
        let client = alice.at(contract);
        let ids = new_tasks(&client, &["a", "b", "c"]).await;
        let before = changes(&client, "").await.cursor;
        client.delete(&ids[0]).await.expect_status(204);
        let after = changes(&client, "").await.cursor;

        // A write of each kind, because any write may delete outdated records of deletions.
        let write = async || {
            let id = new_tasks(&client, &["brief"]).await.remove(0);
            client.put(&id, json!({ "title": "still brief" })).await.expect_status(200);
            client.delete(&id).await.expect_status(204);
        };
        age(&database, 29).await;
        write().await;
        let news = since(&client, &before, 100).await;
        assert!(news.deleted.contains(&ids[0]), "a deletion is listed after 29 days: {:?}", news.deleted);

        age(&database, 2).await;
        // The deletion of "still brief" is two days old, so it is still listed.
        let brief = since(&client, &after, 100).await;
        write().await;
        client.changes(&format!("?since={before}")).await.assert_error(contract, &errors::CURSOR_EXPIRED);
        let news = since(&client, &after, 100).await;
        assert!(
            brief.deleted.iter().all(|id| news.deleted.contains(id)),
            "a deletion is listed after two days: {:?}",
            news.deleted
        );

        let mut replica = Replica::new(alice.at(contract));
        replica.cursor = Some(before);
        replica.assert_current(2).await;
        assert_eq!((replica.restarts, titles(replica.tasks.values())), (1, vec!["b", "c"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cursor_from_before_an_erase_is_410() {
    let app = App::start().await;
    for contract in Contract::BOTH {
        let alice = app.user("alice");
        let client = alice.at(contract);
        let mut cursors = Vec::new();
        for round in 0..2 {
            let ids = new_tasks(&client, &["a", "b", "c"]).await;
            cursors.push(changes(&client, "?limit=1").await.cursor);
            client.delete(&ids[0]).await.expect_status(204);
            cursors.push(changes(&client, "").await.cursor);
            client.erase().await.expect_status(204);
            for rest in ["", "&limit=1"] {
                for cursor in &cursors {
                    let response = client.changes(&format!("?since={cursor}{rest}")).await;
                    response.assert_error(contract, &errors::CURSOR_EXPIRED);
                }
            }
            let empty = changes(&client, "").await;
            assert_eq!((empty.changed.len(), empty.deleted.len()), (0, 0), "round {round}");
        }
        // At least as many writes as before the last erase: no cursor becomes valid again.
        for _ in 0..6 {
            new_tasks(&client, &["new"]).await;
            for cursor in &cursors {
                let response = client.changes(&format!("?since={cursor}")).await;
                response.assert_error(contract, &errors::CURSOR_EXPIRED);
            }
        }
        let mut replica = Replica::new(alice.at(contract));
        replica.cursor = cursors.pop();
        replica.assert_current(100).await;
        assert_eq!((replica.restarts, replica.tasks.len()), (1, 6));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_users_cursor_and_malformed_cursors_are_422() {
    let app = App::start().await;
    for contract in Contract::BOTH {
        let (alice, bob, nobody) = (app.user("alice"), app.user("bob"), app.user("nobody"));
        let client = alice.at(contract);
        new_tasks(&client, &["a"]).await;
        new_tasks(&bob.at(contract), &["a"]).await;
        let own = changes(&client, "").await.cursor;
        let mut values = vec![
            changes(&bob.at(contract), "").await.cursor,
            changes(&nobody.at(contract), "").await.cursor,
            changes(&bob.at(contract.other()), "").await.cursor,
            format!("{own}{own}"),
            "k".repeat(5000),
        ];
        let uuid = Uuid::new_v4().to_string();
        let malformed = "|0|1|-1|x|null|%00|%ff|%F0%9F%94%91|AAAA|e30|bnVsbA|%zz";
        values.extend(malformed.split('|').map(str::to_owned).chain([uuid]));
        for value in values {
            println!("{contract:?} {value}");
            let response = client.changes(&format!("?since={value}")).await;
            response.assert_invalid_value(contract, "query", "since");
        }
        for query in [format!("?since={own}&since={own}"), format!("?since={own}&%73ince=")] {
            client.changes(&query).await.assert_invalid_value(contract, "query", "since");
        }
        since(&client, &own, 100).await;
        let response = nobody.at(contract).changes(&format!("?since={own}")).await;
        response.assert_invalid_value(contract, "query", "since");
    }
}

/// A cursor that was tampered with may still be well-formed. The request then fails with a status of the
/// contract, or returns only the user's own tasks.
#[tokio::test(flavor = "multi_thread")]
async fn tampered_cursor_is_410_or_422_or_returns_only_own_tasks() {
    let app = App::start().await;
    for client in app.clients("alice") {
        new_tasks(&client, &["a"]).await;
        let own = changes(&client, "").await.cursor;
        let mut cursors = vec![format!("{own}0"), own[..own.len() - 1].to_owned(), own.to_uppercase()];
        for (index, old) in own.char_indices() {
            cursors.extend(['0', '1', '9', 'A', 'z', '_', '~'].map(|new| {
                let mut cursor = own.clone();
                cursor.replace_range(index..index + old.len_utf8(), &new.to_string());
                cursor
            }));
        }
        for cursor in cursors {
            let response = client.changes(&format!("?since={cursor}")).await;
            assert!(matches!(response.status, 200 | 410 | 422), "{own} {cursor}: {}", response.text);
            for task in response.json()["data"]["changed"].as_array().into_iter().flatten() {
                assert_eq!(task["user_id"], client.user.id);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limit_must_be_one_whole_number_from_1_to_500() {
    let app = App::start().await;
    for client in app.clients("alice") {
        new_tasks(&client, &["a"]).await;
        let huge = "9".repeat(400);
        for value in
            ["0", "501", "-1", "x", "", "1e2", "1.0", "%2B1", "9223372036854775808", &huge, "5&limit=5"]
        {
            let response = client.changes(&format!("?limit={value}")).await;
            response.assert_invalid_value(client.contract, "query", "limit");
        }
        for query in ["?limit=1", "?limit=500", "?color=red&Since=x&offset=-1&Cursor=x"] {
            assert_eq!(changes(&client, query).await.changed.len(), 1, "{query}");
        }
    }
}

/// Ignored, it would send the client round in circles.
#[tokio::test(flavor = "multi_thread")]
async fn cursor_is_422_here_and_since_in_a_list() {
    let app = App::start().await;
    for client in app.clients("alice") {
        let cursor = changes(&client, "").await.cursor;
        for value in [&*cursor, "x", ""] {
            let response = client.changes(&format!("?cursor={value}")).await;
            response.assert_invalid_value(client.contract, "query", "cursor");
            let response = client.list(&format!("?since={value}")).await;
            response.assert_invalid_value(client.contract, "query", "since");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_the_other_contract_works_or_is_422() {
    let app = App::start().await;
    for contract in Contract::BOTH {
        let alice = app.user("alice");
        let client = alice.at(contract);
        let ids = new_tasks(&client, &["a", "b"]).await;
        let cursor = changes(&alice.at(contract.other()), "").await.cursor;
        client.delete(&ids[0]).await.expect_status(204);
        new_tasks(&client, &["c"]).await;
        let response = client.changes(&format!("?since={cursor}")).await;
        if response.status == 422 {
            response.assert_invalid_value(contract, "query", "since");
        } else {
            let news = since(&client, &cursor, 100).await;
            assert_eq!((titles(&news.changed), news.deleted), (vec!["c"], ids[..1].to_vec()));
        }
    }
}
