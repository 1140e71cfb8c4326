//! `cargo dev`: runs the whole API on this machine, and prints tokens for it.

use std::process::ExitCode;

use anyhow::{Context, Result};
use chrono::{DateTime, SecondsFormat, Utc};
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
    /// The user's id: the claim `sub`.
    #[arg(long, default_value = serve::DEMO_USER)]
    user: String,
    /// The claim `user_id`. The API rejects a token in which it differs from `sub` [default: the user's id].
    #[arg(long, value_name = "ID")]
    user_id: Option<String>,
    /// The user's email address: the claim `email` [default: the user's id followed by @example.com].
    #[arg(long)]
    email: Option<String>,
    /// The user's name: the claim `name` [default: the user's id].
    #[arg(long)]
    name: Option<String>,
    /// When the token was issued: the claim `iat`, in RFC 3339 or seconds since 1970 [default: now].
    #[arg(long, value_name = "TIME", value_parser = time)]
    issued_at: Option<DateTime<Utc>>,
    /// When the token expires: the claim `exp`, in the same formats. A time in the past gives an expired
    /// token.
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "hours")]
    expires_at: Option<DateTime<Utc>>,
    /// Hours until the token expires [default: JWT_EXPIRATION_HOURS, or 168].
    #[arg(long)]
    hours: Option<u32>,
    /// The issuer: the claim `iss` [default: JWT_ISSUER].
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// The audience: the claim `aud` [default: JWT_AUDIENCE].
    #[arg(long)]
    audience: Option<String>,
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
    let defaults = TokenRequest::for_user(&arguments.user);
    let (token, claims) = configuration.mint(TokenRequest {
        user_id: arguments.user_id.or(defaults.user_id),
        email: arguments.email.or(defaults.email),
        name: arguments.name.or(defaults.name),
        issued_at: arguments.issued_at,
        expires_at: arguments.expires_at,
        hours: arguments.hours.map_or_else(|| configuration.token_hours(), Ok)?,
        issuer: arguments.issuer,
        audience: arguments.audience,
        user: arguments.user,
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

/// Parses seconds since 1970 or an RFC 3339 time.
fn time(text: &str) -> Result<DateTime<Utc>> {
    let seconds = text.parse().ok().and_then(DateTime::from_timestamp_secs);
    let time = seconds.or_else(|| Some(DateTime::parse_from_rfc3339(text).ok()?.to_utc()));
    time.context("not a time such as 2026-12-24T18:00:00Z or 1798135200")
}
