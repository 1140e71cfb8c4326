//! A copy of a user's list that is kept current with `…/tasks/changes`, as an offline client does.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{ApiClient, Response, errors};

/// A response to `GET …/tasks/changes`.
#[derive(Debug)]
pub struct Changes {
    /// Tasks as they are now, in the order of their last changes.
    pub changed: Vec<Value>,
    /// Ids of tasks that were deleted.
    pub deleted: Vec<String>,
    /// The value of `since` for the next request.
    pub cursor: String,
    /// Whether more changes can be requested at once.
    pub has_more: bool,
}

/// A copy of a user's list.
pub struct Replica<'a> {
    client: ApiClient<'a>,
    /// The tasks, by id.
    pub tasks: BTreeMap<String, Value>,
    /// The last cursor; `None` before a full copy.
    pub cursor: Option<String>,
    /// How often the copy was started again because its cursor had expired.
    pub restarts: usize,
}

impl Changes {
    /// Reads a response and checks that it is well-formed.
    #[track_caller]
    pub fn of(client: &ApiClient<'_>, response: &Response) -> Self {
        assert_eq!(response.status, 200, "{}", response.text);
        response.assert_common_headers();
        // In the envelope contract the fields are in `data`, like those of a task.
        let body = client.task(response);
        let array = |name: &str| body[name].as_array().unwrap_or_else(|| panic!("{name}: {body}")).clone();
        let deleted = array("deleted");
        let changes = Self {
            changed: array("changed"),
            deleted: deleted.iter().map(|id| client.id(&serde_json::json!({ "id": id }))).collect(),
            cursor: body["cursor"].as_str().expect("text").to_owned(),
            has_more: body["has_more"].as_bool().expect("a boolean"),
        };
        assert_eq!(body.as_object().map(serde_json::Map::len), Some(4), "{body}");
        let ids: Vec<_> =
            changes.changed.iter().map(|task| client.id(task)).chain(changes.deleted.clone()).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "each id occurs once: {body}");
        assert!(!changes.has_more || !ids.is_empty(), "has_more, but no change: {body}");
        changes
    }
}

impl<'a> Replica<'a> {
    /// An empty copy.
    pub fn new(client: ApiClient<'a>) -> Self {
        Self { client, tasks: BTreeMap::new(), cursor: None, restarts: 0 }
    }

    /// Requests at most this many changes. Returns whether there are more, or `None` if the database is
    /// unavailable.
    pub async fn pull(&mut self, limit: usize) -> Option<bool> {
        let since = self.cursor.as_ref().map(|cursor| ("since", cursor.as_str()));
        let limit_text = limit.to_string();
        let query: Vec<_> = since.into_iter().chain([("limit", limit_text.as_str())]).collect();
        let response =
            Response::to(self.client.request(reqwest::Method::GET, "/changes").query(&query)).await;
        match response.status {
            503 => {
                response.assert_error(self.client.contract, &errors::UNAVAILABLE);
                None
            }
            410 => {
                response.assert_error(self.client.contract, &errors::CURSOR_EXPIRED);
                assert!(self.cursor.is_some(), "a request without a cursor is never 410");
                self.restarts += 1;
                self.cursor = None;
                self.tasks.clear();
                Some(true)
            }
            _ => {
                let changes = Changes::of(&self.client, &response);
                assert!(changes.changed.len() + changes.deleted.len() <= limit, "{}", response.text);
                for task in changes.changed {
                    self.tasks.insert(self.client.id(&task), task);
                }
                for id in changes.deleted {
                    self.tasks.remove(&id);
                }
                self.cursor = Some(changes.cursor);
                Some(changes.has_more)
            }
        }
    }

    /// Requests changes until there are no more. The database must be available.
    pub async fn sync(&mut self, limit: usize) {
        while self.pull(limit).await.expect("the database is available") {}
    }

    /// Syncs, and checks that the copy equals the list.
    pub async fn assert_current(&mut self, limit: usize) {
        self.sync(limit).await;
        assert_eq!(self.tasks, self.client.all_tasks().await, "{:?}", self.client.contract);
    }
}
