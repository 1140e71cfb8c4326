//! `list_tasks`: versions, counts, and cursors of erased lists.

use std::time::{Duration, Instant, SystemTime};

use tokio_postgres::error::SqlState;
use uuid::Uuid;

use super::{Attempt, Database, Key, List, id, outcome, title};

const USER: &str = "alice";

/// A database in which Alice has this many tasks.
async fn alice_with(tasks: i32) -> Database {
    let database = Database::new().await;
    for number in 0..tasks {
        database.create(USER, &number.to_string()).await;
    }
    database
}

/// The version of the list (revision and time), and when the list was begun.
async fn head(database: &Database) -> (i64, SystemTime, SystemTime) {
    let row = &database.list(USER, List::NEWEST).await[0];
    (row.get("list_revision"), row.get("list_updated_at"), row.get("list_begun_at"))
}

async fn total(database: &Database) -> i64 {
    database.list(USER, List::NEWEST).await[0].get("total")
}

#[tokio::test(flavor = "multi_thread")]
async fn total_without_filters_is_the_stored_count() {
    let database = alice_with(3).await;
    assert_eq!(total(&database).await, 3);
    database.run_as_owner("update users set task_count = 41").await;
    assert_eq!(total(&database).await, 41, "the stored count is returned, tasks are not counted");
    let sorted = database.list(USER, List { sort: Some("title"), ..List::NEWEST }).await;
    assert_eq!(sorted[0].get::<_, i64>("total"), 3, "tasks are counted if all of them are read anyway");
}

#[tokio::test(flavor = "multi_thread")]
async fn known_version_is_one_row_without_a_task() {
    let database = alice_with(3).await;
    let (revision, time, _) = head(&database).await;
    let later = time + Duration::from_micros(1);
    for (known, is_known) in [
        ((Some(revision), Some(time)), true),
        ((None, None), true),
        ((Some(revision), Some(later)), false),
        ((Some(revision + 1), Some(time)), false),
        ((Some(revision), None), false),
    ] {
        for list in [List::NEWEST, List { sort: Some("title"), ..List::NEWEST }] {
            let rows = database.list(USER, List { known: Some(known), ..list }).await;
            if is_known {
                assert_eq!((outcome(&rows[0]), rows.len()), ("known", 1), "{known:?}");
                assert_eq!(rows[0].get::<_, i64>("list_revision"), revision);
                assert_eq!(rows[0].get::<_, SystemTime>("list_updated_at"), time);
                assert_eq!(rows[0].get::<_, Option<Uuid>>("id"), None);
            } else {
                assert_eq!((outcome(&rows[0]), rows.len()), ("done", 3), "{known:?}");
            }
        }
    }
    let nobody = List { known: Some((Some(0), Some(SystemTime::UNIX_EPOCH))), ..List::NEWEST };
    assert_eq!(outcome(&database.list("nobody", nobody).await[0]), "known");
    assert_eq!(outcome(&database.list(USER, nobody).await[0]), "done");
}

/// The function succeeds without the privilege to read tasks.
#[tokio::test(flavor = "multi_thread")]
async fn known_version_reads_no_task() {
    let database = alice_with(3).await;
    let known = Some((None, None));
    database.run_as_owner("revoke select on tasks from task_api").await;
    for list in [List::NEWEST, List { search: Some("1"), ..List::NEWEST }] {
        let rows = database.list(USER, List { known, ..list }).await;
        assert_eq!(outcome(&rows[0]), "known");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn erased_list_is_not_continued() {
    let database = alice_with(3).await;
    let (_, _, begun_at) = head(&database).await;
    let newest = database.list(USER, List { limit: 1, ..List::NEWEST }).await;
    let next = List { begun_at: Some(begun_at), after: Some(newest[0].get("number")), ..List::NEWEST };
    let titles = |rows: &[_]| rows.iter().map(|row| title(row).map(str::to_owned)).collect::<Vec<_>>();
    assert_eq!(titles(&database.list(USER, next).await), [Some("1".into()), Some("0".into())]);
    // The cursor is checked before the version.
    let known = Some((None, None));
    database.run_as_owner("delete from users").await;
    for next in [next, List { known, ..next }, List { sort: Some("title"), ..next }] {
        let rows = database.list(USER, next).await;
        assert_eq!((outcome(&rows[0]), rows.len()), ("gone", 1), "the user has no row");
        assert_eq!(id_of(&rows[0]), None);
    }
    database.create(USER, "new").await;
    for next in [next, List { known, ..next }, List { sort: Some("title"), ..next }] {
        let rows = database.list(USER, next).await;
        assert_eq!((outcome(&rows[0]), rows.len()), ("gone", 1), "the user has a new row");
        assert_eq!(id_of(&rows[0]), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn version_changes_with_each_write() {
    let database = alice_with(1).await;
    let task = Key::Id(id(&database.list(USER, List::NEWEST).await[0]));
    let mut before = head(&database).await;
    for number in 0..3 {
        match number {
            0 => drop(database.create(USER, "new").await),
            1 => drop(database.update(USER, task, "changed", Attempt::new()).await),
            _ => drop(database.delete(USER, task, Attempt::new()).await),
        }
        let after = head(&database).await;
        assert_ne!((before.0, before.1), (after.0, after.1), "write {number}");
        assert_eq!(before.2, after.2, "the list keeps its beginning");
        before = after;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn list_that_reads_all_tasks_waits_a_second_for_another_one_of_the_user() {
    let database = alice_with(1).await;
    database.create("bob", "One").await;
    let other = database.another_session().await;
    other.endpoint.batch_execute("begin").await.expect("a transaction");
    let sorted = List { sort: Some("title"), ..List::NEWEST };
    let searched = List { search: Some("x"), ..List::NEWEST };
    other.list(USER, searched).await;
    let started = Instant::now();
    for (user, list) in [(USER, List::NEWEST), ("bob", sorted)] {
        assert_eq!(outcome(&database.list(user, list).await[0]), "done");
    }
    assert!(started.elapsed() < Duration::from_millis(900), "{:?}", started.elapsed());
    assert_eq!(outcome(&database.list(USER, sorted).await[0]), "busy");
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
    other.endpoint.batch_execute("commit").await.expect("the list is read");
    assert_eq!(outcome(&database.list(USER, sorted).await[0]), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn list_that_takes_longer_than_two_seconds_is_rejected() {
    let database = alice_with(50).await;
    let slow = format!(
        "create or replace function {}.lower_case(p_text text) returns text language plpgsql immutable
         as $$ begin perform pg_sleep(0.1); return p_text; end $$",
        *shared::sql::SCHEMA
    );
    database.run_as_owner(&slow).await;
    let started = Instant::now();
    let list = database.try_list(USER, List { search: Some("x"), ..List::NEWEST }).await;
    assert_eq!(list.expect_err("it is slow").code(), Some(&SqlState::CONFIGURATION_LIMIT_EXCEEDED));
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

fn id_of(row: &tokio_postgres::Row) -> Option<Uuid> {
    row.get("id")
}

/// Compares with Rust's lower-casing, in which ς is replaced by σ.
#[tokio::test(flavor = "multi_thread")]
async fn lower_case_follows_unicode_whatever_the_databases_collation() {
    let database = Database::new().await;
    // Letters of Unicode 10, the newest version that every tested server supports.
    let ranges = [
        '\u{1}'..='\u{52f}',
        '\u{531}'..='\u{556}',
        '\u{10a0}'..='\u{10cd}',
        '\u{1e00}'..='\u{1fff}',
        '\u{2126}'..='\u{2183}',
        '\u{2c00}'..='\u{2c2e}',
        '\u{2c60}'..='\u{2cf3}',
        '\u{a640}'..='\u{a7b7}',
        '\u{ff21}'..='\u{ff3a}',
        '\u{10400}'..='\u{10427}',
        '\u{1e900}'..='\u{1e921}',
    ];
    let expected =
        |text: &str| text.chars().flat_map(char::to_lowercase).collect::<String>().replace('ς', "σ");
    let statement = format!("select {}.lower_case($1::text)", *shared::sql::SCHEMA);
    let mut texts: Vec<String> = ranges.into_iter().flatten().map(String::from).collect();
    texts.extend(["ΟΔΟΣ", "ΟΔΟΣ ΟΔΟΣ.", "ὈΔΥΣΣΕΎΣ", "İSTANBUL", "Straße ẞ", "ǅ K Å"].map(String::from));
    for text in texts {
        let lower: String = database.owner.query_one(&statement, &[&text]).await.expect("text").get(0);
        assert_eq!(lower, expected(&text), "{text:?}");
    }
}
