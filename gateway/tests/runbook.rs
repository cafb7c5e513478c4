//! The documentation for operators has a row for every word that the gateway may say.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test, its helpers included"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use perijove_gateway::dispatch::OUTCOMES;
use perijove_gateway::solana::FaultKind;
use perijove_gateway::upstream::{Health, HoldCause};

fn document(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::read_to_string(root.join(name)).unwrap()
}

/// The words in the first column of the tables under a heading.
fn words(text: &str, heading: &str) -> BTreeSet<String> {
    let (_, section) = text.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| {
        let mut columns = row.split(" | ");
        let (word, rest) = columns.next()?.split_once('`')?;
        let told = columns.filter(|column| column.trim().len() > 3).count();
        assert_eq!(told, 2, "what it means and what to do: {row}");
        rest.is_empty().then(|| word.to_owned())
    })
    .collect()
}

fn owned<'a>(words: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    words.into_iter().map(str::to_owned).collect()
}

#[test]
fn the_runbook_has_a_row_for_every_state_hold_and_fault() {
    let runbook = document("docs/operations/failing-upstreams.md");
    let states = Health::ALL.map(Health::label);
    assert_eq!(words(&runbook, "States"), owned(states));
    let holds = HoldCause::ALL.map(HoldCause::label);
    assert_eq!(words(&runbook, "Holds and the breaker"), owned(holds));
    let faults = FaultKind::ALL.iter().map(|kind| kind.label());
    assert_eq!(words(&runbook, "Faults"), owned(faults));
}

#[test]
fn the_words_of_access_lines_are_documented() {
    let log = document("docs/logs.md");
    for word in OUTCOMES {
        assert!(log.contains(&format!("`{word}`")), "{word}");
    }
}
