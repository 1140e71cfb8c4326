//! A log of every committed change of a task, written by a trigger.

use std::time::SystemTime;

use tokio_postgres::{Client, Row};

/// Creates the log. The trigger function is `security definer` because the functions' role has no access to
/// the table, and names the schema because their `search_path` can be anything.
const NOTE_CHANGES: &str = "
    create table public.changes (
        number       bigint generated always as identity,
        at           timestamptz not null default clock_timestamp(),
        application  text not null default current_setting('application_name'),
        operation    text not null,
        user_id      text not null,
        title        text not null
    );
    create function public.note_change() returns trigger language plpgsql security definer as $$
    begin
        insert into public.changes (operation, user_id, title)
        values (tg_op, coalesce(new.user_id, old.user_id), coalesce(new.title, old.title));
        return null;
    end
    $$;
    create trigger note_change after insert or update or delete on public.tasks
        for each row execute function public.note_change()";

/// A committed change of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Later changes of a task have higher numbers.
    pub number: i64,
    pub at: SystemTime,
    /// The `application_name` of the session that made the change.
    pub application: String,
    pub operation: String,
}

/// Logs changes from now on.
pub async fn note_changes(database: &Client) {
    database.batch_execute(NOTE_CHANGES).await.expect("superusers can create triggers");
}

/// Returns the changes of a user's tasks, oldest first.
pub async fn changes(database: &Client, user_id: &str) -> Vec<Change> {
    let select =
        "select number, at, application, operation from public.changes where user_id = $1 order by number";
    let rows = database.query(select, &[&user_id]).await.expect("the database is up");
    let change = |row: &Row| Change {
        number: row.get("number"),
        at: row.get("at"),
        application: row.get("application"),
        operation: row.get("operation"),
    };
    rows.iter().map(change).collect()
}
