//! What a run has changed.

use std::fmt;

use serde::Serialize;

/// What a run has changed: the function's response, and as text the command's output.
#[derive(Serialize, Default)]
pub struct Report {
    /// The migrations, and the schema of the functions if it was installed.
    pub applied: Vec<String>,
    /// Statements that were executed because the database had been changed or lacked something.
    pub repaired: Vec<String>,
    /// The number of users whose revisions were raised, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raised: Option<u64>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sentences = Vec::new();
        if !self.applied.is_empty() {
            sentences.push(format!("Applied {}.", self.applied.join(", ")));
        }
        if !self.repaired.is_empty() {
            sentences.push(format!("Repaired: {}.", self.repaired.join("; ")));
        }
        if let Some(raised) = self.raised {
            let users = if raised == 1 { "user" } else { "users" };
            sentences.push(format!("Raised the revisions of {raised} {users}."));
        }
        if sentences.is_empty() {
            sentences.push("The schema is up to date.".into());
        }
        f.write_str(&sentences.join(" "))
    }
}
