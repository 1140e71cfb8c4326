//! One task: creating, reading, changing and deleting it.

mod complete;
mod create;
mod delete;
mod fields;
mod get;
mod patch;
mod update;

use tokio_postgres::Client;

/// Delays each write of tasks at random between the start of its transaction and the write itself, so that
/// transactions overtake each other.
async fn delay_at_random(database: &Client, operation: &str) {
    let trigger = format!(
        "create function public.delay() returns trigger language plpgsql as
         $$ begin perform pg_sleep(random() * 0.005); return null; end $$;
         create trigger delay before {operation} on public.tasks
             for each statement execute function public.delay()"
    );
    database.batch_execute(&trigger).await.expect("a superuser can create triggers");
}
