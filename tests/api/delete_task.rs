//! `DELETE …/tasks/{task_id}`: deletes the task in both contracts.

use reqwest::Method;
use tests::{Answer, App, Contract, FieldError, refusals};
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread")]
async fn answers_204_without_a_body_and_the_task_is_gone() {
    let app = App::start().await;
    for contract in Contract::BOTH {
        let alice = app.user("alice");
        let front = alice.at(contract);
        let task = front.new_task("a").await;
        let kept = front.new_task("b").await;
        let id = front.id(&task);
        let path = format!("/{id}");

        let answer = front.delete(&id).await.expect_status(204);
        assert_eq!(answer.text, "");
        assert_eq!(answer.header("content-type"), "");
        assert!(!answer.header("x-request-id").is_empty());

        front.get(&id).await.assert_refused(contract, &refusals::NOT_FOUND);
        front.delete(&id).await.assert_refused(contract, &refusals::NOT_FOUND);
        let put = front.request(Method::PUT, &path).json(&serde_json::json!({ "title": "c" }));
        Answer::to(put).await.assert_refused(contract, &refusals::NOT_FOUND);
        front.complete(&id, true).await.assert_refused(contract, &refusals::NOT_FOUND);
        assert_eq!(front.only_task().await, kept);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_deleted_through_one_contract_is_gone_from_the_other() {
    let app = App::start().await;
    let alice = app.user("alice");
    for contract in Contract::BOTH {
        let (front, other) = (alice.at(contract), alice.at(contract.other()));
        let made = front.new_task("a").await;
        let seen = other.only_task().await;
        other.delete(&other.id(&seen)).await.expect_status(204);
        front.get(&front.id(&made)).await.assert_refused(contract, &refusals::NOT_FOUND);
        assert!(front.tasks(&front.list("").await).is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_users_task_is_404_and_is_not_deleted() {
    let app = App::start().await;
    for contract in Contract::BOTH {
        let (alice, bob) = (app.user("alice"), app.user("bob"));
        let task = alice.at(contract).new_task("a").await;
        let front = bob.at(contract);
        let unknown = front.delete(&front.unknown_id()).await;
        unknown.assert_refused(contract, &refusals::NOT_FOUND);
        let anothers = front.delete(&front.id(&task)).await;
        anothers.assert_refused(contract, &refusals::NOT_FOUND);
        assert_eq!(anothers.text, unknown.text);
        assert_eq!(alice.at(contract).only_task().await, task);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_task_id_is_422() {
    let app = App::start().await;
    let alice = app.user("alice");
    let uuid = alice.envelope().unknown_id();
    let no_integer = "Input should be a valid integer, unable to parse string as an integer";
    for (contract, id, kind, message) in [
        (Contract::Envelope, "1", "uuid_parsing", "Input should be a valid UUID"),
        (Contract::Plain, &uuid, "int_parsing", no_integer),
        (Contract::Plain, "0", "greater_than_equal", "Input should be greater than or equal to 1"),
    ] {
        let fault = FieldError::new("path", "task_id", kind, message);
        alice.at(contract).delete(id).await.assert_invalid(contract, &[fault]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_several_concurrent_deletes_is_204_and_the_others_are_404() {
    let app = App::start().await;
    let alice = app.user("alice");
    for contract in Contract::BOTH {
        let front = alice.at(contract);
        let path = format!("/{}", front.id(&front.new_task("a").await));
        let mut deletes = JoinSet::new();
        for _ in 0..8 {
            deletes.spawn(Answer::to(front.request(Method::DELETE, &path)));
        }
        let mut statuses: Vec<_> = deletes.join_all().await.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 404, 404, 404, 404, 404, 404, 404]);
    }
}
