//! Brings the database schema up to date. It runs as a Lambda function, invoked by CloudFormation or a
//! person, or as a command.
//!
//! Running it again, or several at the same time, is harmless. It fails if a migration was changed after it
//! was applied.

mod custom_resource;
mod functions;

use std::{error::Error, process::ExitCode};

use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::{Value, json};
use shared::{DatabaseConfig, in_one_line, secrets};

use custom_resource::CustomResource;

refinery::embed_migrations!("../../migrations");

/// The key of the advisory lock that a migration holds: an arbitrary number that must be the same in every
/// version.
const LOCK: i64 = 0x7461_736b_6d69_6772;

/// Applies missing migrations and installs missing functions. Returns the names of both.
async fn migrate(database: &DatabaseConfig) -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
    // The lock belongs to a transaction on a separate connection. So it also works through a pooler, and
    // PostgreSQL releases it when the connection ends, even if this process is killed.
    let lock = database.connect().await?;
    lock.batch_execute(&format!("begin; select pg_advisory_xact_lock({LOCK})")).await?;
    let mut client = database.connect().await?;
    // While a statement waits for a lock, all later requests for that table wait behind it.
    client.batch_execute("set lock_timeout = '5s'").await?;
    // A schema that is newer than this code is accepted: code that is rolled back finds one.
    let report = migrations::runner().set_abort_missing(false).run_async(&mut client).await?;
    let functions = functions::install(&mut client).await?;
    lock.batch_execute("commit").await?;
    let migrations = report.applied_migrations().iter().map(ToString::to_string);
    Ok(migrations.chain(functions.map(|schema| format!("functions {schema}"))).collect())
}

/// Reads the configuration and migrates. The handler calls this, so that configuration errors are part of the
/// response.
async fn migrate_configured() -> Result<Vec<String>, String> {
    let loaded = secrets::load(DatabaseConfig::read_unpooled).await.map_err(|errors| errors.to_string())?;
    migrate(&loaded.config).await.map_err(|error| in_one_line(&*error))
}

async fn serve() -> Result<(), lambda_runtime::Error> {
    let handler = async |event: LambdaEvent<Value>| match CustomResource::of(&event.payload) {
        Some(resource) => resource.handle(event.context.deadline(), migrate_configured()).await,
        None => Ok(json!({ "applied": migrate_configured().await? })),
    };
    lambda_runtime::run(service_fn(handler)).await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let outcome = if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() {
        serve().await.map_err(|error| in_one_line(&*error))
    } else {
        migrate_configured().await.map(|applied| match applied.as_slice() {
            [] => println!("The schema is up to date."),
            applied => println!("Applied {}.", applied.join(", ")),
        })
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot migrate: {error}");
            ExitCode::FAILURE
        }
    }
}
