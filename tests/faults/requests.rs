//! One request to each endpoint, and the check that it succeeded.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, App, Changes, Contract, Front};
use tokio_postgres::Client;

use crate::cases::Endpoint;

/// A task, with the ids of both contracts.
pub struct Task {
    pub id: String,
    pub number: String,
    pub title: String,
}

impl Task {
    pub fn id(&self, contract: Contract) -> &str {
        match contract {
            Contract::Envelope => &self.id,
            Contract::Plain => &self.number,
        }
    }
}

/// Creates a user with three tasks.
pub async fn tasks(database: &Client, user_id: &str) -> [Task; 3] {
    let insert = "with new as (insert into users (id, task_count) values ($1::text, 3) returning id)
                  insert into tasks (id, user_id, title)
                  select gen_random_uuid(), new.id, title
                  from new, unnest(array['warm-up task', 'task', 'bystander']) title
                  returning id::text, number::text, title";
    let rows = database.query(insert, &[&user_id]).await.expect("a new user");
    let tasks: Vec<_> =
        rows.iter().map(|row| Task { id: row.get(0), number: row.get(1), title: row.get(2) }).collect();
    tasks.try_into().unwrap_or_else(|_| panic!("three tasks were inserted"))
}

/// Sends a request to an endpoint. `tag` becomes the title, if the request has one, and part of the
/// idempotency key.
pub async fn send(app: &App, front: &Front<'_>, endpoint: Endpoint, task: &Task, tag: &str) -> Answer {
    let id = task.id(front.contract);
    let with_key = |method, rest: &str| {
        let key = format!("{endpoint:?}-{}", tag.replace(' ', "-"));
        front.request(method, rest).header("idempotency-key", key)
    };
    match endpoint {
        Endpoint::Ready => Answer::to(app.request(Method::GET, "/health/ready")).await,
        Endpoint::List => front.list("").await,
        Endpoint::Changes => front.changes("").await,
        Endpoint::Get => front.get(id).await,
        Endpoint::Create => front.create(json!({ "title": tag })).await,
        Endpoint::CreateOnce => Answer::to(with_key(Method::POST, "").json(&json!({ "title": tag }))).await,
        Endpoint::Update => front.put(id, json!({ "title": tag })).await,
        Endpoint::Patch => front.patch(id, json!({ "title": tag })).await,
        Endpoint::Complete | Endpoint::Flip => front.complete(id, true).await,
        Endpoint::FlipOnce => Answer::to(with_key(Method::PATCH, &format!("/{id}/complete"))).await,
        Endpoint::Delete => front.delete(id).await,
        Endpoint::DeleteOnce => Answer::to(with_key(Method::DELETE, &format!("/{id}"))).await,
    }
}

/// Checks that a response is the success that the request should have.
pub fn check_success(
    endpoint: Endpoint,
    front: &Front<'_>,
    answer: &Answer,
    task: &Task,
    tag: &str,
) -> Result<(), String> {
    let status = match endpoint {
        Endpoint::Create | Endpoint::CreateOnce => 201,
        Endpoint::Delete | Endpoint::DeleteOnce => 204,
        _ => 200,
    };
    if answer.status != status {
        return Err(format!("{} {}", answer.status, answer.text));
    }
    let right = match endpoint {
        Endpoint::Ready => answer.json()["status"] == "ready",
        Endpoint::List => {
            let tasks = front.tasks(answer);
            tasks.len() == 3 && tasks.iter().any(|shown| front.id(shown) == task.id(front.contract))
        }
        Endpoint::Changes => {
            let tasks = Changes::of(front, answer).changed;
            tasks.len() == 3 && tasks.iter().any(|shown| front.id(shown) == task.id(front.contract))
        }
        Endpoint::Get => shows(front, answer, Some(task), &task.title, false),
        Endpoint::Create | Endpoint::CreateOnce => shows(front, answer, None, tag, false),
        Endpoint::Update | Endpoint::Patch => shows(front, answer, Some(task), tag, false),
        Endpoint::Complete | Endpoint::Flip | Endpoint::FlipOnce => {
            shows(front, answer, Some(task), &task.title, true)
        }
        Endpoint::Delete | Endpoint::DeleteOnce => answer.text.is_empty(),
    };
    if right { Ok(()) } else { Err(format!("the body does not show what was requested: {}", answer.text)) }
}

fn shows(front: &Front<'_>, answer: &Answer, task: Option<&Task>, title: &str, completed: bool) -> bool {
    let shown: Value = front.task(answer);
    shown["title"] == title
        && shown["completed"] == completed
        && task.is_none_or(|task| front.id(&shown) == task.id(front.contract))
}
