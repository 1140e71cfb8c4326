//! What a rate of requests needs, computed from the measured figures and the services' quotas and prices (the
//! section "Scale" of docs/performance.md).

use crate::{
    cost::{GATEWAY_PER_MILLION, REQUESTS_PER_MILLION, billed_ms, duration_per_million},
    endpoints::Figures,
    report::{print_table, short},
    sample::Request,
    subject::HERE,
};

/// The assumed mix of ten requests.
const MIX: [(Request, f64); 6] = [
    (Request::List, 4.0),
    (Request::Get, 2.0),
    (Request::Create, 1.0),
    (Request::Update, 1.0),
    (Request::Complete, 1.0),
    (Request::Delete, 1.0),
];

/// The rates to compute, in requests per second.
const RATES: [f64; 3] = [1e2, 1e4, 1e6];

const SECONDS_PER_MONTH: f64 = 730.0 * 3600.0;

/// Requests per second that template.yaml allows by default (`ThrottlingRate`).
const TEMPLATE_RATE: f64 = 100.0;

/// Default limit for all APIs of an account in a region, in requests per second (Amazon API Gateway quotas).
const GATEWAY_RATE: f64 = 10_000.0;

/// Requests per month at the first price, in millions, and the price factor for those beyond.
const GATEWAY_TIER: (f64, f64) = (300.0, 0.9);

/// Default limit of concurrent executions of an account in a region (Lambda quotas).
const CONCURRENCY: f64 = 1000.0;

/// Synchronous requests per second that an execution environment accepts (Lambda quotas).
const ENVIRONMENT_RATE: f64 = 10.0;

/// Client connections that the pooler of a compute accepts (Neon, Connection pooling).
const POOLER_CONNECTIONS: f64 = 10_000.0;

/// Cores of the largest compute that scales automatically (Neon plans).
const LARGEST_COMPUTE: f64 = 16.0;

/// The share of a core that requests should use. The rest is for peaks, for writing the WAL and for vacuum.
const UTILIZATION: f64 = 0.5;

/// Dollars per hour for a core with 4 GB on the Scale plan (Neon plans).
const CORE_HOUR: f64 = 0.222;

/// The mean of a figure over the mix, or `None` if the subject was not measured with all of its requests.
fn mean(figures: &[Figures], subject: &str, value: impl Fn(&Figures) -> f64) -> Option<f64> {
    let weighted = MIX.map(|(request, weight)| {
        let of = |figures: &&Figures| figures.subject == subject && figures.request == request.function();
        Some(weight * value(figures.iter().find(of)?))
    });
    let weights: f64 = MIX.iter().map(|(_, weight)| weight).sum();
    Some(weighted.into_iter().sum::<Option<f64>>()? / weights)
}

pub fn print(figures: &[Figures]) {
    let mut subjects: Vec<_> = figures.iter().map(|figures| figures.subject.as_str()).collect();
    subjects.sort_unstable();
    subjects.dedup();
    println!(
        "\nAssumed mix: of ten requests, 4 list tasks, 2 get one, and one each creates, updates, completes \
         and deletes one."
    );
    let rows: Vec<_> = subjects
        .into_iter()
        .filter_map(|subject| {
            let database_us = mean(figures, subject, |figures| figures.database_us)?;
            Some(vec![subject.to_owned(), short(database_us), short(1e6 / database_us)])
        })
        .collect();
    let head = ["", "database CPU µs", "requests per second per database core"];
    print_table("Database CPU of an average request of this mix:", &head, &rows);

    let here = |value: fn(&Figures) -> f64| mean(figures, HERE, value);
    let (Some(database_us), Some(billed)) = (here(|figures| figures.database_us), here(billed_ms)) else {
        return;
    };
    print_rates(database_us, billed);
    print_limits(database_us, billed);
}

fn print_rates(database_us: f64, billed: f64) {
    let rows: Vec<_> = RATES
        .into_iter()
        .map(|rate| {
            let environments = (rate / ENVIRONMENT_RATE).max(rate * billed / 1000.0).ceil();
            let cores = rate * database_us / 1e6 / UTILIZATION;
            let databases = (cores / LARGEST_COMPUTE).max(environments / POOLER_CONNECTIONS).ceil();
            let millions = rate * SECONDS_PER_MONTH / 1e6;
            let (first, factor) = GATEWAY_TIER;
            let gateway = (millions.min(first) + (millions - first).max(0.0) * factor) * GATEWAY_PER_MILLION;
            let lambda = millions * (REQUESTS_PER_MILLION + duration_per_million(billed));
            let database = cores * CORE_HOUR * SECONDS_PER_MONTH / 3600.0;
            let numbers = [rate, rate * billed / 1000.0, environments, cores, databases];
            let dollars = [gateway, lambda, database, gateway + lambda + database];
            numbers.map(short).into_iter().chain(dollars.map(|dollars| format!("{dollars:.0}"))).collect()
        })
        .collect();
    let head = [
        "requests per second",
        "concurrent",
        "environments = pooler connections",
        "database cores",
        "databases",
        "gateway $",
        "Lambda $",
        "database $",
        "total $",
    ];
    let title = format!(
        "What a rate needs, at {billed:.1} billed ms and {database_us:.0} µs of database CPU per request, \
         with cores used to {} %; dollars per month:",
        UTILIZATION * 100.0
    );
    print_table(&title, &head, &rows);
}

fn print_limits(database_us: f64, billed: f64) {
    let core_rate = UTILIZATION * 1e6 / database_us;
    let mut limits = [
        ("throttling in template.yaml", TEMPLATE_RATE),
        ("the gateway's requests per second", GATEWAY_RATE),
        ("Lambda's requests per second, 10 for each concurrent execution", CONCURRENCY * ENVIRONMENT_RATE),
        ("Lambda's concurrent executions", CONCURRENCY * 1000.0 / billed),
        ("one database core", core_rate),
        ("one database that scales automatically, 16 cores", LARGEST_COMPUTE * core_rate),
        ("one pooler's client connections", POOLER_CONNECTIONS * ENVIRONMENT_RATE),
    ];
    limits.sort_by(|one, other| one.1.total_cmp(&other.1));
    let rows: Vec<_> = limits.map(|(name, rate)| vec![name.to_owned(), short(rate)]).into();
    print_table("The rate at which each default limit is reached:", &["", "requests per second"], &rows);
}
