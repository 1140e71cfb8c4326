//! The two API contracts, by resource: what a request means, and how a result is shown. Whatever differs
//! between the contracts is in this module, in matches on [`Contract`].

mod changes;
mod cursor;
mod errors;
mod etag;
mod headers;
mod lists;
#[cfg(feature = "openapi")]
mod openapi;
mod tasks;
mod users;

/// How the requests of each endpoint are read.
pub mod read {
    pub use super::{
        changes::list_changes,
        lists::list_tasks,
        tasks::{complete_task, create_task, delete_task, get_task, patch_task, update_task},
        users::erase_user,
    };
}

/// How the API is described: the parts of openapi.json that depend on the contract.
#[cfg(feature = "openapi")]
pub mod describe {
    pub use super::{
        changes::describe as changes,
        errors::describe as errors,
        headers::describe as headers,
        lists::describe as lists,
        openapi::{Body, NamedSchema, Operation, integer, parameter, samples},
        tasks::describe as tasks,
        users::describe as users,
    };
}

/// The API contract that a front end uses, determined by the path: paths below `/plain` use the plain
/// contract.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Contract {
    /// Responses are `{"data": …, "error": …}`; tasks are identified by UUID.
    #[default]
    Envelope,
    /// Responses are the object itself or, for errors, `{"detail": …, "error": …}`; tasks are identified by
    /// number.
    Plain,
}

use Contract::{Envelope, Plain};

impl Contract {
    /// Returns the contract of a path.
    pub fn of_path(path: &str) -> Self {
        if path == Plain.prefix() || path.starts_with("/plain/") { Plain } else { Envelope }
    }

    /// Returns the prefix of the contract's paths.
    pub const fn prefix(self) -> &'static str {
        match self {
            Envelope => "",
            Plain => "/plain",
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use chrono::DateTime;
    use serde_json::Value;
    use uuid::Uuid;

    use super::*;
    use crate::{
        response::Response,
        task::{Priority, Task},
    };

    pub(crate) fn task(description: String) -> Task {
        let time = DateTime::from_timestamp(1_767_713_400, 0).expect("in range");
        Task {
            id: Uuid::nil(),
            number: 7,
            user_id: "a/b c".into(),
            title: "Buy milk".into(),
            description: Some(description),
            due_date: None,
            priority: Priority::Medium,
            tags: Vec::new(),
            completed: true,
            completed_at: Some(time),
            created_at: time,
            updated_at: time,
            revision: 3,
        }
    }

    pub(crate) fn body(response: &Response) -> Value {
        serde_json::from_slice(&response.body).expect("JSON")
    }

    #[test]
    fn path_determines_the_contract() {
        for path in ["/plain/api/{user_id}/tasks", "/plain/health", "/plain"] {
            assert_eq!(Contract::of_path(path), Plain, "{path}");
        }
        for path in ["/api/{user_id}/tasks", "/health", "/plainly", "", "/api/plain/tasks"] {
            assert_eq!(Contract::of_path(path), Envelope, "{path}");
        }
    }
}
