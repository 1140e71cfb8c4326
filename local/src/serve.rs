//! `cargo dev` without a subcommand: everything up, then serving until told to stop.

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

/// Name of the database on a server of our own.
const DATABASE: &str = "tasks";

/// The function that is run as a command before anything is served.
const MIGRATE: &str = "migrate";

/// The user of the token that is printed, and of `cargo dev token` without `--user`.
pub(super) const DEMO_USER: &str = "demo";

/// Where `cargo dev` serves by default.
pub(super) const DEFAULT_PORT: u16 = 9000;

#[derive(Args)]
pub(super) struct Options {
    /// Port to serve on, on 127.0.0.1.
    #[arg(long, default_value_t = DEFAULT_PORT)]
    port: u16,
    /// Build the functions as they are deployed.
    #[arg(long)]
    release: bool,
    /// The most processes of one function that run at once.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    max_instances: u16,
}

pub(super) async fn serve(options: &Options) -> Result<()> {
    let workspace = binaries::workspace_root();
    // First, as it is the likeliest to fail.
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

    println!("Building functions…");
    let profile = if options.release { Profile::Release } else { Profile::Dev };
    let binaries = binaries::build(&workspace, &packages, profile)?;

    let own_url = cluster.as_ref().map(|cluster| cluster.url(DATABASE));
    let database_url = own_url.as_deref().or(configuration.database_url());
    let database_url = database_url.expect("a server was started where no URL is set");
    let mut environment = configuration.function_environment(database_url)?;
    migrate(&binaries[MIGRATE], &environment).await?;
    if let Some(cluster) = &cluster {
        // As in production, endpoints may call the SQL functions and nothing else.
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
        // Asked twice. The functions and the database notice by themselves that this process is gone.
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
            anyhow!("port {port} is taken; choose another: cargo dev --port {other}")
        }
        _ => anyhow!(error).context(format!("port {port} can't be served")),
    })
}

/// Names of the packages that hold the template's functions.
fn packages(workspace: &Path, template: &Template) -> Result<Vec<String>> {
    let mut packages: Vec<_> = template.functions.iter().map(|function| function.binary.clone()).collect();
    packages.push(MIGRATE.into());
    packages.sort();
    packages.dedup();
    let missing = packages.iter().filter(|package| !workspace.join("functions").join(package).is_dir());
    let missing: Vec<_> = missing.map(String::as_str).collect();
    ensure!(missing.is_empty(), "template.yaml names functions without a package: {}", missing.join(", "));
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

/// Brings the database up to date. The command says itself what it does, or why it can't.
async fn migrate(binary: &Path, environment: &BTreeMap<String, String>) -> Result<()> {
    println!("Migrating the database…");
    let mut command = Command::new(binary);
    let status = command.envs(environment).stdin(Stdio::null()).kill_on_drop(true).status().await;
    ensure!(status.context("migrate can't be run")?.success(), "the database can't be brought up to date");
    Ok(())
}

/// Shows log lines on standard output.
fn terminal() -> LogSink {
    let colour =
        io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    Arc::new(move |function, line| {
        // Serving goes on when nobody reads any more.
        writeln!(io::stdout(), "{}", logs::render(function, line, colour)).ok();
    })
}

/// Says where everything is, and shows three requests that work when pasted into a shell.
fn greet(url: &str, database_url: Option<&str>, configuration: &Configuration) -> Result<()> {
    let request = TokenRequest { hours: configuration.token_hours()?, ..TokenRequest::for_user(DEMO_USER) };
    let (token, _) = configuration.mint(request)?;
    let database = match database_url {
        Some(url) => format!("psql '{url}'"),
        // It holds a password that others may not see on this screen.
        None => "as DATABASE_URL says".into(),
    };
    println!(
        r#"
envelope API  {url}
plain API     {url}/plain
documentation {url}/docs
database      {database}

To try it out, paste into another terminal:

TOKEN='{token}'
TASK=$(curl -s '{url}/api/{DEMO_USER}/tasks' -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{{"title":"Try the API"}}'); echo "$TASK"
curl -s -w '\n' '{url}/api/{DEMO_USER}/tasks' -H "Authorization: Bearer $TOKEN"
curl -s -w '\n' -X PATCH "{url}/api/{DEMO_USER}/tasks/$(echo "$TASK" | sed 's/.*"id":"\([^"]*\)".*/\1/')/complete" -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{{"completed":true}}'

Serving on {url}. Ctrl-C stops."#
    );
    Ok(())
}
