//! Many users at once: no request fails, no task is lost or duplicated, and nobody sees another user's tasks.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::json;
use shared::sql;
use tests::{ApiClient, App, Contract};
use tokio::time::sleep;

/// The number of users: `LOAD_USERS`, or 64.
fn users() -> usize {
    let users = std::env::var("LOAD_USERS").ok().and_then(|users| users.parse().ok());
    users.unwrap_or(64)
}

/// The expected state of each of a user's tasks, by title. Titles are unique per user.
type Journal = BTreeMap<String, Entry>;

struct Entry {
    contract: Contract,
    id: String,
    completed: bool,
}

/// How long the users send requests: `LOAD_SECONDS`, or 5 seconds.
fn duration() -> Duration {
    let seconds = std::env::var("LOAD_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(5))
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_users_lose_and_duplicate_nothing() {
    work_and_check(&App::start().await).await;
}

/// During a deployment the older functions are called while `migrate` installs newer ones.
#[tokio::test(flavor = "multi_thread")]
async fn installing_newer_functions_under_load_fails_no_request() {
    let Some(app) = App::local().await else { return };
    let mut owner = app.internals().database().await;
    let migrate = async {
        for version in 1..=5 {
            sleep(duration() / 6).await;
            let schema = format!("task_api_newer{version}");
            let functions = sql::functions_in(&schema);
            let install = format!(
                "create schema {schema} authorization task_api; set local role task_api; {functions} reset role;
                 insert into function_schemas (name) values ('{schema}');
                 drop schema if exists task_api_newer{} cascade",
                version - 1
            );
            let transaction = owner.transaction().await.expect("a connection");
            transaction.batch_execute(&install).await.expect("a new schema");
            transaction.commit().await.expect("the transaction commits");
        }
    };
    tokio::join!(work_and_check(&app), migrate);
}

/// Has all users send random requests, and then compares their lists with their journals.
async fn work_and_check(app: &App) {
    let users: Vec<_> = (0..users()).map(|number| app.user(&format!("user{number}"))).collect();
    let end = Instant::now() + duration();
    let journals = join_all(users.iter().map(async |user| {
        let mut random = fastrand::Rng::with_seed(user.id.bytes().map(u64::from).sum());
        let mut journal = Journal::new();
        let mut operations = 0;
        while Instant::now() < end {
            operate(&user.envelope(), &user.plain(), &mut journal, &mut random, operations).await;
            operations += 1;
        }
        (journal, operations)
    }))
    .await;

    let mut in_all = (0, 0);
    for (user, (journal, operations)) in users.iter().zip(&journals) {
        let expected: Vec<_> =
            journal.iter().map(|(title, entry)| (title.clone(), entry.completed)).collect();
        for client in [user.envelope(), user.plain()] {
            assert_eq!(all_tasks(&client).await, expected, "{:?} of {}", client.contract, user.id);
        }
        in_all = (in_all.0 + operations, in_all.1 + journal.len());
    }
    println!(
        "{} users, {} operations, {} tasks left, each listed once by its owner",
        users.len(),
        in_all.0,
        in_all.1
    );
}

/// Sends one random request and records its effect in the journal.
async fn operate(
    envelope: &ApiClient<'_>,
    plain: &ApiClient<'_>,
    journal: &mut Journal,
    random: &mut fastrand::Rng,
    number: usize,
) {
    let of = |contract| if contract == Contract::Envelope { envelope } else { plain };
    let title =
        (!journal.is_empty()).then(|| journal.keys().nth(random.usize(..journal.len())).cloned()).flatten();
    match (random.u8(..10), title) {
        (0..4, _) | (_, None) => {
            let client = of(Contract::BOTH[random.usize(..2)]);
            let title = format!("task {number}");
            let id = client.id(&client.new_task(&title).await);
            journal.insert(title, Entry { contract: client.contract, id, completed: false });
        }
        (4, Some(title)) => {
            let entry = journal.remove(&title).expect("the title is in the journal");
            of(entry.contract).delete(&entry.id).await.expect_status(204);
        }
        (5, Some(title)) => {
            let entry = &journal[&title];
            let response = of(entry.contract).get(&entry.id).await.expect_status(200);
            assert_eq!(of(entry.contract).task(&response)["title"], title);
        }
        (6, _) => {
            of(Contract::BOTH[random.usize(..2)]).list("").await.expect_status(200);
        }
        (7, Some(title)) => {
            let mut entry = journal.remove(&title).expect("the title is in the journal");
            let title = format!("renamed {number}");
            entry.completed = random.bool();
            let body = json!({ "title": title, "completed": entry.completed });
            of(entry.contract).put(&entry.id, body).await.expect_status(200);
            journal.insert(title, entry);
        }
        (_, Some(title)) => {
            let entry = journal.get_mut(&title).expect("the title is in the journal");
            entry.completed = !entry.completed;
            of(entry.contract).complete(&entry.id, entry.completed).await.expect_status(200);
        }
    }
}

/// The title and completion of each of the user's tasks, sorted by title.
async fn all_tasks(client: &ApiClient<'_>) -> Vec<(String, bool)> {
    let tasks = client.all_tasks().await.into_values();
    let mut states: Vec<_> = tasks
        .map(|task| (task["title"].as_str().expect("text").to_owned(), task["completed"] == true))
        .collect();
    states.sort();
    states
}
