//! One request to each endpoint, and the check that it succeeded.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{ApiClient, App, Changes, Contract, Response};
use tokio_postgres::Client;

use crate::cases::Endpoint;

/// A task, with the ids of both contracts.
#[derive(Clone)]
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
    let insert = "with new as (insert into users (id, revision, task_count) values ($1::text, 3, 3) returning id)
                  insert into tasks (id, revision, user_id, title)
                  select gen_random_uuid(), place, new.id, title
                  from new, unnest(array['warm-up task', 'task', 'bystander']) with ordinality as t (title, place)
                  returning id::text, number::text, title";
    let rows = database.query(insert, &[&user_id]).await.expect("a new user");
    let tasks: Vec<_> =
        rows.iter().map(|row| Task { id: row.get(0), number: row.get(1), title: row.get(2) }).collect();
    tasks.try_into().unwrap_or_else(|_| panic!("three tasks were inserted"))
}

/// Sends a request to an endpoint. `tag` becomes the title, if the request has one, and part of the
/// idempotency key.
pub async fn send(app: &App, client: &ApiClient<'_>, endpoint: Endpoint, task: &Task, tag: &str) -> Response {
    let id = task.id(client.contract);
    let with_key = |method, rest: &str| {
        let key = format!("{endpoint:?}-{}", tag.replace(' ', "-"));
        client.request(method, rest).header("idempotency-key", key)
    };
    match endpoint {
        Endpoint::Ready => Response::to(app.request(Method::GET, "/health/ready")).await,
        Endpoint::List => client.list("").await,
        Endpoint::Changes => client.changes("").await,
        Endpoint::Get => client.get(id).await,
        Endpoint::Create => client.create(json!({ "title": tag })).await,
        Endpoint::CreateOnce => Response::to(with_key(Method::POST, "").json(&json!({ "title": tag }))).await,
        Endpoint::Update => client.put(id, json!({ "title": tag })).await,
        Endpoint::Patch => client.patch(id, json!({ "title": tag })).await,
        Endpoint::Complete | Endpoint::Flip => client.complete(id, true).await,
        Endpoint::FlipOnce => Response::to(with_key(Method::PATCH, &format!("/{id}/complete"))).await,
        Endpoint::Delete => client.delete(id).await,
        Endpoint::DeleteOnce => Response::to(with_key(Method::DELETE, &format!("/{id}"))).await,
    }
}

/// Checks that a response is the success that the request should have.
pub fn check_success(
    endpoint: Endpoint,
    client: &ApiClient<'_>,
    response: &Response,
    task: &Task,
    tag: &str,
) -> Result<(), String> {
    let status = match endpoint {
        Endpoint::Create | Endpoint::CreateOnce => 201,
        Endpoint::Delete | Endpoint::DeleteOnce => 204,
        _ => 200,
    };
    if response.status != status {
        return Err(format!("{} {}", response.status, response.text));
    }
    let right = match endpoint {
        Endpoint::Ready => response.json()["status"] == "ready",
        Endpoint::List => {
            let tasks = client.tasks(response);
            tasks.len() == 3 && tasks.iter().any(|shown| client.id(shown) == task.id(client.contract))
        }
        Endpoint::Changes => {
            let tasks = Changes::of(client, response).changed;
            tasks.len() == 3 && tasks.iter().any(|shown| client.id(shown) == task.id(client.contract))
        }
        Endpoint::Get => shows(client, response, Some(task), &task.title, false),
        Endpoint::Create | Endpoint::CreateOnce => shows(client, response, None, tag, false),
        Endpoint::Update | Endpoint::Patch => shows(client, response, Some(task), tag, false),
        Endpoint::Complete | Endpoint::Flip | Endpoint::FlipOnce => {
            shows(client, response, Some(task), &task.title, true)
        }
        Endpoint::Delete | Endpoint::DeleteOnce => response.text.is_empty(),
    };
    if right { Ok(()) } else { Err(format!("the body does not show what was requested: {}", response.text)) }
}

fn shows(
    client: &ApiClient<'_>,
    response: &Response,
    task: Option<&Task>,
    title: &str,
    completed: bool,
) -> bool {
    let shown: Value = client.task(response);
    shown["title"] == title
        && shown["completed"] == completed
        && task.is_none_or(|task| client.id(&shown) == task.id(client.contract))
}
