//! Values of a task's fields that POST, PUT and PATCH accept or reject.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{ApiClient, App, Contract, FieldError, Response};

use super::update::full_task;

/// The longest title and description, in characters.
fn max_lengths(contract: Contract) -> (usize, usize) {
    match contract {
        Contract::Envelope => (255, 2000),
        Contract::Plain => (200, 1000),
    }
}

/// Invalid values of single fields in a body, each with the expected error.
fn invalid_values(contract: Contract, method: &Method) -> Vec<(&'static str, Value, FieldError)> {
    let (title_max, description_max) = max_lengths(contract);
    let too_long = |max| ("string_too_long", format!("String should have at most {max} characters"));
    let fixed = |kind, message: &str| (kind, message.to_owned());
    let too_short = fixed("string_too_short", "String should have at least 1 character");
    let blank = fixed("string_blank", "String should not consist only of white space");
    let null_character = fixed("string_null_character", "String should not contain U+0000");
    let string = fixed("string_type", "Input should be a valid string");
    let boolean = fixed("bool_type", "Input should be a valid boolean");
    let datetime = fixed("datetime_parsing", "Input should be a valid datetime");

    let mixed = "\u{b}\u{c}\u{85}\u{1680}\u{2009}\u{2029}\u{202f}\u{205f}";
    let spaces = [" ", "\t\r\n", "\u{a0}", "\u{2003}", "\u{2028}", "\u{3000}", " \t\n\u{a0}\u{3000}", mixed];
    // A character of four bytes, and a letter with a combining mark, which counts as two.
    let longer = |max| json!(["𝒳".repeat(max + 1), "e\u{301}".repeat(max / 2) + "ee"]);
    let mut table = vec![
        ("title", json!([""]), too_short),
        ("title", json!(spaces), blank),
        ("title", json!(["\0", "a\0", "\0a", "a\0b"]), null_character.clone()),
        ("title", longer(title_max), too_long(title_max)),
        ("title", json!([1, true, ["a"], { "text": "a" }]), string.clone()),
        ("description", json!(["\0", "a\0"]), null_character.clone()),
        ("description", longer(description_max), too_long(description_max)),
        ("description", json!([1, false, ["a"]]), string.clone()),
    ];
    // In plain, null in a PUT or PATCH leaves the field unchanged.
    let can_be_null = contract == Contract::Plain && method != Method::POST;
    if !can_be_null {
        table.push(("title", json!([null]), string));
    }
    let has_completed = contract == Contract::Plain || method != Method::POST;
    if has_completed {
        table.push(("completed", json!([0, 1, "true", "", [true], {}]), boolean.clone()));
    }
    if has_completed && !can_be_null {
        table.push(("completed", json!([null]), boolean));
    }
    {
        table.push(("due_date", json!([1_766_599_200, true, ["2026-12-24"]]), datetime.clone()));
        // In UTC, the last ones are outside the years 1-9999.
        let texts = "|tomorrow|24.12.2026|2026-12|2026-12-24T|2026-13-01|2026-02-29|2026-02-30|10000-01-01\
                     |2026-12-24T25:00:00Z|2026-12-24T18:60:00Z|2026-12-24T18:00:00+25:00|2026-12-2é\
                     |2026-12-24T18:00:00 CET| 2026-12-24|２０２６-12-24|2026-12-24\0|0000-12-31|0000-00-00\
                     |0001-01-01T00:00:00+01:00|9999-12-31T23:30:00-01:00|2026-12-24 18:00|2026-12-24T18:00 02:00\
                     |2026-12-24T18:00:60Z|2026-12-24T18:00:60.5|9999-12-31T23:59:60Z|2026-12-24T18:00:60+02:00";
        table.push(("due_date", json!(texts.split('|').collect::<Vec<_>>()), datetime));
    }
    let priority = fixed("literal_error", "Input should be 'low', 'medium' or 'high'");
    table.push(("priority", json!(["", "High", "urgent", "high\0", 1, true, ["high"], {}]), priority));
    let no_tags =
        fixed("list_type", "Input should be an array of strings, or a string with commas between tags");
    table.push(("tags", json!([1, true, {}, ["a", 1], ["a", null], [["a"]]]), no_tags));
    let comma = fixed("value_error", "A tag should not contain a comma");
    table.push(("tags", json!([["a,b"], ["c", ","]]), comma));
    table.push(("tags", json!(["\0", "a,b\0", ["a\0b"]]), null_character));
    table.push(("tags", json!(["𝒳".repeat(51), ["a", "𝒳".repeat(51)]]), too_long(50)));
    let numbers = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>();
    let too_many = fixed("too_long", "There should be at most 20 tags");
    table.push(("tags", json!([numbers(21), numbers(30_000), numbers(21).join(",")]), too_many));
    // 10 tags of 50 characters and 9 commas.
    let long: Vec<_> = (0..10).map(|number| format!("{number}{}", "𝒳".repeat(49))).collect();
    table.push(("tags", json!([long, long.join(",")]), too_long(500)));
    let each = |(field, values, (kind, message)): (&'static str, Value, (&'static str, String))| {
        let error = FieldError::new("body", field, kind, message);
        let values = values.as_array().expect("a list of values").clone();
        values.into_iter().map(move |value| (field, value, error.clone())).collect::<Vec<_>>()
    };
    table.into_iter().flat_map(each).collect()
}

/// Sends a body to an endpoint that writes the task with this id, or another one.
async fn send(client: &ApiClient<'_>, method: &Method, id: &str, body: &Value) -> Response {
    let rest = if method == Method::POST { String::new() } else { format!("/{id}") };
    Response::to(client.request(method.clone(), &rest).json(body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_values_are_422_and_change_nothing() {
    let app = App::start().await;
    for contract in Contract::BOTH {
        let alice = app.user("alice");
        let client = alice.at(contract);
        full_task(&alice).await;
        let before = client.only_task().await;
        let id = client.id(&before);
        for method in [Method::POST, Method::PUT, Method::PATCH] {
            let send = async |body: &Value| send(&client, &method, &id, body).await;
            for (field, value, error) in invalid_values(contract, &method) {
                // A valid field next to the invalid one.
                let valid = if field == "title" { "description" } else { "title" };
                send(&json!({ field: value, valid: "Sleep" })).await.assert_invalid(contract, &[error]);
            }
            if method == Method::POST || (contract == Contract::Envelope && method == Method::PUT) {
                for body in [json!({}), json!({ "description": "1 litre" })] {
                    send(&body).await.assert_invalid(contract, &[FieldError::missing("title")]);
                }
            }
        }
        assert_eq!(client.only_task().await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_of_the_longest_length_are_stored_in_full() {
    let app = App::start().await;
    for client in app.clients("alice") {
        let (title_max, description_max) = max_lengths(client.contract);
        let id = client.id(&client.new_task("a").await);
        for method in [Method::POST, Method::PUT, Method::PATCH] {
            for character in ["a", "𝒳", "e\u{301}"] {
                let of = |max: usize| character.repeat(max / character.chars().count());
                for description in [json!(of(description_max)), json!(""), json!(" \n"), Value::Null] {
                    let body = json!({ "title": of(title_max), "description": description });
                    let task = client.task(&send(&client, &method, &id, &body).await);
                    assert_eq!(task["title"], body["title"]);
                    assert_eq!(task["description"], body["description"]);
                }
            }
        }
        assert_eq!(client.new_task("a").await["description"], Value::Null);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_are_trimmed_and_without_empty_ones_and_repetitions() {
    let app = App::start().await;
    for client in app.clients("alice") {
        let id = client.id(&client.new_task("a").await);
        let most: Vec<_> = (10..30).map(|number| format!("{number}{}", "𝒳".repeat(22))).collect();
        for (given, tags) in [
            (json!("a, b"), vec!["a", "b"]),
            (json!(["b", "a"]), vec!["b", "a"]),
            (json!(" b ,,\u{3000}a\t, b"), vec!["b", "a"]),
            (json!(["", " ", "x", "X", "x "]), vec!["x", "X"]),
            (json!(most), most.iter().map(String::as_str).collect()),
            (json!(vec!["a"; 1000]), vec!["a"]),
            (json!("\u{e9} 👩\u{200d}👧 \"'\\{}"), vec!["\u{e9} 👩\u{200d}👧 \"'\\{}"]),
            (json!(""), vec![]),
            (json!(" , "), vec![]),
            (json!([]), vec![]),
            (Value::Null, vec![]),
        ] {
            for method in [Method::POST, Method::PUT, Method::PATCH] {
                let body = json!({ "title": "a", "tags": given });
                let task = client.task(&send(&client, &method, &id, &body).await);
                let shown = match client.contract {
                    Contract::Envelope if tags.is_empty() => Value::Null,
                    Contract::Envelope => json!(tags.join(",")),
                    Contract::Plain => json!(tags),
                };
                assert_eq!(task["tags"], shown, "{method} {given}");
                assert_eq!(client.task(&client.get(&client.id(&task)).await)["tags"], shown, "{given}");
            }
        }
    }
}

/// The bodies of the envelope contract's first front end, which shows what comes back.
#[tokio::test(flavor = "multi_thread")]
async fn a_front_end_that_replaces_tasks_gets_back_what_it_sent() {
    let app = App::start().await;
    let alice = app.user("alice");
    let client = alice.envelope();
    let sent = json!({
        "title": "Buy milk", "description": "2 litres", "dueDate": "2026-12-24", "priority": "high", "tags": "a, b",
    });
    let task = client.task(&client.create(sent.clone()).await.expect_status(201));
    let shown = |task: &Value| {
        let tags = task["tags"]
            .as_str()
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .collect::<Vec<_>>()
            .join(", ");
        json!({
            "title": task["title"], "description": task["description"], "dueDate": task["due_date"],
            "priority": task["priority"], "tags": tags,
        })
    };
    assert_eq!(shown(&task), sent);
    let id = client.id(&task);
    assert_eq!(shown(&client.task(&client.put(&id, sent.clone()).await.expect_status(200))), sent);
    let cleared =
        json!({ "title": "Buy milk", "description": "2 litres", "dueDate": "2026-12-24", "priority": "low" });
    let task = client.task(&client.put(&id, cleared).await.expect_status(200));
    assert_eq!((&task["tags"], &task["priority"]), (&Value::Null, &json!("low")));
}
