//! Users distributed over several databases, as docs/performance.md describes: the user's id alone determines
//! the database.

use std::{collections::BTreeSet, iter};

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::json;
use tests::{App, User};

const DATABASES: [&str; 2] = ["blue", "green"];

/// Returns the database of a user by rendezvous hashing: the one whose name, hashed with the user's id, has
/// the greatest value. A new database takes over its share of the users, and no user moves between the other
/// databases.
fn database_of<'a>(user: &str, databases: &[&'a str]) -> &'a str {
    let weight = |name: &&&str| digest(&SHA256, format!("{name}\0{user}").as_bytes()).as_ref().to_vec();
    databases.iter().max_by_key(weight).expect("there is a database")
}

async fn write_and_read(user: &User<'_>) {
    for client in user.clients() {
        let id = client.id(&client.new_task("Kept").await);
        client.complete(&id, true).await.expect_status(200);
        let deleted = client.id(&client.new_task("Deleted").await);
        client.delete(&deleted).await.expect_status(204);
        assert_eq!(client.task(&client.get(&id).await)["completed"], json!(true));
    }
    let tasks = user.plain().tasks(&user.plain().list("").await);
    assert_eq!(tasks.len(), 2, "{tasks:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_user_is_stored_in_only_one_of_two_databases() {
    let (Some(blue), Some(green)) = (App::local().await, App::local().await) else { return };
    let ids: BTreeSet<_> = (0..20).map(|number| format!("user-{number}")).collect();
    let mut expected = [BTreeSet::new(), BTreeSet::new()];
    for id in &ids {
        let index = usize::from(database_of(id, &DATABASES) == "green");
        write_and_read(&[&blue, &green][index].user_with_id(id)).await;
        expected[index].insert(id.clone());
    }

    for (app, expected) in iter::zip([&blue, &green], &expected) {
        assert!(!expected.is_empty());
        let database = app.internals().database().await;
        for select in ["select id::text from users", "select distinct user_id from tasks"] {
            let rows = database.query(select, &[]).await.expect("a valid query");
            let stored: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
            assert_eq!(&stored, expected, "{select}");
        }
    }
}

#[test]
fn new_database_takes_over_its_share_and_moves_no_other_user() {
    let ids: Vec<_> = (0..3000).map(|number| format!("user-{number}")).collect();
    let moved = ids.iter().filter(|id| {
        let (before, after) = (database_of(id, &DATABASES), database_of(id, &["blue", "green", "red"]));
        assert!(after == before || after == "red", "{id} moves from {before} to {after}");
        after != before
    });
    let moved = moved.count();
    assert!((900..1100).contains(&moved), "about a third of 3,000 users should move, but {moved} did");
}
