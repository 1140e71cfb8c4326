//! Every change of a task that was committed, as a trigger noted it.

use std::time::SystemTime;

use tokio_postgres::{Client, Row};

/// The functions' sessions may neither read nor write the table, and may have any `search_path`.
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

/// A change of a task. A change that was rolled back is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Later changes of the same task have higher numbers.
    pub number: i64,
    pub at: SystemTime,
    /// The `application_name` of the session that made it.
    pub application: String,
    pub operation: String,
}

/// Notes changes from now on.
pub async fn note_changes(database: &Client) {
    database.batch_execute(NOTE_CHANGES).await.expect("a superuser may");
}

/// The changes of a user's tasks, the oldest first.
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
