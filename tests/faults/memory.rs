//! Memory leaks in a process that runs for days.

use std::{fs, io};

use tests::{App, Options, User};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Number of requests between two measurements of a process's memory.
const REQUESTS: usize = 1500;

/// Number of connections that a request opens and abandons: its own and its retry's.
const CONNECTIONS: usize = 2;

/// Bytes per connection that are measurement noise, because a process gets its memory in pages.
const NOISE: usize = 60;

/// Starts a server that accepts every login and closes the connection at the first statement. Returns its
/// port.
async fn server_that_hangs_up() -> u16 {
    const AUTHENTICATION_OK: &[u8] = b"R\0\0\0\x08\0\0\0\0";
    const READY_FOR_QUERY: &[u8] = b"Z\0\0\0\x05I";
    async fn serve(mut client: TcpStream) -> io::Result<()> {
        let mut bytes = [0; 4096];
        while client.read(&mut bytes).await? > 0 {
            // A start-up message begins with its length, so with 0; every other message with a letter.
            if bytes[0] != 0 {
                break;
            }
            client.write_all(&[AUTHENTICATION_OK, READY_FOR_QUERY].concat()).await?;
        }
        client.shutdown().await
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("the listener is bound").port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client));
        }
    });
    port
}

/// The anonymous memory of a function's only process, in bytes.
fn memory(app: &App, function: &str) -> usize {
    let [pid] = app.internals().gateway().function(function).expect("a function").pids()[..] else {
        panic!("expected one process");
    };
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is running");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("Linux reports RssAnon");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}

/// Every request leaks a little: Lambda's runtime sets an environment variable for each, and the C library
/// never frees the old value. So requests that open connections are compared with requests that don't.
#[tokio::test(flavor = "multi_thread")]
async fn abandoned_connections_leak_no_memory() {
    let url = format!("postgres://nobody@127.0.0.1:{}/none?sslmode=disable", server_that_hangs_up().await);
    let options = Options { max_instances: Some(1), ..Options::default().with("DATABASE_URL", url) };
    let Some(app) = App::local_with(options).await else { return };
    let (alice, stranger) = (app.user("alice"), app.user_with_token("alice", "no token"));
    let growth = async |user: &User<'_>, status: u16| {
        let before = memory(&app, "list-tasks");
        for _ in 0..REQUESTS {
            user.envelope().list("").await.expect_status(status);
        }
        memory(&app, "list-tasks").saturating_sub(before)
    };
    // The first requests also allocate buffers that are kept.
    alice.envelope().list("").await.expect_status(503);
    growth(&alice, 503).await;
    let (without, with) = (growth(&stranger, 401).await, growth(&alice, 503).await);
    let left = with.saturating_sub(without) / (REQUESTS * CONNECTIONS);
    assert!(left < NOISE, "{left} bytes leaked per abandoned connection, less than {NOISE} expected");
}
