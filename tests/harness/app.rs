//! The API under test: the functions behind the local gateway, or a deployment.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
};

use anyhow::{Result, ensure};
use local::{
    binaries::{self, Profile},
    gateway::{Gateway, GatewayOptions},
    postgres::Cluster,
    template::Template,
};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tokio::{net::TcpListener, runtime::Handle, sync::OnceCell, task::block_in_place};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::{ApiClient, Contract, Response, User, pooler::Pooler};

/// The secret that signs the tokens of every local [`App`].
pub const SECRET: &str = "a secret of the tests that has 32 bytes or more";

/// The name of the database with the schema in a [`migrated_cluster`]. Each test gets a copy of it.
pub const MIGRATED: &str = "migrated";

/// What all tests of a run share: one database server and one build of the functions.
struct SharedSetup {
    cluster: Cluster,
    /// The port by which functions reach the cluster: PgBouncer's, if there is one.
    port: u16,
    binaries: BTreeMap<String, PathBuf>,
    /// Kept running until the end of the run.
    _pooler: Option<Pooler>,
}

/// The API, for one test. Dropping it stops the functions, which needs tokio's multi-thread runtime.
pub struct App {
    /// The base URL, without a trailing slash.
    pub url: String,
    pub(crate) secret: String,
    pub(crate) http: reqwest::Client,
    local: Option<Local>,
}

/// Access to the gateway, functions, database and logs of an API on this machine.
pub struct Local {
    /// `None` only during drop.
    gateway: Option<Gateway>,
    /// The URL of this test's database, as the server's superuser.
    pub database_url: String,
    database: String,
    logs: Logs,
}

type Logs = Arc<Mutex<Vec<(String, String)>>>;

/// How an [`App`] differs from the default one.
#[derive(Default)]
pub struct Options {
    /// Environment variables of the functions, which override the default ones.
    pub environment: BTreeMap<String, String>,
    /// The template's parameters.
    pub parameters: BTreeMap<String, String>,
    /// A port on 127.0.0.1 through which the functions reach the database, instead of the server's own.
    pub database_port: Option<u16>,
    /// The maximum number of concurrent processes of each function; 4 if not set.
    pub max_instances: Option<usize>,
    /// Executables to run instead of the functions' own, by the function's name.
    pub binaries: BTreeMap<String, PathBuf>,
}

impl Options {
    /// Sets an environment variable of the functions.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Replaces the executable of a function.
    pub fn binary(mut self, function: &str, executable: impl Into<PathBuf>) -> Self {
        self.binaries.insert(function.into(), executable.into());
        self
    }

    /// Lets the functions reach the database by another port.
    pub fn through(mut self, port: u16) -> Self {
        self.database_port = Some(port);
        self
    }
}

impl App {
    /// Returns the deployment that `TASK_API_URL` names, or starts an API on this machine.
    pub async fn start() -> Self {
        match std::env::var("TASK_API_URL") {
            Ok(url) => {
                let secret = std::env::var("TASK_API_SECRET").expect("TASK_API_URL needs TASK_API_SECRET");
                let url = url.trim_end_matches('/').to_owned();
                Self { url, secret, http: reqwest::Client::new(), local: None }
            }
            Err(_) => Self::start_local(Options::default()).await.expect("the API starts"),
        }
    }

    /// Starts an API on this machine, for tests that need more than its URL. Returns `None` if the suites run
    /// against a deployment: then the test is skipped.
    pub async fn local() -> Option<Self> {
        Self::local_with(Options::default()).await
    }

    /// Like [`App::local`], with options.
    pub async fn local_with(options: Options) -> Option<Self> {
        if std::env::var_os("TASK_API_URL").is_some() {
            eprintln!("skipped: this test needs an API on this machine, but TASK_API_URL is set");
            return None;
        }
        Some(Self::start_local(options).await.expect("the API starts"))
    }

    async fn start_local(options: Options) -> Result<Self> {
        let setup = shared_setup().await?;
        let database = format!("test_{}", Uuid::new_v4().simple());
        setup.cluster.create_database_from(&database, MIGRATED).await?;
        let database_url = setup.cluster.url(&database);

        let port = options.database_port.unwrap_or(setup.port);
        let functions_url = setup.cluster.endpoints_url_through(port, &database);
        let mut environment = BTreeMap::from([
            ("DATABASE_URL".to_owned(), functions_url),
            ("JWT_SECRET".to_owned(), SECRET.to_owned()),
            ("ENVIRONMENT".to_owned(), "test".to_owned()),
            // No limit: tests write faster than people do.
            ("WRITES_PER_MINUTE".to_owned(), "0".to_owned()),
        ]);
        environment.extend(options.environment);
        let mut binaries = setup.binaries.clone();
        binaries.extend(options.binaries);
        let logs = Logs::default();
        let sink = Arc::clone(&logs);
        let template = binaries::workspace_root().join("template.yaml");
        let gateway = Gateway::start(GatewayOptions {
            template: Template::read(&template, &options.parameters)?,
            binaries,
            environment,
            listener: TcpListener::bind("127.0.0.1:0").await?,
            logs: Arc::new(move |function: &str, line: &str| {
                sink.lock()
                    .expect("no thread panicked while it held the lock")
                    .push((function.to_owned(), line.to_owned()));
            }),
            max_instances: options.max_instances.unwrap_or(4),
        })?;
        let url = gateway.url();
        let local = Local { gateway: Some(gateway), database_url, database, logs };
        Ok(Self { url, secret: SECRET.into(), http: reqwest::Client::new(), local: Some(local) })
    }

    /// A new user with a token. The id starts with `name` and is unique.
    pub fn user(&self, name: &str) -> User<'_> {
        self.user_with_id(format!("{name}-{}", Uuid::new_v4().simple()))
    }

    /// For each contract a client, each with a new user.
    pub fn clients(&self, name: &str) -> [ApiClient<'_>; 2] {
        Contract::BOTH.map(|contract| self.user(name).at(contract))
    }

    /// A user with exactly this id.
    pub fn user_with_id(&self, id: impl Into<String>) -> User<'_> {
        User::new(self, id.into())
    }

    /// A user with the given token.
    pub fn user_with_token(&self, id: &str, token: &str) -> User<'_> {
        User::with_token(self, id.into(), token.into())
    }

    /// A request without a token. `path` begins with a slash.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// Access to an API on this machine.
    ///
    /// # Panics
    /// If the API is a deployment.
    pub fn internals(&self) -> &Local {
        self.local.as_ref().expect("tests that need internals start with App::local")
    }
}

impl Local {
    /// The gateway, through which tests reach the functions' processes.
    pub fn gateway(&self) -> &Gateway {
        self.gateway.as_ref().expect("taken only during drop")
    }

    /// Connects to this test's database as the server's superuser, so that row-level security does not apply.
    pub async fn database(&self) -> Client {
        connect(&self.database_url).await
    }

    /// Changes a setting for all new sessions of this test's database. `database` is a connection to it.
    pub async fn set_for_sessions(&self, database: &Client, setting: &str) {
        let statement = format!("alter database {} set {setting}", self.database);
        database.batch_execute(&statement).await.expect("a superuser can change settings");
    }

    /// The log lines that the functions have written so far, as JSON. Lines that are not JSON are left out.
    pub fn log_lines(&self) -> Vec<Value> {
        let logs = self.logs.lock().expect("no thread panicked while it held the lock");
        logs.iter().filter_map(|(_, line)| serde_json::from_str(line).ok()).collect()
    }

    /// Everything that the functions have written so far, each line after the function's name.
    pub fn log_text(&self) -> String {
        let logs = self.logs.lock().expect("no thread panicked while it held the lock");
        logs.iter().map(|(function, line)| format!("{function}: {line}\n")).collect()
    }

    /// Invokes a function directly, without the gateway.
    pub async fn invoke(&self, function: &str, event: &Value) -> Response {
        let function = self.gateway().function(function).expect("a function of the template");
        let payload = function.invoke(event.to_string().into()).await.expect("a response");
        Response::from_payload(&payload)
    }
}

impl Drop for Local {
    /// Lets the functions exit on their own, so that a coverage run gets their data, and drops the database.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("output of the functions:\n{}", self.log_text());
        }
        let gateway = self.gateway.take().expect("dropped once");
        block_in_place(|| {
            Handle::current().block_on(async {
                gateway.shutdown().await;
                if let Ok(setup) = shared_setup().await {
                    setup.cluster.drop_database(&self.database).await.ok();
                }
            });
        });
    }
}

/// Connects to a database without TLS.
pub async fn connect(database_url: &str) -> Client {
    let connected = tokio_postgres::connect(database_url, tokio_postgres::NoTls).await;
    let (client, connection) = connected.expect("the database accepts connections");
    tokio::spawn(connection);
    client
}

/// The path of a function's executable.
pub async fn binary(function: &str) -> PathBuf {
    shared_setup().await.expect("the shared server starts").binaries[function].clone()
}

/// The port by which functions reach the database server that the tests of a run share: PgBouncer's, if there
/// is one.
pub async fn database_port() -> u16 {
    shared_setup().await.expect("the shared server starts").port
}

/// Creates an empty database and returns its URL.
pub async fn empty_database() -> String {
    let cluster = &shared_setup().await.expect("the shared server starts").cluster;
    let name = format!("empty_{}", Uuid::new_v4().simple());
    cluster.create_database(&name).await.expect("a new name");
    cluster.url(&name)
}

/// The URL of a database of the tests' server, with the login of the endpoints.
pub async fn endpoints_url(database_url: &str) -> String {
    let cluster = &shared_setup().await.expect("the shared server starts").cluster;
    let (_, name) = database_url.rsplit_once('/').expect("a database's name");
    cluster.endpoints_url_through(cluster.port(), name)
}

/// Creates a database with the schema. Returns its URLs: with the login of the owner, and that of the
/// endpoints.
pub async fn migrated_database() -> (String, String) {
    let setup = shared_setup().await.expect("the shared server starts");
    let name = format!("migrated_{}", Uuid::new_v4().simple());
    setup.cluster.create_database(&name).await.expect("a new name");
    // Migrated rather than copied: privileges on the database itself are not copied.
    let url = setup.cluster.url(&name);
    block_in_place(|| migrate(&setup.binaries["migrate"], &url)).expect("the migrations succeed");
    (url, setup.cluster.endpoints_url_through(setup.cluster.port(), &name))
}

async fn shared_setup() -> Result<&'static SharedSetup> {
    static SETUP: OnceCell<SharedSetup> = OnceCell::const_new();
    SETUP
        .get_or_try_init(async || {
            let workspace = binaries::workspace_root();
            let template = Template::read(&workspace.join("template.yaml"), &BTreeMap::new())?;
            let packages: Vec<_> = template.functions.into_iter().map(|function| function.binary).collect();
            let binaries = binaries::build(&workspace, &packages, Profile::Dev)?;
            let cluster = cluster_migrated_by(&binaries["migrate"]).await?;
            let pooler = Pooler::start(&cluster).await?;
            let port = pooler.as_ref().map_or(cluster.port(), |pooler| pooler.port);
            Ok(SharedSetup { cluster, port, binaries, _pooler: pooler })
        })
        .await
}

/// Starts a database server for one test that would disturb the tests on the shared one.
pub async fn migrated_cluster() -> Cluster {
    cluster_migrated_by(&binary("migrate").await).await.expect("a server")
}

/// Starts a database server with the schema that this executable of the function `migrate` creates.
///
/// # Errors
/// If PostgreSQL is not installed, or the migrations fail.
pub async fn cluster_migrated_by(migrate: &Path) -> Result<Cluster> {
    let cluster = Cluster::temporary().await?;
    cluster.create_database(MIGRATED).await?;
    self::migrate(migrate, &cluster.url(MIGRATED))?;
    cluster.let_endpoints_log_in().await?;
    Ok(cluster)
}

/// Brings a database's schema up to date with this executable of the function `migrate`.
///
/// # Errors
/// If it fails; the error is what it wrote to standard error.
pub fn migrate(executable: &Path, database_url: &str) -> Result<()> {
    let output = Command::new(executable).env("DATABASE_URL", database_url).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
