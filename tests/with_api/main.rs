//! `cargo run -p tests --example with-api -- [NAME=value]… COMMAND…`: runs a command beside an API of its own, and ends
//! with its status. The API gets the variables named before the command. `TASK_API_URL` tells the command where the API
//! is, `TASK_API_USER` and `TASK_API_TOKEN` speak for a user. `TASK_API_SECRET` and `TASK_API_DATABASE_URL` are the API's
//! own, for a command that runs functions itself.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use tests::{App, Options, SECRET};
use tokio::task::spawn_blocking;

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let mut options = Options::default();
    let program = loop {
        let argument = arguments.next().context("usage: with-api [NAME=value]… COMMAND [ARGUMENT]…")?;
        match argument.to_str().and_then(|argument| argument.split_once('=')) {
            // On AWS, too, this is the gateway's.
            Some(("CORS_ALLOWED_ORIGINS", origins)) => {
                options.parameters.insert("CorsAllowedOrigins".into(), origins.into());
            }
            Some((name, value)) => options = options.with(name, value),
            None => break argument,
        }
    };
    let app = App::local_with(options).await.context("TASK_API_URL names an API already")?;
    // Whom the examples of the documents speak of.
    let user = app.user_with_id("alice");
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("TASK_API_URL", &app.url)
        .env("TASK_API_USER", &user.id)
        .env("TASK_API_TOKEN", &user.token)
        .env("TASK_API_SECRET", SECRET)
        .env("TASK_API_DATABASE_URL", &app.hands_on().database_url);
    let status = spawn_blocking(move || command.status()).await?.context("the command can't be run")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
