//! A network between functions and database with a chosen round-trip time, which counts round trips.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    task::yield_now,
    time::sleep,
};

use crate::function::{Function, Outcome};

/// Below this, timers are too coarse, so the clock is polled instead.
const TIMER_PRECISION: Duration = Duration::from_millis(2);

/// A proxy on a port of its own, which runs until the tokio runtime ends.
pub struct Network {
    pub port: u16,
    round_trips: Arc<AtomicUsize>,
}

/// Which side of a connection has sent last, and the number of round trips.
struct Turns {
    server_spoke_last: AtomicBool,
    round_trips: Arc<AtomicUsize>,
}

impl Network {
    /// Starts a proxy in front of a port on 127.0.0.1, with this round-trip time.
    pub async fn start(server_port: u16, round_trip: Duration) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let round_trips = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&round_trips);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connection(client, server_port, round_trip, Arc::clone(&counter)));
            }
        });
        Ok(Self { port, round_trips })
    }

    /// The number of round trips so far: one for each connection, and one each time that a client has sent
    /// something after the server has.
    pub fn round_trips(&self) -> usize {
        self.round_trips.load(Ordering::Relaxed)
    }

    /// Invokes a function that uses this network, after five events to warm up. Returns the outcomes and the
    /// number of round trips per invocation.
    pub async fn invoke_warm(
        &self,
        function: &mut Function,
        events: &[String],
        status: u16,
    ) -> Result<(Vec<Outcome>, f64)> {
        let (warm_up, counted) = events.split_at(5);
        function.invoke_all(warm_up, status).await?;
        let before = self.round_trips();
        let outcomes = function.invoke_all(counted, status).await?;
        Ok((outcomes, (self.round_trips() - before) as f64 / counted.len() as f64))
    }
}

async fn connection(
    client: TcpStream,
    server_port: u16,
    round_trip: Duration,
    counter: Arc<AtomicUsize>,
) -> Result<()> {
    // The client has connected to this proxy at once. Over a real distance it would have waited for a round
    // trip.
    counter.fetch_add(1, Ordering::Relaxed);
    let connected = Instant::now() + round_trip;
    let server = TcpStream::connect(("127.0.0.1", server_port)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let turns = Arc::new(Turns { server_spoke_last: AtomicBool::new(true), round_trips: counter });
    let one_way = round_trip / 2;
    tokio::join!(
        carry(from_client, to_server, one_way, connected + one_way, &turns, true),
        carry(from_server, to_client, one_way, connected, &turns, false),
    );
    Ok(())
}

/// Passes on what arrives, each piece after the time of one way.
async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    one_way: Duration,
    not_before: Instant,
    turns: &Turns,
    is_client: bool,
) {
    let (sender, mut pieces) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let read = async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            if turns.server_spoke_last.swap(!is_client, Ordering::Relaxed) && is_client {
                turns.round_trips.fetch_add(1, Ordering::Relaxed);
            }
            let due = (Instant::now() + one_way).max(not_before);
            if sender.send((due, buffer[..count].to_vec())).is_err() {
                break;
            }
        }
    };
    let write = async {
        while let Some((due, piece)) = pieces.recv().await {
            let wait = due.saturating_duration_since(Instant::now());
            if wait > TIMER_PRECISION {
                sleep(wait - TIMER_PRECISION).await;
            }
            while Instant::now() < due {
                yield_now().await;
            }
            if to.write_all(&piece).await.is_err() {
                break;
            }
        }
        to.shutdown().await.ok();
    };
    tokio::join!(read, write);
}
