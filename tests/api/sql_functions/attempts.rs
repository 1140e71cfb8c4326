//! Writes that are sent twice, or arrive late.

use std::time::{Duration, Instant, SystemTime};

use shared::sql;
use tokio_postgres::{Error, error::SqlState};
use uuid::Uuid;

use super::{Attempt, Database, Key, List, id, outcome, title};

/// Number of attempts that a user's row stores.
const REMEMBERED: usize = 8;

/// A write in a test case: the index of its attempt's id, and how it is sent.
#[derive(Clone, Copy, Debug)]
enum Sent {
    First(usize),
    Late(usize),
    Retry(usize),
    LateRetry(usize),
    /// This many other writes, each with a newer id of its own.
    Others(usize),
}
use Sent::{First, Late, LateRetry, Others, Retry};

#[tokio::test(flavor = "multi_thread")]
async fn each_write_is_carried_out_at_most_once_and_never_after_its_retry_or_deadline() {
    // The writes in the order in which they arrive, each with its outcome and whether it changes the task.
    let cases: [&[(Sent, &str, bool)]; 15] = [
        &[(First(0), "done", true), (First(1), "done", true)],
        &[(First(0), "done", true), (Retry(0), "done", false)],
        &[(First(0), "done", true), (First(1), "done", true), (Retry(0), "done", false)],
        &[(Retry(0), "done", true), (First(0), "void", false)],
        &[(Retry(0), "done", true), (Retry(0), "done", false), (First(0), "void", false)],
        &[(First(0), "done", true), (First(0), "void", false)],
        // Ids are only approximately in the order of arrival.
        &[(First(1), "done", true), (First(0), "done", true), (Retry(0), "done", false)],
        &[(First(1), "done", true), (Retry(0), "done", true), (First(0), "void", false)],
        &[(Late(0), "void", false), (First(1), "done", true)],
        &[(First(0), "done", true), (LateRetry(0), "done", false)],
        &[(LateRetry(0), "void", false), (First(0), "void", false)],
        &[(First(0), "done", true), (Others(REMEMBERED - 1), "done", true), (Retry(0), "done", false)],
        &[(First(0), "done", true), (Others(REMEMBERED), "done", true), (Retry(0), "unknown", false)],
        // The write was not carried out, but the row no longer stores enough to tell.
        &[(Others(REMEMBERED + 1), "done", true), (Retry(0), "unknown", false), (First(0), "void", false)],
        // A void attempt stays void, however many others follow.
        &[
            (Retry(0), "done", true),
            (Others(REMEMBERED + 1), "done", true),
            (Retry(1), "unknown", false),
            (First(0), "void", false),
            (First(1), "void", false),
        ],
    ];
    let database = Database::new().await;
    for (number, case) in cases.into_iter().enumerate() {
        let user = format!("user{number}");
        let task = id(&database.create(&user, "As created").await);
        let ids = [Uuid::now_v7(), Uuid::now_v7()];
        let mut expected_title = "As created".to_owned();
        for (step, &(sent, expected, changes)) in case.iter().enumerate() {
            let (first, times) = match sent {
                First(id) | Late(id) | Retry(id) | LateRetry(id) => (Some(ids[id]), 1),
                Others(times) => (None, times),
            };
            for time in 0..times {
                let attempt = Attempt { id: first.unwrap_or_else(Uuid::now_v7), ..Attempt::new() };
                let attempt = match sent {
                    First(_) | Others(_) => attempt,
                    Late(_) => attempt.late(),
                    Retry(_) => attempt.retry(),
                    LateRetry(_) => attempt.retry().late(),
                };
                let new_title = format!("{step} {time}");
                let row = database.update(&user, Key::Id(task), &new_title, attempt).await;
                assert_eq!(outcome(&row), expected, "{case:?}, {sent:?}");
                if changes {
                    expected_title = new_title;
                }
                // The outcome `done` comes with the task as it is now.
                let shown = (expected == "done").then_some(expected_title.as_str());
                assert_eq!(title(&row), shown, "{case:?}, {sent:?}");
                let row = database.get(&user, Key::Id(task)).await;
                assert_eq!(title(&row), Some(expected_title.as_str()), "{case:?}, {sent:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_of_a_create_answers_with_the_task_as_it_is_now_and_never_creates_it_again() {
    let database = Database::new().await;
    let (task, attempt) = (Uuid::now_v7(), Attempt::new());
    let create = async |attempt| database.create_with("alice", task, "As created", None, attempt).await;
    assert_eq!(outcome(&create(attempt).await), "done");
    database.update("alice", Key::Id(task), "Changed", Attempt::new()).await;
    let row = create(attempt.retry()).await;
    assert_eq!((outcome(&row), title(&row)), ("done", Some("Changed")));
    database.delete("alice", Key::Id(task), Attempt::new()).await;
    let row = create(attempt.retry()).await;
    assert_eq!((outcome(&row), title(&row)), ("deleted", None));
    assert_eq!(outcome(&create(attempt).await), "void");
    assert_eq!(outcome(&database.get("alice", Key::Id(task)).await), "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn first_create_of_a_user_is_void_after_its_retry_and_its_deadline() {
    let database = Database::new().await;
    for late in [false, true] {
        let user = format!("user {late}");
        let (task, attempt) = (Uuid::now_v7(), Attempt::new());
        let create = async |attempt| database.create_with(&user, task, "One", None, attempt).await;
        if late {
            assert_eq!(outcome(&create(attempt.late()).await), "void");
            assert_eq!(outcome(&create(attempt.retry().late()).await), "void");
        } else {
            assert_eq!(outcome(&create(attempt.retry()).await), "done");
            assert_eq!(outcome(&create(attempt).await), "void");
        }
        let tasks = database.list(&user, List { limit: 10, ..List::NEWEST }).await;
        assert_eq!(tasks[0].get::<_, i64>("total"), i64::from(!late));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_of_an_update_or_delete_says_that_the_task_is_gone() {
    let database = Database::new().await;
    let task = database.create("alice", "One").await;
    for key in [Key::Id(id(&task)), Key::Number(task.get("number"))] {
        let (update, delete) = (Attempt::new(), Attempt::new());
        database.update("alice", key, "Two", update).await;
        database.delete("alice", key, delete).await;
        assert_eq!(outcome(&database.delete("alice", key, Attempt::new().retry()).await), "not_found");
        if matches!(key, Key::Id(_)) {
            assert_eq!(outcome(&database.update("alice", key, "Two", update.retry()).await), "deleted");
            assert_eq!(outcome(&database.delete("alice", key, delete.retry()).await), "done");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_voids_the_first_attempt_even_if_it_finds_no_task_or_a_conflict() {
    let database = Database::new().await;
    let task = Key::Id(id(&database.create("alice", "One").await));
    let missing = Key::Id(Uuid::now_v7());
    let [update, delete, create] = [Attempt::new(), Attempt::new(), Attempt::new()];
    assert_eq!(outcome(&database.update("alice", missing, "Two", update.retry()).await), "not_found");
    assert_eq!(outcome(&database.update("alice", task, "Two", update).await), "void");
    assert_eq!(outcome(&database.delete("alice", missing, delete.retry()).await), "not_found");
    assert_eq!(outcome(&database.delete("alice", task, delete).await), "void");
    let keyed = async |title, attempt| {
        database.create_with("alice", Uuid::now_v7(), title, Some("key"), attempt).await
    };
    assert_eq!(outcome(&keyed("One", Attempt::new()).await), "done");
    assert_eq!(outcome(&keyed("Two", create.retry()).await), "conflict");
    assert_eq!(outcome(&keyed("One", create).await), "void");
}

#[tokio::test(flavor = "multi_thread")]
async fn void_ids_are_forgotten_a_minute_after_their_deadline() {
    let database = Database::new().await;
    let task = Key::Id(id(&database.create("alice", "One").await));
    let missing = Key::Id(Uuid::now_v7());
    let voided = async || {
        let voided = "select cardinality(voided), voided_until > now() + interval '100 s' from users";
        let row = database.owner.query_one(voided, &[]).await.expect("a user");
        (row.get::<_, i32>(0), row.get::<_, bool>(1))
    };
    for number in 1..=10 {
        database.update("alice", missing, "Two", Attempt::new().retry()).await;
        assert_eq!(voided().await, (number, true));
    }
    database.run_as_owner("update users set voided_until = now() - interval '1 s'").await;
    database.update("alice", task, "Two", Attempt::new().retry()).await;
    assert_eq!(voided().await, (1, true));
}

/// The deadline is checked once the write has locked the row, not when the call arrives.
#[tokio::test(flavor = "multi_thread")]
async fn write_that_waits_past_its_deadline_is_not_carried_out() {
    // Whether the session that holds the lock has changed the row.
    for (holder, code) in [
        ("begin; select from users for no key update", Err(SqlState::LOCK_NOT_AVAILABLE)),
        ("begin; update users set revision = revision + 1", Ok("void")),
    ] {
        let database = Database::new().await;
        let task = Key::Id(id(&database.create("alice", "One").await));
        database.run_as_owner(holder).await;
        let waiting = database.deletion_before(task, Duration::from_millis(500));
        let release = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            database.run_as_owner("commit").await;
        };
        let (row, ()) = tokio::join!(waiting, release);
        assert_eq!(
            row.map_err(|error| error.code().cloned()),
            code.map(str::to_owned).map_err(Some),
            "{holder}"
        );
        let row = database.get("alice", task).await;
        assert_eq!(outcome(&row), "done");
        let write = "select revision - $1 from users";
        let raised =
            database.owner.query_one(write, &[&row.get::<_, i64>("revision")]).await.expect("a user");
        assert_eq!(raised.get::<_, i64>(0), i64::from(holder.contains("update users")), "{holder}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wait_of_three_seconds_for_a_lock_fails() {
    let database = Database::new().await;
    let task = Key::Id(id(&database.create("alice", "One").await));
    database.run_as_owner("begin; select from users for no key update").await;
    let started = Instant::now();
    let error = database.deletion_before(task, Duration::from_secs(60)).await.expect_err("the row is locked");
    assert_eq!(error.code(), Some(&SqlState::LOCK_NOT_AVAILABLE));
    assert!((3..4).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
    database.run_as_owner("rollback").await;
    assert_eq!(outcome(&database.get("alice", task).await), "done");
}

impl Database {
    /// Deletes a task of Alice with a deadline in this time. Returns the outcome.
    async fn deletion_before(&self, task: Key, limit: Duration) -> Result<String, Error> {
        let statement = format!(
            "select outcome from {}.delete_task(
                 p_user_id => 'alice', p_id => $1, p_number => null, p_expected_revisions => null,
                 p_expected_times => null, p_idempotency_key => null, p_idempotency_hash => null,
                 p_writes_per_minute => 0, p_attempt => gen_random_uuid(), p_is_retry => false, p_void_after => $2)",
            *sql::SCHEMA
        );
        let (id, _) = task.parts();
        let row = self.endpoint.query_one(&statement, &[&id, &(SystemTime::now() + limit)]).await?;
        Ok(row.get(0))
    }
}

/// Of two simultaneous writes of a user, the second starts before the first ends, and sees its effect.
#[tokio::test(flavor = "multi_thread")]
async fn write_that_waits_for_a_deletion_finds_no_task_and_leaves_the_users_row_as_it_was() {
    let database = Database::new().await;
    let task = id(&database.create("alice", "One").await);
    let row = async || {
        let row = database.owner.query_one("select u::text from users u", &[]).await.expect("a user");
        row.get::<_, String>(0)
    };
    let deletion = "begin; delete from tasks; update users set revision = revision + 1";
    database.run_as_owner(deletion).await;
    let deleted = row().await;
    let waiting = database.update("alice", Key::Id(task), "Two", Attempt::new());
    let release = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        database.run_as_owner("commit").await;
    };
    let (updated, ()) = tokio::join!(waiting, release);
    assert_eq!(outcome(&updated), "not_found");
    assert_eq!(row().await, deleted);
}

#[tokio::test(flavor = "multi_thread")]
async fn times_never_run_backwards_even_if_the_clock_does() {
    let database = Database::new().await;
    let task = Key::Id(id(&database.create("alice", "One").await));
    database.run_as_owner("update users set updated_at = now() + interval '1 hour'").await;
    let ahead = SystemTime::now() + Duration::from_secs(3500);
    let created: SystemTime = database.create("alice", "Two").await.get("created_at");
    let updated: SystemTime =
        database.update("alice", task, "Changed", Attempt::new()).await.get("updated_at");
    assert!(created > ahead && updated > ahead);
    database.run_as_owner("update tasks set updated_at = now() + interval '2 hours'").await;
    let row = database.update("alice", task, "Again", Attempt::new()).await;
    assert!(row.get::<_, SystemTime>("updated_at") > ahead + Duration::from_secs(3500));
}

/// Twelve thousand is more than a user can collect.
#[tokio::test(flavor = "multi_thread")]
async fn keys_and_deletions_beyond_ten_thousand_are_forgotten_and_at_most_256_writes_later() {
    let database = Database::new().await;
    let task = Key::Id(id(&database.create("alice", "One").await));
    let collect = "
        update users set revision = (revision / 256 + 60) * 256 - 2, changes_from = 0;
        insert into idempotency_keys (user_id, key, hash, task_id, used_at)
        select 'alice', n::text, '', gen_random_uuid(), now() - n * interval '1 s' from generate_series(1, 12000) n;
        insert into deleted_tasks (id, number, revision, deleted_at, user_id)
        select gen_random_uuid(), n, n, now(), 'alice' from generate_series(1, 12000) n";
    database.run_as_owner(collect).await;
    let counts = async || {
        let counts = "select (select count(*) from idempotency_keys), (select count(*) from deleted_tasks),
                             (select changes_from from users)";
        let row = database.owner.query_one(counts, &[]).await.expect("counts");
        [0, 1, 2].map(|column| row.get::<_, i64>(column))
    };
    for expected in [[12_000, 12_000, 0], [12_000, 12_000, 0], [10_000, 10_000, 2000]] {
        database.update("alice", task, "Two", Attempt::new()).await;
        assert_eq!(counts().await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_first_write_of_a_day_records_that_the_schema_is_in_use() {
    let database = Database::new().await;
    let task = Key::Id(id(&database.create("alice", "One").await));
    let age = "update function_schemas set last_used = current_date - 10;
               update users set updated_at = now() - interval '1 day'";
    let used = async || {
        let used = "select last_used = current_date from function_schemas";
        database.owner.query_one(used, &[]).await.expect("one schema").get::<_, bool>(0)
    };
    database.run_as_owner(age).await;
    database.get("alice", task).await;
    assert!(!used().await);
    database.update("alice", task, "Two", Attempt::new()).await;
    assert!(used().await, "update");
    database.run_as_owner(age).await;
    database.create("alice", "Two").await;
    assert!(used().await, "create");
    database.run_as_owner(age).await;
    database.create("bob", "One").await;
    assert!(used().await, "create by a new user");
    database.run_as_owner(age).await;
    database.delete("alice", task, Attempt::new()).await;
    assert!(used().await, "delete");
}
