//! Filters, search and sorting, in both contracts.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{ApiClient, App, Contract, FieldError, Response, User, errors};

/// Returns the titles of a list, in its order, and its total.
async fn titles(client: &ApiClient<'_>, query: &[(&str, &str)]) -> (Vec<String>, i64) {
    let response = Response::to(client.request(Method::GET, "").query(query)).await.expect_status(200);
    let total = match client.contract {
        Contract::Envelope => response.json()["data"]["pagination"]["total"].as_i64().expect("a number"),
        Contract::Plain => response.header("x-total-count").parse().expect("a number"),
    };
    let title = |task: &Value| task["title"].as_str().expect("text").to_owned();
    (client.tasks(&response).iter().map(title).collect(), total)
}

/// Checks that a query finds exactly these titles, oldest first, in both contracts.
async fn assert_finds(user: &User<'_>, query: &[(&str, &str)], expected: &[&str]) {
    for contract in Contract::BOTH {
        let (mut found, total) = titles(&user.at(contract), query).await;
        if contract == Contract::Envelope {
            found.reverse();
        }
        assert_eq!(found, expected, "{contract:?} {query:?}");
        assert_eq!(total, i64::try_from(expected.len()).expect("a small number"), "{contract:?} {query:?}");
    }
}

async fn create(user: &User<'_>, task: Value) -> String {
    let client = user.envelope();
    client.id(&client.task(&client.create(task).await.expect_status(201)))
}

#[tokio::test(flavor = "multi_thread")]
async fn search_finds_text_in_title_or_description() {
    let app = App::start().await;
    let alice = app.user("alice");
    for task in [
        json!({ "title": "Buy milk", "description": "2 litres, 3.5%" }),
        json!({ "title": " padded ", "description": null }),
        json!({ "title": "under_score", "description": "back\\slash 'quoted' \"twice\"" }),
        json!({ "title": "cafe\u{301}", "description": "line\nbreak 😀" }),
    ] {
        create(&alice, task).await;
    }
    for (search, found) in [
        ("milk", &["Buy milk"][..]),
        ("MILK", &["Buy milk"]),
        ("litres, 3", &["Buy milk"]),
        ("%", &["Buy milk"]),
        ("_", &["under_score"]),
        ("u%e", &[]),
        ("under.score", &[]),
        ("\\", &["under_score"]),
        ("'", &["under_score"]),
        ("\" ", &[]),
        (" ", &["Buy milk", " padded ", "under_score", "cafe\u{301}"]),
        (" padded ", &[" padded "]),
        ("  ", &[]),
        ("padded  ", &[]),
        ("\n", &["cafe\u{301}"]),
        ("😀", &["cafe\u{301}"]),
        ("\u{301}", &["cafe\u{301}"]),
        // Texts are not normalized.
        ("caf\u{e9}", &[]),
        ("milk 2", &[]),
        ("null", &[]),
    ] {
        assert_finds(&alice, &[("search", search)], found).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn search_ignores_case_in_every_script() {
    let app = App::start().await;
    let alice = app.user("alice");
    let pairs = [
        ("Übung", "übung"),
        ("ПРИВЕТ", "привет"),
        ("ΟΔΟΣ", "οδος"),
        ("ՀԱՅԵՐԵՆ", "հայերեն"),
        ("𐐀𐐁", "𐐨𐐩"),
        ("ĞÜŞÖÇ", "ğüşöç"),
        ("ǄEP", "ǆep"),
        ("STRAẞE", "straße"),
        ("ＦＵＬＬ", "ｆｕｌｌ"),
    ];
    for (upper, lower) in pairs {
        for text in [upper, lower] {
            create(&alice, json!({ "title": format!("<{text}>") })).await;
            create(&alice, json!({ "title": "x", "description": format!("({text})") })).await;
        }
    }
    for (upper, lower) in pairs {
        let titles = [&format!("<{upper}>"), "x", &format!("<{lower}>"), "x"];
        for search in [upper, lower] {
            assert_finds(&alice, &[("search", search)], &titles).await;
        }
    }
    // A part of a word. Its last letter, sigma, has another lower-case form at the end of a word.
    assert_finds(&alice, &[("search", "ΔΟΣ>")], &["<ΟΔΟΣ>", "<οδος>"]).await;
    create(&alice, json!({ "title": "ΟΔΟΣΗΜΑ" })).await;
    assert_finds(
        &alice,
        &[("search", "ΟΔΟΣ"), ("status", "pending")],
        &["<ΟΔΟΣ>", "x", "<οδος>", "x", "ΟΔΟΣΗΜΑ"],
    )
    .await;
    create(&alice, json!({ "title": "İSTANBUL" })).await;
    assert_finds(&alice, &[("search", "i\u{307}stanbul")], &["İSTANBUL"]).await;
    // ß and ss are different letters, and so are ı and i.
    assert_finds(&alice, &[("search", "strasse")], &[]).await;
    assert_finds(&alice, &[("search", "ıstanbul")], &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn due_after_is_inclusive_and_due_before_exclusive() {
    let app = App::start().await;
    let alice = app.user("alice");
    for (title, due_date) in [
        ("none", json!(null)),
        ("first", json!("2026-01-01")),
        ("second", json!("2026-01-02T12:00:00.000001Z")),
        ("third", json!("2026-01-03")),
    ] {
        create(&alice, json!({ "title": title, "due_date": due_date })).await;
    }
    for (query, found) in [
        (&[("due_after", "0001-01-01")][..], &["first", "second", "third"][..]),
        (&[("due_before", "9999-12-31")], &["first", "second", "third"]),
        (&[("due_after", "2026-01-01")], &["first", "second", "third"]),
        (&[("due_after", "2026-01-01T00:00:00.000001Z")], &["second", "third"]),
        (&[("due_before", "2026-01-03")], &["first", "second"]),
        (&[("due_before", "2026-01-03T00:00:00.000001")], &["first", "second", "third"]),
        (&[("due_after", "2026-01-02"), ("due_before", "2026-01-03")], &["second"]),
        (&[("due_after", "2026-01-02T13:00:00.000001+01:00")], &["second", "third"]),
        (&[("due_before", "2026-01-02T12:00:00.000001")], &["first"]),
        (&[("due_after", "2026-01-03"), ("due_before", "2026-01-03")], &[]),
        (&[("due_after", "2026-01-04"), ("due_before", "2026-01-01")], &[]),
    ] {
        assert_finds(&alice, query, found).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn priority_and_tag_filter_and_tags_ignore_case_in_every_script() {
    let app = App::start().await;
    let alice = app.user("alice");
    for (title, priority, tags) in [
        ("none", None, json!(null)),
        ("low", Some("low"), json!(["home", "Übung"])),
        ("high", Some("high"), json!("HOME,ΟΔΟΣ")),
        ("other", Some("medium"), json!(["homework", "at home"])),
    ] {
        create(&alice, json!({ "title": title, "priority": priority, "tags": tags })).await;
    }
    for (query, found) in [
        (&[("priority", "medium")][..], &["none", "other"][..]),
        (&[("priority", "high")], &["high"]),
        (&[("tag", "home")], &["low", "high"]),
        (&[("tag", "HOME"), ("priority", "low")], &["low"]),
        (&[("tag", "übung")], &["low"]),
        (&[("tag", "οδος")], &["high"]),
        (&[("tag", "%")], &[]),
        (&[("tag", " home")], &[]),
        (&[("search", "home")], &[]),
    ] {
        assert_finds(&alice, query, found).await;
    }
    for client in alice.clients() {
        let order = async |sort| titles(&client, &[("sort", sort)]).await.0;
        assert_eq!(order("priority").await, ["low", "none", "other", "high"]);
        assert_eq!(order("-priority").await, ["high", "none", "other", "low"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_combine_and_total_counts_the_matches() {
    let app = App::start().await;
    let alice = app.user("alice");
    for number in 0..20 {
        let due_date = json!(format!("2026-01-{:02}", 1 + number / 2));
        let title = ["odd", "EVEN"][usize::from(number % 2 == 0)];
        let id = create(
            &alice,
            json!({ "title": title, "description": number.to_string(), "due_date": due_date }),
        )
        .await;
        if number % 4 == 0 {
            alice.envelope().complete(&id, true).await.expect_status(200);
        }
    }
    let query = "?status=pending&search=even&due_after=2026-01-02&due_before=2026-01-09&limit=2&offset=1";
    let response = alice.envelope().list(query).await.expect_status(200);
    let descriptions: Vec<_> =
        alice.envelope().tasks(&response).iter().map(|task| task["description"].clone()).collect();
    assert_eq!(descriptions, ["10", "6"]);
    let pagination = &response.json()["data"]["pagination"];
    assert_eq!((&pagination["total"], &pagination["has_more"]), (&json!(4), &json!(true)));
    let past = alice.envelope().list(&query.replace("offset=1", "offset=4")).await.expect_status(200);
    let pagination = &past.json()["data"]["pagination"];
    assert_eq!(alice.envelope().tasks(&past).len(), 0);
    assert_eq!((&pagination["total"], &pagination["has_more"]), (&json!(4), &json!(false)), "past the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_titles_and_equal_times_of_creation_come_oldest_first() {
    let Some(app) = App::local().await else { return };
    let alice = app.user("alice");
    for description in ["1", "2", "3"] {
        create(&alice, json!({ "title": "same", "description": description })).await;
    }
    let database = app.internals().database().await;
    database
        .execute("update tasks set created_at = now(), updated_at = now()", &[])
        .await
        .expect("a valid statement");
    for client in alice.clients() {
        let contract = client.contract;
        for sort in ["title", "-title", "created_at", "-created_at", "updated_at", "-updated_at", "due_date"]
        {
            let tasks = client.tasks(&client.list(&format!("?sort={sort}")).await.expect_status(200));
            let order: Vec<_> =
                tasks.iter().map(|task| task["description"].as_str().expect("text")).collect();
            assert_eq!(order, ["1", "2", "3"], "{contract:?} {sort}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_or_repeated_parameters_are_reported_together() {
    let app = App::start().await;
    let alice = app.user("alice");
    let error = |field, kind, message: &str| FieldError::new("query", field, kind, message);
    let status = || error("status", "literal_error", "Input should be 'all', 'pending' or 'completed'");
    let sort = || {
        let message = "Input should be 'created_at', '-created_at', 'updated_at', '-updated_at', 'due_date', \
                       '-due_date', 'title', '-title', 'priority' or '-priority'";
        error("sort", "literal_error", message)
    };
    let time = |field| error(field, "datetime_parsing", "Input should be a valid datetime");
    let decoded_plus =
        |field| error(field, "datetime_parsing", "Input should be a valid datetime: encode + as %2B");
    let too_short = error("search", "string_too_short", "String should have at least 1 character");
    let too_long = error("search", "string_too_long", "String should have at most 200 characters");
    let priority = error("priority", "literal_error", "Input should be 'low', 'medium' or 'high'");
    let tag = |kind, message| error("tag", kind, message);
    let null = error("search", "string_null_character", "String should not contain U+0000");
    let too_small = error("limit", "greater_than_equal", "Input should be greater than or equal to 1");
    let repeated = |field| error(field, "repeated", "Given more than once");
    let cursor = || {
        let message = "Input should be the cursor of a page of this list, with the same filters and sort";
        error("cursor", "value_error", message)
    };
    let long = format!("?search={}", "%F0%9D%92%B3".repeat(201));
    let fits = format!("?search={}", "%F0%9D%92%B3".repeat(200));
    for client in alice.clients() {
        client.list(&fits).await.expect_status(200);
        client.list("?Status=x&sorting=x&Search=&due=x&cursor_=x").await.expect_status(200);
        for (query, errors) in [
            ("?status=done", vec![status()]),
            ("?status=", vec![status()]),
            ("?sort=number", vec![sort()]),
            ("?sort=Title", vec![sort()]),
            ("?priority=High", vec![priority.clone()]),
            ("?tag=", vec![tag("string_too_short", "String should have at least 1 character")]),
            ("?tag=a,b", vec![tag("value_error", "A tag should not contain a comma")]),
            ("?tag=a&tag=b", vec![repeated("tag")]),
            ("?search=", vec![too_short.clone()]),
            (&long, vec![too_long.clone()]),
            ("?search=a%00b", vec![null.clone()]),
            ("?due_after=tomorrow", vec![time("due_after")]),
            ("?due_before=2026-02-30", vec![time("due_before")]),
            ("?due_before=1767713400", vec![time("due_before")]),
            // A plus sign that was not encoded is a space.
            ("?due_before=2026-01-06T10:00+10:00", vec![decoded_plus("due_before")]),
            ("?due_after=2026-01-06+10:00", vec![decoded_plus("due_after")]),
            ("?due_after=2026-01-06T23:59:60Z", vec![time("due_after")]),
            ("?cursor=", vec![cursor()]),
            ("?cursor=%00", vec![cursor()]),
            ("?status=all&status=all", vec![repeated("status")]),
            ("?search=a&search=a", vec![repeated("search")]),
            ("?sort=title&sort=-title", vec![repeated("sort")]),
            ("?due_after=2026-01-01&due_after=x", vec![repeated("due_after")]),
            ("?due_before=2026-01-01&due_before=2026-01-01", vec![repeated("due_before")]),
            ("?cursor=x&cursor=x", vec![repeated("cursor")]),
            (
                "?limit=0&status=x&search=&due_after=x&due_before=x&sort=x&cursor=x",
                vec![
                    too_small.clone(),
                    status(),
                    too_short.clone(),
                    time("due_after"),
                    time("due_before"),
                    sort(),
                    cursor(),
                ],
            ),
        ] {
            client.list(query).await.assert_invalid(client.contract, &errors);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn list_that_reads_all_tasks_is_429_while_another_one_of_the_user_runs() {
    let Some(app) = App::local().await else { return };
    let (alice, bob) = (app.user("alice"), app.user("bob"));
    alice.envelope().new_task("One").await;
    let database = app.internals().database().await;
    // What such a list locks.
    let lock = "select pg_advisory_lock(hashtextextended($1, 1))";
    database.execute(lock, &[&alice.id]).await.expect("nobody else holds the lock");
    for contract in Contract::BOTH {
        for query in ["?sort=title", "?status=pending", "?search=o"] {
            let response = alice.at(contract).list(query).await;
            response.assert_error(contract, &errors::TOO_MANY_WRITES);
            assert_eq!(response.header("retry-after"), "1");
            assert!(!response.headers.contains_key("ratelimit"));
        }
        alice.at(contract).list("").await.expect_status(200);
        bob.at(contract).list("?sort=title").await.expect_status(200);
    }
    database.execute("select pg_advisory_unlock_all()", &[]).await.expect("the lock is released");
    alice.envelope().list("?sort=title").await.expect_status(200);
}
