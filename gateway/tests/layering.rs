//! The layers of the gateway's modules: each may use only those above it in the table. Owns the
//! table; `gateway/src/lib.rs` shows the same order.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test, its helpers included"
)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The layers from the top. Modules of one layer do not use each other.
const LAYERS: &[&[&str]] = &[
    &["framing", "jsonrpc", "jupiter", "solana"],
    &["config"],
    &["limit"],
    &["error"],
    &["auth", "cache", "upstream"],
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

/// One module of the top level used by another.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Use {
    file: PathBuf,
    line: usize,
    from: String,
    to: String,
}

#[test]
fn a_module_uses_only_layers_above_its_own() {
    let broken: Vec<_> = uses()
        .into_iter()
        .filter(|found| !allowed(&found.from, &found.to))
        .collect();
    assert!(
        broken.is_empty(),
        "against the order of the layers:\n{broken:#?}"
    );
}

#[test]
fn the_table_names_every_module() {
    let table: BTreeSet<_> = LAYERS
        .iter()
        .copied()
        .flatten()
        .map(|name| (*name).to_owned())
        .collect();
    let modules: BTreeSet<_> = sources()
        .into_iter()
        .map(|file| module_of(&file))
        .filter(|name| name != "lib")
        .collect();
    assert_eq!(modules, table);
}

#[test]
fn pingora_is_known_only_where_connections_are_made() {
    for file in sources() {
        let text = fs::read_to_string(&file).unwrap();
        let knows = KNOW_PINGORA.contains(&module_of(&file).as_str());
        for (number, line) in code(&text) {
            assert!(
                knows || !line.contains("pingora"),
                "{}:{number}: {line}",
                file.display()
            );
        }
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

#[test]
fn uses_are_found_in_paths_lists_and_expressions() {
    let text = "//! crate::edge\nuse crate::{\n    config::{Config, Limits},\n    error::Rejection as R,\n};\n\
                use crate::auth::Consumer;\nfn f() { crate::snapshot::now() } // crate::app\n\
                use super::super::pipeline;\nlet x = \"crate::cli\";\n";
    let found: BTreeSet<_> = modules_used(text)
        .into_iter()
        .map(|(_, name)| name)
        .collect();
    let expected = ["auth", "config", "error", "snapshot"].map(str::to_owned);
    assert_eq!(found, BTreeSet::from(expected));
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn allowed(from: &str, to: &str) -> bool {
    from == to || ALLOWED.contains(&(from, to)) || layer(to) < layer(from)
}

fn uses() -> Vec<Use> {
    let mut found = Vec::new();
    for file in sources() {
        let from = module_of(&file);
        if from == "lib" {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        for (line, to) in modules_used(&text) {
            if layer(&to).is_some() {
                found.push(Use {
                    file: file.clone(),
                    line,
                    from: from.clone(),
                    to,
                });
            }
        }
    }
    found.sort();
    found
}

/// Every source of the library and the binary.
fn sources() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

/// The top-level module a file belongs to: `src/upstream/pool.rs` is `upstream`.
fn module_of(file: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let first = file
        .strip_prefix(root)
        .unwrap()
        .components()
        .next()
        .unwrap();
    let name = first.as_os_str().to_str().unwrap();
    name.trim_end_matches(".rs").to_owned()
}

/// Lines with their numbers, without comments and without what stands in strings.
fn code(text: &str) -> impl Iterator<Item = (usize, String)> {
    text.lines().enumerate().map(|(number, line)| {
        let line: String = line.split('"').step_by(2).collect();
        (
            number + 1,
            line.split("//").next().unwrap_or_default().to_owned(),
        )
    })
}

/// The top-level modules a source names as `crate::module`, also from the binary and from within
/// a list, with the line of the path's beginning.
fn modules_used(text: &str) -> Vec<(usize, String)> {
    let mut used = Vec::new();
    let lines: Vec<_> = code(text).collect();
    let joined: String = lines
        .iter()
        .flat_map(|(_, line)| [line.as_str(), "\n"])
        .collect();
    for root in ["crate::", "perijove_gateway::"] {
        for (at, _) in joined.match_indices(root) {
            let line = 1 + joined[..at].matches('\n').count();
            let path = &joined[at + root.len()..];
            let names = match path.strip_prefix('{') {
                Some(list) => list_heads(list),
                None => vec![head(path)],
            };
            let named = names.into_iter().filter(|name| !name.is_empty());
            used.extend(named.map(|name| (line, name)));
        }
    }
    used
}

/// The first name of every path in a list, up to the brace that closes it.
fn list_heads(list: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let mut depth = 0;
    let mut start = 0;
    for (at, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                heads.push(head(&list[start..at]));
                start = at + 1;
                if character == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    heads
}

fn head(path: &str) -> String {
    let name = |character: char| character.is_alphanumeric() || character == '_';
    path.trim_start()
        .chars()
        .take_while(|character| name(*character))
        .collect()
}
