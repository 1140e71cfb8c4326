//! PgBouncer between functions and database, if `TEST_PGBOUNCER` names its executable.

use std::{
    fs,
    net::TcpListener,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use local::postgres::Cluster;
use tokio::{net::TcpStream, time::sleep};
use uuid::Uuid;

/// PgBouncer's maximum number of connections to the server for each database: `TEST_PGBOUNCER_CONNECTIONS`,
/// or 4, which is less than the number of function processes in most tests.
fn server_connections() -> u16 {
    let connections = std::env::var("TEST_PGBOUNCER_CONNECTIONS").ok();
    connections.and_then(|connections| connections.parse().ok()).unwrap_or(4)
}

/// A shell script that runs PgBouncer until its standard input is closed, which happens however this process
/// ends. PgBouncer refuses to run as root.
const SUPERVISOR: &str = r#"
pgbouncer=$1 directory=$2
user=
if [ "$(id -u)" = 0 ]; then chown -R postgres "$directory"; user=--user=postgres; fi
"$pgbouncer" --quiet $user "$directory/pgbouncer.ini" &
read -r _
kill -KILL $!
rm -rf "$directory"
"#;

/// A running PgBouncer in transaction mode, like Neon's.
pub(crate) struct Pooler {
    pub(crate) port: u16,
    /// Holds the other end of the script's standard input.
    _supervisor: Child,
}

impl Pooler {
    /// Starts one in front of this server. Returns `None` if `TEST_PGBOUNCER` is not set.
    pub(crate) async fn start(cluster: &Cluster) -> Result<Option<Self>> {
        let Some(pgbouncer) = std::env::var_os("TEST_PGBOUNCER") else { return Ok(None) };
        let directory = std::env::temp_dir().join(format!("task-api-pgbouncer-{}", Uuid::new_v4().simple()));
        fs::create_dir(&directory)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut users = String::new();
        for url in [cluster.url(""), cluster.endpoints_url_through(port, "")] {
            let credentials = url.strip_prefix("postgres://").and_then(|rest| rest.split_once('@'));
            let credentials = credentials.and_then(|(pair, _)| pair.split_once(':'));
            let (user, password) = credentials.context("a URL with a password")?;
            users += &format!("\"{user}\" \"{password}\"\n");
        }
        fs::write(directory.join("users.txt"), users)?;
        let connections = server_connections();
        let configuration = format!(
            "[databases]\n\
             * = host=127.0.0.1 port={}\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\n\
             listen_port = {port}\n\
             unix_socket_dir =\n\
             auth_type = scram-sha-256\n\
             auth_file = {}\n\
             pool_mode = transaction\n\
             default_pool_size = {connections}\n\
             max_db_connections = {connections}\n\
             max_client_conn = 2000\n\
             server_login_retry = 1\n",
            cluster.port(),
            directory.join("users.txt").display(),
        );
        fs::write(directory.join("pgbouncer.ini"), configuration)?;
        let mut supervisor = Command::new("sh");
        supervisor.args(["-c", SUPERVISOR, "supervisor"]).arg(pgbouncer).arg(&directory);
        let supervisor = supervisor.stdin(Stdio::piped()).process_group(0).spawn()?;
        for _ in 0..100 {
            if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return Ok(Some(Self { port, _supervisor: supervisor }));
            }
            sleep(Duration::from_millis(50)).await;
        }
        ensure!(false, "PgBouncer did not listen within 5 s");
        Ok(None)
    }
}
