//! `cargo dev`: the whole API on this machine.

mod serve;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use local::{binaries, configuration::Configuration, token::TokenRequest};

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
    /// Prints a token that the API on this machine accepts.
    Token(TokenArguments),
}

#[derive(Args)]
struct TokenArguments {
    /// Id of the user that the token is for.
    #[arg(long)]
    user: String,
    /// The user's e-mail address.
    #[arg(long)]
    email: Option<String>,
    /// The user's name.
    #[arg(long)]
    name: Option<String>,
    /// Hours until the token expires [default: JWT_EXPIRATION_HOURS, or 168].
    #[arg(long)]
    hours: Option<u32>,
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

fn print_token(TokenArguments { user, email, name, hours }: TokenArguments) -> Result<()> {
    let configuration = Configuration::load(&binaries::workspace_root())?;
    let hours = hours.map_or_else(|| configuration.token_hours(), Ok)?;
    let request = TokenRequest { user, email, name, hours, ..TokenRequest::default() };
    println!("{}", configuration.mint(request)?);
    Ok(())
}
