//! The hash by which a repeated idempotency key is recognised as a repeat of the same request, or rejected.
//!
//! It is stored for as long as its key, and read by later versions of this code, so its format is fixed. Version 1: the
//! SHA-256 of a JSON object (RFC 8259) without white space, with the members `title`, `description`, `due_date` and
//! `completed` in this order; what is empty is `null`, and times are in UTC as RFC 3339 with `Z`, with 0, 3, 6 or 9
//! decimals of a second. A member that is added later comes last, and only if its value is not the default, so that
//! requests without it keep their hash.

use chrono::{DateTime, Utc};
use ring::digest::{SHA256, digest};
use serde::Serialize;

use crate::task::NewTaskFields;

/// The hash of a request to create a task.
pub(super) fn hash_of_new_task(fields: &NewTaskFields) -> Vec<u8> {
    #[derive(Serialize)]
    struct Version1<'a> {
        title: &'a str,
        description: Option<&'a str>,
        due_date: Option<DateTime<Utc>>,
        completed: bool,
    }

    let NewTaskFields { title, description, due_date, completed } = fields;
    let content =
        Version1 { title, description: description.as_deref(), due_date: *due_date, completed: *completed };
    let json = serde_json::to_vec(&content).expect("a struct of plain values is JSON");
    digest(&SHA256, &json).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected values were computed with `printf '%s' '…' | sha256sum`, from the JSON in the comments.
    #[test]
    fn the_hash_of_a_new_task_never_changes() {
        let hash = |fields: &NewTaskFields| {
            hash_of_new_task(fields).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let least =
            NewTaskFields { title: "Buy milk".into(), description: None, due_date: None, completed: false };
        // {"title":"Buy milk","description":null,"due_date":null,"completed":false}
        assert_eq!(hash(&least), "d968e07ed5b5c65afc557940b3ec970e2b0ae190e2227b4c54e19db74a61371f");
        let most = NewTaskFields {
            title: "Caf\u{e9} \"\u{1f4a5}\"\u{1}".into(),
            description: Some("2 litres\n".into()),
            due_date: Some("2026-12-24T18:00:00.5+01:00".parse().expect("RFC 3339")),
            completed: true,
        };
        // {"title":"Café \"💥\"\u0001","description":"2 litres\n",
        //  "due_date":"2026-12-24T17:00:00.500Z","completed":true}, in one line without the space
        assert_eq!(hash(&most), "26cc2dfc525dccb7ad600f2cfedd1b2e62add2edd38d79ab3a6669078f84c467");
    }
}
