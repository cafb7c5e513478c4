//! `perijove-faults`: gives one of two upstreams every fault of the sandbox, one after the other,
//! under an open loop of reads and transactions, and judges every answer against what the upstream
//! really said. Prints Markdown; the exit code is 1 if a row is not good enough.

#![allow(
    unreachable_pub,
    reason = "a program whose modules have no other users"
)]

mod figures;
mod judge;
mod questions;
mod report;
mod rows;
mod stream;
mod trial;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use report::Run;
use rows::Row;
use trial::Plan;

/// No row takes longer.
const LIMIT: Duration = Duration::from_mins(3);

/// Loses an upstream in every way there is, and counts what clients notice.
#[derive(Debug, Parser)]
#[command(name = "perijove-faults", version)]
struct Options {
    /// Only rows whose name (fault/upstream/calls) contains one of these.
    #[arg(long, num_args = 1..)]
    only: Vec<String>,

    /// A few rows of each kind.
    #[arg(long)]
    quick: bool,

    /// Name the rows and end.
    #[arg(long)]
    list: bool,

    /// Reads per second.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rate: u32,

    /// Transactions per second.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=200))]
    writes: u32,

    /// Seconds before the fault.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    before: u64,

    /// Seconds the fault lasts.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=60))]
    during: u64,

    /// Seconds after it at most; less if the upstream is back in service.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(3..=60))]
    after: u64,

    /// Rows at a time. More than one is for finding what is lost, not for latencies.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=8))]
    jobs: u16,

    /// A folder for the gateway's log of each row.
    #[arg(long)]
    logs: Option<PathBuf>,

    /// How often a row is run again whose only flaw is a percentile: on a busy machine that may be
    /// the machine's. What is lost or wrong once is never tried again.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=5))]
    again: u8,
}

impl Options {
    fn plan(&self) -> Plan {
        Plan {
            reads: self.rate,
            writes: self.writes,
            before: Duration::from_secs(self.before),
            during: Duration::from_secs(self.during),
            after: Duration::from_secs(3),
            patience: Duration::from_secs(self.after),
            logs: self.logs.clone(),
        }
    }

    fn rows(&self) -> Vec<Row> {
        let wanted = |row: &Row| {
            self.only.is_empty()
                || self
                    .only
                    .iter()
                    .any(|part| row.name.contains(part.as_str()))
        };
        let all = rows::all().into_iter();
        all.filter(|row| wanted(row) && (row.quick || !self.quick))
            .collect()
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() -> io::Result<ExitCode> {
    let options = Options::parse();
    let rows = options.rows();
    let mut out = io::stdout();
    if options.list {
        for row in &rows {
            writeln!(out, "{}", row.name)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if rows.is_empty() {
        writeln!(io::stderr(), "no row has such a name; see --list")?;
        return Ok(ExitCode::FAILURE);
    }
    let count = rows.len();
    let runs = run(rows, &options).await?;
    let missed = report::missed(&runs);
    let bad = runs.iter().filter(|run| !run.misses().is_empty()).count();
    writeln!(
        out,
        "### One of two upstreams gets a fault\n\n{} reads/s and {} transactions/s, {} s before \
         the fault, {} s of it, at most {} s after it; {} of {} rows, {} at a time; {} good \
         enough.\n\n{}",
        options.rate,
        options.writes,
        options.before,
        options.during,
        options.after,
        runs.len(),
        count,
        options.jobs,
        runs.len() - bad,
        report::table(&runs),
    )?;
    if bad == 0 && runs.len() == count {
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "\nNot good enough:\n\n{missed}")?;
    Ok(ExitCode::FAILURE)
}

/// Runs all rows, so many at a time, and says how each came out. SIGINT and SIGTERM end it early: what
/// has been found until then is given, and the gateways under way are killed with their rows.
async fn run(rows: Vec<Row>, options: &Options) -> io::Result<Vec<Run>> {
    let count = rows.len();
    let (plan, again) = (options.plan(), options.again);
    let all = u32::from(options.jobs);
    let places = Arc::new(Semaphore::new(options.jobs.into()));
    let mut trials = JoinSet::new();
    for (index, row) in rows.into_iter().enumerate() {
        let (places, plan) = (Arc::clone(&places), plan.clone());
        // Many calls want the machine to themselves.
        let wanted = if row.rate.is_some() { all } else { 1 };
        trials.spawn(async move {
            // Nobody closes the semaphore.
            let _place = places.acquire_many_owned(wanted).await;
            let mut run = one(row, plan.clone()).await;
            for _ in 0..again {
                if !run.is_only_slow() {
                    break;
                }
                run = one(run.row, plan.clone()).await;
            }
            (index, run)
        });
    }
    let mut runs = Vec::with_capacity(count);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        let ended = tokio::select! {
            ended = trials.join_next() => ended,
            _ = interrupt.recv() => None,
            _ = terminate.recv() => None,
        };
        let Some(ended) = ended else { break };
        let (index, run) = ended.map_err(io::Error::other)?;
        writeln!(io::stderr(), "{:>4}/{count} {}", runs.len() + 1, run.line())?;
        runs.push((index, run));
    }
    runs.sort_by_key(|(index, _)| *index);
    Ok(runs.into_iter().map(|(_, run)| run).collect())
}

async fn one(row: Row, plan: Plan) -> Run {
    let trial = row.clone();
    // The set cuts its task, and with it the gateway, when it is dropped.
    let mut running = JoinSet::new();
    running.spawn(async move { trial::run(&trial, &plan).await });
    let figures = match timeout(LIMIT, running.join_next()).await {
        Ok(Some(Ok(ended))) => ended.map_err(|error| error.to_string()),
        // A gateway that does not start fails as it does in a test.
        Ok(Some(Err(panicked))) => Err(panicked.to_string()),
        Ok(None) | Err(_) => Err(format!("took more than {} s", LIMIT.as_secs())),
    };
    Run { row, figures }
}
