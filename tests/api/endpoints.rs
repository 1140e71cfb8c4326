//! The endpoints below `/tasks`, for rules that hold for all of them.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tests::{ApiClient, App, Contract, User};

/// An endpoint below `/tasks`.
pub(crate) struct Endpoint {
    pub method: Method,
    /// The part of the path after `/tasks`, with `{id}` for the id of a task.
    pub rest: &'static str,
    /// A valid body with one field; `None` if the endpoint takes no body.
    pub body: Option<Value>,
    /// The status of a successful response.
    pub status: u16,
}

impl Endpoint {
    /// A request with a valid body, for the user's task with this id.
    pub fn request(&self, client: &ApiClient<'_>, id: &str) -> RequestBuilder {
        let request = client.request(self.method.clone(), &self.rest.replace("{id}", id));
        match &self.body {
            Some(body) => request.json(body),
            None => request,
        }
    }

    /// A request with these bytes as the body.
    pub fn with_body(
        &self,
        client: &ApiClient<'_>,
        id: &str,
        content_type: Option<&str>,
        body: Vec<u8>,
    ) -> RequestBuilder {
        let request = client.request(self.method.clone(), &self.rest.replace("{id}", id)).body(body);
        match content_type {
            Some(content_type) => request.header("content-type", content_type),
            None => request,
        }
    }

    pub fn names_a_task(&self) -> bool {
        self.rest.contains("{id}")
    }

    pub fn is_write(&self) -> bool {
        self.method != Method::GET
    }
}

/// All endpoints below `/tasks` in a contract, the deletion last.
pub(crate) fn endpoints(contract: Contract) -> Vec<Endpoint> {
    let endpoint = |method, rest, body, status| Endpoint { method, rest, body, status };
    let title = || Some(json!({ "title": "Sleep" }));
    let completed = (contract == Contract::Envelope).then(|| json!({ "completed": true }));
    vec![
        endpoint(Method::POST, "", title(), 201),
        endpoint(Method::GET, "", None, 200),
        endpoint(Method::GET, "/changes", None, 200),
        endpoint(Method::GET, "/{id}", None, 200),
        endpoint(Method::PUT, "/{id}", title(), 200),
        endpoint(Method::PATCH, "/{id}", title(), 200),
        endpoint(Method::PATCH, "/{id}/complete", completed, 200),
        endpoint(Method::DELETE, "/{id}", None, 204),
    ]
}

pub(crate) fn endpoints_with_body(contract: Contract) -> impl Iterator<Item = Endpoint> {
    endpoints(contract).into_iter().filter(|endpoint| endpoint.body.is_some())
}

/// Every row of the users' tables, as text.
pub(crate) async fn rows(app: &App) -> String {
    let all = "select coalesce(string_agg(line, e'\\n' order by line), '')
               from (select tasks::text from tasks union all select users::text from users
                     union all select deleted_tasks::text from deleted_tasks
                     union all select idempotency_keys::text from idempotency_keys) rows (line)";
    app.internals().database().await.query_one(all, &[]).await.expect("four tables").get(0)
}

/// Creates a task and returns its id in this contract.
pub(crate) async fn a_task(user: &User<'_>, contract: Contract) -> String {
    let client = user.at(contract);
    client.id(&client.new_task("Buy milk").await)
}
