//! Two walls separate users: the filters in the SQL functions, and row-level security. Either one alone must
//! be enough.
//!
//! The real binaries run against databases from which one or both walls have been removed.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use tests::{App, Contract, Options, Response, User};
use tokio::time::sleep;
use tokio_postgres::Client;

use crate::sql_functions::walls::{TAKE_ROW_LEVEL_SECURITY_DOWN, take_filters_down};

const BOBS_TITLE: &str = "Bob's own";

/// Creates a task of Alice and one of Bob through each contract. Returns their ids.
async fn own_tasks(alice: &User<'_>, bob: &User<'_>) -> Vec<[String; 2]> {
    let mut ids = Vec::new();
    for contract in Contract::BOTH {
        let (front, bobs) = (alice.at(contract), bob.at(contract));
        let own = front.new_task("Alice's own").await;
        ids.push([front.id(&own), bobs.id(&bobs.new_task(BOBS_TITLE).await)]);
    }
    ids
}

/// Sends every request for Bob's task as Alice. Returns the number of requests that saw or changed the task.
/// Also checks that Alice can read her own task.
async fn reach(alice: &User<'_>, tasks: Vec<[String; 2]>) -> usize {
    let mut reached = 0;
    for (contract, [own, id]) in Contract::BOTH.into_iter().zip(tasks) {
        let front = alice.at(contract);
        assert_eq!(front.get(&own).await.status, 200);

        let mut answers = vec![front.get(&id).await, front.list("").await, front.changes("").await];
        answers.push(front.put(&id, json!({ "title": BOBS_TITLE })).await);
        if contract == Contract::Envelope {
            answers.push(front.patch(&id, json!({ "title": BOBS_TITLE })).await);
        }
        answers.push(front.complete(&id, true).await);
        answers.push(front.complete(&id, false).await);
        answers.push(front.delete(&id).await);
        // A successful deletion has no body. Without either wall a write fails, because it would change the
        // rows of both users.
        let reaches =
            |answer: &&Response| answer.text.contains(BOBS_TITLE) || [204, 500].contains(&answer.status);
        reached += answers.iter().filter(reaches).count();
    }
    reached
}

/// Runs these statements in a new database and then calls [`reach`].
async fn tampered_with(statements: &[&str]) -> Option<usize> {
    let app = App::local().await?;
    let (alice, bob) = (app.user("alice"), app.user("bob"));
    let tasks = own_tasks(&alice, &bob).await;
    tamper(&app, statements).await;
    Some(reach(&alice, tasks).await)
}

async fn tamper(app: &App, statements: &[&str]) {
    let database = app.internals().database().await;
    for statement in statements {
        database.batch_execute(statement).await.expect("tampering works");
    }
    // Closes the open sessions, because they would keep the settings that they started with.
    let end = "select pg_terminate_backend(pid) from pg_stat_activity
               where datname = current_database() and pid <> pg_backend_pid()";
    database.execute(end, &[]).await.expect("a superuser can close sessions");
    sleep(Duration::from_millis(200)).await;
}

/// Without the filters, only the transaction's setting `app.user_id` separates users. A setting that outlived
/// its transaction would show another user's tasks. With PgBouncer, all users share four sessions.
#[tokio::test(flavor = "multi_thread")]
async fn many_users_on_few_connections_never_see_another_users_setting() {
    const USERS: usize = 24;
    let options = Options { max_instances: Some(USERS / 2), ..Options::default() };
    let Some(app) = App::local_with(options).await else { return };
    tamper(&app, &[&take_filters_down()]).await;
    let users: Vec<_> = (0..USERS).map(|number| app.user(&format!("user{number}"))).collect();
    let end = Instant::now() + Duration::from_secs(5);
    let lists = join_all(users.iter().enumerate().map(async |(number, user)| {
        let front = user.at(Contract::BOTH[number % 2]);
        let mut made = 0;
        let mut lists = 0;
        while Instant::now() < end {
            if lists % 8 == 0 {
                front.new_task(&format!("task {made} of {}", user.id)).await;
                made += 1;
            }
            let tasks = front.tasks(&front.list("").await.expect_status(200));
            assert_eq!(tasks.len(), made.min(if number % 2 == 0 { 10 } else { 1000 }));
            for task in tasks {
                assert_eq!(task["user_id"], user.id.as_str());
                assert!(task["title"].as_str().is_some_and(|title| title.ends_with(&user.id)), "{task}");
            }
            lists += 1;
        }
        lists
    }))
    .await;
    println!("{} lists of {USERS} users, none with another's task", lists.iter().sum::<usize>());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_both_walls_no_request_reaches_another_users_task() {
    let app = App::start().await;
    let (alice, bob) = (app.user("alice"), app.user("bob"));
    let tasks = own_tasks(&alice, &bob).await;
    assert_eq!(reach(&alice, tasks).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_filter_row_level_security_holds() {
    if let Some(reached) = tampered_with(&[&take_filters_down()]).await {
        assert_eq!(reached, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_row_level_security_the_filter_holds() {
    if let Some(reached) = tampered_with(&[TAKE_ROW_LEVEL_SECURITY_DOWN]).await {
        assert_eq!(reached, 0);
    }
}

/// Proves that the tests above really removed the walls.
#[tokio::test(flavor = "multi_thread")]
async fn without_either_wall_every_request_reaches_another_users_task() {
    if let Some(reached) = tampered_with(&[&take_filters_down(), TAKE_ROW_LEVEL_SECURITY_DOWN]).await {
        assert_eq!(reached, 15, "eight requests in the envelope contract, seven in the plain one");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn role_of_a_request_sees_and_changes_only_its_users_rows() {
    let Some(app) = App::local().await else { return };
    let (alice, bob) = (app.user("alice"), app.user("bob"));
    for user in [&alice, &bob] {
        user.envelope().new_task("Own").await;
    }
    let database = app.internals().database().await;
    let count = async |database: &Client, statement: &str| {
        database.execute(statement, &[]).await.unwrap_or_else(|error| panic!("{statement}: {error}"))
    };
    for (user, rows) in [(alice.id.as_str(), 1), ("", 0), ("nobody", 0)] {
        for statement in [
            "select from tasks",
            "select from users",
            "update tasks set title = 'changed'",
            "delete from tasks",
        ] {
            scope(&database, user).await;
            assert_eq!(count(&database, statement).await, rows, "{user:?}: {statement}");
            database.batch_execute("rollback").await.expect("a transaction");
        }
    }

    scope(&database, &alice.id).await;
    let foreign = "insert into tasks (id, user_id, title) values (gen_random_uuid(), $1, 'planted')";
    assert_violates_row_level_security(database.execute(foreign, &[&bob.id]).await);
    database.batch_execute("rollback").await.expect("a transaction");

    scope(&database, &alice.id).await;
    assert_violates_row_level_security(database.execute("update tasks set user_id = $1", &[&bob.id]).await);
}

#[track_caller]
fn assert_violates_row_level_security(result: Result<u64, tokio_postgres::Error>) {
    let error = result.expect_err("another user's row is rejected");
    let message = error.as_db_error().expect("an error of the database").message();
    assert!(message.contains("row-level security"), "{message}");
}

/// Begins a transaction with the role and the setting that the functions use.
async fn scope(database: &Client, user_id: &str) {
    database.batch_execute("begin; set local role task_api").await.expect("a role");
    let setting = "select set_config('app.user_id', $1, true)";
    database.execute(setting, &[&user_id]).await.expect("a setting");
}
