//! `list_tasks`: counts, lists that read all tasks, and lower case.

use std::time::{Duration, Instant};

use tokio_postgres::error::SqlState;

use super::{Database, List, outcome};

const USER: &str = "alice";

/// A database in which Alice has this many tasks.
async fn alice_with(tasks: i32) -> Database {
    let database = Database::new().await;
    for number in 0..tasks {
        database.create(USER, &number.to_string()).await;
    }
    database
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
