//! Measures with a database that is far away. The number of round trips decides.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use tests::TlsProxy;

use crate::{
    database::Database,
    function::Function,
    network::Network,
    report::{median, milliseconds},
    sample::{Request, make_user},
    subject::{HERE, PEERS, Subjects},
};

/// Round-trip time to the database.
const ROUND_TRIP: Duration = Duration::from_millis(10);

/// Parameters of the database URL. Channel binding is off because the TLS proxy has a certificate of its own.
const NEGOTIATED: &str = "sslmode=require&channel_binding=disable";
const DIRECT: &str = "sslmode=require&channel_binding=disable&sslnegotiation=direct";

const STARTS: usize = 5;

/// Number of warm invocations, the first five of which are not counted.
const INVOCATIONS: usize = 25;

/// The figures of a subject with a request.
#[derive(Debug, Serialize)]
pub struct Figures {
    pub subject: &'static str,
    pub request: &'static str,
    pub warm_ms: f64,
    pub warm_round_trips: f64,
    pub cold_ms: f64,
    pub cold_round_trips: f64,
}

pub const TITLE: &str = "\
Over TLS to a database with a round-trip time of 10 ms; medians.
warm: a request to a running process; cold: from the start of the process to its first response";

pub async fn measure(subjects: &Subjects, database: &Database, with_peers: bool) -> Result<Vec<Figures>> {
    let requests: Vec<_> = Request::ALL.into_iter().filter(|request| request.asks_database()).collect();
    let mut lines: Vec<_> =
        requests.iter().map(|&request| (HERE, request.function(), request, NEGOTIATED)).collect();
    lines.push(("here, direct TLS,", "get-task", Request::Get, DIRECT));
    for peer in PEERS.into_iter().filter(|_| with_peers) {
        let requests = requests.iter().filter(|request| request.has_peers());
        lines.extend(requests.map(|&request| (peer, peer, request, NEGOTIATED)));
    }
    // Like Neon's proxy, the proxy supports direct negotiation (PostgreSQL does from 17 on) and the curve
    // that clients propose first. Older servers don't support the curve; their handshake takes another round
    // trip.
    let proxy = TlsProxy::start(&database.authority, database.port()).await;
    let of_peers = database.as_owner();
    let mut figures = Vec::new();
    for line in lines {
        let database = if PEERS.contains(&line.0) { &of_peers } else { database };
        figures.push(figure(subjects, database, line, proxy.port).await?);
    }
    Ok(figures)
}

async fn figure(
    subjects: &Subjects,
    database: &Database,
    (subject, program, request, parameters): (&'static str, &str, Request, &str),
    server_port: u16,
) -> Result<Figures> {
    eprintln!("distance: {subject} {}", request.function());
    let network = Network::start(server_port, ROUND_TRIP).await?;
    let environment = database.environment_with(network.port, parameters);
    let client = database.connect().await;
    let user = format!("distance {subject} {request:?}").replace([' ', ','], "-");
    make_user(&client, &user, 10).await?;

    let (mut cold, mut cold_round_trips) = (Vec::new(), Vec::new());
    let program = subjects.program(program)?;
    for event in request.events(&client, &user, STARTS).await? {
        let before = network.round_trips();
        let (_, first) = Function::start_once(program, &environment, event, request.status()).await?;
        cold.push(milliseconds(first));
        cold_round_trips.push((network.round_trips() - before) as f64);
    }
    let mut function = Function::start(program, &environment).await?;
    let events = request.events(&client, &user, INVOCATIONS).await?;
    let (warm, warm_round_trips) = network.invoke_warm(&mut function, &events, request.status()).await?;
    Ok(Figures {
        subject,
        request: request.function(),
        warm_ms: median(warm.iter().map(|outcome| milliseconds(outcome.elapsed))),
        warm_round_trips,
        cold_ms: median(cold),
        cold_round_trips: median(cold_round_trips),
    })
}
