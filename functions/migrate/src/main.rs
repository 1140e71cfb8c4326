//! Brings the database schema up to date. It runs as a Lambda function, invoked by CloudFormation or a
//! person, or as a command.
//!
//! Running it again, or several at the same time, is harmless. It fails if a migration was changed after it
//! was applied.

mod custom_resource;
mod functions;
mod report;
mod revisions;
mod state;

use std::{error::Error, process::ExitCode};

use lambda_runtime::{LambdaEvent, service_fn};
use serde::Deserialize;
use serde_json::Value;
use shared::{DatabaseConfig, in_one_line, secrets};

use custom_resource::CustomResource;
use report::Report;

refinery::embed_migrations!("../../migrations");

/// The key of the advisory lock that a migration holds: an arbitrary number that must be the same in every
/// version.
const LOCK: i64 = 0x7461_736b_6d69_6772;

/// What a person can ask for, as the function's event. An unknown name is an error, because an option that is
/// misspelled must not be ignored.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Request {
    /// Whether the database was restored to an earlier point, so that clients have revisions that it doesn't
    /// know.
    restored: bool,
}

impl Request {
    fn from_arguments(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        match arguments.collect::<Vec<_>>().as_slice() {
            [] => Ok(Self::default()),
            [option] if option == "--restored" => Ok(Self { restored: true }),
            _ => Err("usage: migrate [--restored]".into()),
        }
    }
}

/// Applies missing migrations, establishes the state that the endpoints rely on, and installs missing
/// functions.
async fn migrate(
    database: &DatabaseConfig,
    request: &Request,
) -> Result<Report, Box<dyn Error + Send + Sync>> {
    // The lock belongs to a transaction on a separate connection. So it also works through a pooler, and
    // PostgreSQL releases it when the connection ends, even if this process is killed.
    let lock = database.connect().await?;
    lock.batch_execute(&format!("begin; select pg_advisory_xact_lock({LOCK})")).await?;
    let mut client = database.connect().await?;
    // While a statement waits for a lock, all later requests for that table wait behind it.
    client.batch_execute("set lock_timeout = '5s'").await?;
    let mut established = state::check_rights(&client).await?;
    // A schema that is newer than this code is accepted: code that is rolled back finds one.
    let migrations = migrations::runner().set_abort_missing(false).run_async(&mut client).await?;
    let migrations = migrations.applied_migrations();
    established.extend(state::establish(&client).await?);
    let functions = functions::install(&mut client).await?;
    let raised = if request.restored { Some(revisions::raise(&mut client).await?) } else { None };
    lock.batch_execute("commit").await?;
    // In a new database, everything is missing and nothing is broken.
    let is_new = migrations.iter().any(|migration| migration.version() == 1);
    let names = migrations.iter().map(ToString::to_string);
    Ok(Report {
        applied: names.chain(functions.map(|schema| format!("functions {schema}"))).collect(),
        repaired: if is_new { Vec::new() } else { established },
        raised,
    })
}

/// Reads the configuration and migrates. The handler calls this, so that configuration errors are part of the
/// response.
async fn migrate_configured(request: Request) -> Result<Report, String> {
    let loaded = secrets::load(DatabaseConfig::read_unpooled).await.map_err(|errors| errors.to_string())?;
    migrate(&loaded.config, &request).await.map_err(|error| in_one_line(&*error))
}

async fn serve() -> Result<(), lambda_runtime::Error> {
    let handler = async |event: LambdaEvent<Value>| match CustomResource::of(&event.payload) {
        Some(resource) => {
            resource.handle(event.context.deadline(), migrate_configured(Request::default())).await
        }
        None => {
            let request = Request::deserialize(event.payload)?;
            Ok(serde_json::to_value(migrate_configured(request).await?)?)
        }
    };
    lambda_runtime::run(service_fn(handler)).await
}

async fn run_command() -> Result<(), String> {
    let request = Request::from_arguments(std::env::args().skip(1))?;
    println!("{}", migrate_configured(request).await?);
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let outcome = if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() {
        serve().await.map_err(|error| in_one_line(&*error))
    } else {
        run_command().await
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot migrate: {error}");
            ExitCode::FAILURE
        }
    }
}
