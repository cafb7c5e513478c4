//! The files under `conf/` and the reference in `docs/` say what the program does: examples load,
//! each invalid file gives exactly the errors it names, schema and reference are complete.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bursts;
mod doubts;
mod recipes;
mod reference;
mod variables;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use perijove_gateway::config::{self, Config, Environment, KeyReference, LogFormat};
use serde_json::{Value, json};

/// Set it to write the schema instead of comparing it.
const UPDATE: &str = "PERIJOVE_UPDATE";

const TWO: &str = "
upstreams:
  - {id: one, url: http://127.0.0.1:1, tier: local}
  - {id: two, url: http://127.0.0.1:2, tier: local}
";

/// What the program sees when it is started from the top of the repository.
struct Checkout {
    directory: PathBuf,
    variables: BTreeMap<&'static str, String>,
}

impl Environment for Checkout {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn directory(&self) -> &Path {
        &self.directory
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        fs::read_to_string(root().join(path))
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The YAML files of a directory, in the order of their names.
fn files(directory: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(directory)).unwrap();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| Path::new(directory).join(entry.unwrap().file_name()))
        .filter(|file| {
            file.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{directory} has files");
    files
}

fn parse<const N: usize>(
    file: &Path,
    variables: [(&'static str, String); N],
) -> Result<config::Loaded, config::ConfigError> {
    let directory = file.parent().unwrap().to_owned();
    let text = fs::read_to_string(root().join(file)).unwrap();
    config::parse(
        &text,
        &Checkout {
            directory,
            variables: variables.into(),
        },
    )
}

fn parse_text(text: &str) -> Result<config::Loaded, config::ConfigError> {
    let directory = PathBuf::from("conf");
    config::parse(
        text,
        &Checkout {
            directory,
            variables: BTreeMap::new(),
        },
    )
}

/// Follows a path such as `upstreams[].probe.interval` into a document, making what is missing.
fn place<'d>(document: &'d mut Value, path: &str) -> &'d mut Value {
    path.split('.').fold(document, |place, step| {
        let name = step.trim_end_matches("[]");
        let place = &mut place[name];
        if name.len() < step.len() {
            if place.is_null() {
                *place = json!([{}]);
            }
            &mut place[0]
        } else {
            place
        }
    })
}

#[test]
fn the_configuration_in_the_repository_needs_no_environment() {
    let loaded = parse(Path::new("conf/gateway.yaml"), []).unwrap();
    let ids: Vec<&str> = loaded
        .config
        .upstreams
        .iter()
        .map(|one| one.id.as_str())
        .collect();
    assert_eq!(ids, ["validator", "public"]);
    assert_eq!(
        loaded.warnings,
        ["upstreams[1].when_env: HELIUS_API_KEY is not set; the upstream is left out"]
    );
}

#[test]
fn the_settings_shown_in_the_repository_are_the_defaults() {
    let config = parse(Path::new("conf/gateway.yaml"), []).unwrap().config;
    let (upstreams, cluster) = (config.upstreams.clone(), config.cluster.clone());
    let runtime = config.runtime.clone();
    assert_eq!(
        config,
        Config {
            upstreams,
            cluster,
            runtime,
            ..Config::default()
        }
    );
}

#[test]
fn the_embedded_configuration_is_the_demo() {
    let loaded = parse(Path::new("conf/demo.yaml"), []).unwrap();
    let ports: Vec<u16> = loaded
        .config
        .upstreams
        .iter()
        .map(|one| one.url.port())
        .collect();
    assert_eq!(ports, [18899, 18901, 18903]);
    assert_eq!(
        config::DEMO,
        fs::read_to_string(root().join("conf/demo.yaml")).unwrap()
    );
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn every_example_loads() {
    let tls = tempfile::tempdir().unwrap();
    let identity = perijove_tests::tls::Identity::of("localhost");
    let authority = perijove_tests::tls::Authority::new("any");
    for (file, pem) in [
        ("tls.crt", identity.certificate()),
        ("tls.key", identity.key()),
        ("ca.crt", authority.certificate()),
    ] {
        fs::write(tls.path().join(file), pem).unwrap();
    }
    for file in files("conf/examples") {
        let directory = ("TLS_DIR", tls.path().display().to_string());
        if let Err(error) = parse(&file, [directory]) {
            panic!("{}:\n{error}", file.display());
        }
    }
}

/// A machine on which everything is there that a recipe names.
struct Equipped {
    own: perijove_tests::tls::Identity,
    authority: perijove_tests::tls::Authority,
}

impl Equipped {
    fn new() -> Self {
        Self {
            own: perijove_tests::tls::Identity::of("localhost"),
            authority: perijove_tests::tls::Authority::new("any"),
        }
    }
}

impl Environment for Equipped {
    fn variable(&self, name: &str) -> Option<String> {
        // What nobody names in a file is not set.
        (!name.starts_with("OTEL_")).then(|| format!("value-of-{name}"))
    }

    fn directory(&self) -> &Path {
        Path::new("/etc/perijove")
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        Ok(match path.extension().and_then(|end| end.to_str()) {
            _ if path.ends_with("ca.crt") => self.authority.certificate().to_owned(),
            Some("crt") => self.own.certificate().to_owned(),
            Some("key") => self.own.key().to_owned(),
            _ => "a secret in a file".replace(' ', "-"),
        })
    }
}

#[test]
fn every_invalid_file_gives_exactly_the_errors_it_names() {
    let files = files("conf/invalid");
    for file in &files {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let comment = text.lines().take_while(|line| line.starts_with('#'));
        let named: Vec<&str> = comment
            .filter_map(|line| line.strip_prefix("#   "))
            .collect();
        let error = parse(file, [])
            .expect_err(&file.display().to_string())
            .to_string();
        assert_eq!(
            error.lines().collect::<Vec<_>>(),
            named,
            "{}",
            file.display()
        );
    }
    assert!(files.len() >= 25);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = config::load(Path::new("nowhere/gateway.yaml")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read nowhere/gateway.yaml: no such file"
    );
}

#[test]
fn a_key_belongs_to_one_consumer_whether_it_is_written_or_hashed() {
    let hash = config::KeyHash::of(b"a-key-of-some-length").to_string();
    let written = "keys: [a-key-of-some-length]";
    let hashed = format!("key_hashes: ['{hash}']");
    for (one, other) in [
        (written, hashed.as_str()),
        (&hashed, written),
        (&hashed, &hashed),
        (written, written),
    ] {
        let text = format!("consumers: [{{id: a, {one}}}, {{id: b, {other}}}]{TWO}");
        let error = parse_text(&text).unwrap_err().to_string();
        let place = |text: &str| text.split(':').next().unwrap().to_owned();
        let (one, other) = (place(one), place(other));
        let said = format!("consumers[1].{other}[0]: is the same as consumers[0].{one}[0]");
        assert!(error.contains(&said), "{error}");
        assert!(!error.contains("of-some-length"), "{error}");
    }
}
