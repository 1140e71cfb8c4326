//! `cargo dev` without a subcommand: starts everything and serves the API until interrupted.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, IsTerminal, Read, Write},
    net::Ipv4Addr,
    path::Path,
    process::Stdio,
    sync::Arc,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;
use shared::{DatabaseConfig, in_one_line};
use tokio::{
    net::TcpListener,
    process::Command,
    signal::unix::{SignalKind, signal},
};

use crate::{
    binaries::{self, Profile},
    configuration::{Configuration, state_directory},
    gateway::{Gateway, GatewayOptions},
    logs::{self, LogSink},
    postgres::Cluster,
    template::Template,
    token::{DEMO_USER, TokenRequest},
};

/// Name of the database on the server that `cargo dev` starts.
const DATABASE: &str = "tasks";

/// Package of the migrations. Its binary runs as a command before the API is served.
const MIGRATE: &str = "migrate";

/// Port that `cargo dev` serves on by default.
pub const DEFAULT_PORT: u16 = 9000;

/// The options of `cargo dev`.
#[derive(Args)]
pub struct Options {
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

/// Serves the API until this process gets SIGINT or SIGTERM.
///
/// # Errors
/// If the API can't be started. Everything that can be checked before the build is checked before it.
pub async fn serve(options: &Options) -> Result<()> {
    let workspace = binaries::workspace_root();
    let configuration = Configuration::load(&workspace)?;
    configuration.check()?;
    let request = TokenRequest { hours: configuration.token_hours()?, ..TokenRequest::for_user(DEMO_USER) };
    let (token, _) = configuration.mint(request)?;
    let origins = configuration.cors_allowed_origins();
    let parameters = BTreeMap::from([("CorsAllowedOrigins".into(), origins)]);
    let template = Template::read(&workspace.join("template.yaml"), &parameters)?;
    let packages = packages(&workspace, &template)?;

    let own_database = configuration.database_url().is_none();
    // Before the port, because another port doesn't help if the database is in use.
    let mut lock = own_database.then(|| lock(&state_directory(&workspace))).transpose()?;
    let listener = bind(options.port).await?;
    if let Some(lock) = &mut lock {
        write!(lock, "http://{}", listener.local_addr()?)?;
    }
    let cluster = match own_database {
        true => Some(start_database(&workspace).await?),
        false => None,
    };
    check_connection(&configuration).await?;

    println!("Building the functions (takes minutes the first time)…");
    let profile = if options.release { Profile::Release } else { Profile::Dev };
    let binaries = binaries::build(&workspace, &packages, profile)?;

    let own_url = cluster.as_ref().map(|cluster| cluster.url(DATABASE));
    let database_url = own_url.as_deref().or(configuration.database_url());
    let database_url = database_url.expect("a server was started because no URL is set");
    let mut environment = configuration.function_environment(database_url);
    println!("Migrating the database schema…");
    migrate(&binaries[MIGRATE], &environment, cluster.as_ref().map(Cluster::folder)).await?;
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
    println!("{}", greeting(&gateway.url(), own_url.as_deref(), &token));

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

/// Makes sure that only one `cargo dev` uses this state. The file contains its URL.
fn lock(state: &Path) -> Result<File> {
    fs::create_dir_all(state).with_context(|| format!("can't create {}", state.display()))?;
    let path = state.join("running");
    let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = file.with_context(|| format!("can't open {}", path.display()))?;
    if file.try_lock().is_err() {
        let mut url = String::new();
        file.read_to_string(&mut url)?;
        bail!("`cargo dev` is already running in this folder, on {url}; stop that one first (Ctrl-C)");
    }
    file.set_len(0)?;
    Ok(file)
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

/// Connects to the configured database, if any, as the migrations will.
async fn check_connection(configuration: &Configuration) -> Result<()> {
    if configuration.database_url().is_none() {
        return Ok(());
    }
    let database = configuration.read(DatabaseConfig::read_unpooled)?;
    let names = ["DATABASE_URL_UNPOOLED", "DATABASE_URL", "NEON_DATABASE_URL"];
    let configured = names.iter().find_map(|name| Some((name, configuration.get(name)?)));
    let (name, url) = configured.context("there is no URL to migrate through")?;
    database.connect().await.map(drop).map_err(|error| {
        anyhow!("can't connect to {}, the database in {name}: {}", host(url), in_one_line(&error))
    })
}

/// Returns the host and port of a database's URL, without the user and the password.
fn host(url: &str) -> String {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.split(['/', '?']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.contains(':') { host.to_owned() } else { format!("{host}:5432") }
}

/// Migrates the database. The command itself prints what it did. `folder` has the files of the database, if
/// `cargo dev` started its server.
///
/// # Errors
/// If the command can't be run or fails. The message is the command's own, or says what to delete if the
/// database belongs to an older checkout.
pub async fn migrate(
    binary: &Path,
    environment: &BTreeMap<String, String>,
    folder: Option<&Path>,
) -> Result<()> {
    let mut command = Command::new(binary);
    command.envs(environment).stdin(Stdio::null()).stdout(Stdio::inherit()).kill_on_drop(true);
    let output = command.output().await.context("can't run migrate")?;
    let message = String::from_utf8_lossy(&output.stderr);
    match folder {
        _ if output.status.success() => Ok(()),
        // refinery's words for an applied migration that has another name or content in this checkout.
        Some(folder) if message.contains("is different than filesystem one") => bail!(
            "the database belongs to an older checkout; to start with an empty one, delete {}",
            folder.display()
        ),
        _ => bail!("the database migration failed: {}", message.trim_end()),
    }
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

/// Returns the URLs, and three requests that work when pasted into a shell. `database_url` is that of the
/// server that `cargo dev` started.
pub fn greeting(url: &str, database_url: Option<&str>, token: &str) -> String {
    let database = match database_url {
        Some(url) => format!("psql '{url}'"),
        // DATABASE_URL contains a password, which must not appear on the screen.
        None => "the one in DATABASE_URL".into(),
    };
    format!(
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
    )
}
