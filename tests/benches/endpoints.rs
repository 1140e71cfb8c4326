//! Every endpoint beside the floor and the peers: cold and warm, processor, memory, size, round trips.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    time::Duration,
};

use anyhow::{Context, Result};
use serde::Serialize;
use tokio::time::sleep;
use tokio_postgres::Client;

use crate::{
    database::{Database, prepared},
    function::{Function, Outcome},
    network::Network,
    report::{median, microseconds, milliseconds, print_table, quantile, short},
    request::{Request, make_user},
    subject::{FLOOR, HERE, PEERS, PREPARED, Subjects, size},
};

/// Rounds, in each of which every subject has its turn, and the floor right before it. Figures are medians of them, ratios
/// are taken within each turn.
const ROUNDS: usize = 25;

/// Invocations of a subject in a round.
const BATCH: usize = 100;

/// Invocations before the first round: what a just-in-time compiler needs to show what it can do.
const WARM_UP: usize = 500;

/// Starts of each subject. Peers, which take up to a second for one, have a third of them.
const STARTS: usize = 45;

/// What an ended process leaves to be done, its session in the database above all, must not fall into the next start.
const CLEARANCE: Duration = Duration::from_millis(20);

/// Tasks of each user, and so the length of the list.
const TASKS: usize = 10;

/// What was measured of a subject with a request. Times are medians but for `warm_p99`.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    pub subject: &'static str,
    pub request: &'static str,
    /// From the start of the process until it asks for an event.
    pub cold_init_ms: f64,
    /// From the start of the process until its first answer is there.
    pub cold_ms: f64,
    pub cold_to_floor: f64,
    pub warm_p50_us: f64,
    pub warm_p99_us: f64,
    pub warm_to_floor: f64,
    /// Processor time of the process for one request.
    pub processor_us: f64,
    pub memory_mb: f64,
    pub binary_mb: f64,
    pub zip_mb: f64,
    pub round_trips: f64,
}

/// One line of the table.
struct Line {
    /// The name of its program.
    subject: &'static str,
    request: Request,
    /// Whether it may prepare its statements.
    prepared: bool,
    user: String,
    starts: Vec<(Duration, Duration)>,
    batches: Vec<Vec<Duration>>,
    /// What the floor took right before each start, and each batch: machines have slow moments.
    floor_starts: Vec<Duration>,
    floor_batches: Vec<Vec<Duration>>,
    processor: Vec<Duration>,
    memory: u64,
    round_trips: f64,
}

/// Measures all of it.
pub async fn measure(subjects: &Subjects, database: &Database, with_peers: bool) -> Result<Vec<Figures>> {
    let bench = Bench { subjects, database, client: database.connect().await };
    let of_peers = || Request::ALL.into_iter().filter(|request| request.has_peers());
    let mut lines = vec![Line::new(FLOOR, Request::Get)];
    lines.extend(Request::ALL.map(|request| Line::new(request.function(), request)));
    let asking = Request::ALL.into_iter().filter(|request| request.asks_database());
    lines.extend(asking.map(|request| Line::new(request.function(), request).prepared()));
    for peer in PEERS.into_iter().filter(|_| with_peers) {
        lines.extend(of_peers().map(|request| Line::new(peer, request)));
    }
    for line in &lines {
        make_user(&bench.client, &line.user, TASKS).await?;
    }
    bench.start(&mut lines).await?;
    bench.run(&mut lines).await?;
    bench.count(&mut lines).await?;
    lines.iter().map(|line| line.figures(subjects)).collect()
}

/// What lines are measured with.
struct Bench<'a> {
    subjects: &'a Subjects,
    database: &'a Database,
    client: Client,
}

impl Bench<'_> {
    async fn function(&self, line: &Line) -> Result<Function> {
        let environment = line.environment(self.database.environment());
        Function::start(self.subjects.program(line.subject)?, &environment).await
    }

    /// Starts every subject anew, again and again.
    async fn start(&self, lines: &mut [Line]) -> Result<()> {
        let floor = Line::new(FLOOR, Request::Get);
        for round in 0..STARTS {
            eprintln!("starts: {} of {STARTS}", round + 1);
            for line in lines.iter_mut().filter(|line| !line.is_peer() || round % 3 == 0) {
                line.floor_starts.push(self.start_one(&floor).await?.1);
                line.starts.push(self.start_one(line).await?);
            }
        }
        Ok(())
    }

    /// How long a new process takes until it asks for an event, and until its first answer is there.
    async fn start_one(&self, line: &Line) -> Result<(Duration, Duration)> {
        let event = line.events(&self.client, 1).await?.remove(0);
        let mut function = self.function(line).await?;
        let outcome = function.invoke(&event).await?;
        line.expect(&outcome)?;
        let times = (function.init, outcome.arrived - function.started);
        drop(function);
        sleep(CLEARANCE).await;
        Ok(times)
    }

    /// Has every subject answer in turn, in processes that stay. A peer is one process for all of its endpoints.
    async fn run(&self, lines: &mut [Line]) -> Result<()> {
        let mut floor = self.function(&Line::new(FLOOR, Request::Get)).await?;
        let mut functions = BTreeMap::new();
        for line in lines.iter() {
            if let Entry::Vacant(entry) = functions.entry(line.process()) {
                entry.insert(self.function(line).await?);
            }
        }
        for round in 0..=ROUNDS {
            eprintln!("rounds: {round} of {ROUNDS}");
            for line in lines.iter_mut() {
                let function = functions.get_mut(&line.process()).context("it was started")?;
                let is_warm_up = round == 0;
                let events = line.events(&self.client, if is_warm_up { WARM_UP } else { BATCH }).await?;
                let floor_outcomes = floor.invoke_all(&events).await?;
                let before = function.processor_time();
                let outcomes = function.invoke_all(&events).await?;
                let processor = function.processor_time().zip(before).map(|(after, before)| after - before);
                for outcome in &outcomes {
                    line.expect(outcome)?;
                }
                if !is_warm_up {
                    let times =
                        |outcomes: &[Outcome]| outcomes.iter().map(|outcome| outcome.elapsed).collect();
                    line.batches.push(times(&outcomes));
                    line.floor_batches.push(times(&floor_outcomes));
                    line.processor.extend(processor);
                }
                line.memory = function.peak_memory().unwrap_or_default();
            }
        }
        Ok(())
    }

    /// Counts the round trips of each warm request.
    async fn count(&self, lines: &mut [Line]) -> Result<()> {
        for line in lines {
            let network = Network::start(self.database.port(), Duration::ZERO).await?;
            let environment = line.environment(self.database.environment_through(network.port));
            let mut function = Function::start(self.subjects.program(line.subject)?, &environment).await?;
            let events = line.events(&self.client, 10).await?;
            let (warm_up, counted) = events.split_at(5);
            function.invoke_all(warm_up).await?;
            let before = network.round_trips();
            function.invoke_all(counted).await?;
            line.round_trips = (network.round_trips() - before) as f64 / counted.len() as f64;
        }
        Ok(())
    }
}

impl Line {
    fn new(subject: &'static str, request: Request) -> Self {
        Self {
            subject,
            request,
            prepared: false,
            user: format!("{subject}-{request:?}"),
            starts: Vec::new(),
            batches: Vec::new(),
            floor_starts: Vec::new(),
            floor_batches: Vec::new(),
            processor: Vec::new(),
            memory: 0,
            round_trips: f64::NAN,
        }
    }

    fn prepared(mut self) -> Self {
        self.prepared = true;
        self.user.push_str("-prepared");
        self
    }

    fn is_peer(&self) -> bool {
        PEERS.contains(&self.subject)
    }

    /// What its requests have a process in common by.
    fn process(&self) -> (&'static str, bool) {
        (self.subject, self.prepared)
    }

    fn environment(&self, environment: BTreeMap<String, String>) -> BTreeMap<String, String> {
        if self.prepared { prepared(environment) } else { environment }
    }

    async fn events(&self, client: &Client, count: usize) -> Result<Vec<String>> {
        self.request.events(client, &self.user, count).await
    }

    fn expect(&self, outcome: &Outcome) -> Result<()> {
        let expected = if self.subject == FLOOR { 200 } else { self.request.status() };
        outcome.expect(expected).with_context(|| format!("{} {:?}", self.subject, self.request))
    }

    fn cold(&self) -> impl Iterator<Item = f64> {
        self.starts.iter().map(|(_, first)| milliseconds(*first))
    }

    fn figures(&self, subjects: &Subjects) -> Result<Figures> {
        let size = if self.is_peer() { None } else { Some(size(subjects.program(self.subject)?)?) };
        let megabytes = |bytes: Option<u64>| bytes.map_or(f64::NAN, |bytes| bytes as f64 / 1e6);
        let request = if self.subject == FLOOR { "" } else { self.request.function() };
        let is_here = request == self.subject;
        Ok(Figures {
            subject: if self.prepared {
                PREPARED
            } else if is_here {
                HERE
            } else {
                self.subject
            },
            request,
            cold_init_ms: median(self.starts.iter().map(|(init, _)| milliseconds(*init))),
            cold_ms: median(self.cold()),
            cold_to_floor: median(
                self.cold().zip(&self.floor_starts).map(|(own, floor)| own / milliseconds(*floor)),
            ),
            warm_p50_us: median(medians(&self.batches)),
            warm_p99_us: quantile(self.batches.iter().flatten().copied().map(microseconds), 0.99),
            warm_to_floor: median(
                medians(&self.batches).zip(medians(&self.floor_batches)).map(|(own, floor)| own / floor),
            ),
            processor_us: median(self.processor.iter().map(|time| microseconds(*time) / BATCH as f64)),
            memory_mb: self.memory as f64 / 1e6,
            binary_mb: megabytes(size.map(|(binary, _)| binary)),
            zip_mb: megabytes(size.map(|(_, zip)| zip)),
            round_trips: self.round_trips,
        })
    }
}

/// The median of each round.
fn medians(batches: &[Vec<Duration>]) -> impl Iterator<Item = f64> {
    batches.iter().map(|batch| median(batch.iter().copied().map(microseconds)))
}

/// Prints the table, and how many times slower the peers are.
pub fn print(figures: &[Figures]) {
    let rows: Vec<Vec<String>> = figures
        .iter()
        .map(|figures| {
            let label = format!("{} {}", figures.subject, figures.request);
            let numbers = [
                figures.cold_init_ms,
                figures.cold_ms,
                figures.cold_to_floor,
                figures.warm_p50_us,
                figures.warm_p99_us,
                figures.warm_to_floor,
                figures.processor_us,
                figures.memory_mb,
                figures.binary_mb,
                figures.zip_mb,
            ];
            let round_trips = match figures.round_trips {
                count if count.fract() == 0.0 => format!("{count:.0}"),
                count => short(count),
            };
            [label.trim().to_owned()].into_iter().chain(numbers.map(short)).chain([round_trips]).collect()
        })
        .collect();
    let head = [
        "",
        "INIT ms",
        "cold ms",
        "× floor",
        "warm p50 µs",
        "p99 µs",
        "× floor",
        "CPU µs",
        "VmHWM MB",
        "binary MB",
        "zip MB",
        "round trips",
    ];
    print_table(
        "Each request, driven through the Runtime API; the database on the same machine, without TLS:",
        &head,
        &rows,
    );

    let find = |subject, request| {
        figures.iter().find(move |figures| figures.subject == subject && figures.request == request)
    };
    let rows: Vec<Vec<String>> = figures
        .iter()
        .filter(|figures| PEERS.contains(&figures.subject))
        .filter_map(|peer| {
            let (here, prepared) = (find(HERE, peer.request)?, find(PREPARED, peer.request)?);
            let times = [
                peer.warm_p50_us / here.warm_p50_us,
                peer.warm_p50_us / prepared.warm_p50_us,
                peer.cold_ms / here.cold_ms,
            ];
            let label = format!("{} {}", peer.subject, peer.request);
            Some([label].into_iter().chain(times.map(|times| format!("{times:.1} ×"))).collect())
        })
        .collect();
    if !rows.is_empty() {
        let head = ["", "warm", "warm, ours prepared as theirs are", "cold"];
        print_table("How many times longer the peers take:", &head, &rows);
    }
}
