//! `GET /health` reports whether the service is running. `GET /health/ready` also pings the database.

use std::process::ExitCode;

use chrono::{SecondsFormat, Utc};
use serde::Serialize;
use shared::{
    DatabaseConfig, Error, Failure, Limits, PublicRequest, Response, StatusCode, Store, error::Recorded,
    variables::Variables,
};

#[derive(Serialize)]
struct Health {
    status: &'static str,
    service: &'static str,
    version: &'static str,
    timestamp: String,
}

/// Creates the store if a database is configured. `/health` works without one.
fn read_store(variables: &mut Variables) -> Result<Option<Store>, Recorded> {
    match DatabaseConfig::is_set(variables) {
        true => DatabaseConfig::read(variables).map(|config| Some(Store::new(config, Limits::default()))),
        false => Ok(None),
    }
}

async fn health(request: PublicRequest<Option<Store>>) -> Result<Response, Failure> {
    let status = match (&*request.path, request.config) {
        ("/health/ready", Some(store)) => {
            store.ping().await?;
            "ready"
        }
        ("/health/ready", None) => return Err(Error::Unavailable("DATABASE_URL is not set".into()).into()),
        _ => "healthy",
    };
    let health = Health {
        status,
        service: "task-api",
        version: env!("CARGO_PKG_VERSION"),
        timestamp: Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true),
    };
    Ok(Response::json(StatusCode::OK, &health))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::serve_public(read_store, health).await
}
