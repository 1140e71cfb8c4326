//! `GET …/tasks/{task_id}`: the task as each contract shows it.

use serde_json::json;
use tests::{App, Contract};

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
