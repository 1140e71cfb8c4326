//! Database round trips, counted on the wire: a warm request makes exactly one, whichever endpoint it is for.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use reqwest::Method;
use serde_json::json;
use tests::{Answer, App, Contract, Front, Options, database_port};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// Stands between functions and database, and counts how often the talk turns from server to client.
struct Wiretap {
    port: u16,
    round_trips: Arc<AtomicUsize>,
}

impl Wiretap {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let round_trips = Arc::new(AtomicUsize::new(0));
        let (count, server_port) = (Arc::clone(&round_trips), database_port().await);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", server_port)).await.expect("the database");
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                let servers_turn = Arc::new(AtomicBool::new(false));
                let (count, turn) = (Arc::clone(&count), Arc::clone(&servers_turn));
                // The client speaking after the server has: a round trip begins.
                tokio::spawn(pass_on(from_client, to_server, move || {
                    if !turn.swap(true, Ordering::SeqCst) {
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                }));
                tokio::spawn(pass_on(from_server, to_client, move || {
                    servers_turn.store(false, Ordering::SeqCst);
                }));
            }
        });
        Self { port, round_trips }
    }

    fn count(&self) -> usize {
        self.round_trips.load(Ordering::SeqCst)
    }
}

async fn pass_on(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, spoken: impl Fn()) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        spoken();
        if to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
}

/// Every endpoint once, the deletion last.
async fn every_endpoint(front: &Front<'_>, wiretap: &Wiretap) -> Vec<(&'static str, usize)> {
    let mut counts = Vec::new();
    let mut before = wiretap.count();
    let mut note = |endpoint, answer: Answer, status| {
        let answer = answer.expect_status(status);
        counts.push((endpoint, wiretap.count() - before));
        before = wiretap.count();
        answer
    };
    let created = note("create", front.create(json!({ "title": "One" })).await, 201);
    let id = front.id(&front.task(&created));
    let keyed = front.request(Method::POST, "").header("idempotency-key", uuid::Uuid::new_v4().to_string());
    let keyed = keyed.json(&json!({ "title": "Two" }));
    note("create with a key", Answer::to(keyed).await, 201);
    note("list", front.list("").await, 200);
    note("get", front.get(&id).await, 200);
    note("update", front.put(&id, json!({ "title": "Three" })).await, 200);
    if front.contract == Contract::Envelope {
        note("patch", front.patch(&id, json!({ "completed": true })).await, 200);
        note("patch of nothing", front.patch(&id, json!({})).await, 200);
    }
    note("complete", front.complete(&id, true).await, 200);
    note("delete", front.delete(&id).await, 204);
    note("get what is gone", front.get(&id).await, 404);
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_request_makes_exactly_one() {
    let wiretap = Wiretap::start().await;
    let Some(app) = App::local_with(Options::default().through(wiretap.port)).await else { return };
    let alice = app.user("alice");
    for contract in Contract::BOTH {
        every_endpoint(&alice.at(contract), &wiretap).await;
    }
    for contract in Contract::BOTH {
        for (endpoint, round_trips) in every_endpoint(&alice.at(contract), &wiretap).await {
            assert_eq!(round_trips, 1, "{contract:?} {endpoint}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_and_a_health_check_make_none() {
    let wiretap = Wiretap::start().await;
    let Some(app) = App::local_with(Options::default().through(wiretap.port)).await else { return };
    let alice = app.user("alice");
    every_endpoint(&alice.envelope(), &wiretap).await;

    let before = wiretap.count();
    Answer::to(app.request(Method::GET, "/health")).await.expect_status(200);
    Answer::to(app.request(Method::GET, &format!("/api/{}/tasks", alice.id))).await.expect_status(401);
    let foreign = app.request(Method::GET, "/api/bob/tasks").bearer_auth(&alice.token);
    Answer::to(foreign).await.expect_status(403);
    alice.envelope().list("?limit=0").await.expect_status(422);
    alice.envelope().create(json!({ "title": "" })).await.expect_status(422);
    alice.envelope().get("no-uuid").await.expect_status(422);
    assert_eq!(wiretap.count(), before);
}
