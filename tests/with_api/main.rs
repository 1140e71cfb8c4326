//! `cargo run -p tests --example with-api -- [NAME=value]… COMMAND…` starts an API, runs a command that can
//! use it, and exits with success if the command does. The functions get the variables that precede the
//! command.
//!
//! The command finds the API's base URL in `TASK_API_URL`, and a user id with a token for it in
//! `TASK_API_USER` and `TASK_API_TOKEN`. `TASK_API_SECRET` and `TASK_API_DATABASE_URL` are for a command that
//! runs functions itself.

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
            // A parameter of the template, because the gateway answers CORS, not the functions.
            Some(("CORS_ALLOWED_ORIGINS", origins)) => {
                options.parameters.insert("CorsAllowedOrigins".into(), origins.into());
            }
            Some((name, value)) => options = options.with(name, value),
            None => break argument,
        }
    };
    let app =
        App::local_with(options).await.context("this command starts its own API: unset TASK_API_URL")?;
    // The user of the examples in the documents.
    let user = app.user_with_id("alice");
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("TASK_API_URL", &app.url)
        .env("TASK_API_USER", &user.id)
        .env("TASK_API_TOKEN", &user.token)
        .env("TASK_API_SECRET", SECRET)
        .env("TASK_API_DATABASE_URL", &app.internals().database_url);
    let status = spawn_blocking(move || command.status()).await?.context("the command can't be run")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
