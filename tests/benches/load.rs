//! Measures many concurrent users, through the local gateway.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use futures_util::future::join_all;
use local::{
    binaries::workspace_root,
    gateway::{Gateway, GatewayOptions},
    template::Template,
    token::{TokenRequest, mint},
};
use reqwest::{Client, Method};
use serde::Serialize;
use serde_json::{Value, json};
use tests::SECRET;
use tokio::net::TcpListener;

use crate::{
    database::Database,
    report::{milliseconds, quantile},
    subject::Subjects,
};

const INSTANCES: [usize; 3] = [1, 4, 16];
const USERS: [usize; 4] = [1, 8, 64, 256];

/// How long each combination is measured, after a warm-up of half that time.
const DURATION: Duration = Duration::from_secs(3);

pub const TITLE: &str = "\
Concurrent users through the local gateway, with that many instances of each function.
Clients, gateway, functions and database share the cores.";

#[derive(Debug, Serialize)]
pub struct Figures {
    instances: usize,
    users: usize,
    requests_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// Responses that were not a success.
    pub errors: usize,
}

/// What the clients have measured so far.
#[derive(Default)]
struct Seen {
    latencies: Vec<Duration>,
    errors: usize,
}

pub async fn measure(subjects: &Subjects, database: &Database) -> Result<Vec<Figures>> {
    let template = workspace_root().join("template.yaml");
    let mut figures = Vec::new();
    for instances in INSTANCES {
        let template = Template::read(&template, &Default::default())?;
        let names = template.functions.iter().map(|function| function.binary.clone());
        let binaries = names.map(|name| Ok((name.clone(), subjects.program(&name)?.to_owned())));
        let gateway = Gateway::start(GatewayOptions {
            binaries: binaries.collect::<Result<_>>()?,
            template,
            environment: database.environment(),
            listener: TcpListener::bind("127.0.0.1:0").await?,
            logs: Arc::new(|_, _| {}),
            max_instances: instances,
        })?;
        for users in USERS {
            eprintln!("load: {users} users, {instances} instances of each function");
            let url = gateway.url();
            work(&url, users, DURATION / 2, &Mutex::default()).await?;
            let seen = Mutex::default();
            work(&url, users, DURATION, &seen).await?;
            let Seen { latencies, errors } = seen.into_inner().ok().context("no client has panicked")?;
            let p = |share| quantile(latencies.iter().copied().map(milliseconds), share);
            let (p50_ms, p99_ms) = (p(0.5), p(0.99));
            let requests_per_second = latencies.len() as f64 / DURATION.as_secs_f64();
            figures.push(Figures { instances, users, requests_per_second, p50_ms, p99_ms, errors });
        }
        gateway.shutdown().await;
    }
    Ok(figures)
}

/// Lets users create, list, read, complete and delete tasks for `duration`.
async fn work(url: &str, users: usize, duration: Duration, seen: &Mutex<Seen>) -> Result<()> {
    let http = Client::new();
    let end = Instant::now() + duration;
    let clients = (0..users).map(async |number| {
        let user = format!("load-{number}");
        let token = TokenRequest { user: user.clone(), hours: 1, ..TokenRequest::default() };
        let token = mint(SECRET, jsonwebtoken::Algorithm::HS256, &token)?;
        let tasks = format!("{url}/plain/api/{user}/tasks");
        let ask = async |method: Method, url: &str, body: Option<Value>| -> Result<Value> {
            let request = http.request(method, url).bearer_auth(&token);
            let request = match &body {
                Some(body) => request.json(body),
                None => request,
            };
            let started = Instant::now();
            let response = request.send().await?;
            let success = response.status().is_success();
            let response = response.bytes().await?;
            let mut seen = seen.lock().ok().context("no client has panicked")?;
            seen.latencies.push(started.elapsed());
            seen.errors += usize::from(!success);
            Ok(serde_json::from_slice(&response).unwrap_or_default())
        };
        while Instant::now() < end {
            let task = ask(Method::POST, &tasks, Some(json!({ "title": "Under load" }))).await?;
            let one = format!("{tasks}/{}", task["id"]);
            ask(Method::GET, &tasks, None).await?;
            ask(Method::GET, &one, None).await?;
            ask(Method::PATCH, &format!("{one}/complete"), None).await?;
            ask(Method::DELETE, &one, None).await?;
        }
        anyhow::Ok(())
    });
    join_all(clients).await.into_iter().collect()
}
