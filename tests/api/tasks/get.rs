//! `GET …/tasks/{task_id}`: the task, task ids, and 404.

use serde_json::{Value, json};
use tests::{App, Contract, FieldError, errors};

#[tokio::test(flavor = "multi_thread")]
async fn returns_the_task_as_created() {
    let app = App::start().await;
    let alice = app.user("alice");
    for contract in Contract::BOTH {
        let client = alice.at(contract);
        let body = json!({
            "title": "Buy milk", "description": "2 litres", "completed": true, "due_date": "2026-12-24",
        });
        let task = client.task(&client.create(body).await.expect_status(201));
        client.new_task("another").await;
        let response = client.get(&client.id(&task)).await.expect_status(200);
        assert_eq!(client.task(&response), task);
        assert_eq!(response.header("content-type"), "application/json");
        assert!(!response.header("x-request-id").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn returns_a_task_of_the_other_contract_in_full() {
    let app = App::start().await;
    for contract in Contract::BOTH {
        let alice = app.user("alice");
        let (title, description) = match contract {
            Contract::Envelope => ("𝒳".repeat(255), "𝒳".repeat(2000)),
            Contract::Plain => ("𝒳".repeat(200), "𝒳".repeat(1000)),
        };
        let body = json!({ "title": title, "description": description });
        let created = alice.at(contract).task(&alice.at(contract).create(body).await.expect_status(201));

        let client = alice.at(contract.other());
        let listed = client.only_task().await;
        let task = client.task(&client.get(&client.id(&listed)).await.expect_status(200));
        assert_eq!(task, listed);
        for field in ["user_id", "title", "description", "completed", "created_at", "updated_at"] {
            assert_eq!(task[field], created[field], "{field}");
        }
        assert_eq!(task["description"], description);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn absent_task_and_another_users_task_get_the_same_404() {
    let app = App::start().await;
    let (alice, bob) = (app.user("alice"), app.user("bob"));
    for contract in Contract::BOTH {
        let task = alice.at(contract).new_task("a secret").await;
        let client = bob.at(contract);
        let unknown = client.get(&client.unknown_id()).await;
        unknown.assert_error(contract, &errors::NOT_FOUND);
        for has_tasks in [false, true] {
            let anothers = client.get(&client.id(&task)).await;
            anothers.assert_error(contract, &errors::NOT_FOUND);
            assert_eq!(anothers.text, unknown.text);
            assert_eq!(anothers.headers.len(), unknown.headers.len(), "{:?}", anothers.headers);
            if !has_tasks {
                client.new_task("mine").await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn task_id_that_is_not_a_uuid_or_in_plain_an_integer_from_1_is_422() {
    let app = App::start().await;
    let alice = app.user("alice");
    let envelope = alice.envelope();
    let uuid = envelope.id(&envelope.new_task("a").await);
    let shown = envelope.get(&uuid.to_uppercase()).await.expect_status(200);
    assert_eq!(envelope.task(&shown)["id"], Value::from(&*uuid));

    let not_a_uuid = [FieldError::new("path", "task_id", "uuid_parsing", "Input should be a valid UUID")];
    let longer = format!("{uuid}0");
    let plain_id = alice.plain().id(&alice.plain().only_task().await);
    for id in ["1", "null", &plain_id, &uuid[..35], &longer, &uuid.replace('0', "g"), "%00", "a%2Fb", "%20"] {
        envelope.get(id).await.assert_invalid(Contract::Envelope, &not_a_uuid);
    }

    let plain = alice.plain();
    let fault = |kind, message: &str| [FieldError::new("path", "task_id", kind, message)];
    let no_integer =
        fault("int_parsing", "Input should be a valid integer, unable to parse string as an integer");
    for id in ["abc", "1.0", "1e3", "%2B1", "%201", "0x1", "1_000", "%D9%A1", &uuid] {
        plain.get(id).await.assert_invalid(Contract::Plain, &no_integer);
    }
    let too_small = fault("greater_than_equal", "Input should be greater than or equal to 1");
    for id in ["0", "-1", "-9223372036854775809"] {
        plain.get(id).await.assert_invalid(Contract::Plain, &too_small);
    }
    let too_large = fault("less_than_equal", "Input should be less than or equal to 9223372036854775807");
    for id in ["9223372036854775808", "99999999999999999999999999"] {
        plain.get(id).await.assert_invalid(Contract::Plain, &too_large);
    }
    plain.get("9223372036854775807").await.assert_error(Contract::Plain, &errors::NOT_FOUND);
}
