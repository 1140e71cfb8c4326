//! The hash of a request with an idempotency key. When the key is used again, the hash tells a repeat of the
//! same request from a different one, which is rejected.
//!
//! The hash is stored as long as its key, and later versions of this code compare it, so its format is fixed.
//! Version 1 is the SHA-256 of a JSON object (RFC 8259) without white space:
//!
//! - The members of a create are `title`, `description`, `due_date`, `priority`, `tags` and `completed`, in this
//!   order.
//! - The members of any other write are `method` and, in the same order, the fields that the write changes. A
//!   toggle is the completion `"toggle"`.
//! - An empty field is `null`, and tags are an array. Times are in UTC as RFC 3339 with `Z`, with 0, 3, 6 or 9
//!   decimals of a second; a due date that is a date is one.
//! - A member that is added later comes last, and only if its value is not the default. So requests without
//!   the member keep their hash.
//!
//! The hash does not include the task that a write changes; the database stores the task's id next to it.

use ring::digest::{SHA256, digest};
use serde::Serialize;

use crate::task::{Completion, DueDate, NewTaskFields, Patch, Priority, TaskChanges};

/// Returns the hash of a request to create a task.
pub(super) fn hash_of_new_task(fields: &NewTaskFields) -> Vec<u8> {
    #[derive(Serialize)]
    struct Version1<'a> {
        title: &'a str,
        description: Option<&'a str>,
        due_date: Option<DueDate>,
        priority: Priority,
        tags: &'a [String],
        completed: bool,
    }

    let NewTaskFields { title, description, due_date, priority, tags, completed } = fields;
    let description = description.as_deref();
    let (due_date, priority, completed) = (*due_date, *priority, *completed);
    hash(&Version1 { title, description, due_date, priority, tags, completed })
}

/// Returns the hash of a request to change or delete a task.
pub(super) fn hash_of_changes(method: &str, changes: &TaskChanges) -> Vec<u8> {
    #[derive(Serialize)]
    struct Version1<'a> {
        method: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<Option<&'a str>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        due_date: Option<Option<DueDate>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        priority: Option<Priority>,
        #[serde(skip_serializing_if = "Option::is_none")]
        tags: Option<&'a [String]>,
        #[serde(skip_serializing_if = "Option::is_none")]
        completed: Option<Completed>,
    }

    #[derive(Serialize)]
    #[serde(untagged)]
    enum Completed {
        Set(bool),
        Word(&'static str),
    }

    fn present<T>(patch: Patch<T>) -> Option<Option<T>> {
        match patch {
            Patch::Absent => None,
            Patch::Null => Some(None),
            Patch::Value(value) => Some(Some(value)),
        }
    }

    let TaskChanges { title, description, due_date, priority, tags, completed } = changes;
    hash(&Version1 {
        method,
        title: title.as_deref(),
        description: present(description.as_ref()).map(|text| text.map(String::as_str)),
        due_date: present(*due_date),
        priority: *priority,
        tags: tags.as_deref(),
        completed: completed.map(|completion| match completion {
            Completion::Set(completed) => Completed::Set(completed),
            Completion::Toggle => Completed::Word("toggle"),
        }),
    })
}

fn hash(content: &impl Serialize) -> Vec<u8> {
    let json = serde_json::to_vec(content).expect("a struct of plain values is JSON");
    digest(&SHA256, &json).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(hash: &[u8]) -> String {
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    // The expected values were computed with `printf '%s' '…' | sha256sum`, from the JSON in the comments.

    #[test]
    fn the_hash_of_changes_never_changes() {
        let hash = |method, changes: &TaskChanges| hex(&hash_of_changes(method, changes));
        // {"method":"DELETE"}
        let none = TaskChanges::default();
        assert_eq!(hash("DELETE", &none), "da07ca9d4799b12f294648110cc2396ebf98fc951fde487ea1049caa6e4a11d4");
        let toggle = TaskChanges { completed: Some(Completion::Toggle), ..none.clone() };
        // {"method":"PATCH","completed":"toggle"}
        assert_eq!(
            hash("PATCH", &toggle),
            "709a48a9fdf9aa188bed60596bfc9e125c891a8c59eb02518ee0e30f588c41e5"
        );
        let most = TaskChanges {
            title: Some("Buy milk".into()),
            description: Patch::Null,
            due_date: Patch::Value(DueDate::Date("2026-12-24".parse().expect("a date"))),
            priority: Some(Priority::Low),
            tags: Some(Vec::new()),
            completed: Some(Completion::Set(false)),
        };
        // {"method":"PUT","title":"Buy milk","description":null,"due_date":"2026-12-24","priority":"low","tags":[],
        //  "completed":false}, in one line without the space
        assert_eq!(hash("PUT", &most), "ab72b7fe170f6056dabdad5c4ed58990c1b8b8b858ce8073f9131094d5436347");
    }

    #[test]
    fn the_hash_of_a_new_task_never_changes() {
        let hash = |fields: &NewTaskFields| hex(&hash_of_new_task(fields));
        let least = NewTaskFields {
            title: "Buy milk".into(),
            description: None,
            due_date: None,
            priority: Priority::Medium,
            tags: Vec::new(),
            completed: false,
        };
        // {"title":"Buy milk","description":null,"due_date":null,"priority":"medium","tags":[],"completed":false}
        assert_eq!(hash(&least), "53e38d52b837b8fc88a8cf36a6977ce1597655ecfc0d5f721f6d0ca48ffcfefb");
        let most = NewTaskFields {
            title: "Caf\u{e9} \"\u{1f4a5}\"\u{1}".into(),
            description: Some("2 litres\n".into()),
            due_date: Some(DueDate::Time("2026-12-24T18:00:00.5+01:00".parse().expect("RFC 3339"))),
            priority: Priority::High,
            tags: vec!["a".into(), "ü".into()],
            completed: true,
        };
        // {"title":"Café \"💥\"\u0001","description":"2 litres\n",
        //  "due_date":"2026-12-24T17:00:00.500Z","priority":"high","tags":["a","ü"],"completed":true}, as one
        // line without the indentation
        assert_eq!(hash(&most), "f8122c96cea358388c0dbddd3d8cb6db6ff3f23b6da5ea7414d0502c9a3b2b5f");
    }
}
