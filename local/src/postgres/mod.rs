//! Runs a private PostgreSQL server on 127.0.0.1.

mod account;
mod initdb;
mod log;
mod programs;

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use anyhow::{Context, Result, ensure};
use tokio_postgres::NoTls;
use uuid::Uuid;

use account::Account;
use initdb::Lifetime;
use log::Log;
use programs::Programs;

/// How many ports to try, because another process may take the chosen one first.
const PORT_ATTEMPTS: usize = 5;

const SETTINGS: &str = "-c listen_addresses=127.0.0.1 -c unix_socket_directories=";

/// Settings for disposable data: no waiting for the disk, and room for many test databases at once.
const TEMPORARY_SETTINGS: &str = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off \
    -c autovacuum=off -c max_connections=600 -c max_wal_size=4GB";

/// A shell script that runs pg_ctl for this process and answers each command with a line. When its stdin
/// closes, however this process ends, it stops the server and removes the folder `$5`, if given.
const SUPERVISOR: &str = r#"
pg_ctl=$1 data=$2 log=$3 settings=$4 remove=$5
run() { "$pg_ctl" "$@" --silent --wait --pgdata="$data" --log="$log" --options="$settings"; }
while read -r command; do
    # Unquoted: an action and its options.
    if run $command; then echo done; else echo failed; fi
done
if [ -n "$remove" ]; then
    run stop --mode=immediate
    rm -rf "$remove"
else
    run stop --mode=fast
fi
"#;

/// The role that endpoints log in as. The migrations create it without a password.
const ENDPOINTS_ROLE: &str = "task_api_endpoints";

/// How a server is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopMode {
    /// Ends sessions and writes everything to disk.
    Fast,
    /// Exits at once, like a crash.
    Immediate,
}

/// A running server. Stops when it is dropped or when this process ends, even if the process is killed.
pub struct Cluster {
    port: u16,
    password: String,
    endpoints_password: String,
    supervisor: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    log: Log,
}

impl Cluster {
    /// Starts a server that keeps its data in `directory`. If the server's user can't access that, the data
    /// is in a folder of the system's temporary directory that is named after it.
    ///
    /// `notice` receives a message for the user about anything slow or unusual.
    ///
    /// # Errors
    /// If PostgreSQL 15 or later is not installed and can't be downloaded, if another process uses the data,
    /// or if the server doesn't start. The message of the latter contains the last lines of the server's log.
    pub async fn persistent(directory: &Path, notice: impl Fn(&str)) -> Result<Self> {
        let account = Account::for_server()?;
        let programs = programs::find(&account, &notice).await?;
        let place = account.reachable(directory)?;
        if place != directory {
            notice(&format!("The database files are in {}.", place.display()));
        }
        Self::start(&account, &programs, &place, Lifetime::Persistent)
    }

    /// Starts a server for tests, which trades durability for speed. Its data is removed when it stops.
    ///
    /// # Errors
    /// The same as for [`Cluster::persistent`].
    pub async fn temporary() -> Result<Self> {
        let account = Account::for_server()?;
        let programs = programs::find(&account, &|notice: &str| eprintln!("{notice}")).await?;
        let name = format!("task-api-postgres-{}", Uuid::new_v4().simple());
        Self::start(&account, &programs, &std::env::temp_dir().join(name), Lifetime::Temporary)
    }

    fn start(account: &Account, programs: &Programs, directory: &Path, lifetime: Lifetime) -> Result<Self> {
        account.create_directory(directory)?;
        let log = Log::lock(account, directory.join("server.log"))?;
        let data = directory.join("data");
        let password = initdb::initialize(account, programs, directory, &data, lifetime)?;

        let (settings, remove) = match lifetime {
            Lifetime::Persistent => (SETTINGS.to_owned(), Path::new("")),
            Lifetime::Temporary => (format!("{SETTINGS} {TEMPORARY_SETTINGS}"), directory),
        };
        let mut supervisor = account
            .command("sh")
            .args(["-c", SUPERVISOR, "supervisor"])
            .args([programs.pg_ctl(), data, log.path.clone(), settings.into(), remove.into()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.file.try_clone()?)
            // In its own process group, so that a terminal's Ctrl-C reaches only this process.
            .process_group(0)
            .spawn()
            .context("can't run sh")?;
        let mut cluster = Self {
            port: 0,
            password,
            endpoints_password: Uuid::new_v4().simple().to_string(),
            commands: supervisor.stdin.take(),
            answers: BufReader::new(supervisor.stdout.take().expect("stdout is piped")),
            supervisor,
            log,
        };
        for attempt in 1.. {
            cluster.port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            match cluster.resume() {
                // Another process has taken the port since it was chosen.
                Err(_) if attempt < PORT_ATTEMPTS && cluster.log.tail().contains("could not bind") => {}
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        Ok(cluster)
    }

    /// Returns the folder of the server's files.
    pub fn folder(&self) -> &Path {
        self.log.path.parent().expect("the log is in a folder")
    }

    /// Returns the server's port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the URL of a database for the superuser.
    pub fn url(&self, database: &str) -> String {
        self.url_through(self.port, database)
    }

    /// Returns the same URL with another port on 127.0.0.1 that leads to the server, such as a proxy's.
    pub fn url_through(&self, port: u16, database: &str) -> String {
        format!("postgres://postgres:{}@127.0.0.1:{port}/{database}", self.password)
    }

    /// Lets endpoints log in. Their role must exist: the first migration of a database creates it.
    ///
    /// # Errors
    /// If the role doesn't exist or the server can't be reached.
    pub async fn let_endpoints_log_in(&self) -> Result<()> {
        let password = &self.endpoints_password;
        self.execute(&format!("ALTER ROLE {ENDPOINTS_ROLE} LOGIN PASSWORD '{password}'")).await
    }

    /// Returns the URL of a database for endpoints, with a port on 127.0.0.1 that leads to the server. Works
    /// only after [`Cluster::let_endpoints_log_in`].
    pub fn endpoints_url_through(&self, port: u16, database: &str) -> String {
        format!("postgres://{ENDPOINTS_ROLE}:{}@127.0.0.1:{port}/{database}", self.endpoints_password)
    }

    /// Creates an empty database.
    ///
    /// # Errors
    /// If the database exists or the server can't be reached.
    pub async fn create_database(&self, name: &str) -> Result<()> {
        self.execute(&format!("CREATE DATABASE {}", quoted(name))).await
    }

    /// Creates a database as a copy of `template`, which must have no connections.
    ///
    /// # Errors
    /// As [`Cluster::create_database`], and if `template` is in use.
    pub async fn create_database_from(&self, name: &str, template: &str) -> Result<()> {
        self.execute(&format!("CREATE DATABASE {} TEMPLATE {}", quoted(name), quoted(template))).await
    }

    /// Removes a database, if it exists, and ends the sessions in it.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub async fn drop_database(&self, name: &str) -> Result<()> {
        self.execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(name))).await
    }

    /// Returns whether the database exists.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub async fn has_database(&self, name: &str) -> Result<bool> {
        let client = self.connect().await?;
        let found = client.query_opt("SELECT FROM pg_database WHERE datname = $1", &[&name]).await?;
        Ok(found.is_some())
    }

    /// Stops the server and keeps its data.
    ///
    /// # Errors
    /// If the server is not running, or doesn't stop within a minute.
    pub fn stop(&mut self, mode: StopMode) -> Result<()> {
        self.command(match mode {
            StopMode::Fast => "stop --mode=fast",
            StopMode::Immediate => "stop --mode=immediate",
        })
    }

    /// Starts the server again after [`Cluster::stop`], on the same port.
    ///
    /// # Errors
    /// If the server is running, or doesn't start within a minute.
    pub fn resume(&mut self) -> Result<()> {
        self.command(&format!("start -o -p{}", self.port))
    }

    /// Makes the supervisor run pg_ctl, and waits for the result.
    fn command(&mut self, command: &str) -> Result<()> {
        let commands = self.commands.as_mut().expect("only drop closes stdin");
        let mut answer = String::new();
        let sent = writeln!(commands, "{command}");
        sent.and_then(|()| self.answers.read_line(&mut answer))
            .context("PostgreSQL's supervisor process has exited")?;
        let action = command.split(' ').next().unwrap_or(command);
        ensure!(answer == "done\n", "PostgreSQL did not {action}. The end of its log:\n{}", self.log.tail());
        Ok(())
    }

    async fn execute(&self, statement: &str) -> Result<()> {
        Ok(self.connect().await?.batch_execute(statement).await?)
    }

    async fn connect(&self) -> Result<tokio_postgres::Client> {
        let (client, connection) = tokio_postgres::connect(&self.url("postgres"), NoTls).await?;
        // The task ends when the client is dropped.
        tokio::spawn(connection);
        Ok(client)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.commands = None;
        // The supervisor exits even if waiting for it fails.
        self.supervisor.wait().ok();
    }
}

/// Quotes a name as an SQL identifier.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
