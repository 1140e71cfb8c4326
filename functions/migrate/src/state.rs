//! Establishes what a migration can't: roles, rights, policies and the sequence. Dumps don't contain all of
//! them, and operators change them, so every run checks them.

use std::error::Error;

use shared::{in_one_line, sql};
use tokio_postgres::{Client, types::ToSql};

/// Returns the rights without which this role can neither create tables nor install functions.
const RIGHTS: &str = "
    select format('grant create on %s %I to %I', kind, name, current_user) as statement
    from (
        values ('database', current_database(), has_database_privilege(current_database(), 'create')),
               ('schema', 'public', has_schema_privilege('public', 'create'))
    ) as rights (kind, name, is_granted)
    where not is_granted";

/// See the file.
const STATE: &str = include_str!("state.sql");

/// Returns a statement if the sequence of task numbers is behind the tasks, as after logical replication,
/// which doesn't copy sequences. Reads one number of each user, because no index has all in order.
const SEQUENCE: &str = "
    select format('select setval(%L, %s)', sequence, highest) as statement
    from pg_get_serial_sequence('public.tasks', 'number') as sequence,
         lateral (
             select max(last.number)
             from public.users u
             cross join lateral (
                 select t.number from public.tasks t where t.user_id = u.id order by t.number desc limit 1
             ) last
         ) as tasks (highest)
    where highest > coalesce(pg_sequence_last_value(sequence::regclass), 0)";

/// Checks the rights that everything else needs, and grants them if this role may.
///
/// # Errors
/// The same as for [`establish`].
pub async fn check_rights(client: &Client) -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
    execute_missing(client, RIGHTS, &[]).await
}

/// Executes the statements that a database with all tables needs. Returns them.
///
/// A database in the right state needs none; then this takes no lock that a request waits for.
///
/// # Errors
/// If this role may not execute one of them, or executing it changes nothing. The message ends with the
/// statement.
pub async fn establish(client: &Client) -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
    let schema = sql::SCHEMA.as_str();
    let functions = sql::functions_in(schema);
    let count = i64::try_from(functions.matches(&format!("create function {schema}.")).count())?;
    let mut executed = execute_missing(client, STATE, &[&schema, &count, &functions]).await?;
    executed.extend(execute_missing(client, SEQUENCE, &[]).await?);
    Ok(executed)
}

/// Executes the statements that a query returns, until it returns none. Returns the executed statements.
async fn execute_missing(
    client: &Client,
    query: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
    let mut executed = Vec::new();
    let mut problem = "this role can't establish the state of the database".to_owned();
    loop {
        let missing: Vec<String> =
            client.query(query, parameters).await?.iter().map(|row| row.get("statement")).collect();
        if missing.is_empty() {
            return Ok(executed);
        }
        if missing.iter().all(|statement| executed.contains(statement)) {
            let missing = missing.join("; ");
            let advice = "Execute this, as a superuser if necessary, and run migrate again";
            return Err(format!("{}. {advice}: {missing}", problem.trim_end_matches('.')).into());
        }
        for statement in missing {
            if executed.contains(&statement) {
                continue;
            }
            // An error matters only if the statement is still missing: the migration of another database may
            // have created the role in the meantime.
            if let Err(error) = client.batch_execute(&statement).await {
                problem = in_one_line(&error);
            }
            executed.push(statement);
        }
    }
}
