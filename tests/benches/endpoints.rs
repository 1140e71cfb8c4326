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
    database::{Database, Sessions, WITHOUT_TLS},
    function::{Function, Outcome},
    network::Network,
    report::{median, microseconds, milliseconds, quantile},
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
#[derive(Serialize)]
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
}

pub const TITLE: &str = "\
Each request, through the Runtime API; the database is on the same machine, without TLS. Medians.
cold init: from the start of the process until it requests an event; cold: until its first response
to floor: ratio to the handler that only responds; processor: processor time of the function per request
database: processor time of its database session per request; memory: peak (VmHWM)
round trips: to the database, per warm request";

/// Ratios of times with the same request: other builds to the first baseline, and peers to the functions.
#[derive(Serialize)]
pub struct Comparison {
    subject: String,
    request: &'static str,
    compared_with: String,
    warm: f64,
    cold: f64,
    database: f64,
}

pub const COMPARISONS_TITLE: &str = "Times as ratios to another subject (below 1 is faster):";

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
pub async fn measure(
    subjects: &Subjects,
    database: &Database,
    with_peers: bool,
) -> Result<(Vec<Figures>, Vec<Comparison>)> {
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
    let comparisons =
        lines.iter().filter_map(|line| Some(line.compared_with(line.counterpart(&lines, baseline)?)));
    let comparisons = comparisons.collect();
    Ok((lines.iter().map(Line::figures).collect::<Result<_>>()?, comparisons))
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
            let floor_outcomes = floor.invoke_all(&events, 200).await?;
            let before = (function.processor_time(), sessions.processor_time()?);
            let outcomes = function.invoke_all(&events, line.status()).await?;
            let after = (function.processor_time(), sessions.processor_time()?);
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
        let environment = database.environment_with(network.port, WITHOUT_TLS);
        let mut function = Function::start(&line.program, &environment).await?;
        let events = line.events(10).await?;
        (_, line.round_trips) = network.invoke_warm(&mut function, &events, line.status()).await?;
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

    async fn start_once(&self) -> Result<(Duration, Duration)> {
        let event = self.events(1).await?.remove(0);
        let environment = self.place.database.environment();
        let times = Function::start_once(&self.program, &environment, event, self.status()).await?;
        sleep(CLEARANCE).await;
        Ok(times)
    }

    async fn events(&self, count: usize) -> Result<Vec<String>> {
        self.request.events(&self.place.client, &self.user, count).await
    }

    fn status(&self) -> u16 {
        if self.subject == FLOOR { 200 } else { self.request.status() }
    }

    /// Returns the line with the same request to compare this one with, if any.
    fn counterpart<'b>(&self, lines: &'b [Self], baseline: Option<&str>) -> Option<&'b Self> {
        let other = if self.is_peer() { HERE } else { baseline? };
        let compares = ![FLOOR, other].contains(&self.subject.as_str());
        lines.iter().find(|line| compares && line.subject == other && line.request == self.request)
    }

    fn compared_with(&self, other: &Self) -> Comparison {
        // Peers are not started in every round.
        let step = other.starts.len() / self.starts.len();
        Comparison {
            subject: self.subject.clone(),
            request: self.request.function(),
            compared_with: other.subject.clone(),
            warm: ratio(medians(&self.batches), medians(&other.batches)),
            cold: ratio(self.cold(), other.cold().step_by(step)),
            database: ratio(self.database(), other.database()),
        }
    }

    fn cold(&self) -> impl Iterator<Item = f64> {
        self.starts.iter().map(|(_, first)| milliseconds(*first))
    }

    fn database(&self) -> impl Iterator<Item = f64> {
        self.database.iter().map(|time| microseconds(*time) / BATCH as f64)
    }

    fn figures(&self) -> Result<Figures> {
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
