//! The two API contracts. Everything that differs between them is in this module: each difference is one
//! function with one match arm per contract.

pub mod bodies;
mod bounds;
mod cursor;
mod etag;
mod lists;
pub mod read;
mod render;
#[cfg(feature = "openapi")]
pub mod schemas;

pub use bounds::{
    CHANGES_LIMIT, CHANGES_LIMIT_DEFAULT, ENVELOPE_LIMIT, ENVELOPE_LIMIT_DEFAULT, OFFSET, PLAIN_LIMIT,
    PLAIN_LIMIT_DEFAULT, SEARCH_MAX, TASK_NUMBER,
};
pub use lists::{ORDERS, STATUSES};

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
mod tests {
    use super::*;

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
