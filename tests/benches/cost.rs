//! The cost of a million requests, computed from the measured figures.

use anyhow::Result;
use serde::Serialize;

use crate::{endpoints::Figures, report::Report};

// List prices of us-east-1 in US dollars, for arm64.
pub const GATEWAY_PER_MILLION: f64 = 1.00;
pub const REQUESTS_PER_MILLION: f64 = 0.20;
const GIGABYTE_SECOND: f64 = 0.000_013_333_4;

/// Lambda's smallest memory size, in GB. It is enough for every subject.
const MEMORY: f64 = 0.125;

/// The share of a processor that Lambda gives with this memory: a whole one comes with 1,769 MB.
const PROCESSORS: f64 = 128.0 / 1769.0;

/// Assumed round-trip time to a database in the same region, in milliseconds.
const ROUND_TRIP_MS: f64 = 2.0;

/// The cost of a million requests in dollars.
#[derive(Serialize)]
struct Cost<'a> {
    subject: &'a str,
    request: &'a str,
    billed_ms: f64,
    duration: f64,
    total: f64,
}

/// Billed milliseconds of a request: its processor time at that share, and its round trips to the database.
pub fn billed_ms(figures: &Figures) -> f64 {
    (figures.processor_us / 1000.0 / PROCESSORS + figures.round_trips * ROUND_TRIP_MS).ceil().max(1.0)
}

/// Dollars for the duration of a million requests with this many billed milliseconds each.
pub fn duration_per_million(billed_ms: f64) -> f64 {
    1e6 * billed_ms / 1000.0 * MEMORY * GIGABYTE_SECOND
}

pub fn report(figures: &[Figures], report: &mut Report) -> Result<()> {
    let requests = figures.iter().filter(|figures| !figures.request.is_empty());
    let costs = requests.map(|figures| {
        let billed_ms = billed_ms(figures);
        let duration = duration_per_million(billed_ms);
        let total = GATEWAY_PER_MILLION + REQUESTS_PER_MILLION + duration;
        Cost { subject: &figures.subject, request: figures.request, billed_ms, duration, total }
    });
    let title = format!(
        "Dollars for a million requests (arm64, 128 MB), without logs, cold starts and the database.\n\
         billed ms: ⌈CPU ms / {PROCESSORS:.4} + round trips × {ROUND_TRIP_MS} ms⌉\n\
         duration: 10⁶ × billed ms / 1000 × {MEMORY} GB × {GIGABYTE_SECOND}\n\
         total: duration + {GATEWAY_PER_MILLION:.2} (gateway) + {REQUESTS_PER_MILLION:.2} (invocations)"
    );
    report.add("cost", &title, &costs.collect::<Vec<_>>())
}
