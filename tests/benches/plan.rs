//! What a rate of requests needs, computed from the measured figures and the services' quotas and prices (the
//! section "Scale" of docs/performance.md).

use std::collections::BTreeSet;

use anyhow::Result;
use serde::Serialize;

use crate::{
    cost::{GATEWAY_PER_MILLION, REQUESTS_PER_MILLION, billed_ms, duration_per_million},
    endpoints::Figures,
    report::Report,
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

/// The database CPU of an average request of the mix.
#[derive(Serialize)]
struct DatabaseCpu<'a> {
    subject: &'a str,
    database_us: f64,
    requests_per_second_per_core: f64,
}

/// What a rate of requests needs. Dollars are per month.
#[derive(Serialize)]
struct Needs {
    requests_per_second: f64,
    concurrent: f64,
    /// Each has a connection to the pooler.
    environments: f64,
    database_cores: f64,
    databases: f64,
    gateway_dollars: f64,
    lambda_dollars: f64,
    database_dollars: f64,
    total_dollars: f64,
}

/// A default limit.
#[derive(Serialize)]
struct Limit {
    limit: &'static str,
    requests_per_second: f64,
}

/// The mean of a figure over the mix, or `None` if the subject was not measured with all of its requests.
fn mean(figures: &[Figures], subject: &str, value: impl Fn(&Figures) -> f64) -> Option<f64> {
    let weighted = MIX.map(|(request, weight)| {
        let of = |figures: &&Figures| figures.subject == subject && figures.request == request.function();
        Some(weight * value(figures.iter().find(of)?))
    });
    let weights: f64 = MIX.iter().map(|(_, weight)| weight).sum();
    Some(weighted.into_iter().sum::<Option<f64>>()? / weights)
}

pub fn report(figures: &[Figures], report: &mut Report) -> Result<()> {
    let subjects: BTreeSet<_> = figures.iter().map(|figures| figures.subject.as_str()).collect();
    let cpu = subjects.into_iter().filter_map(|subject| {
        let database_us = mean(figures, subject, |figures| figures.database_us)?;
        Some(DatabaseCpu { subject, database_us, requests_per_second_per_core: 1e6 / database_us })
    });
    let title = "Database CPU of an average request. Of ten, 4 list tasks, 2 get one, and one each creates, \
                 updates, completes and deletes one:";
    report.add("database_cpu", title, &cpu.collect::<Vec<_>>())?;

    let here = |value: fn(&Figures) -> f64| mean(figures, HERE, value);
    let (Some(database_us), Some(billed)) = (here(|figures| figures.database_us), here(billed_ms)) else {
        return Ok(());
    };
    let title = format!(
        "What a rate needs, at {billed:.1} billed ms and {database_us:.0} µs of database CPU per request, \
         with cores used to {} %; dollars per month:",
        UTILIZATION * 100.0
    );
    report.add("needs", &title, &RATES.map(|rate| needs(rate, database_us, billed)))?;
    report.add("limits", "The rate at which each default limit is reached:", &limits(database_us, billed))
}

fn needs(requests_per_second: f64, database_us: f64, billed: f64) -> Needs {
    let concurrent = requests_per_second * billed / 1000.0;
    let environments = (requests_per_second / ENVIRONMENT_RATE).max(concurrent).ceil();
    let database_cores = requests_per_second * database_us / 1e6 / UTILIZATION;
    let millions = requests_per_second * SECONDS_PER_MONTH / 1e6;
    let (first, factor) = GATEWAY_TIER;
    let gateway_dollars = (millions.min(first) + (millions - first).max(0.0) * factor) * GATEWAY_PER_MILLION;
    let lambda_dollars = millions * (REQUESTS_PER_MILLION + duration_per_million(billed));
    let database_dollars = database_cores * CORE_HOUR * SECONDS_PER_MONTH / 3600.0;
    Needs {
        requests_per_second,
        concurrent,
        environments,
        database_cores,
        databases: (database_cores / LARGEST_COMPUTE).max(environments / POOLER_CONNECTIONS).ceil(),
        gateway_dollars,
        lambda_dollars,
        database_dollars,
        total_dollars: gateway_dollars + lambda_dollars + database_dollars,
    }
}

fn limits(database_us: f64, billed: f64) -> [Limit; 7] {
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
    limits.map(|(limit, requests_per_second)| Limit { limit, requests_per_second })
}
