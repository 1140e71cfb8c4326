//! Erasing a user while the erase is in transit and other writes follow. `sql_functions::erasures` checks the
//! other orders in which writes and erasures can arrive.

use std::time::Duration;

use futures_util::future::join_all;
use tests::{Cut, Proxy};
use tokio::time::sleep;

use super::{OTHER_WRITES, Stage, WATCH, assert_all, cluster, happens};

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_erase_deletes_nothing_that_was_created_after_its_response() {
    let Some(stage) = Stage::new().await else { return };
    // How long the erase is delayed, in seconds; whether the function can reconnect; how many tasks are
    // created after it.
    let trials = [(1.0, true, 1), (2.5, true, 1), (2.5, true, OTHER_WRITES), (4.0, true, 1), (5.0, false, 1)];
    // Dropped after all trials, because dropping an API blocks the trials that run in the same task.
    let mut firsts = Vec::new();
    for _ in trials {
        let proxy = Proxy::start(cluster().await.port()).await;
        firsts.push((stage.first(proxy.port).await, proxy));
    }
    let outcomes = trials.iter().zip(&firsts).map(async |(trial, (app, proxy))| {
        let (seconds, reconnects, writes) = *trial;
        let second = stage.second.user("shared");
        let first = app.user_with_id(&second.id);
        first.envelope().erase().await.expect_status(204);
        second.envelope().new_task("before").await;

        if !reconnects {
            proxy.close();
        }
        let delivered = proxy.cut_next(Cut::Request(Duration::from_secs_f64(seconds)));
        let status = first.envelope().erase().await.status;
        proxy.open();
        for _ in 0..writes {
            second.envelope().new_task("after").await;
        }
        happens(delivered).await?;
        sleep(WATCH).await;
        let held =
            "select coalesce(array_agg(title::text order by number), '{}') from tasks where user_id = $1";
        let held = stage.superuser.query_one(held, &[&second.id]).await.expect("the database is up");
        let titles: Vec<String> = held.get(0);
        let (before, expected_status) = if reconnects { (0, 204) } else { (1, 503) };
        let expected = [vec!["before"; before], vec!["after"; writes]].concat();
        // Not an assertion, because a panic would wait forever for the requests of the other trials.
        match titles == expected && status == expected_status {
            true => Ok(()),
            false => Err(format!("{status} {titles:?}")),
        }
    });
    let outcomes = join_all(outcomes).await;
    let names = trials.iter().map(|trial| format!("{trial:?}"));
    assert_all(&names.zip(outcomes).collect::<Vec<_>>());
}
