//! Judges what the clients were told. An answer is right if a node gave it at a slot that is
//! neither older than it may be nor ahead of the cluster; what a node said at a slot is computed
//! anew, from the slot the answer names or, where it names none, for every slot it may be of.

use std::collections::{BTreeMap, HashMap};

use perijove_tests::sandbox::Sandbox;
use perijove_tests::sandbox::chain::{Line, Moment};
use perijove_tests::sandbox::sight::Level;

use super::clients::Record;
use super::questions::Head;
use super::weather::Weather;

/// What may have been on the way when the answers were given.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    /// Slots the slowest upstream in service trails.
    pub upstream_lag: u64,
    /// Slots a forked upstream ran ahead.
    pub ahead: u64,
    /// What there was of it.
    pub weather: Weather,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Findings {
    pub wrong: Vec<String>,
    /// Answers by what the header said.
    pub by_header: BTreeMap<String, usize>,
    /// How many answers trailed the cluster by so many slots, beyond what their commitment does.
    pub lags: BTreeMap<u64, usize>,
}

impl Findings {
    /// Judges all answers. `records` are in the order in which each client got them.
    pub fn of(records: &[Record], cluster: &Sandbox, allowed: &Allowed) -> Self {
        let mut findings = Self::default();
        let mut told = HashMap::new();
        for record in records {
            *findings.by_header.entry(record.cache.clone()).or_default() += 1;
            let before = told
                .get(&of_client(record))
                .map_or(0, |before: &Told| before.before(record.round));
            match judge(record, cluster, allowed, before) {
                Ok(lag) => {
                    if let Some(lag) = lag {
                        *findings.lags.entry(lag).or_default() += 1;
                    }
                }
                Err(wrong) => findings.wrong.push(format!("{wrong}\n  {}", shown(record))),
            }
            if let Some(number) = number(record) {
                let told: &mut Told = told.entry(of_client(record)).or_default();
                told.add(record.round, number);
            }
        }
        findings
    }

    /// A line for people.
    pub fn summary(&self) -> String {
        let answers: usize = self.by_header.values().sum();
        let wrong = self.wrong.len();
        format!(
            "{answers} answers {:?}, slots behind {:?}, {wrong} wrong",
            self.by_header, self.lags
        )
    }
}

/// The highest number a client was told, in earlier requests and in the one under way.
#[derive(Debug, Default)]
struct Told {
    earlier: u64,
    round: usize,
    now: u64,
}

impl Told {
    fn add(&mut self, round: usize, number: u64) {
        if round > self.round {
            self.earlier = self.earlier.max(self.now);
            self.round = round;
        }
        self.now = self.now.max(number);
    }

    fn before(&self, round: usize) -> u64 {
        if round > self.round {
            self.earlier.max(self.now)
        } else {
            self.earlier
        }
    }
}

fn of_client(record: &Record) -> (usize, Option<Head>, Level) {
    let head = record.question.head.map(|(head, _)| head);
    (record.client, head, record.question.level)
}

fn number(record: &Record) -> Option<u64> {
    let (_, place) = record.question.head?;
    let result = record.answer.get("result")?;
    result.pointer(place)?.as_u64()
}

fn shown(record: &Record) -> String {
    let (sent, received) = (record.sent, record.received);
    let question = &record.question;
    let mut answer = record.answer.to_string();
    answer.truncate(600);
    format!(
        "client {} round {}{} {}: {} {} [{}] at {}..{} ({}..{}): {answer}",
        record.client,
        record.round,
        if record.batched { " in a batch" } else { "" },
        record.cache,
        question.method,
        question.spelled,
        question.level.label(),
        sent.at(question.level),
        received.at(question.level),
        sent.processed,
        received.processed,
    )
}

/// How many slots the answer trails what its commitment was when the request was sent, where that
/// can be told.
fn judge(
    record: &Record,
    cluster: &Sandbox,
    allowed: &Allowed,
    before: u64,
) -> Result<Option<u64>, String> {
    let question = &record.question;
    if record.bypass && !matches!(record.cache.as_str(), "bypass" | "miss" | "none") {
        return Err("kept for a client that wanted to go past the cache".to_owned());
    }
    let expected = record.sent.at(question.level);
    // What an upstream trails counts against an answer's life, where the answer tells its slot: what
    // is kept is not older for it. One slot more: the gateway hears of a new slot a little after it
    // has come.
    let kept = record.cache == "hit" && named_slot(record).is_some();
    let trailing = if kept { 0 } else { allowed.upstream_lag };
    let behind = question.slots + trailing + 1;
    let ahead = match question.level {
        Level::Processed => allowed.ahead,
        _ => 0,
    };
    // As it was so many slots before: finality comes in leaps when it has been stalled.
    let before_that = record.sent.processed.saturating_sub(behind);
    let oldest = allowed.weather.sight(before_that).at(question.level);
    let newest = record.received.at(question.level) + ahead;
    // A fork that is gone has heights of its own, and what more than a number was said on it cannot
    // be held.
    let forked = question.level == Level::Processed && !allowed.weather.forks.is_empty();
    if let Some(number) = number(record)
        && number < before
        && !forked
    {
        return Err(format!("backwards: {number} after {before}"));
    }
    let slots = match named_slot(record) {
        Some(slot) => {
            if slot < oldest {
                return Err(format!("too old: {slot}, at least {oldest}"));
            }
            if slot > newest {
                return Err(format!("not yet: {slot}, at most {newest}"));
            }
            slot..=slot
        }
        None => oldest..=newest,
    };
    let is_error = record.answer.get("error").is_some();
    let slots = match question.least.filter(|_| !is_error) {
        Some(least) if *slots.end() < least => {
            return Err(format!("older than the slot asked for, {least}"));
        }
        Some(least) => (*slots.start()).max(least)..=*slots.end(),
        None => slots,
    };
    for slot in slots.rev() {
        for line in lines(record, allowed, slot) {
            if agrees(record, cluster, Moment { slot, line }) {
                return Ok(Some(expected.saturating_sub(slot)));
            }
        }
    }
    // A number the cluster really had, held so that the client does not see it run backwards.
    if number(record).is_some_and(|number| number == before) && record.answer["result"].is_u64() {
        return Ok(None);
    }
    Err("no node said so".to_owned())
}

/// The slot of an answer's context.
fn named_slot(record: &Record) -> Option<u64> {
    record.answer.pointer("/result/context/slot")?.as_u64()
}

/// The lines of blocks an upstream may have been on.
fn lines(record: &Record, allowed: &Allowed, slot: u64) -> Vec<Line> {
    let mut lines = vec![Line::MAIN];
    if record.question.level == Level::Processed {
        let there = allowed.weather.forks.iter().filter(|(line, from, to)| {
            line.salt(slot) != 0 && *from <= record.received.processed && slot <= *to
        });
        lines.extend(there.map(|(line, _, _)| *line));
    }
    lines
}

/// Whether a node at this moment gives this answer.
fn agrees(record: &Record, cluster: &Sandbox, moment: Moment) -> bool {
    let question = &record.question;
    let said = cluster.said_at(moment, question.method, &question.params);
    match (
        &said,
        record.answer.get("result"),
        record.answer.get("error"),
    ) {
        (Ok(said), Some(result), None) => said == result,
        (Err(failure), None, Some(error)) => {
            // The data of some errors tells of the node that was asked.
            error["code"] == failure.code && error["message"] == *failure.message
        }
        _ => false,
    }
}
