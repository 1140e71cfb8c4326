//! Brings the database schema up to date: as a Lambda function when CloudFormation or a person invokes it, as a command
//! when a person runs it. Running it again, or twice at once, is harmless; a migration that was changed after it had been
//! applied is refused.

mod custom_resource;
mod functions;

use std::{error::Error, process::ExitCode};

use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::{Value, json};
use shared::{DatabaseConfig, in_one_line, secrets};

use custom_resource::CustomResource;

refinery::embed_migrations!("../../migrations");

/// The advisory lock that a migration holds. An arbitrary number, the same in every version.
const LOCK: i64 = 0x7461_736b_6d69_6772;

/// Applies what is missing, migrations and functions, and returns the names of what it applied.
async fn migrate(database: &DatabaseConfig) -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
    // The lock lives in a transaction of a connection of its own, so that it holds through a pooler, too, and goes
    // when the connection does, whatever becomes of this process.
    let lock = database.connect().await?;
    lock.batch_execute(&format!("begin; select pg_advisory_xact_lock({LOCK})")).await?;
    let mut client = database.connect().await?;
    // A statement that waits for a lock makes every later request for that table wait behind it.
    client.batch_execute("set lock_timeout = '5s'").await?;
    // A schema newer than this code is fine: it is what a roll-back finds.
    let report = migrations::runner().set_abort_missing(false).run_async(&mut client).await?;
    let functions = functions::install(&mut client).await?;
    lock.batch_execute("commit").await?;
    let migrations = report.applied_migrations().iter().map(ToString::to_string);
    Ok(migrations.chain(functions.map(|schema| format!("functions {schema}"))).collect())
}

/// Reads the configuration and migrates. Within the handler, so that mistakes in it are a response, too.
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
