//! Erasing a user while writes are on their way, and the other way round.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use tests::{Answer, App, Cut, Front, Relay, User};
use tokio::time::sleep;

use super::{OTHER_WRITES, Stage, WATCH, cluster, happens};

/// A user whose first way to the database leads through a relay.
struct Way {
    relay: Relay,
    app: App,
}

impl Way {
    async fn new(stage: &Stage) -> Self {
        let relay = Relay::start(cluster().await.port()).await;
        let app = stage.first(relay.address.port()).await;
        Self { relay, app }
    }
}

async fn create(front: &Front<'_>, title: &str, has_key: bool) -> Answer {
    let request = front.request(Method::POST, "").json(&json!({ "title": title }));
    Answer::to(if has_key { request.header("idempotency-key", title) } else { request }).await
}

/// The titles of the user's tasks, and the number of other rows that name the user.
async fn held(stage: &Stage, user: &User<'_>) -> (Vec<String>, i64) {
    let held = "select (select coalesce(array_agg(title::text order by number), '{}') from tasks where user_id = $1),
                       (select count(*) from users where id = $1)
                     + (select count(*) from deleted_tasks where user_id = $1)
                     + (select count(*) from idempotency_keys where user_id = $1)";
    let row = stage.superuser.query_one(held, &[&user.id]).await.expect("up");
    (row.get(0), row.get(1))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erase_that_the_network_held_back_deletes_nothing_created_after_its_answer() {
    let Some(stage) = Stage::new().await else { return };
    // How long it is held, in seconds, whether the function can connect again, and how much is written afterwards.
    let trials = [(1.0, true, 1), (2.5, true, 1), (2.5, true, OTHER_WRITES), (4.0, true, 1), (5.0, false, 1)];
    let trials = trials.into_iter().map(async |(seconds, reconnects, writes)| {
        let Way { relay, app } = Way::new(&stage).await;
        let second = stage.second.user("shared");
        let first = app.user_with_id(&second.id);
        first.envelope().erase().await.expect_status(204);
        create(&second.envelope(), "before", false).await.expect_status(201);

        if !reconnects {
            relay.close();
        }
        let delivered = relay.arm(Cut::Request(Duration::from_secs_f64(seconds)));
        let answer = first.envelope().erase().await;
        relay.open();
        assert_eq!(
            answer.status,
            if reconnects { 204 } else { 503 },
            "held for {seconds} s: {}",
            answer.text
        );
        for _ in 0..writes {
            create(&second.envelope(), "after", false).await.expect_status(201);
        }
        happens(delivered).await.expect("it is delivered");
        sleep(WATCH).await;
        let (titles, _) = held(&stage, &second).await;
        let before = usize::from(!reconnects);
        let expected = [vec!["before"; before], vec!["after"; writes]].concat();
        assert_eq!(titles, expected, "held for {seconds} s, reconnects {reconnects}");
    });
    join_all(trials).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_the_network_held_back_brings_nothing_back_after_an_erase() {
    let Some(stage) = Stage::new().await else { return };
    let trials = [(1.0, true), (2.5, true), (4.0, true), (5.0, false)];
    let trials = trials.into_iter().flat_map(|trial| [false, true].map(|has_key| (trial, has_key)));
    let trials = trials.map(async |((seconds, reconnects), has_key)| {
        let Way { relay, app } = Way::new(&stage).await;
        let second = stage.second.user("shared");
        let first = app.user_with_id(&second.id);
        create(&first.envelope(), "warm-up", false).await.expect_status(201);

        if !reconnects {
            relay.close();
        }
        let delivered = relay.arm(Cut::Request(Duration::from_secs_f64(seconds)));
        let answer = create(&first.envelope(), "first", has_key).await;
        relay.open();
        assert_eq!(
            answer.status,
            if reconnects { 201 } else { 503 },
            "held for {seconds} s: {}",
            answer.text
        );
        second.envelope().erase().await.expect_status(204);
        happens(delivered).await.expect("it is delivered");
        sleep(WATCH).await;
        let held = held(&stage, &second).await;
        assert_eq!(held, (vec![], 0), "held for {seconds} s, reconnects {reconnects}, key {has_key}");
    });
    join_all(trials).await;
}

/// The create was carried out, but its response was lost, and the user is erased before the function can connect again.
#[tokio::test(flavor = "multi_thread")]
async fn a_retried_create_brings_nothing_back_after_an_erase() {
    let Some(stage) = Stage::new().await else { return };
    let trials = [(false, 0), (true, 0), (false, OTHER_WRITES), (true, OTHER_WRITES)];
    let trials = trials.into_iter().map(async |(has_key, other_writes)| {
        let Way { relay, app } = Way::new(&stage).await;
        let second = stage.second.user("shared");
        let first = app.user_with_id(&second.id);
        create(&first.envelope(), "warm-up", false).await.expect_status(201);

        relay.close();
        let delivered = relay.arm(Cut::Answer);
        let meanwhile = async {
            happens(delivered).await.expect("it is delivered");
            for _ in 0..other_writes {
                create(&second.envelope(), "other", false).await.expect_status(201);
            }
            let (before, _) = held(&stage, &second).await;
            second.envelope().erase().await.expect_status(204);
            relay.open();
            before
        };
        let front = first.envelope();
        let (answer, before) = tokio::join!(create(&front, "first", has_key), meanwhile);
        assert_eq!(before.len(), 2 + other_writes, "the first attempt was carried out");
        sleep(WATCH).await;
        let held = held(&stage, &second).await;
        assert_eq!(
            held,
            (vec![], 0),
            "key {has_key}, {other_writes} other writes: {} {}",
            answer.status,
            answer.text
        );
        assert!(matches!(answer.status, 404 | 503), "{} {}", answer.status, answer.text);
    });
    join_all(trials).await;
}
