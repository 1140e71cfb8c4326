//! `GET /health`: whether the service runs. `GET /health/ready`: whether its database can be reached, too.

use std::process::ExitCode;

use chrono::{SecondsFormat, Utc};
use serde::Serialize;
use shared::{
    DatabaseConfig, Error, Response, StatusCode, Store,
    config::Environment,
    http::{Route, header::HeaderMap},
};

#[derive(Serialize)]
struct Health {
    status: &'static str,
    service: &'static str,
    version: &'static str,
    timestamp: String,
}

/// Without a database this function still tells that it runs.
fn configure(environment: &mut Environment) -> Option<Option<Store>> {
    match environment.has_database() {
        true => Some(Some(Store::new(DatabaseConfig::read(environment)?))),
        false => Some(None),
    }
}

async fn health(route: Route, _: HeaderMap, store: &Option<Store>) -> Result<Response, Error> {
    let status = match (route.path(), store) {
        ("/health/ready", Some(store)) => {
            store.ping().await?;
            "ready"
        }
        ("/health/ready", None) => return Err(Error::Unavailable("DATABASE_URL is not set".into())),
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
    shared::http::serve_public(configure, health).await
}
