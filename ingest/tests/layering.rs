//! The layers of ingest's modules: each may use only those above it in the table. Owns the table;
//! `ingest/src/lib.rs` shows the same order. No two files use each other, not even through others.

#![allow(clippy::unwrap_used, reason = "a test, its helpers included")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use perijove_tests::layering::{Sources, Use};

/// The layers from the top. Modules of one layer do not use each other.
const LAYERS: &[&[&str]] = &[
    // Pure: no clock, no I/O of their own.
    &["planted", "record"],
    &["decode", "position", "recording"],
    &["project"],
    &["config", "dead_letter", "generator", "oracle"],
    &["offsets", "sink"],
    &["source"],
    &["app", "cli", "main"],
];

/// What is allowed beside the table: a module, and what it uses of its own layer.
const ALLOWED: &[(&str, &str)] = &[
    // The composition root and what it is started by.
    ("main", "app"),
    ("main", "cli"),
    ("app", "cli"),
];

/// Crates that may be named only in some modules.
const KNOWN_ONLY_IN: &[(&str, &[&str])] = &[
    ("rdkafka", &["source", "offsets", "app", "main"]),
    ("sqlx", &["sink", "app", "main"]),
    ("redis", &["sink", "app", "main"]),
    ("prost", &["decode", "recording", "generator"]),
];

fn sources() -> &'static Sources {
    static SOURCES: LazyLock<Sources> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        Sources::read(folder, "perijove_ingest")
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
    let circles = sources().circles();
    assert!(
        circles.is_empty(),
        "uses that close a circle:\n{circles:#?}"
    );
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
fn a_crate_is_named_only_where_it_belongs() {
    for (name, modules) in KNOWN_ONLY_IN {
        for module in sources().naming(name) {
            let top = module.first().unwrap();
            assert!(modules.contains(&top.as_str()), "{name} in {module:?}");
        }
    }
}

#[test]
fn the_table_refuses_what_it_should() {
    for (from, to, expected) in [
        ("project", "decode", true),
        ("decode", "project", false),
        ("dead_letter", "record", true),
        ("record", "dead_letter", false),
        ("config", "decode", true),
        ("project", "config", false),
        ("app", "config", true),
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
