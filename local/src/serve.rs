//! `cargo dev` without a subcommand: starts everything and serves the API until interrupted.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal, Write},
    net::Ipv4Addr,
    path::Path,
    process::Stdio,
    sync::Arc,
};

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use local::{
    binaries::{self, Profile},
    configuration::{Configuration, state_directory},
    gateway::{Gateway, GatewayOptions},
    logs::{self, LogSink},
    postgres::Cluster,
    template::Template,
    token::TokenRequest,
};
use tokio::{
    net::TcpListener,
    process::Command,
    signal::unix::{SignalKind, signal},
};

/// Name of the database on the server that `cargo dev` starts.
const DATABASE: &str = "tasks";

/// Package of the migrations. Its binary runs as a command before the API is served.
const MIGRATE: &str = "migrate";

/// User of the token that `cargo dev` prints, and the default of `cargo dev token --user`.
pub(super) const DEMO_USER: &str = "demo";

/// Port that `cargo dev` serves on by default.
pub(super) const DEFAULT_PORT: u16 = 9000;

#[derive(Args)]
pub(super) struct Options {
    /// Port to listen on, on 127.0.0.1.
    #[arg(long, default_value_t = DEFAULT_PORT)]
    port: u16,
    /// Build the functions in release mode, as they are deployed.
    #[arg(long)]
    release: bool,
    /// Maximum number of concurrent processes of each function.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    max_instances: u16,
}

pub(super) async fn serve(options: &Options) -> Result<()> {
    let workspace = binaries::workspace_root();
    // First, because a port in use is the most likely failure.
    let listener = bind(options.port).await?;
    let configuration = Configuration::load(&workspace)?;
    let origins = configuration.cors_allowed_origins();
    let parameters = BTreeMap::from([("CorsAllowedOrigins".into(), origins)]);
    let template = Template::read(&workspace.join("template.yaml"), &parameters)?;
    let packages = packages(&workspace, &template)?;

    let cluster = match configuration.database_url() {
        Some(_) => None,
        None => Some(start_database(&workspace).await?),
    };

    println!("Building the functions (takes minutes the first time)…");
    let profile = if options.release { Profile::Release } else { Profile::Dev };
    let binaries = binaries::build(&workspace, &packages, profile)?;

    let own_url = cluster.as_ref().map(|cluster| cluster.url(DATABASE));
    let database_url = own_url.as_deref().or(configuration.database_url());
    let database_url = database_url.expect("a server was started because no URL is set");
    let mut environment = configuration.function_environment(database_url)?;
    migrate(&binaries[MIGRATE], &environment).await?;
    if let Some(cluster) = &cluster {
        // As in production, the endpoints' role may only call the API's SQL functions.
        cluster.let_endpoints_log_in().await?;
        let url = cluster.endpoints_url_through(cluster.port(), DATABASE);
        environment.insert("DATABASE_URL".into(), url);
    }

    let gateway = Gateway::start(GatewayOptions {
        template,
        binaries,
        environment,
        listener,
        logs: terminal(),
        max_instances: options.max_instances.into(),
    })?;
    greet(&gateway.url(), own_url.as_deref(), &configuration)?;

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    println!("Stopping…");
    tokio::select! {
        () = gateway.shutdown() => {}
        // A second Ctrl-C skips the wait. The functions and PostgreSQL stop when this process is gone.
        _ = interrupt.recv() => std::process::exit(130),
    }
    drop(cluster);
    println!("Stopped.");
    Ok(())
}

async fn bind(port: u16) -> Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            let other = port.checked_add(1).unwrap_or(DEFAULT_PORT);
            anyhow!("port {port} is already in use; choose another one: cargo dev --port {other}")
        }
        _ => anyhow!(error).context(format!("can't listen on port {port}")),
    })
}

/// Names of the packages of the template's functions, and of `migrate`.
fn packages(workspace: &Path, template: &Template) -> Result<Vec<String>> {
    let mut packages: Vec<_> = template.functions.iter().map(|function| function.binary.clone()).collect();
    packages.push(MIGRATE.into());
    packages.sort();
    packages.dedup();
    let missing = packages.iter().filter(|package| !workspace.join("functions").join(package).is_dir());
    let missing: Vec<_> = missing.map(String::as_str).collect();
    ensure!(
        missing.is_empty(),
        "template.yaml has functions without a package in functions/: {}",
        missing.join(", ")
    );
    Ok(packages)
}

async fn start_database(workspace: &Path) -> Result<Cluster> {
    println!("Starting PostgreSQL…");
    let directory = state_directory(workspace).join("postgres");
    let cluster = Cluster::persistent(&directory, |notice| println!("{notice}")).await?;
    if !cluster.has_database(DATABASE).await? {
        cluster.create_database(DATABASE).await?;
    }
    Ok(cluster)
}

/// Migrates the database. The command itself prints what it did or why it failed.
async fn migrate(binary: &Path, environment: &BTreeMap<String, String>) -> Result<()> {
    println!("Migrating the database schema…");
    let mut command = Command::new(binary);
    let status = command.envs(environment).stdin(Stdio::null()).kill_on_drop(true).status().await;
    ensure!(
        status.context("can't run migrate")?.success(),
        "the database migration failed; the line above says why"
    );
    Ok(())
}

/// Returns a sink that prints log lines to stdout.
fn terminal() -> LogSink {
    let color =
        io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    Arc::new(move |function, line| {
        // Serving continues if stdout is closed.
        writeln!(io::stdout(), "{}", logs::render(function, line, color)).ok();
    })
}

/// Prints the URLs, and three requests that work when pasted into a shell.
fn greet(url: &str, database_url: Option<&str>, configuration: &Configuration) -> Result<()> {
    let request = TokenRequest { hours: configuration.token_hours()?, ..TokenRequest::for_user(DEMO_USER) };
    let (token, _) = configuration.mint(request)?;
    let database = match database_url {
        Some(url) => format!("psql '{url}'"),
        // DATABASE_URL contains a password, which must not appear on the screen.
        None => "the one in DATABASE_URL".into(),
    };
    println!(
        r#"
envelope API  {url}
plain API     {url}/plain
API docs      {url}/docs
database      {database}

To create a task, list all tasks and complete the new one, paste this into another terminal:

TOKEN='{token}'
TASK=$(curl -s '{url}/api/{DEMO_USER}/tasks' -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{{"title":"Try the API"}}'); echo "$TASK"
curl -s -w '\n' '{url}/api/{DEMO_USER}/tasks' -H "Authorization: Bearer $TOKEN"
curl -s -w '\n' -X PATCH "{url}/api/{DEMO_USER}/tasks/$(echo "$TASK" | sed 's/.*"id":"\([^"]*\)".*/\1/')/complete" -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{{"completed":true}}'

Serving on {url}. Press Ctrl-C to stop."#
    );
    Ok(())
}
