//! `cargo bench -p tests -- SUITE` measures speed and size of the functions, next to a handler that does
//! nothing (the floor) and to the same API made with FastAPI and Node (the peers).

mod cost;
mod database;
mod distance;
mod endpoints;
mod function;
mod load;
mod machine;
mod network;
mod plan;
mod report;
mod sample;
mod scale;
mod subject;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use tokio::runtime;

use crate::{database::Database, report::Report, sample::Request, subject::Subjects};

#[derive(Parser)]
#[command(
    about = "Measures the functions. Prints medians, and ratios of what was measured in the same round. \
             docs/performance.md explains the columns."
)]
struct Arguments {
    /// What to measure.
    #[arg(value_enum, default_value_t = Suite::All)]
    suite: Suite,
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
    /// Leave out FastAPI and Node.js
    #[arg(long)]
    without_peers: bool,
    /// Another checkout of this workspace with release binaries, to compare the endpoints with. Can be
    /// repeated; ratios are to the first one
    #[arg(long, value_name = "FOLDER")]
    baseline: Vec<PathBuf>,
    /// Number of tasks in the large table of the suite `scale`
    #[arg(long, default_value_t = 1_000_000)]
    tasks: i64,
    /// Passed by cargo to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Suite {
    /// Every endpoint, the floor and the peers
    Endpoints,
    /// A database that is far away
    Distance,
    /// Many concurrent users
    Load,
    /// The three above
    All,
    /// A large table, compared with a small one
    Scale,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let includes =
        |suite| arguments.suite == suite || (arguments.suite == Suite::All && suite != Suite::Scale);
    let with_peers = !arguments.without_peers && (includes(Suite::Endpoints) || includes(Suite::Distance));
    let subjects = Subjects::prepare(&Request::ALL.map(Request::function), with_peers, &arguments.baseline)?;
    let mut report = Report::new(arguments.json);

    // A single thread, because handing over between threads would be measured as well.
    let single = runtime::Builder::new_current_thread().enable_all().build()?;
    machine::use_one_core()?;
    single.block_on(async {
        let database = Database::start(&subjects).await?;
        report.begin(&machine::describe(&database.version().await?));
        if includes(Suite::Endpoints) {
            let (figures, comparisons) = endpoints::measure(&subjects, &database, with_peers).await?;
            report.add("endpoints", endpoints::TITLE, &figures)?;
            report.add("comparisons", endpoints::COMPARISONS_TITLE, &comparisons)?;
            cost::report(&figures, &mut report)?;
            plan::report(&figures, &mut report)?;
        }
        if includes(Suite::Distance) {
            let figures = distance::measure(&subjects, &database, with_peers).await?;
            report.add("distance", distance::TITLE, &figures)?;
        }
        if includes(Suite::Scale) {
            let figures = scale::measure(&subjects, &database, arguments.tasks).await?;
            report.add("scale", scale::TITLE, &figures)?;
        }
        anyhow::Ok(())
    })?;
    machine::use_all_cores()?;
    if includes(Suite::Load) {
        let several = runtime::Builder::new_multi_thread().enable_all().build()?;
        let figures = several.block_on(async {
            let database = Database::start(&subjects).await?;
            load::measure(&subjects, &database).await
        })?;
        report.add("load", load::TITLE, &figures)?;
        ensure!(figures.iter().all(|figures| figures.errors == 0), "there were errors under load");
    }
    report.finish();
    Ok(())
}
