//! Runs each bootstrap, as `sam build` creates it, under AWS's Runtime Interface Emulator, which handles one
//! request at a time.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::PathBuf, time::Duration};

use local::{binaries::workspace_root, template::Template};
use reqwest::Client;
use serde_json::{Value, json};
use tests::{App, Response, SECRET};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    process::Command,
    sync::watch,
    time,
};

use crate::Server;

const USER: &str = "demo";

/// The state of the connection between functions and database.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Open,
    /// Nothing is passed on, on existing and new connections.
    Silent,
    /// Connections are closed as soon as they are accepted.
    Closed,
}

/// Starts a proxy in front of the database. Returns its port, and a sender that changes its state.
async fn way_to(database: u16) -> (u16, watch::Sender<Way>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let (change, way) = watch::channel(Way::Open);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut way = way.clone();
            tokio::spawn(async move {
                let mut server =
                    TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], database))).await.expect("a server");
                let state = *way.borrow_and_update();
                if state == Way::Open {
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => return,
                        _ = way.changed() => {}
                    }
                }
                // Kept open, but not read from, while the state is `Silent`.
                way.wait_for(|way| *way != Way::Silent).await.ok();
            });
        }
    });
    (port, change)
}

/// A function under the emulator.
struct Emulator(Server);

impl Emulator {
    async fn start(bootstrap: PathBuf, timeout: u32, environment: &[(&str, &str)]) -> Self {
        let emulator = std::env::var("LAMBDA_RIE").expect("set by run.sh");
        let runtime_api = {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            listener.local_addr().expect("bound").to_string()
        };
        Self(
            Server::start(|port| {
                let mut command = Command::new(emulator);
                command
                    .args(["--runtime-interface-emulator-address", &format!("127.0.0.1:{port}")])
                    .args(["--runtime-api-address", &runtime_api])
                    .arg(bootstrap)
                    .env_clear()
                    .env("AWS_LAMBDA_FUNCTION_TIMEOUT", timeout.to_string())
                    .envs(environment.iter().copied());
                command
            })
            .await,
        )
    }

    async fn invoke(&self, event: &Value) -> String {
        let url = format!("{}/2015-03-31/functions/function/invocations", self.0.url());
        let request = Client::new().post(url).body(event.to_string()).timeout(Duration::from_secs(30));
        request.send().await.expect("an answer").text().await.expect("text")
    }
}

/// Checks a success, an error, a timeout, and a success after the timeout.
async fn runs(app: &App, package: &str, function: &str) {
    let build = PathBuf::from(std::env::var("SAM_BUILD").expect("set by run.sh"));
    let database_url = &app.internals().database_url;
    let (port, way) = way_to(tests::database_port().await).await;
    let database_url =
        database_url.replace(&format!(":{}/", tests::database_port().await), &format!(":{port}/"));
    let environment = [("DATABASE_URL", database_url.as_str()), ("JWT_SECRET", SECRET)];
    // SAM's name for the output of a package that two functions share.
    let shared = build.join(format!("{function}-Shared"));
    let folder = if shared.exists() { shared } else { build.join(function) };
    // In seconds. Shorter than the limits on database work, so that a silent database makes it expire, and long
    // enough for `migrate` to establish the rights of a database.
    let timeout = if package == "migrate" { 3 } else { 1 };
    let emulator = Emulator::start(folder.join("bootstrap"), timeout, &environment).await;

    // health's other route does not call the database.
    let sample = if package == "health" { "health-ready" } else { package };
    let sample =
        fs::read_to_string(workspace_root().join(format!("events/{sample}.json"))).expect("a sample");
    let sample = sample.replace("REPLACE_WITH_A_TOKEN", &app.user_with_id(USER).token);
    let sample: Value = serde_json::from_str(&sample).expect("JSON");
    let succeeds = async || {
        let payload = emulator.invoke(&sample).await;
        match package {
            // A copied database doesn't have the rights of its original, so `migrate` establishes them.
            "migrate" => {
                let report: Value = serde_json::from_str(&payload).expect("JSON");
                assert_eq!(report["applied"], json!([]), "{payload}");
            }
            _ => {
                let status = Response::from_payload(payload.as_bytes()).status;
                assert!((200..300).contains(&status), "{package}: {payload}");
            }
        }
    };

    succeeds().await;
    if package == "migrate" {
        way.send_replace(Way::Closed);
        let error = emulator.invoke(&sample).await;
        let error: Value = serde_json::from_str(&error).expect("JSON");
        assert!(error["errorType"].is_string() && error["errorMessage"].is_string(), "{package}: {error}");
    } else {
        // An endpoint responds with 500 to an event that is not API Gateway's.
        let payload = emulator.invoke(&json!({})).await;
        assert_eq!(Response::from_payload(payload.as_bytes()).status, 500, "{package}: {payload}");
    }

    // `docs` needs no database.
    if package == "docs" {
        return emulator.0.stop().await;
    }
    way.send_replace(Way::Silent);
    let timed_out = emulator.invoke(&sample).await;
    let expected = format!("Task timed out after {timeout}.00 seconds");
    assert!(timed_out.contains(&expected), "{package}: {timed_out}");
    way.send_replace(Way::Open);
    if package == "delete-task" {
        task(app).await;
    }
    // The emulator responds before it has restarted the function, and may lose a request that arrives
    // meanwhile.
    time::sleep(Duration::from_secs(1)).await;
    succeeds().await;
    emulator.0.stop().await;
}

/// Resets the database to the one task that the samples name.
async fn task(app: &App) {
    let statements = format!(
        "truncate users, deleted_tasks, idempotency_keys restart identity cascade;
         insert into users (id, task_count) values ('{USER}', 1);
         insert into tasks (id, user_id, title) values ('0199d3c4-7a00-7000-8000-000000000001', '{USER}', 'Buy milk');"
    );
    app.internals().database().await.batch_execute(&statements).await.expect("reset");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bootstrap_runs_under_the_runtime_interface_emulator() {
    let template = workspace_root().join("template.yaml");
    let template = Template::read(&template, &Default::default()).expect("the template");
    // SAM builds a package that two functions share once, for the first of them.
    let mut packages = BTreeMap::new();
    for function in template.functions {
        packages.entry(function.binary).or_insert(function.logical_id);
    }
    let app = App::local().await.expect("on this machine");
    for (package, function) in &packages {
        task(&app).await;
        runs(&app, package, function).await;
    }
}
