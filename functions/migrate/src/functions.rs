//! Installs the SQL functions that endpoints call, each version in a schema of its own, and removes old versions.

use shared::sql;
use tokio_postgres::{Client, Error};

/// Takes away what everyone may do in a database by default. Each time, because neither a copy of a database nor a dump
/// includes it.
const REVOKE_TEMPORARY: &str = "do $$ begin
    execute format('revoke temporary on database %I from public', current_database());
end $$";

/// How long a schema is kept after it was last used, in days.
const KEPT_DAYS: i32 = 90;

/// Installs the functions that this build's endpoints call, unless they are there. Tells the schema if it is new.
///
/// A schema is in use if `migrate` installs or finds it (each deployment runs it), and if anyone writes through it: its
/// functions record that themselves, once a day. What nobody has used for [`KEPT_DAYS`] days is removed.
///
/// # Errors
/// As those of the statements. Nothing has changed then.
pub async fn install(client: &mut Client) -> Result<Option<&'static str>, Error> {
    let schema = sql::SCHEMA.as_str();
    let transaction = client.transaction().await?;
    transaction.batch_execute(REVOKE_TEMPORARY).await?;
    let found = "select from pg_namespace where nspname = $1";
    let is_new = transaction.query_opt(found, &[&schema]).await?.is_none();
    if is_new {
        // The functions belong to the role that row-level security binds, because they run with their owner's rights.
        let functions = sql::functions_in(schema);
        let install = format!(
            "create schema {schema} authorization task_api;
             set local role task_api;
             {functions}
             revoke execute on all functions in schema {schema} from public;
             grant usage on schema {schema} to task_api_endpoints;
             reset role;"
        );
        transaction.batch_execute(&install).await?;
    }
    let used = "insert into function_schemas (name) values ($1)
                on conflict (name) do update set last_used = current_date";
    transaction.execute(used, &[&schema]).await?;
    let unused = "delete from function_schemas where last_used < current_date - $1::integer returning name";
    for row in transaction.query(unused, &[&KEPT_DAYS]).await? {
        let name: String = row.get("name");
        transaction.batch_execute(&format!("drop schema if exists {name} cascade")).await?;
    }
    transaction.commit().await?;
    Ok(is_new.then_some(schema))
}
