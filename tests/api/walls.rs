//! Row-level security separates users, even if the functions' filters are missing.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tests::{App, Contract, Options};
use tokio_postgres::Client;

use crate::sql_functions::walls::take_filters_down;

/// Without the filters, only the transaction's setting `app.user_id` separates users. A setting that outlived
/// its transaction would show another user's tasks. With PgBouncer, all users share four sessions.
#[tokio::test(flavor = "multi_thread")]
async fn many_users_on_few_connections_never_see_another_users_setting() {
    const USERS: usize = 24;
    let options = Options { max_instances: Some(USERS / 2), ..Options::default() };
    let Some(app) = App::local_with(options).await else { return };
    let database = app.internals().database().await;
    database.batch_execute(&take_filters_down()).await.expect("the functions are replaced");
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
