//! Installs the SQL functions that endpoints call, each version in its own schema, and removes versions that
//! are no longer used.

use shared::sql;
use tokio_postgres::{Client, Error};

/// Time from the last use of a schema until its removal, in days.
const KEPT_DAYS: i32 = 90;

/// Installs the functions that this build's endpoints call, unless their schema exists. Returns the schema if
/// it is new.
///
/// `migrate`, which each deployment runs, counts as a use of its schema. So does every write, which the
/// functions record once a day. A schema that has not been used for [`KEPT_DAYS`] days is removed.
///
/// # Errors
/// If a statement fails. Nothing has changed in that case.
pub async fn install(client: &mut Client) -> Result<Option<&'static str>, Error> {
    let schema = sql::SCHEMA.as_str();
    let transaction = client.transaction().await?;
    let found = "select from pg_namespace where nspname = $1";
    let is_new = transaction.query_opt(found, &[&schema]).await?.is_none();
    if is_new {
        // The functions run with their owner's rights, so the owner must be the role that row-level security
        // applies to.
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
