//! What a row's calls come to: what was lost or wrong, how long calls took during the fault, when
//! the upstream served again; and whether that is good enough.

use std::collections::BTreeMap;
use std::time::Duration;

use perijove_tests::load::quantile;

use crate::judge::Verdict;
use crate::questions::{SCAN, WRITE};
use crate::rows::{Met, Row, Scene};
use crate::stream::Record;

/// An answer may not be further behind than an upstream may be to be in service.
const OLDEST: u64 = 16;
/// But for this long after the fault began: somebody has to find out.
const SURPRISE: Duration = Duration::from_millis(1_500);
/// An upstream serves again once it has this part of its former share, at most a quarter of all calls
/// where two are alike: who of them is asked more is luck.
const MOST: f64 = 0.6;
const OF_TWO: f64 = 0.25;
/// And it has to within this time.
const COMEBACK: Duration = Duration::from_secs(6);
const STEP: Duration = Duration::from_millis(250);

/// When what happened, from the start of the load.
#[derive(Debug, Clone, Copy)]
pub struct Phases {
    /// From here on everything counts.
    pub counted: Duration,
    pub fault: Duration,
    pub healed: Duration,
    pub end: Duration,
}

/// What a row came to.
#[derive(Debug, Clone)]
pub struct Figures {
    pub calls: usize,
    pub lost: usize,
    pub wrong: usize,
    /// Answers older than one that had come before their call left.
    pub back: usize,
    /// Of reads before the fault, scans apart.
    pub calm_p99: Duration,
    /// Of reads during the fault, scans apart.
    pub p50: Duration,
    pub p99: Duration,
    /// Of writes during the fault.
    pub writes_p99: Duration,
    /// The part of the calls that the faulty upstream answered before and during the fault.
    pub share: Option<f64>,
    pub share_during: Option<f64>,
    /// From the end of the fault until it had its share again.
    pub served_again: Option<Duration>,
    /// From the beginning of the fault until latencies were usual for good.
    pub usual_again: Duration,
    /// Calls that reached the faulty upstream during the fault and could meet it.
    pub reached: u64,
    /// How often a transaction was sent to an upstream during the fault.
    pub sends: Option<f64>,
    /// What went wrong, and how often.
    pub complaints: BTreeMap<String, usize>,
    /// What is not good enough.
    pub misses: Vec<String>,
    /// What of it is a matter of percentiles.
    pub late: Vec<String>,
}

impl Phases {
    /// From the end of the fault until the upstream had its share again.
    pub fn served_again(&self, row: &Row, name: &str, records: &[Record]) -> Option<Duration> {
        let before = share(row, name, records, self.counted, self.fault)?;
        // Writes are few.
        let window = match row.met {
            Met::Only(WRITE) => Duration::from_secs(2),
            _ => Duration::from_secs(1),
        };
        let mut from = self.healed;
        while from + window <= self.end {
            let now = share(row, name, records, from, from + window);
            if now.is_some_and(|now| now >= enough(row, before)) {
                return Some(from.saturating_sub(self.healed));
            }
            from += STEP;
        }
        None
    }

    /// From the beginning of the fault until no second had unusual latencies any more.
    fn usual_again(&self, records: &[Record], calm: Duration) -> Duration {
        let usual = (3 * calm).max(Duration::from_millis(100));
        let second = Duration::from_secs(1);
        let mut last = Duration::ZERO;
        let mut from = self.fault;
        while from + second <= self.end {
            if quantile(reads(records, from, from + second), 0.99) > usual {
                last = (from + second).saturating_sub(self.fault);
            }
            from += STEP;
        }
        last
    }
}

/// What counts as its share, if it had `before`.
fn enough(row: &Row, before: f64) -> f64 {
    match row.scene {
        Scene::Own => MOST * before,
        Scene::Paid => (MOST * before).min(OF_TWO),
    }
}

/// The part of the calls due in a time that this upstream answered; `None` if there are too few.
fn share(row: &Row, name: &str, records: &[Record], from: Duration, to: Duration) -> Option<f64> {
    let mut own = 0_u32;
    let mut all = 0_u32;
    for record in records.iter().filter(|one| one.due >= from && one.due < to) {
        if let Some(upstream) = record.upstream.as_deref()
            && row.shares(record.method)
        {
            all += 1;
            own += u32::from(upstream == name);
        }
    }
    (all >= 5).then(|| f64::from(own) / f64::from(all))
}

/// Latencies of reads that were due in a time, scans apart.
fn reads(records: &[Record], from: Duration, to: Duration) -> Vec<Duration> {
    latencies(records, from, to, |method| {
        method != WRITE && method != SCAN
    })
}

fn latencies(
    records: &[Record],
    from: Duration,
    to: Duration,
    wanted: impl Fn(&str) -> bool,
) -> Vec<Duration> {
    let due = records.iter().filter(|one| one.due >= from && one.due < to);
    let wanted = due.filter(|one| wanted(one.method));
    wanted.map(|one| one.latency).collect()
}

impl Figures {
    /// Adds up. `reached` and `sent` are what the upstreams counted during the fault.
    pub fn of(
        row: &Row,
        name: &str,
        phases: Phases,
        records: &[Record],
        reached: u64,
        sent: u64,
    ) -> Self {
        let during = reads(records, phases.fault, phases.healed);
        let writes = latencies(records, phases.fault, phases.healed, |method| {
            method == WRITE
        });
        let calm_p99 = quantile(reads(records, phases.counted, phases.fault), 0.99);
        let mut figures = Self {
            calls: 0,
            lost: 0,
            wrong: 0,
            back: 0,
            calm_p99,
            p50: quantile(during.clone(), 0.5),
            p99: quantile(during, 0.99),
            sends: ratio(sent, writes.len()),
            writes_p99: quantile(writes, 0.99),
            share: share(row, name, records, phases.counted, phases.fault),
            share_during: share(row, name, records, phases.fault, phases.healed),
            served_again: phases.served_again(row, name, records),
            usual_again: phases.usual_again(records, calm_p99),
            reached,
            complaints: BTreeMap::new(),
            misses: Vec::new(),
            late: Vec::new(),
        };
        for record in records.iter().filter(|one| one.due >= phases.counted) {
            figures.add(phases, record);
        }
        figures.late = figures.late(row);
        figures.misses = figures.missed(row);
        figures
    }

    fn add(&mut self, phases: Phases, record: &Record) {
        self.calls += 1;
        self.back += usize::from(record.back > 0);
        let what = match &record.verdict {
            Verdict::Lost(why) => {
                self.lost += 1;
                format!("lost {}: {}", record.method, without_numbers(why))
            }
            Verdict::Wrong(why) => {
                self.wrong += 1;
                format!("wrong: {}", without_numbers(why))
            }
            Verdict::Good { behind, .. } if *behind > OLDEST && !surprised(phases, record) => {
                self.wrong += 1;
                format!("wrong: {} {behind} slots behind", record.method)
            }
            Verdict::Good { .. } => return,
        };
        *self.complaints.entry(what).or_default() += 1;
    }

    /// Percentiles that are too high, in words.
    fn late(&self, row: &Row) -> Vec<String> {
        let bound = row.bound.as_millis();
        let each = [("reads", self.p99), ("writes", self.writes_p99)].into_iter();
        each.filter(|(_, p99)| *p99 > row.bound)
            .map(|(whose, p99)| format!("{whose} p99 {} ms above {bound} ms", p99.as_millis()))
            .collect()
    }

    /// What is not good enough, in words.
    fn missed(&self, row: &Row) -> Vec<String> {
        let mut missed = Vec::new();
        let mut unless = |fine: bool, what: String| {
            if !fine {
                missed.push(what);
            }
        };
        unless(self.lost == 0, format!("{} lost", self.lost));
        unless(self.wrong == 0, format!("{} wrong", self.wrong));
        self.late
            .iter()
            .for_each(|late| unless(false, late.clone()));
        let had = self.share.filter(|share| *share >= 0.05);
        if row.returns && !row.faults.is_empty() && had.is_some() {
            let soon = self.served_again.is_some_and(|after| after <= COMEBACK);
            unless(soon, "not back in service within 6 s".to_owned());
        }
        if let (true, Some(had)) = (row.stays, had) {
            let kept = self
                .share_during
                .is_some_and(|share| share >= enough(row, had));
            unless(kept, "left without need".to_owned());
        }
        missed
    }
}

fn surprised(phases: Phases, record: &Record) -> bool {
    record.due >= phases.fault && record.due < phases.fault + SURPRISE
}

fn ratio(count: u64, of: usize) -> Option<f64> {
    let of = u32::try_from(of).ok().filter(|of| *of > 0)?;
    let count = u32::try_from(count).ok()?;
    Some(f64::from(count) / f64::from(of))
}

/// The same complaint about other slots and keys is the same complaint.
fn without_numbers(text: &str) -> String {
    let mut short = String::new();
    let mut digits = String::new();
    for letter in text.chars().chain(std::iter::once(' ')) {
        if letter.is_ascii_digit() {
            digits.push(letter);
            continue;
        }
        // Status and error codes have at most five.
        let many = digits.len() > 5;
        short.push_str(if many { "#" } else { &digits });
        digits.clear();
        short.push(letter);
    }
    short.trim_end().chars().take(140).collect()
}
