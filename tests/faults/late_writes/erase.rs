//! Erasing a user while writes are in transit, and writing while an erase is in transit.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use tests::{ApiClient, App, Cut, Proxy, Response, User};
use tokio::time::sleep;

use super::{OTHER_WRITES, Stage, WATCH, assert_all, cluster, happens};

/// An API that reaches the database through a proxy.
struct Way {
    proxy: Proxy,
    app: App,
}

impl Way {
    async fn new(stage: &Stage) -> Self {
        let proxy = Proxy::start(cluster().await.port()).await;
        let app = stage.first(proxy.port).await;
        Self { proxy, app }
    }
}

/// Creates one for each trial. The caller drops them after all trials, because dropping one blocks the trials
/// that run in the same task.
async fn ways(stage: &Stage, count: usize) -> Vec<Way> {
    let mut ways = Vec::new();
    for _ in 0..count {
        ways.push(Way::new(stage).await);
    }
    ways
}

async fn create(client: &ApiClient<'_>, title: &str, has_key: bool) -> Response {
    let request = client.request(Method::POST, "").json(&json!({ "title": title }));
    Response::to(if has_key { request.header("idempotency-key", title) } else { request }).await
}

/// Returns the titles of the user's tasks, and the number of other rows with the user's id.
async fn held(stage: &Stage, user: &User<'_>) -> (Vec<String>, i64) {
    let held = "select (select coalesce(array_agg(title::text order by number), '{}') from tasks where user_id = $1),
                       (select count(*) from users where id = $1)
                     + (select count(*) from deleted_tasks where user_id = $1)
                     + (select count(*) from idempotency_keys where user_id = $1)";
    let row = stage.superuser.query_one(held, &[&user.id]).await.expect("the database is up");
    (row.get(0), row.get(1))
}

/// Returns a trial's outcome. Not an assertion, because a panic would wait forever for the requests of the
/// other trials.
fn check(is_right: bool, wrong: impl FnOnce() -> String) -> Result<(), String> {
    if is_right { Ok(()) } else { Err(wrong()) }
}

#[track_caller]
fn assert_outcomes(outcomes: Vec<Result<(), String>>) {
    assert_all(
        &outcomes.into_iter().enumerate().map(|(n, outcome)| (n.to_string(), outcome)).collect::<Vec<_>>(),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_erase_deletes_nothing_that_was_created_after_its_response() {
    let Some(stage) = Stage::new().await else { return };
    // How long the erase is delayed, in seconds; whether the function can reconnect; how many tasks are
    // created after it.
    let trials = [(1.0, true, 1), (2.5, true, 1), (2.5, true, OTHER_WRITES), (4.0, true, 1), (5.0, false, 1)];
    let ways = ways(&stage, trials.len()).await;
    let trials =
        trials.into_iter().zip(&ways).map(async |((seconds, reconnects, writes), Way { proxy, app })| {
            let second = stage.second.user("shared");
            let first = app.user_with_id(&second.id);
            first.envelope().erase().await.expect_status(204);
            create(&second.envelope(), "before", false).await.expect_status(201);

            if !reconnects {
                proxy.close();
            }
            let delivered = proxy.cut_next(Cut::Request(Duration::from_secs_f64(seconds)));
            let response = first.envelope().erase().await;
            proxy.open();
            assert_eq!(
                response.status,
                if reconnects { 204 } else { 503 },
                "held for {seconds} s: {}",
                response.text
            );
            for _ in 0..writes {
                create(&second.envelope(), "after", false).await.expect_status(201);
            }
            happens(delivered).await?;
            sleep(WATCH).await;
            let (titles, _) = held(&stage, &second).await;
            let before = usize::from(!reconnects);
            let expected = [vec!["before"; before], vec!["after"; writes]].concat();
            check(titles == expected, || format!("held for {seconds} s, reconnects {reconnects}: {titles:?}"))
        });
    assert_outcomes(join_all(trials).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_create_stores_nothing_after_an_erase() {
    let Some(stage) = Stage::new().await else { return };
    let trials = [(1.0, true), (2.5, true), (4.0, true), (5.0, false)];
    let ways = ways(&stage, 2 * trials.len()).await;
    let trials = trials.into_iter().flat_map(|trial| [false, true].map(|has_key| (trial, has_key)));
    let trials = trials.zip(&ways).map(async |(((seconds, reconnects), has_key), Way { proxy, app })| {
        let second = stage.second.user("shared");
        let first = app.user_with_id(&second.id);
        create(&first.envelope(), "warm-up", false).await.expect_status(201);

        if !reconnects {
            proxy.close();
        }
        let delivered = proxy.cut_next(Cut::Request(Duration::from_secs_f64(seconds)));
        let response = create(&first.envelope(), "first", has_key).await;
        proxy.open();
        assert_eq!(
            response.status,
            if reconnects { 201 } else { 503 },
            "held for {seconds} s: {}",
            response.text
        );
        second.envelope().erase().await.expect_status(204);
        happens(delivered).await?;
        sleep(WATCH).await;
        let held = held(&stage, &second).await;
        check(held == (vec![], 0), || {
            format!("held for {seconds} s, reconnects {reconnects}, key {has_key}: {held:?}")
        })
    });
    assert_outcomes(join_all(trials).await);
}

/// The create is carried out, but its response is lost, and the user is erased before the function can
/// reconnect.
#[tokio::test(flavor = "multi_thread")]
async fn a_retried_create_stores_nothing_after_an_erase() {
    let Some(stage) = Stage::new().await else { return };
    let trials = [(false, 0), (true, 0), (false, OTHER_WRITES), (true, OTHER_WRITES)];
    let ways = ways(&stage, trials.len()).await;
    let trials = trials.into_iter().zip(&ways).map(async |((has_key, other_writes), Way { proxy, app })| {
        let second = stage.second.user("shared");
        let first = app.user_with_id(&second.id);
        create(&first.envelope(), "warm-up", false).await.expect_status(201);

        proxy.close();
        let delivered = proxy.cut_next(Cut::Response);
        let meanwhile = async {
            let delivered = happens(delivered).await;
            for _ in 0..other_writes {
                create(&second.envelope(), "other", false).await;
            }
            let (before, _) = held(&stage, &second).await;
            second.envelope().erase().await;
            proxy.open();
            delivered.map(|()| before)
        };
        let client = first.envelope();
        let (response, before) = tokio::join!(create(&client, "first", has_key), meanwhile);
        check(before?.len() == 2 + other_writes, || "the first attempt was not carried out".into())?;
        sleep(WATCH).await;
        let held = held(&stage, &second).await;
        let told =
            || format!("key {has_key}, {other_writes} other writes: {} {}", response.status, response.text);
        check(held == (vec![], 0) && matches!(response.status, 404 | 503), told)
    });
    assert_outcomes(join_all(trials).await);
}
