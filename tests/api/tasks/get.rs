//! `GET …/tasks/{task_id}`: the task as each contract shows it.

use serde_json::json;
use tests::{App, Contract};

#[tokio::test(flavor = "multi_thread")]
async fn returns_the_task_as_created() {
    let app = App::start().await;
    let alice = app.user("alice");
    for client in alice.clients() {
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
