//! Suites against third-party software. `tests/peers/run.sh` installs that software and runs them.

mod aws {
    mod moto;
    mod sam;
}
mod clients {
    mod better_auth;
}
mod databases {
    mod restore;
}

use std::{
    net::TcpListener,
    process::Stdio,
    time::{Duration, Instant},
};

use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time,
};

/// A server process, which is killed on drop.
struct Server {
    port: u16,
    process: Child,
}

impl Server {
    /// Starts a server and waits until it listens. `command` gets the port to listen on.
    async fn start(command: impl FnOnce(u16) -> Command) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let mut command = command(port);
        let mut process = command
            .stdin(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the suite's run.sh installs the program");
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            let ended = process.try_wait().expect("a child");
            assert!(
                ended.is_none() && started.elapsed() < Duration::from_secs(60),
                "the server does not listen: {ended:?}"
            );
            time::sleep(Duration::from_millis(50)).await;
        }
        Self { port, process }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    async fn stop(mut self) {
        self.process.kill().await.expect("a child");
    }
}
