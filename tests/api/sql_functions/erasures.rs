//! Erasures that are sent twice or arrive late, and writes that arrive after an erasure.

use std::time::Duration;

use tokio::time::sleep;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Attempt, Database, Key, outcome};

/// The number of the user's tasks, and whether the user has a row. Without one there must be no other rows.
async fn tasks_and_row(database: &Database) -> (i64, bool) {
    let query = "select (select count(*) from tasks where user_id = 'alice'),
                       exists (select from users where id = 'alice')
                       or exists (select from deleted_tasks where user_id = 'alice')
                       or exists (select from idempotency_keys where user_id = 'alice')";
    let row = database.owner.query_one(query, &[]).await.expect("tables");
    (row.get(0), row.get(1))
}

async fn create(database: &Database, task: Uuid, has_key: bool, attempt: Attempt) -> Row {
    let key = has_key.then(|| task.to_string());
    database.create_with("alice", task, "One", key.as_deref(), attempt).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_erasure_is_carried_out_once_and_never_after_its_retry_or_deadline() {
    let database = Database::new().await;
    let erase = async |attempt| outcome(&database.erase("alice", attempt).await).to_owned();
    // First for a user with a row, then for a user without one.
    for has_row in [true, false] {
        let attempt = Attempt::new();
        if has_row {
            database.create("alice", "before").await;
        }
        assert_eq!(erase(attempt.late()).await, "void");
        assert_eq!(tasks_and_row(&database).await, (i64::from(has_row), has_row));
        assert_eq!(erase(attempt.retry()).await, "done");
        assert_eq!(tasks_and_row(&database).await, (0, false));
        for later in 0..3 {
            assert_eq!(erase(attempt).await, "void", "the first attempt arrives after its retry");
            assert_eq!(erase(attempt.retry()).await, "done", "the erasure has been carried out");
            assert_eq!(tasks_and_row(&database).await, (later, later > 0));
            database.create("alice", "after").await;
        }
        database.erase("alice", Attempt::new()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn create_sent_before_an_erasure_creates_nothing_after_it() {
    let database = Database::new().await;
    // Whether the user has a new row when the late attempts arrive.
    for (returns, has_key) in [(false, false), (false, true), (true, false), (true, true)] {
        let create = async |task, attempt| create(&database, task, has_key, attempt).await;
        let (carried_out, retried, voided) = (Attempt::new(), Attempt::new(), Attempt::new());
        let tasks = [Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7()];
        assert_eq!(outcome(&create(tasks[0], carried_out).await), "done");
        assert_eq!(outcome(&create(tasks[1], retried.retry()).await), "done");
        let missing = database.update("alice", Key::Id(Uuid::now_v7()), "Two", voided.retry()).await;
        assert_eq!(outcome(&missing), "not_found");
        database.erase("alice", Attempt::new()).await;
        if returns {
            database.create("alice", "after").await;
        }
        let expected = (i64::from(returns), returns);
        for (task, attempt) in tasks.into_iter().zip([carried_out, retried, voided]) {
            assert_eq!(outcome(&create(task, attempt).await), "void");
            assert_eq!(tasks_and_row(&database).await, expected);
        }
        for (task, attempt) in [(tasks[0], carried_out), (tasks[1], retried)] {
            assert_eq!(outcome(&create(task, attempt.retry()).await), "deleted");
            assert_eq!(tasks_and_row(&database).await, expected);
        }
        database.erase("alice", Attempt::new()).await;
    }
}

/// The user's row stores eight attempts. Whether an older attempt was carried out is unknown.
#[tokio::test(flavor = "multi_thread")]
async fn retry_of_a_forgotten_attempt_creates_nothing_after_an_erasure() {
    let database = Database::new().await;
    for has_key in [false, true] {
        let (task, attempt) = (Uuid::now_v7(), Attempt::new());
        create(&database, task, has_key, attempt).await;
        for _ in 0..9 {
            database.create("alice", "another").await;
        }
        for _ in 0..2 {
            database.erase("alice", Attempt::new()).await;
            assert_eq!(outcome(&create(&database, task, has_key, attempt.retry()).await), "unknown");
            assert_eq!(tasks_and_row(&database).await.0, 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn erased_users_are_forgotten_after_five_minutes_by_the_next_erasure_or_new_user() {
    let database = Database::new().await;
    for user in ["alice", "bob"] {
        database.create(user, "One").await;
        database.erase(user, Attempt::new()).await;
    }
    database.run_as_owner("update erased_users set erased_at = now() - interval '301 s'").await;
    database.erase("carol", Attempt::new()).await;
    let left = async || {
        let left = "select id_hash = sha256('carol') from erased_users";
        let left = database.owner.query(left, &[]).await.expect("a table");
        left.iter().map(|row| row.get(0)).collect::<Vec<bool>>()
    };
    assert_eq!(left().await, [true]);
    database.run_as_owner("update erased_users set erased_at = now() - interval '301 s'").await;
    database.create("dave", "One").await;
    assert_eq!(left().await, [false; 0]);
}

/// An idempotency key contains the user's id, so it must not outlive the user.
#[tokio::test(flavor = "multi_thread")]
async fn erasure_waits_for_the_users_first_create_and_then_deletes_what_it_created() {
    let database = Database::new().await;
    database.endpoint.batch_execute("begin").await.expect("a transaction");
    let created = database.create_with("alice", Uuid::now_v7(), "One", Some("key"), Attempt::new()).await;
    assert_eq!(outcome(&created), "done");
    let other = database.another_session().await;
    let erasing = other.erase("alice", Attempt::new());
    let commit = async {
        sleep(Duration::from_millis(500)).await;
        database.endpoint.batch_execute("commit").await.expect("the create is committed");
    };
    let (erased, ()) = tokio::join!(erasing, commit);
    assert_eq!(outcome(&erased), "done");
    assert_eq!(tasks_and_row(&database).await, (0, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn first_create_waits_for_an_erasure_whose_late_attempt_then_deletes_nothing() {
    let database = Database::new().await;
    let erasure = Attempt::new();
    database.endpoint.batch_execute("begin").await.expect("a transaction");
    assert_eq!(outcome(&database.erase("alice", erasure.retry()).await), "done");
    let other = database.another_session().await;
    let creating = other.create("alice", "One");
    let commit = async {
        sleep(Duration::from_millis(500)).await;
        database.endpoint.batch_execute("commit").await.expect("the erasure is committed");
    };
    let (created, ()) = tokio::join!(creating, commit);
    assert_eq!(outcome(&created), "done");
    assert_eq!(outcome(&database.erase("alice", erasure).await), "void");
    assert_eq!(tasks_and_row(&database).await, (1, true));
}
