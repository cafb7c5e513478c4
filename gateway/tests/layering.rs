//! The layers of the gateway's modules: each may use only those above it in the table. Owns the
//! table; `gateway/src/lib.rs` shows the same order, and so does `docs/architecture.md`. No two files
//! use each other, not even through others.

#![allow(clippy::unwrap_used, reason = "a test, its helpers included")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use perijove_tests::layering::{Sources, Use};

/// The layers from the top. Modules of one layer do not use each other.
const LAYERS: &[&[&str]] = &[
    &["framing", "jsonrpc", "jupiter", "solana", "trace"],
    &["config"],
    &["limit"],
    &["error"],
    &["auth", "cache", "upstream"],
    &["context"],
    &["dispatch", "snapshot"],
    &["pipeline"],
    &["pubsub"],
    &["edge"],
    &["app", "cli", "main"],
];

/// What is allowed beside the table: a module, and what it uses of its own layer.
const ALLOWED: &[(&str, &str)] = &[
    // Judging an answer needs to read it.
    ("solana", "jsonrpc"),
    // A snapshot holds the compiled policy of dispatch.
    ("snapshot", "dispatch"),
    // The composition root and what it is started by.
    ("main", "app"),
    ("main", "cli"),
    ("app", "cli"),
];

/// The only modules that may name Pingora.
const KNOW_PINGORA: &[&str] = &["upstream", "edge", "app", "main"];

/// Parts of Pingora that hold a client's session or what it speaks.
const SESSIONS: &[&str] = &[
    "ServerApp",
    "ServerSession",
    "Session",
    "HttpSession",
    "apps",
    "listeners",
    "proxy",
];

/// The only modules that may name [`SESSIONS`]: below `edge` nobody knows how a request came.
const KNOW_SESSIONS: &[&str] = &["edge", "app", "main"];

fn sources() -> &'static Sources {
    static SOURCES: LazyLock<Sources> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        Sources::read(folder, "perijove_gateway")
    });
    &SOURCES
}

#[test]
fn a_module_uses_only_layers_above_its_own() {
    let broken: Vec<Use> = sources()
        .uses()
        .into_iter()
        .filter(|found| {
            let top = (found.from.first(), found.to.first());
            !matches!(top, (Some(from), Some(to)) if allowed(from, to))
        })
        .collect();
    assert!(
        broken.is_empty(),
        "against the order of the layers:\n{broken:#?}"
    );
}

#[test]
fn no_files_use_each_other() {
    let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("core");
    for sources in [sources(), &Sources::read(&core, "perijove_core")] {
        let circles = sources.circles();
        assert!(
            circles.is_empty(),
            "uses that close a circle:\n{circles:#?}"
        );
    }
}

#[test]
fn the_table_names_every_module() {
    let table: BTreeSet<String> = LAYERS
        .iter()
        .copied()
        .flatten()
        .map(|name| (*name).to_owned())
        .collect();
    assert_eq!(sources().top(), table);
}

#[test]
fn the_documented_layers_are_those_of_the_table() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/architecture.md");
    let text = fs::read_to_string(file).unwrap();
    let (_, section) = text.split_once("## Layers of the gateway").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let documented: Vec<BTreeSet<&str>> = section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cell = line.split('|').nth(1).unwrap_or_default();
            cell.split('`').skip(1).step_by(2).collect()
        })
        .collect();
    // The binary is no layer of its own.
    let table: Vec<BTreeSet<&str>> = LAYERS
        .iter()
        .map(|layer| {
            layer
                .iter()
                .copied()
                .filter(|name| *name != "main")
                .collect()
        })
        .collect();
    assert_eq!(documented, table);
}

#[test]
fn pingora_is_known_only_where_connections_are_made() {
    let sources = sources();
    for name in ["pingora", "pingora_load_balancing"] {
        for module in sources.naming(name) {
            let top = module.first().unwrap();
            assert!(KNOW_PINGORA.contains(&top.as_str()), "{name} in {module:?}");
        }
    }
}

#[test]
fn sessions_of_clients_are_known_only_at_the_edge() {
    let sources = sources();
    let all: BTreeSet<String> = SESSIONS
        .iter()
        .flat_map(|part| sources.naming_in("pingora", part))
        .map(|module| module.first().unwrap().clone())
        .collect();
    assert!(all.contains("edge"), "the edge names them: {all:?}");
    for top in &all {
        assert!(KNOW_SESSIONS.contains(&top.as_str()), "a session in {top}");
    }
}

#[test]
fn the_table_refuses_what_it_should() {
    for (from, to, expected) in [
        ("solana", "jsonrpc", true),
        ("jsonrpc", "solana", false),
        ("upstream", "config", true),
        ("config", "upstream", false),
        ("auth", "upstream", false),
        ("upstream", "auth", false),
        ("edge", "jsonrpc", true),
        ("pipeline", "edge", false),
        ("pubsub", "pipeline", true),
        ("pipeline", "pubsub", false),
        ("app", "edge", true),
    ] {
        assert_eq!(allowed(from, to), expected, "{from} uses {to}");
    }
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn allowed(from: &str, to: &str) -> bool {
    from == to || ALLOWED.contains(&(from, to)) || layer(to) < layer(from)
}
