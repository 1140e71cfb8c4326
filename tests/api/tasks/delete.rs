//! `DELETE …/tasks/{task_id}`: deletes the task in both contracts.

use reqwest::Method;
use tests::{App, Contract, Response, errors};
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread")]
async fn answers_204_without_a_body_and_the_task_is_gone() {
    let app = App::start().await;
    for client in app.clients("alice") {
        let contract = client.contract;
        let task = client.new_task("a").await;
        let kept = client.new_task("b").await;
        let id = client.id(&task);
        let path = format!("/{id}");

        let response = client.delete(&id).await.expect_status(204);
        assert_eq!(response.text, "");
        assert_eq!(response.header("content-type"), "");
        assert!(!response.header("x-request-id").is_empty());

        client.get(&id).await.assert_error(contract, &errors::NOT_FOUND);
        client.delete(&id).await.assert_error(contract, &errors::NOT_FOUND);
        let put = client.request(Method::PUT, &path).json(&serde_json::json!({ "title": "c" }));
        Response::to(put).await.assert_error(contract, &errors::NOT_FOUND);
        client.complete(&id, true).await.assert_error(contract, &errors::NOT_FOUND);
        assert_eq!(client.only_task().await, kept);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_deleted_through_one_contract_is_gone_from_the_other() {
    let app = App::start().await;
    let alice = app.user("alice");
    for contract in Contract::BOTH {
        let (client, other) = (alice.at(contract), alice.at(contract.other()));
        let made = client.new_task("a").await;
        let seen = other.only_task().await;
        other.delete(&other.id(&seen)).await.expect_status(204);
        client.get(&client.id(&made)).await.assert_error(contract, &errors::NOT_FOUND);
        assert!(client.tasks(&client.list("").await).is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_several_concurrent_deletes_is_204_and_the_others_are_404() {
    let app = App::start().await;
    let alice = app.user("alice");
    for client in alice.clients() {
        let path = format!("/{}", client.id(&client.new_task("a").await));
        let mut deletes = JoinSet::new();
        for _ in 0..8 {
            deletes.spawn(Response::to(client.request(Method::DELETE, &path)));
        }
        let mut statuses: Vec<_> = deletes.join_all().await.iter().map(|response| response.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 404, 404, 404, 404, 404, 404, 404]);
    }
}
