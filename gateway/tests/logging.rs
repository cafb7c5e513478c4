//! What every log line of both programs keeps to.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test, its helpers included"
)]

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// The arguments of each `tracing` macro in a text.
fn events(text: &str) -> Vec<&str> {
    let mut events = Vec::new();
    for level in ["error", "warn", "info", "debug", "trace"] {
        let begin = format!("tracing::{level}!(");
        for (at, _) in text.match_indices(&begin) {
            let rest = &text[at + begin.len()..];
            events.push(&rest[..rest.find(");").unwrap_or(rest.len())]);
        }
    }
    events
}

/// A value in Rust's notation: `?value` as an argument of its own, or behind `name =`.
fn is_in_rusts_notation(arguments: &str) -> bool {
    let outside: String = arguments.split('"').step_by(2).collect();
    let mut arguments = outside.split(',').map(str::trim);
    arguments.any(|argument| argument.starts_with('?') || argument.contains("= ?"))
}

#[test]
fn no_log_line_tells_a_value_in_rusts_notation() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "core/src", "../ingest/src"] {
        sources(&root.join(folder), &mut files);
    }
    let mut seen = 0;
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for event in events(&text) {
            seen += 1;
            assert!(!is_in_rusts_notation(event), "{}: {event}", file.display());
        }
    }
    assert!(seen > 40, "{seen} log lines found");
    assert!(is_in_rusts_notation("?pause, \"rests\""));
    assert!(is_in_rusts_notation("a, pause = ?pause, \"rests\""));
}
