//! The files under `conf/` say what the program does: the shipped configuration loads, each invalid
//! file gives exactly the errors it names, the schema is complete.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use perijove_ingest::config::{self, Config, ConfigError, Environment, Kafka, Loaded, Mechanism};
use perijove_ingest::config::{Redis, Security, Start, StoreUrl};
use serde_json::{Value, json};

/// Set it to write the schema, and the errors of the invalid files, instead of comparing them.
const UPDATE: &str = "PERIJOVE_UPDATE";

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

fn parse<const N: usize>(
    text: &str,
    directory: &str,
    variables: [(&'static str, &str); N],
) -> Result<Loaded, ConfigError> {
    let variables = variables.map(|(name, value)| (name, value.to_owned()));
    let environment = Checkout {
        directory: PathBuf::from(directory),
        variables: variables.into(),
    };
    config::parse(text, &environment)
}

fn shipped<const N: usize>(variables: [(&'static str, &str); N]) -> Loaded {
    let text = fs::read_to_string(root().join("conf/ingest.yaml")).unwrap();
    parse(&text, "conf", variables).unwrap()
}

/// The path of a key, from the top of a document.
fn place<'d>(document: &'d mut Value, path: &str) -> &'d mut Value {
    path.split('.').fold(document, |place, step| {
        let name = step.trim_end_matches("[]");
        let place = &mut place[name];
        if name.len() < step.len() {
            &mut place[0]
        } else {
            place
        }
    })
}

#[test]
fn the_configuration_in_the_repository_needs_no_environment() {
    let loaded = shipped([]);
    assert_eq!(loaded.config.kafka, None);
    assert_eq!(
        loaded.warnings,
        ["kafka.when_env: BITQUERY_PASSWORD is not set; only recordings can be read"]
    );
}

#[test]
fn the_settings_shown_in_the_repository_are_the_defaults() {
    let shown = shipped([]).config;
    let redis = Redis::at(StoreUrl::parse("redis://127.0.0.1:6379", &["redis"]).unwrap());
    assert_eq!(
        shown,
        Config {
            redis: Some(redis),
            database: parse("", "conf", []).unwrap().config.database,
            ..Config::default()
        }
    );
    let bitquery = [
        ("BITQUERY_USERNAME", "solana_113"),
        ("BITQUERY_PASSWORD", "hunter2"),
    ];
    let kafka = shipped(bitquery).config.kafka.unwrap();
    let default = Kafka::default();
    assert_eq!(
        Kafka {
            username: None,
            password: None,
            group: default.group.clone(),
            ..kafka
        },
        default
    );
}

#[test]
fn a_password_in_the_environment_brings_bitquerys_cluster_and_is_never_shown() {
    let bitquery = [
        ("BITQUERY_USERNAME", "solana_113"),
        ("BITQUERY_PASSWORD", "hunter2"),
    ];
    let loaded = shipped(bitquery);
    assert_eq!(loaded.warnings, [""; 0]);
    assert!(!format!("{loaded:?}").contains("hunter2"));
    let kafka = loaded.config.kafka.unwrap();
    assert_eq!(kafka.group.id, "solana_113-dex-monitor-prod-01");
    assert_eq!(kafka.brokers[1].to_string(), "rpk1.bitquery.io:9092");
    assert_eq!(
        (kafka.security, kafka.mechanism, kafka.start),
        (
            Security::SaslPlaintext,
            Mechanism::ScramSha512,
            Start::Latest
        )
    );
    assert_eq!(kafka.password.unwrap().expose(), "hunter2");
}

#[test]
fn nothing_but_defaults_is_enough_for_a_recording() {
    let loaded = parse("", "", []).unwrap();
    assert_eq!(loaded.config, Config::default());
    assert_eq!(loaded.config.database.url.to_string(), "sqlite:perijove.db");
    let loaded = parse("database: {url: 'sqlite:data/a.db'}", "/etc/perijove", []).unwrap();
    let url = loaded.config.database.url;
    assert_eq!(url.to_string(), "sqlite:/etc/perijove/data/a.db");
}

#[test]
fn what_is_probably_not_meant_is_said() {
    let text = "
http: {listen: '0.0.0.0:9091'}
kafka:
  username: ${USER_NAME}
  password: ${PASSWORD}
  mechanism: plain
  group: {prefix: other}
";
    let loaded = parse(
        text,
        "conf",
        [("USER_NAME", "solana_113"), ("PASSWORD", "hunter2")],
    );
    assert_eq!(
        loaded.unwrap().warnings,
        [
            "kafka.mechanism: sends the password unencrypted; use scram-sha-512 or sasl_ssl",
            "kafka.group: does not begin with kafka.username, which Bitquery asks for",
            "redis: is not set; the gateway will have no prices",
            "http.listen: 0.0.0.0:9091 is open to every network",
        ]
    );
}

#[test]
fn every_invalid_file_gives_exactly_the_errors_it_names() {
    let directory = "conf/invalid/ingest";
    let mut files = 0;
    for entry in fs::read_dir(root().join(directory)).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let name = path.display();
        let error = parse(&text, directory, []).expect_err(&name.to_string());
        let found: Vec<String> = error
            .violations
            .iter()
            .map(|one| format!("#   {one}"))
            .collect();
        if std::env::var_os(UPDATE).is_some() {
            let rest = text.lines().filter(|line| !line.starts_with("#   "));
            let mut lines: Vec<&str> = rest.collect();
            lines.splice(1..1, found.iter().map(String::as_str));
            fs::write(&path, lines.join("\n") + "\n").unwrap();
            continue;
        }
        let named: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("#   "))
            .collect();
        assert_eq!(found, named, "{name}");
        assert!(!error.to_string().contains("hunter2"), "{name}");
        files += 1;
    }
    assert!(files >= 12 || std::env::var_os(UPDATE).is_some());
}

#[test]
fn the_schema_in_the_repository_is_up_to_date() {
    let file = root().join("conf/ingest.schema.json");
    let schema = format!("{:#}\n", config::schema());
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&file, &schema).unwrap();
    }
    let committed = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == schema,
        "{} is old; {UPDATE}=1 writes it",
        file.display()
    );
}

/// What the schema says of a key.
#[expect(clippy::indexing_slicing, reason = "what is not there is null")]
fn property<'s>(schema: &'s Value, path: &str) -> &'s Value {
    path.split('.').fold(schema, |place, step| {
        let name = step.trim_end_matches("[]");
        let place = &place["properties"][name];
        if name.len() < step.len() {
            &place["items"]
        } else {
            place
        }
    })
}

#[test]
fn every_key_is_described_in_the_schema() {
    let schema = config::schema();
    let keys = config::reference();
    assert!(keys.len() > 40);
    for key in keys {
        let property = property(&schema, &key.path);
        let text = property["description"].as_str().unwrap_or_default();
        assert!(
            text.len() > 10 && !text.starts_with("From"),
            "{} is not described",
            key.path
        );
    }
}

#[test]
fn every_key_is_in_the_reference_as_the_schema_describes_it() {
    let file = root().join("docs/ingest-configuration.md");
    let page = fs::read_to_string(&file).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let page_should = format!("{before}{BEGIN}\n{}{END}{after}", tables());
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&file, &page_should).unwrap();
    }
    let committed = fs::read_to_string(&file).unwrap();
    assert!(
        committed == page_should,
        "{} is old; {UPDATE}=1 writes it",
        file.display()
    );
}

/// What stands around the tables of the reference.
const BEGIN: &str = "<!-- keys, written by a test -->";
const END: &str = "<!-- end of keys -->";

/// A table for each section of the configuration.
fn tables() -> String {
    let schema = config::schema();
    let (mut text, mut section) = (String::new(), String::new());
    for key in config::reference() {
        let path = key.path.as_str();
        let top = path.split(['.', '[']).next().unwrap_or(path);
        if top != section {
            top.clone_into(&mut section);
            let head = "| key | default | bounds | meaning |\n|---|---|---|---|\n";
            write!(text, "\n## {section}\n\n{head}").unwrap();
        }
        let default = match &key.default {
            Some(value) => format!("`{value}`"),
            None if key.required => "required".to_owned(),
            None => "–".to_owned(),
        };
        let bounds = match &key.bounds {
            Some((least, most)) => format!("{least} – {most}"),
            None => "–".to_owned(),
        };
        let meaning = property(&schema, path)["description"]
            .as_str()
            .unwrap_or_default();
        let meaning = meaning.split(" From ").next().unwrap_or_default();
        writeln!(text, "| `{path}` | {default} | {bounds} | {meaning} |").unwrap();
    }
    text.push('\n');
    text
}

#[test]
fn no_error_shows_what_a_variable_holds_unless_it_names_a_file_or_a_level() {
    let files = [
        "kafka.tls.ca",
        "kafka.tls.certificate",
        "kafka.tls.key",
        "log.level",
    ];
    let keys = config::reference().into_iter().map(|key| key.path);
    for path in keys.filter(|path| !files.contains(&path.as_str())) {
        let mut document = json!({ "streams": [{ "topic": "a", "kind": "trades" }] });
        *place(&mut document, &path) = if path == "kafka.brokers" {
            json!(["${SECRET}"])
        } else {
            json!("${SECRET}")
        };
        let variables = [("SECRET", "http://hunter2 :\n/")];
        let said = match parse(&document.to_string(), "conf", variables) {
            Ok(loaded) => format!("{loaded:?}"),
            Err(error) => error.to_string(),
        };
        let is_name = path == "kafka.when_env";
        assert!(is_name || !said.contains("hunter2"), "{path}:\n{said}");
    }
}

#[test]
fn both_bounds_are_allowed_and_what_is_beyond_is_not() {
    let complaints = |path: &str, value: &str| -> Vec<String> {
        let mut document = json!({});
        *place(&mut document, path) = value.into();
        let violations = match parse(&document.to_string(), "conf", []) {
            Ok(_) => Vec::new(),
            Err(error) => error.violations,
        };
        let own = violations
            .into_iter()
            .filter(|violation| violation.path == path);
        own.map(|violation| violation.message)
            .filter(|text| text.starts_with("must be at"))
            .collect()
    };
    let mut bounded = 0;
    for key in config::reference() {
        let Some((least, most)) = key.bounds else {
            continue;
        };
        bounded += 1;
        assert_eq!(complaints(&key.path, &least), [""; 0], "{}", key.path);
        assert_eq!(complaints(&key.path, &most), [""; 0], "{}", key.path);
        if let Ok(number) = most.parse::<u64>() {
            let beyond = complaints(&key.path, &(number + 1).to_string());
            assert_eq!(beyond, [format!("must be at most {most}")], "{}", key.path);
        }
    }
    assert!(bounded > 20);
}
