//! `cargo dev`: runs the whole API on this machine, and prints tokens for it.

use std::process::ExitCode;

use anyhow::{Context, Result};
use chrono::{DateTime, SecondsFormat};
use clap::{Args, Parser, Subcommand};
use local::{binaries, configuration::Configuration, serve, token::TokenRequest};
use serde_json::json;

/// Runs the whole API on this machine: PostgreSQL, gateway and functions.
#[derive(Parser)]
#[command(name = "cargo dev", bin_name = "cargo dev", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Options,
}

#[derive(Subcommand)]
enum Command {
    /// Prints a token that the local API accepts, with the same claims as Better Auth's tokens. An empty
    /// value, as in `--email ''`, omits a claim.
    Token(TokenArguments),
}

#[derive(Args)]
struct TokenArguments {
    #[command(flatten)]
    request: TokenRequest,
    /// Hours until the token expires (default: JWT_EXPIRATION_HOURS, or 168).
    #[arg(long)]
    hours: Option<u32>,
    /// Print a JSON object with `token`, `user_id`, `expires_at`, `claims`, and the `base_urls` of both
    /// contracts.
    #[arg(long)]
    json: bool,
    /// URL of the API, for the `base_urls` of `--json`.
    #[arg(long, default_value_t = format!("http://127.0.0.1:{}", serve::DEFAULT_PORT))]
    url: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Some(Command::Token(arguments)) => print_token(arguments),
        None => serve::serve(&arguments.serve).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn print_token(arguments: TokenArguments) -> Result<()> {
    let configuration = Configuration::load(&binaries::workspace_root())?;
    let request = arguments.request;
    let defaults = TokenRequest::for_user(&request.user);
    let (token, claims) = configuration.mint(TokenRequest {
        user_id: request.user_id.or(defaults.user_id),
        email: request.email.or(defaults.email),
        name: request.name.or(defaults.name),
        hours: arguments.hours.map_or_else(|| configuration.token_hours(), Ok)?,
        ..request
    })?;
    if !arguments.json {
        println!("{token}");
        return Ok(());
    }
    let expires_at = DateTime::from_timestamp_secs(claims.exp).context("the expiry time is out of range")?;
    let url = arguments.url.trim_end_matches('/');
    let json = json!({
        "token": token,
        "user_id": claims.sub,
        "expires_at": expires_at.to_rfc3339_opts(SecondsFormat::Secs, true),
        "base_urls": { "envelope": url, "plain": format!("{url}/plain") },
        "claims": claims,
    });
    println!("{json}");
    Ok(())
}
