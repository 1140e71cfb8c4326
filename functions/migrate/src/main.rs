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

/// Whoever holds this lock migrates. An arbitrary number, the same in every version.
const LOCK: i64 = 0x7461_736b_6d69_6772;

/// Applies what is missing, migrations and functions, and returns the names of what it applied.
async fn migrate(database: &DatabaseConfig) -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
    // The lock lives in a transaction of a connection of its own, so that it holds through a pooler, too, and goes
    // when the connection does, whatever becomes of this process.
    let lock = database.connect().await?;
    lock.batch_execute(&format!("begin; select pg_advisory_xact_lock({LOCK})")).await?;
    let mut client = database.connect().await?;
    // A schema newer than this code is fine: it is what a roll-back finds.
    let report = migrations::runner().set_abort_missing(false).run_async(&mut client).await?;
    let functions = functions::install(&mut client).await?;
    lock.batch_execute("commit").await?;
    let migrations = report.applied_migrations().iter().map(ToString::to_string);
    Ok(migrations.chain(functions.map(|schema| format!("functions {schema}"))).collect())
}

async fn serve(database: &'static DatabaseConfig) -> Result<(), lambda_runtime::Error> {
    let handler = async |event: LambdaEvent<Value>| {
        let custom_resource = CustomResource::of(&event.payload);
        let outcome = match &custom_resource {
            // What is in the database stays there.
            Some(resource) if resource.is_deleted() => Ok(Vec::new()),
            _ => migrate(database).await.map_err(|error| in_one_line(&*error)),
        };
        if let Some(resource) = custom_resource {
            resource.answer(&outcome).await?;
        }
        Ok::<_, lambda_runtime::Error>(json!({ "applied": outcome? }))
    };
    lambda_runtime::run(service_fn(handler)).await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let database: &'static DatabaseConfig = match secrets::load(DatabaseConfig::read_unpooled).await {
        Ok(loaded) => Box::leak(Box::new(loaded.config)),
        Err(mistakes) => {
            eprintln!("cannot migrate: {mistakes}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() {
        serve(database).await
    } else {
        migrate(database).await.map(|applied| match applied.as_slice() {
            [] => println!("The schema is up to date."),
            applied => println!("Applied {}.", applied.join(", ")),
        })
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot migrate: {}", in_one_line(&*error));
            ExitCode::FAILURE
        }
    }
}
