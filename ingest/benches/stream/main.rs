//! How fast a stream goes through the program, beside what only reads it and what only decodes it;
//! how long a message takes when there is no backlog; what an outage of the database costs. Prints
//! Markdown. `--quick` is for a first look, `--only PART` for one of backlog, steady and outage, and
//! `--away SECONDS` for an outage as long as that.
//!
//! Kafka, PostgreSQL and Redis are real and on this machine, so they take part of its cores.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a benchmark fails by panicking, and counts little"
)]

mod backlog;
mod outage;
mod place;
mod reading;
mod steady;
mod usage;

use std::fs;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Messages of the backlog, each of about 115 kB and 25 trades.
    pub backlog: usize,
    /// Seconds of the steady stream.
    pub steady: u64,
    /// Small messages that wait while the database is away.
    pub waiting: usize,
    /// Seconds that it stays away once they all wait.
    pub away: u64,
}

const WHOLE: Size = Size {
    backlog: 24_000,
    steady: 30,
    waiting: 1_000_000,
    away: 15,
};

const QUICK: Size = Size {
    backlog: 3_000,
    steady: 5,
    waiting: 50_000,
    away: 5,
};

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let quick = words.iter().any(|word| word == "--quick");
    let mut size = if quick { QUICK } else { WHOLE };
    let after = |name: &str| {
        let place = words.iter().position(|word| word == name)?;
        Some(words.get(place + 1).expect("a value").as_str())
    };
    if let Some(seconds) = after("--away") {
        size.away = seconds.parse().expect("seconds");
    }
    let wanted = |part: &str| after("--only").is_none_or(|only| only == part);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("## Ingest\n");
    println!(
        "{} with {cores} cores, load before {}\n",
        processor(),
        load()
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        if wanted("backlog") {
            backlog::measure(size).await;
        }
        if wanted("steady") {
            steady::measure(size).await;
        }
        if wanted("outage") {
            outage::measure(size).await;
        }
    });
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let name = name.and_then(|rest| rest.split_once(':'));
    name.map_or_else(String::new, |(_, name)| name.trim().to_owned())
}

fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
