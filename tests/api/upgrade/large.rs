//! The migration of a large table while the old code writes: no write takes longer than a second.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tests::{App, Options, binary};
use tokio::{process::Command, time::sleep};
use uuid::Uuid;

use super::Before;

/// Upper bound of the duration of a write during the migration.
const MAX_WRITE: Duration = Duration::from_secs(1);

const USERS: i64 = 100;

/// The number of tasks in the table: `MIGRATION_TASKS`, or 20,000.
fn tasks() -> i64 {
    std::env::var("MIGRATION_TASKS").ok().and_then(|count| count.parse().ok()).unwrap_or(20_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_table_is_migrated_while_the_old_code_writes_without_delay() {
    if App::local().await.is_none() {
        return;
    }
    let before = Before::new().await;
    let fill = format!(
        "insert into users (id) select 'user' || n from generate_series(1, {USERS}) n;
         insert into tasks (id, user_id, title)
         select gen_random_uuid(), 'user' || 1 + n % {USERS}, 'task ' || n from generate_series(1, {}) n",
        tasks()
    );
    before.database.batch_execute(&fill).await.expect("rows");

    let over = AtomicBool::new(false);
    let write = async |number: i64| {
        let old = before.old_code().await;
        let user = format!("user{number}");
        let (mut longest, mut writes) = (Duration::ZERO, 0_u32);
        let mut ids: Vec<Uuid> = Vec::new();
        while !over.load(Ordering::Relaxed) {
            let started = Instant::now();
            match (writes % 4, ids.pop()) {
                (3, Some(id)) => assert_eq!(old.delete(&user, id).await, "done"),
                (2, Some(id)) => {
                    assert_eq!(old.update(&user, id, "changed").await, "done");
                    ids.push(id);
                }
                (_, popped) => {
                    ids.extend(popped);
                    ids.push(old.create(&user, "new", None).await.1.expect("an id"));
                }
            }
            longest = longest.max(started.elapsed());
            writes += 1;
        }
        (longest, writes)
    };
    let migrate = async {
        sleep(Duration::from_millis(300)).await;
        let started = Instant::now();
        let mut command = Command::new(binary("migrate").await);
        let output = command.env("DATABASE_URL", &before.url).output().await.expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let elapsed = started.elapsed();
        sleep(Duration::from_millis(300)).await;
        over.store(true, Ordering::Relaxed);
        elapsed
    };
    let (writers, elapsed) = tokio::join!(join_all((1..=4).map(write)), migrate);
    let longest = writers.iter().map(|(longest, _)| *longest).max().expect("writers");
    let writes: u32 = writers.iter().map(|(_, writes)| writes).sum();
    println!("{} tasks migrated in {elapsed:.1?}; {writes} writes, the longest of {longest:.1?}", tasks());
    assert!(longest < MAX_WRITE, "a write took {longest:?}");

    let app = before.app(Options::default()).await;
    let user = app.user_with_id("user1");
    let count = "select count(*) from tasks where user_id = 'user1'";
    let count: i64 = before.database.query_one(count, &[]).await.expect("a table").get(0);
    let list = user.envelope().list("?limit=1").await.expect_status(200);
    assert_eq!(list.json()["data"]["pagination"]["total"], count);
}
