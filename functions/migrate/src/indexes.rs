//! Indexes that are made after the migrations and not by one of them: an index of a table with data in it is built
//! concurrently, so that nobody waits for it, and PostgreSQL allows that only outside a transaction.

use tokio_postgres::{Client, Error};

/// Each index: its name, and the rest of its definition.
const INDEXES: [(&str, &str); 1] = [
    // Lists what has changed since a revision. Tasks that have not changed since revisions exist share the revision 0.
    ("tasks_revision", "on tasks (user_id, revision, number)"),
];

/// Makes the indexes that are missing, and returns their names.
///
/// # Errors
/// Those of the statements. An index whose building was interrupted is made again by the next call.
pub async fn create(client: &Client) -> Result<Vec<&'static str>, Error> {
    // What is done here waits for others, but nobody waits for it.
    client.batch_execute("set lock_timeout = 0").await?;
    let mut created = Vec::new();
    for (name, definition) in INDEXES {
        let is_valid = "select i.indisvalid from pg_index i where i.indexrelid = to_regclass($1)";
        let is_valid = client.query_opt(is_valid, &[&name]).await?.map(|row| row.get(0));
        if is_valid == Some(true) {
            continue;
        }
        if is_valid == Some(false) {
            client.batch_execute(&format!("drop index concurrently {name}")).await?;
        }
        client.batch_execute(&format!("create index concurrently {name} {definition}")).await?;
        created.push(name);
    }
    Ok(created)
}
