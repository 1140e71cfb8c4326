//! Measures every endpoint, the floor, other builds and the peers: cold and warm times, processor time,
//! memory, size and round trips.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, Result};
use serde::Serialize;
use tokio::time::sleep;
use tokio_postgres::Client;

use crate::{
    database::{Database, Sessions},
    function::{Function, Outcome},
    network::Network,
    report::{median, microseconds, milliseconds, print_table, quantile, short},
    sample::{Request, make_user},
    subject::{FLOOR, HERE, PEERS, Subjects, size},
};

/// Number of rounds. In each, every subject has a turn, and the floor has one right before it. Figures are
/// medians over the rounds. Ratios to the floor are taken within each turn, ratios to other builds within
/// each round.
const ROUNDS: usize = 25;

/// Number of invocations of a subject per round.
const BATCH: usize = 100;

/// Number of invocations before the first round, so that just-in-time compilers are warm.
const WARM_UP: usize = 500;

/// Number of starts of each subject. Peers have a third of them, because each takes up to a second.
const STARTS: usize = 45;

/// Pause after a process has ended, so that the end of its database session does not slow down the next
/// start.
const CLEARANCE: Duration = Duration::from_millis(20);

/// Number of tasks of each user, and so the length of the list.
const TASKS: usize = 10;

/// The figures of one subject for one request. Times are medians, except for `warm_p99_us`.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    pub subject: String,
    pub request: &'static str,
    /// From the start of the process until it requests an event.
    pub cold_init_ms: f64,
    /// From the start of the process until its first response has arrived.
    pub cold_ms: f64,
    pub cold_to_floor: f64,
    pub warm_p50_us: f64,
    pub warm_p99_us: f64,
    pub warm_to_floor: f64,
    /// Processor time of the process per request.
    pub processor_us: f64,
    /// Processor time of the database session's process per request.
    pub database_us: f64,
    pub memory_mb: f64,
    pub binary_mb: f64,
    pub zip_mb: f64,
    pub round_trips: f64,
    /// Ratios to the first baseline with the same request.
    pub to_baseline: Option<Ratios>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Ratios {
    pub warm_p50: f64,
    pub cold: f64,
    pub database: f64,
}

/// A database and the benchmark's own connection to it.
struct Place {
    database: Database,
    client: Client,
}

/// One line of the table.
struct Line<'a> {
    subject: String,
    program: PathBuf,
    place: &'a Place,
    request: Request,
    user: String,
    starts: Vec<(Duration, Duration)>,
    batches: Vec<Vec<Duration>>,
    /// The times of the floor right before each start and each batch, because machines have slow moments.
    floor_starts: Vec<Duration>,
    floor_batches: Vec<Vec<Duration>>,
    processor: Vec<Duration>,
    database: Vec<Duration>,
    memory: u64,
    round_trips: f64,
}

/// Measures all subjects.
pub async fn measure(subjects: &Subjects, database: &Database, with_peers: bool) -> Result<Vec<Figures>> {
    let here = Place::of(database.clone()).await;
    let owner = Place::of(database.as_owner()).await;
    let mut baselines = Vec::new();
    for baseline in &subjects.baselines {
        baselines.push((baseline, Place::of(database.migrated_by(baseline).await?).await));
    }

    let floor = subjects.program(FLOOR)?;
    let mut lines = vec![Line::new(FLOOR, floor.to_owned(), &here, Request::Get)];
    // The builds take turns with the same request, so that a slow moment affects all of them.
    for request in Request::ALL {
        let function = request.function();
        lines.push(Line::new(HERE, subjects.program(function)?.to_owned(), &here, request));
        let others = baselines.iter();
        lines.extend(
            others.map(|(other, place)| Line::new(&other.name, other.program(function), place, request)),
        );
    }
    for peer in PEERS.into_iter().filter(|_| with_peers) {
        let program = subjects.program(peer)?;
        let requests = Request::ALL.into_iter().filter(|request| request.has_peers());
        lines.extend(requests.map(|request| Line::new(peer, program.to_owned(), &owner, request)));
    }
    for line in &lines {
        make_user(&line.place.client, &line.user, TASKS).await?;
    }
    start(&mut lines).await?;
    run(&mut lines).await?;
    count(&mut lines).await?;
    let baseline = subjects.baselines.first().map(|baseline| baseline.name.as_str());
    lines.iter().map(|line| line.figures(baseline.and_then(|name| line.counterpart(&lines, name)))).collect()
}

/// Starts every subject many times.
async fn start(lines: &mut [Line<'_>]) -> Result<()> {
    for round in 0..STARTS {
        eprintln!("starts: {} of {STARTS}", round + 1);
        for index in 0..lines.len() {
            if !lines[index].is_peer() || round % 3 == 0 {
                let (_, floor) = lines[0].start_once().await?;
                let times = lines[index].start_once().await?;
                lines[index].floor_starts.push(floor);
                lines[index].starts.push(times);
            }
        }
    }
    Ok(())
}

/// Invokes every subject in turn, in processes that keep running. A peer has one process for all of its
/// endpoints.
async fn run(lines: &mut [Line<'_>]) -> Result<()> {
    let mut floor = lines[0].function().await?;
    let mut functions = BTreeMap::new();
    for line in lines.iter() {
        if let Entry::Vacant(entry) = functions.entry(line.program.clone()) {
            let before = Sessions::all(&line.place.client).await?;
            let function = line.function().await?;
            entry.insert((function, Sessions::since(&before, &line.place.client).await?));
        }
    }
    for round in 0..=ROUNDS {
        eprintln!("rounds: {round} of {ROUNDS}");
        for line in lines.iter_mut() {
            let (function, sessions) = functions.get_mut(&line.program).context("it was started")?;
            let is_warm_up = round == 0;
            let events = line.events(if is_warm_up { WARM_UP } else { BATCH }).await?;
            let floor_outcomes = floor.invoke_all(&events).await?;
            let before = (function.processor_time(), sessions.processor_time()?);
            let outcomes = function.invoke_all(&events).await?;
            let after = (function.processor_time(), sessions.processor_time()?);
            for outcome in &outcomes {
                line.expect(outcome)?;
            }
            if !is_warm_up {
                let times = |outcomes: &[Outcome]| outcomes.iter().map(|outcome| outcome.elapsed).collect();
                line.batches.push(times(&outcomes));
                line.floor_batches.push(times(&floor_outcomes));
                line.processor.extend(after.0.zip(before.0).map(|(after, before)| after - before));
                line.database.extend(after.1.zip(before.1).map(|(after, before)| after - before));
            }
            line.memory = function.peak_memory().unwrap_or_default();
        }
    }
    Ok(())
}

/// Counts the round trips of each warm request.
async fn count(lines: &mut [Line<'_>]) -> Result<()> {
    for line in lines {
        let database = &line.place.database;
        let network = Network::start(database.port(), Duration::ZERO).await?;
        let mut function =
            Function::start(&line.program, &database.environment_through(network.port)).await?;
        let events = line.events(10).await?;
        let (warm_up, counted) = events.split_at(5);
        function.invoke_all(warm_up).await?;
        let before = network.round_trips();
        function.invoke_all(counted).await?;
        line.round_trips = (network.round_trips() - before) as f64 / counted.len() as f64;
    }
    Ok(())
}

impl Place {
    async fn of(database: Database) -> Self {
        Self { client: database.connect().await, database }
    }
}

impl<'a> Line<'a> {
    fn new(subject: &str, program: PathBuf, place: &'a Place, request: Request) -> Self {
        Self {
            subject: subject.to_owned(),
            program,
            place,
            request,
            user: format!("{subject}-{request:?}"),
            starts: Vec::new(),
            batches: Vec::new(),
            floor_starts: Vec::new(),
            floor_batches: Vec::new(),
            processor: Vec::new(),
            database: Vec::new(),
            memory: 0,
            round_trips: f64::NAN,
        }
    }

    fn is_peer(&self) -> bool {
        PEERS.contains(&self.subject.as_str())
    }

    async fn function(&self) -> Result<Function> {
        Function::start(&self.program, &self.place.database.environment()).await
    }

    /// Starts a process. Returns the times until it requests an event, and until its first response has
    /// arrived.
    async fn start_once(&self) -> Result<(Duration, Duration)> {
        let event = self.events(1).await?.remove(0);
        let mut function = self.function().await?;
        let outcome = function.invoke(&event).await?;
        self.expect(&outcome)?;
        let times = (function.init, outcome.arrived - function.started);
        drop(function);
        sleep(CLEARANCE).await;
        Ok(times)
    }

    async fn events(&self, count: usize) -> Result<Vec<String>> {
        self.request.events(&self.place.client, &self.user, count).await
    }

    fn expect(&self, outcome: &Outcome) -> Result<()> {
        let expected = if self.subject == FLOOR { 200 } else { self.request.status() };
        outcome.expect(expected).with_context(|| format!("{} {:?}", self.subject, self.request))
    }

    /// If this is a line of a build, returns the line of the build `subject` with the same request.
    fn counterpart<'b>(&self, lines: &'b [Self], subject: &str) -> Option<&'b Self> {
        let is_build = self.subject != FLOOR && !self.is_peer() && self.subject != subject;
        lines.iter().find(|line| is_build && line.subject == subject && line.request == self.request)
    }

    fn cold(&self) -> impl Iterator<Item = f64> {
        self.starts.iter().map(|(_, first)| milliseconds(*first))
    }

    fn database(&self) -> impl Iterator<Item = f64> {
        self.database.iter().map(|time| microseconds(*time) / BATCH as f64)
    }

    fn figures(&self, baseline: Option<&Self>) -> Result<Figures> {
        let size = if self.is_peer() { None } else { Some(size(&self.program)?) };
        let megabytes = |bytes: Option<u64>| bytes.map_or(f64::NAN, |bytes| bytes as f64 / 1e6);
        Ok(Figures {
            subject: self.subject.clone(),
            request: if self.subject == FLOOR { "" } else { self.request.function() },
            cold_init_ms: median(self.starts.iter().map(|(init, _)| milliseconds(*init))),
            cold_ms: median(self.cold()),
            cold_to_floor: ratio(self.cold(), self.floor_starts.iter().copied().map(milliseconds)),
            warm_p50_us: median(medians(&self.batches)),
            warm_p99_us: quantile(self.batches.iter().flatten().copied().map(microseconds), 0.99),
            warm_to_floor: ratio(medians(&self.batches), medians(&self.floor_batches)),
            processor_us: median(self.processor.iter().map(|time| microseconds(*time) / BATCH as f64)),
            database_us: median(self.database()),
            memory_mb: self.memory as f64 / 1e6,
            binary_mb: megabytes(size.map(|(binary, _)| binary)),
            zip_mb: megabytes(size.map(|(_, zip)| zip)),
            round_trips: self.round_trips,
            to_baseline: baseline.map(|baseline| Ratios {
                warm_p50: ratio(medians(&self.batches), medians(&baseline.batches)),
                cold: ratio(self.cold(), baseline.cold()),
                database: ratio(self.database(), baseline.database()),
            }),
        })
    }
}

/// The median of the ratios of values that were measured in the same turn or round.
fn ratio(own: impl Iterator<Item = f64>, other: impl Iterator<Item = f64>) -> f64 {
    median(own.zip(other).map(|(own, other)| own / other))
}

/// The median of each round, in microseconds.
fn medians(batches: &[Vec<Duration>]) -> impl Iterator<Item = f64> {
    batches.iter().map(|batch| median(batch.iter().copied().map(microseconds)))
}

/// Prints the table, the ratios to another build, and the ratios of the peers.
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
                figures.database_us,
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
        "database CPU µs",
        "VmHWM MB",
        "binary MB",
        "zip MB",
        "round trips",
    ];
    print_table(
        "Each request, through the Runtime API; the database is on the same machine, without TLS. Medians.\n\
         INIT: from the start of the process until it requests an event; cold: until its first response\n\
         × floor: ratio to the handler that only responds; CPU: processor time of the function per request\n\
         database CPU: processor time of its database session per request; VmHWM: peak memory\n\
         round trips: to the database, per warm request",
        &head,
        &rows,
    );

    print_baseline(figures);
    print_peers(figures);
}

fn print_baseline(figures: &[Figures]) {
    let rows: Vec<Vec<String>> = figures
        .iter()
        .filter_map(|figures| {
            let Ratios { warm_p50, cold, database } = figures.to_baseline.as_ref()?;
            let label = format!("{} {}", figures.subject, figures.request);
            Some([label].into_iter().chain([warm_p50, cold, database].map(|ratio| short(*ratio))).collect())
        })
        .collect();
    if !rows.is_empty() {
        print_table(
            "Ratios to the first baseline (below 1 is faster):",
            &["", "warm p50", "cold", "database CPU"],
            &rows,
        );
    }
}

fn print_peers(figures: &[Figures]) {
    let rows: Vec<Vec<String>> = figures
        .iter()
        .filter(|figures| PEERS.contains(&figures.subject.as_str()))
        .filter_map(|peer| {
            let is_ours = |figures: &&Figures| figures.subject == HERE && figures.request == peer.request;
            let here = figures.iter().find(is_ours)?;
            let times = [
                peer.warm_p50_us / here.warm_p50_us,
                peer.cold_ms / here.cold_ms,
                peer.database_us / here.database_us,
            ];
            let label = format!("{} {}", peer.subject, peer.request);
            Some([label].into_iter().chain(times.map(|times| format!("{times:.1} ×"))).collect())
        })
        .collect();
    if !rows.is_empty() {
        print_table(
            "How many times as long as the function the peers take:",
            &["", "warm", "cold", "database CPU"],
            &rows,
        );
    }
}
