//! `GET …/tasks`: pages and limits in both contracts.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{App, Contract, Response, User};

/// Largest response payload that Lambda allows, in bytes.
const LAMBDA_LIMIT: usize = 6 * 1024 * 1024;

async fn create_many(user: &User<'_>, contract: Contract, count: usize) -> Vec<Value> {
    let mut tasks = Vec::new();
    for number in 1..=count {
        tasks.push(user.at(contract).new_task(&format!("{number}")).await);
    }
    tasks
}

/// Inserts tasks of the user with the titles `1`, `2`, … in creation order.
async fn insert_many(app: &App, user: &User<'_>, count: i32, description: &str) {
    let database = app.internals().database().await;
    let inserted = async {
        database
            .execute(
                "insert into users (id, task_count) values ($1::text, $2)
                 on conflict (id) do update set task_count = users.task_count + excluded.task_count",
                &[&user.id, &count],
            )
            .await?;
        let statement = "insert into tasks (id, user_id, title, description)
                         select gen_random_uuid(), $1, nth::text as title, $2::text from generate_series(1, $3) nth
                         order by nth";
        database.execute(statement, &[&user.id, &description, &count]).await
    };
    assert_eq!(inserted.await.expect("valid statements"), u64::try_from(count).expect("a positive number"));
}

/// Follows the links of a plain list to its end, and checks that every task comes once and in creation order.
/// Returns the number of tasks on each page.
async fn follow(app: &App, user: &User<'_>, total: i32, description: &str) -> Vec<usize> {
    let start = format!("/plain/api/{}/tasks", user.id);
    let mut path = start.clone();
    let (mut lengths, mut titles) = (Vec::new(), 1..);
    loop {
        let request = app.request(Method::GET, &path).bearer_auth(&user.token);
        let response = Response::to(request).await.expect_status(200);
        assert_eq!(response.header("x-total-count"), total.to_string());
        // The function's payload contains the body as a JSON string.
        let carried = Value::from(&*response.text).to_string().len();
        assert!(carried < LAMBDA_LIMIT, "a payload of {carried} bytes exceeds the limit");

        let tasks = user.plain().tasks(&response);
        lengths.push(tasks.len());
        for (task, number) in tasks.iter().zip(titles.by_ref()) {
            assert_eq!(
                (&task["title"], &task["description"]),
                (&json!(number.to_string()), &json!(description))
            );
        }
        let link = response.header("link");
        if link.is_empty() {
            assert_eq!(lengths.iter().sum::<usize>(), usize::try_from(total).expect("a positive number"));
            return lengths;
        }
        assert!(!tasks.is_empty(), "a page with a link has tasks");
        let next = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).expect(link);
        assert!(next.starts_with(&format!("{start}?cursor=")), "{next}");
        path = next.to_owned();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn envelope_returns_newest_first_with_limit_and_offset() {
    let app = App::start().await;
    let alice = app.user("alice");
    let mut newest = create_many(&alice, Contract::Envelope, 12).await;
    newest.reverse();
    for (query, limit, offset, has_more) in [
        ("", 10, 0, true),
        ("?limit=10", 10, 0, true),
        ("?offset=2", 10, 2, false),
        ("?offset=1", 10, 1, true),
        ("?limit=1", 1, 0, true),
        ("?limit=1&offset=11", 1, 11, false),
        ("?offset=3&limit=2&other=1", 2, 3, true),
        ("?limit=11", 11, 0, true),
        ("?limit=12", 12, 0, false),
        ("?limit=100", 100, 0, false),
        ("?limit=100&offset=0", 100, 0, false),
        ("?offset=12", 10, 12, false),
        ("?offset=1000", 10, 1000, false),
        ("?limit=100&offset=10000", 100, 10_000, false),
    ] {
        let shown: Vec<_> = newest.iter().skip(offset).take(limit).collect();
        let response = alice.envelope().list(query).await.expect_status(200);
        let cursor = &response.json()["data"]["pagination"]["next_cursor"];
        assert_eq!(cursor.is_string(), has_more, "{query}");
        assert_eq!(
            response.json(),
            json!({
                "data": {
                    "items": shown,
                    "pagination": {
                        "limit": limit, "offset": offset, "total": 12, "has_more": has_more, "next_cursor": cursor,
                    },
                },
                "error": null,
            }),
            "{query}"
        );
        assert_eq!(response.header("content-type"), "application/json");
        assert_eq!(response.header("link"), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn envelope_returns_the_right_page_at_large_offsets() {
    let Some(app) = App::local().await else { return };
    let alice = app.user("alice");
    let database = app.internals().database().await;
    for user in [&alice.id, "somebody else"] {
        database
            .execute("insert into users (id, task_count) values ($1::text, 1100)", &[&user])
            .await
            .expect("a new user");
        // Seven tasks share each created_at, so the creation order is that of the numbers.
        let insert = "insert into tasks (id, user_id, title, created_at)
                      select gen_random_uuid(), $1, n::text, timestamptz '2026-01-01Z' + n / 7 * interval '1 second'
                      from generate_series(1, 1100) n";
        database.execute(insert, &[&user]).await.expect("new tasks");
    }
    for offset in [0, 999, 1000, 1001, 1093, 1099, 1100, 5000] {
        let response = alice.envelope().list(&format!("?limit=7&offset={offset}")).await.expect_status(200);
        let list = &response.json()["data"];
        let titles: Vec<_> =
            list["items"].as_array().expect("a list").iter().map(|task| &task["title"]).collect();
        let expected: Vec<_> = (1..=1100).rev().skip(offset).take(7).map(|n| json!(n.to_string())).collect();
        assert_eq!(titles, expected.iter().collect::<Vec<_>>(), "{offset}");
        assert_eq!(list["pagination"]["total"], 1100);
        assert_eq!(list["pagination"]["has_more"], offset + 7 < 1100, "{offset}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_returns_all_tasks_in_creation_order_and_ignores_offset() {
    let app = App::start().await;
    let alice = app.user("alice");
    let tasks = create_many(&alice, Contract::Plain, 12).await;
    for query in
        ["", "?limit=12", "?limit=1000", "?offset=5", "?offset=-1", "?after=x", "?page=2", "?%00=%ff&<"]
    {
        let response = alice.plain().list(query).await.expect_status(200);
        assert_eq!(response.json(), json!(tasks), "{query}");
        assert_eq!(response.header("link"), "", "{query}");
        assert_eq!(response.header("x-total-count"), "12");
        assert_eq!(response.header("content-type"), "application/json");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_returns_limit_tasks_and_links_to_the_rest() {
    let app = App::start().await;
    let alice = app.user("alice");
    let tasks = create_many(&alice, Contract::Plain, 5).await;
    let response = alice.plain().list("?limit=2&offset=1").await.expect_status(200);
    assert_eq!(response.json(), json!(tasks[..2]));
    assert_eq!(response.header("x-total-count"), "5");
    let link = response.header("link");
    assert!(link.ends_with("&limit=2>; rel=\"next\"") && !link.contains("offset"), "{link}");
}

#[tokio::test(flavor = "multi_thread")]
async fn user_without_tasks_gets_an_empty_list() {
    let app = App::start().await;
    let alice = app.user("alice");
    for _ in 0..2 {
        let pagination = json!({
            "limit": 10, "offset": 0, "total": 0, "has_more": false, "next_cursor": null,
        });
        let expected = json!({ "data": { "items": [], "pagination": pagination }, "error": null });
        assert_eq!(alice.envelope().list("").await.expect_status(200).json(), expected);
        let response = alice.plain().list("").await.expect_status(200);
        assert_eq!(response.json(), json!([]));
        assert_eq!((response.header("link"), response.header("x-total-count")), ("", "0"));
        // Again for a user whose only task was deleted.
        let task = alice.plain().new_task("a").await;
        alice.plain().delete(&alice.plain().id(&task)).await.expect_status(204);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn returns_only_the_callers_tasks() {
    let app = App::start().await;
    let (alice, bob) = (app.user("alice"), app.user("bob"));
    let mut tasks = Vec::new();
    for contract in Contract::BOTH {
        tasks.push(alice.at(contract).new_task("Alice's").await);
        bob.at(contract).new_task("Bob's").await;
    }
    for (user, title) in [(&alice, "Alice's"), (&bob, "Bob's")] {
        for contract in Contract::BOTH {
            let response = user.at(contract).list("").await.expect_status(200);
            let shown = user.at(contract).tasks(&response);
            assert_eq!(shown.len(), 2);
            assert!(
                shown.iter().all(|task| task["title"] == title && task["user_id"] == user.id),
                "{shown:?}"
            );
        }
        assert_eq!(user.envelope().list("").await.json()["data"]["pagination"]["total"], 2);
    }
    assert_eq!(alice.envelope().tasks(&alice.envelope().list("").await)[1], tasks[0]);
    assert_eq!(alice.plain().tasks(&alice.plain().list("").await)[1], tasks[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_stops_at_1000_tasks_and_links_to_the_rest() {
    let Some(app) = App::local().await else { return };
    for (total, lengths) in
        [(999, vec![999]), (1000, vec![1000]), (1001, vec![1000, 1]), (2345, vec![1000, 1000, 345])]
    {
        let (alice, bob) = (app.user("alice"), app.user("bob"));
        insert_many(&app, &bob, 10, "").await;
        insert_many(&app, &alice, total, "2 litres").await;
        assert_eq!(follow(&app, &alice, total, "2 litres").await, lengths);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_stops_before_the_response_exceeds_lambdas_limit() {
    let Some(app) = App::local().await else { return };
    let alice = app.user("alice");
    // A character of four bytes, and two that take four bytes once they are escaped twice as JSON. The text is
    // longer than plain itself allows.
    let description = "𝒳\"\\".repeat(666);
    insert_many(&app, &alice, 900, &description).await;
    let lengths = follow(&app, &alice, 900, &description).await;
    assert_eq!(lengths.len(), 2, "{lengths:?}");
}
