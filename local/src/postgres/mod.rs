//! A PostgreSQL server of one's own, on 127.0.0.1.

mod account;
mod files;
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
use files::{Lifetime, Log};
use programs::Programs;

/// How often another port is tried when the chosen one was taken meanwhile.
const PORT_ATTEMPTS: usize = 5;

const SETTINGS: &str = "-c listen_addresses=127.0.0.1 -c unix_socket_directories=";

/// For data that may be lost: no waiting for the disk, and room for many test databases at once.
const TEMPORARY_SETTINGS: &str = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off \
    -c autovacuum=off -c max_connections=600 -c max_wal_size=4GB";

/// Runs pg_ctl for us and answers each command with a line. Once our end of its standard input is closed, in whatever
/// way this process ends, it stops the server and removes `$5` if there is one.
const SUPERVISOR: &str = r#"
pg_ctl=$1 data=$2 log=$3 settings=$4 remove=$5
run() { "$pg_ctl" "$@" --silent --wait --pgdata="$data" --log="$log" --options="$settings"; }
while read -r command; do
    # Several words: an action and its options.
    if run $command; then echo done; else echo failed; fi
done
if [ -n "$remove" ]; then
    run stop --mode=immediate
    rm -rf "$remove"
else
    run stop --mode=fast
fi
"#;

/// The role that endpoints log in as. The migrations create it, without a password.
const ENDPOINTS_ROLE: &str = "task_api_endpoints";

/// How a server is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopMode {
    /// Ends sessions, then writes everything to disk.
    Fast,
    /// Drops everything at once, as a crash does.
    Immediate,
}

/// A running server. Dropping the value stops it; so does the end of this process, however it comes about.
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
    /// A server whose data stays, in `directory` or, where the server's account can't reach that, in a folder of the
    /// system's temporary directory that is named after it.
    ///
    /// `notice` gets a line for a person about anything that takes long or is unusual.
    ///
    /// # Errors
    /// When PostgreSQL 15 or later is neither installed nor to be downloaded, when another process uses the data, or
    /// when the server doesn't start; the message holds the last lines of its log.
    pub async fn persistent(directory: &Path, notice: impl Fn(&str)) -> Result<Self> {
        let account = Account::for_server()?;
        let programs = programs::find(&account, &notice).await?;
        let place = account.reachable(directory)?;
        if place != directory {
            notice(&format!("The database is kept in {}.", place.display()));
        }
        Self::start(&account, &programs, &place, Lifetime::Persistent)
    }

    /// A server for tests: quick rather than safe, and removed with its data at the end.
    ///
    /// # Errors
    /// As [`Cluster::persistent`].
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
        let password = files::initialize(account, programs, directory, &data, lifetime)?;

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
            // Out of reach of a terminal's Ctrl-C, which is for whoever uses the database to act upon.
            .process_group(0)
            .spawn()
            .context("sh can't be run")?;
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
                // Somebody else has taken the port in between.
                Err(_) if attempt < PORT_ATTEMPTS && cluster.log.tail().contains("could not bind") => {}
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        Ok(cluster)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of a database, for the server's superuser.
    pub fn url(&self, database: &str) -> String {
        self.url_through(self.port, database)
    }

    /// The same, by another port on 127.0.0.1 that leads to the server.
    pub fn url_through(&self, port: u16, database: &str) -> String {
        format!("postgres://postgres:{}@127.0.0.1:{port}/{database}", self.password)
    }

    /// Lets endpoints log in. A database must have been migrated before, because that creates their role.
    ///
    /// # Errors
    /// When the role doesn't exist, or the server is out of reach.
    pub async fn let_endpoints_log_in(&self) -> Result<()> {
        let password = &self.endpoints_password;
        self.execute(&format!("ALTER ROLE {ENDPOINTS_ROLE} LOGIN PASSWORD '{password}'")).await
    }

    /// The URL of a database for endpoints, by a port on 127.0.0.1 that leads to the server. It works after
    /// [`Cluster::let_endpoints_log_in`].
    pub fn endpoints_url_through(&self, port: u16, database: &str) -> String {
        format!("postgres://{ENDPOINTS_ROLE}:{}@127.0.0.1:{port}/{database}", self.endpoints_password)
    }

    /// Creates an empty database.
    ///
    /// # Errors
    /// When there is one of that name, or the server is out of reach.
    pub async fn create_database(&self, name: &str) -> Result<()> {
        self.execute(&format!("CREATE DATABASE {}", quoted(name))).await
    }

    /// Creates a database as a copy of `template`, to which nobody may be connected.
    ///
    /// # Errors
    /// As [`Cluster::create_database`], and when `template` is in use.
    pub async fn create_database_from(&self, name: &str, template: &str) -> Result<()> {
        self.execute(&format!("CREATE DATABASE {} TEMPLATE {}", quoted(name), quoted(template))).await
    }

    /// Removes a database if it is there, and ends the sessions in it.
    ///
    /// # Errors
    /// When the server is out of reach.
    pub async fn drop_database(&self, name: &str) -> Result<()> {
        self.execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(name))).await
    }

    /// Whether there is a database of this name.
    ///
    /// # Errors
    /// When the server is out of reach.
    pub async fn has_database(&self, name: &str) -> Result<bool> {
        let client = self.connect().await?;
        let found = client.query_opt("SELECT FROM pg_database WHERE datname = $1", &[&name]).await?;
        Ok(found.is_some())
    }

    /// Stops the server and keeps its data.
    ///
    /// # Errors
    /// When it is not running, or doesn't stop within a minute.
    pub fn stop(&mut self, mode: StopMode) -> Result<()> {
        self.command(match mode {
            StopMode::Fast => "stop --mode=fast",
            StopMode::Immediate => "stop --mode=immediate",
        })
    }

    /// Starts the server again after [`Cluster::stop`], on the same port.
    ///
    /// # Errors
    /// When it is running, or doesn't start within a minute.
    pub fn resume(&mut self) -> Result<()> {
        self.command(&format!("start -o -p{}", self.port))
    }

    /// Has the supervisor run pg_ctl, and waits until it has.
    fn command(&mut self, command: &str) -> Result<()> {
        let commands = self.commands.as_mut().expect("only drop closes it");
        let mut answer = String::new();
        let sent = writeln!(commands, "{command}");
        sent.and_then(|()| self.answers.read_line(&mut answer)).context("PostgreSQL's supervisor is gone")?;
        let action = command.split(' ').next().unwrap_or(command);
        ensure!(answer == "done\n", "PostgreSQL did not {action}:\n{}", self.log.tail());
        Ok(())
    }

    async fn execute(&self, statement: &str) -> Result<()> {
        Ok(self.connect().await?.batch_execute(statement).await?)
    }

    async fn connect(&self) -> Result<tokio_postgres::Client> {
        let (client, connection) = tokio_postgres::connect(&self.url("postgres"), NoTls).await?;
        // It ends with the client.
        tokio::spawn(connection);
        Ok(client)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.commands = None;
        // What can't be waited for ends all the same.
        self.supervisor.wait().ok();
    }
}

/// A name as an SQL identifier.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
