//! Users, and the clients through which they use the API.

use std::collections::BTreeMap;

use local::token::{TokenRequest, mint};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::{App, Response};

/// The contract that a client uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Contract {
    /// Responses in an envelope; UUIDs as task ids.
    Envelope,
    /// Responses without an envelope; numbers as task ids.
    Plain,
}

impl Contract {
    /// Both contracts.
    pub const BOTH: [Contract; 2] = [Contract::Envelope, Contract::Plain];

    /// The other contract.
    pub fn other(self) -> Self {
        match self {
            Contract::Envelope => Contract::Plain,
            Contract::Plain => Contract::Envelope,
        }
    }
}

/// A user with a token.
#[derive(Clone)]
pub struct User<'a> {
    /// The user id, as in the token.
    pub id: String,
    /// A valid token.
    pub token: String,
    app: &'a App,
}

impl<'a> User<'a> {
    pub(crate) fn new(app: &'a App, id: String) -> Self {
        let request = TokenRequest { user: id.clone(), hours: 1, ..TokenRequest::default() };
        let token = mint(&app.secret, jsonwebtoken::Algorithm::HS256, &request).expect("HS256 signs");
        Self::with_token(app, id, token)
    }

    pub(crate) fn with_token(app: &'a App, id: String, token: String) -> Self {
        Self { id, token, app }
    }

    /// This user's client with the given contract.
    pub fn at(&self, contract: Contract) -> ApiClient<'a> {
        ApiClient { user: self.clone(), contract }
    }

    /// This user's clients, one for each contract.
    pub fn clients(&self) -> [ApiClient<'a>; 2] {
        Contract::BOTH.map(|contract| self.at(contract))
    }

    /// This user's client with the envelope contract.
    pub fn envelope(&self) -> ApiClient<'a> {
        self.at(Contract::Envelope)
    }

    /// This user's client with the plain contract.
    pub fn plain(&self) -> ApiClient<'a> {
        self.at(Contract::Plain)
    }
}

/// A client of the API with a user's token.
pub struct ApiClient<'a> {
    /// The user.
    pub user: User<'a>,
    /// Its contract.
    pub contract: Contract,
}

impl ApiClient<'_> {
    /// The URL of the user.
    pub fn user_url(&self) -> String {
        let prefix = match self.contract {
            Contract::Envelope => "",
            Contract::Plain => "/plain",
        };
        format!("{}{prefix}/api/{}", self.user.app.url, self.user.id)
    }

    /// The URL of the user's tasks, followed by `rest`.
    pub fn url(&self, rest: &str) -> String {
        format!("{}/tasks{rest}", self.user_url())
    }

    /// A request with the user's token, which [`Response::to`] sends.
    pub fn request(&self, method: Method, rest: &str) -> RequestBuilder {
        self.user.app.http.request(method, self.url(rest)).bearer_auth(&self.user.token)
    }

    /// `POST …/tasks`.
    pub async fn create(&self, body: Value) -> Response {
        Response::to(self.request(Method::POST, "").json(&body)).await
    }

    /// `GET …/tasks`, with a query that begins with `?` or is empty.
    pub async fn list(&self, query: &str) -> Response {
        Response::to(self.request(Method::GET, query)).await
    }

    /// `GET …/tasks/{task_id}`.
    pub async fn get(&self, id: &str) -> Response {
        Response::to(self.request(Method::GET, &format!("/{id}"))).await
    }

    /// `PUT …/tasks/{task_id}`.
    pub async fn put(&self, id: &str, body: Value) -> Response {
        Response::to(self.request(Method::PUT, &format!("/{id}")).json(&body)).await
    }

    /// `PATCH …/tasks/{task_id}`.
    pub async fn patch(&self, id: &str, body: Value) -> Response {
        Response::to(self.request(Method::PATCH, &format!("/{id}")).json(&body)).await
    }

    /// `PATCH …/tasks/{task_id}/complete`: sets `completed` in the envelope contract, toggles it in the plain
    /// one.
    pub async fn complete(&self, id: &str, completed: bool) -> Response {
        let request = self.request(Method::PATCH, &format!("/{id}/complete"));
        Response::to(match self.contract {
            Contract::Envelope => request.json(&serde_json::json!({ "completed": completed })),
            Contract::Plain => request,
        })
        .await
    }

    /// `DELETE …/tasks/{task_id}`.
    pub async fn delete(&self, id: &str) -> Response {
        Response::to(self.request(Method::DELETE, &format!("/{id}"))).await
    }

    /// `GET …/tasks/changes`, with a query that begins with `?` or is empty.
    pub async fn changes(&self, query: &str) -> Response {
        Response::to(self.request(Method::GET, &format!("/changes{query}"))).await
    }

    /// `DELETE …/api/{user_id}` as a request, which [`Response::to`] sends.
    pub fn erase_request(&self) -> RequestBuilder {
        self.user.app.http.delete(self.user_url()).bearer_auth(&self.user.token)
    }

    /// `DELETE …/api/{user_id}`.
    pub async fn erase(&self) -> Response {
        Response::to(self.erase_request()).await
    }

    /// Reads all pages of the user's list. Returns the tasks by id. No one must write meanwhile.
    pub async fn all_tasks(&self) -> BTreeMap<String, Value> {
        let mut tasks = BTreeMap::new();
        let mut next = Some(match self.contract {
            Contract::Envelope => self.url("?limit=100"),
            Contract::Plain => self.url(""),
        });
        while let Some(url) = next {
            let response = Response::to(self.user.app.http.get(url).bearer_auth(&self.user.token))
                .await
                .expect_status(200);
            for task in self.tasks(&response) {
                assert_eq!(tasks.insert(self.id(&task), task), None, "each task is listed once");
            }
            next = match self.contract {
                Contract::Envelope => (response.json()["data"]["pagination"]["has_more"] == true)
                    .then(|| self.url(&format!("?limit=100&offset={}", tasks.len()))),
                Contract::Plain => {
                    let link = response.header("link").split(['<', '>']).nth(1);
                    link.map(|path| format!("{}{path}", self.user.app.url))
                }
            };
        }
        tasks
    }

    /// Creates a task with this title and returns it.
    pub async fn new_task(&self, title: &str) -> Value {
        self.task(&self.create(serde_json::json!({ "title": title })).await.expect_status(201))
    }

    /// The task in a response.
    pub fn task(&self, response: &Response) -> Value {
        match self.contract {
            Contract::Envelope => {
                assert_eq!(response.json()["error"], Value::Null, "{}", response.text);
                response.json()["data"].clone()
            }
            Contract::Plain => response.json(),
        }
    }

    /// The tasks in the response to a list.
    pub fn tasks(&self, response: &Response) -> Vec<Value> {
        let body = response.json();
        let tasks = match self.contract {
            Contract::Envelope => &body["data"]["items"],
            Contract::Plain => &body,
        };
        tasks.as_array().unwrap_or_else(|| panic!("not a list: {}", response.text)).clone()
    }

    /// The user's only task.
    pub async fn only_task(&self) -> Value {
        let mut tasks = self.tasks(&self.list("").await.expect_status(200));
        assert_eq!(tasks.len(), 1, "the user has one task: {tasks:?}");
        tasks.remove(0)
    }

    /// The id of a task as text, as it is used in a path.
    pub fn id(&self, task: &Value) -> String {
        match &task["id"] {
            Value::String(id) => id.clone(),
            id => id.to_string(),
        }
    }

    /// A valid id that no task has.
    pub fn unknown_id(&self) -> String {
        match self.contract {
            Contract::Envelope => uuid::Uuid::new_v4().to_string(),
            Contract::Plain => i64::MAX.to_string(),
        }
    }
}

/// Returns the changed fields of a task with their new values, without `updated_at`. Checks that `updated_at`
/// has changed if and only if another field has.
#[track_caller]
pub fn changes(before: &Value, after: &Value) -> Value {
    let (before, after) = (before.as_object().expect("a task"), after.as_object().expect("a task"));
    assert_eq!(before.len(), after.len(), "the same fields: {after:?}");
    let mut changes = after.clone();
    changes.retain(|field, value| before.get(field) != Some(value));
    let touched = changes.remove("updated_at").is_some();
    assert_eq!(touched, !changes.is_empty(), "updated_at changes with other fields: {before:?} {after:?}");
    Value::Object(changes)
}
