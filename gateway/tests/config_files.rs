//! The files under `conf/` and the reference in `docs/` say what the program does: examples load,
//! each invalid file gives exactly the errors it names, schema and reference are complete.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

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
fn a_key_in_the_environment_brings_the_paid_upstream() {
    let key = ("HELIUS_API_KEY", "hunter2".to_owned());
    let loaded = parse(Path::new("conf/gateway.yaml"), [key]).unwrap();
    let [own, paid, public] = &loaded.config.upstreams[..] else {
        panic!("three upstreams")
    };
    assert_eq!(paid.url.expose().query(), Some("api-key=hunter2"));
    assert_eq!(
        [own.metered, paid.metered, public.metered],
        [false, true, true]
    );
    assert_eq!(
        [own.connections, paid.connections, public.connections],
        [20, 10, 5]
    );
    assert!(own.probe.interval < paid.probe.interval);
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert!(!format!("{loaded:?}").contains("hunter2"));
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

/// The YAML of each recipe in the documentation, in order.
fn recipes() -> Vec<String> {
    let text = fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    let chapter = text
        .split("\n## ")
        .find(|chapter| chapter.starts_with("Ten recipes"));
    let blocks = chapter.unwrap().split("```yaml\n").skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap().to_owned())
        .collect()
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
fn each_of_the_ten_recipes_is_a_whole_configuration() {
    let machine = Equipped::new();
    let recipes = recipes();
    assert_eq!(recipes.len(), 10);
    for (index, recipe) in recipes.iter().enumerate() {
        let number = index + 1;
        match config::parse(recipe, &machine) {
            Err(error) => panic!("recipe {number}:\n{error}\n{recipe}"),
            Ok(loaded) => {
                // Doubts there may be; a recipe that only half works is none.
                let doubts = loaded.warnings.join("\n");
                for word in [
                    "is above",
                    "unencrypted",
                    "holds a literal",
                    "the only upstream",
                    "not in a local network",
                ] {
                    assert!(!doubts.contains(word), "recipe {number}: {doubts}");
                }
            }
        }
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
fn the_digest_follows_the_variables() {
    let text = "upstreams: [{id: one, url: 'https://example.com/${KEY}', tier: paid}]";
    let with = |key: &str| {
        let variables = BTreeMap::from([("KEY", key.to_owned())]);
        config::parse(
            text,
            &Checkout {
                directory: PathBuf::new(),
                variables,
            },
        )
        .unwrap()
        .digest
    };
    assert_eq!(with("first"), with("first"));
    assert_ne!(with("first"), with("second"));
}

#[test]
fn a_secret_file_is_read_beside_the_configuration_without_its_last_line_ending() {
    let directory = tempfile::tempdir().unwrap();
    let (file, key) = (
        directory.path().join("gateway.yaml"),
        directory.path().join("key"),
    );
    fs::write(&key, "a-key-in-a-file\r\n").unwrap();
    fs::write(
        &file,
        format!("consumers: [{{id: bot, keys: [{{file: key}}]}}]\n{TWO}"),
    )
    .unwrap();
    let first = config::load(&file).unwrap();
    assert_eq!(
        first.config.consumers[0].keys[0].expose(),
        "a-key-in-a-file"
    );
    assert!(first.files.paths().any(|file| file == key));
    assert!(!first.config.anonymous);
    fs::write(&key, "another-key-in-a-file").unwrap();
    assert_ne!(config::load(&file).unwrap().digest, first.digest);
}

#[test]
fn no_error_shows_what_a_variable_holds_unless_it_names_a_file_or_a_level() {
    let shown = [
        "log.level",
        "keys_file",
        "jwt.jwks",
        "listen.tls[].certificate",
        "listen.tls[].key",
        "listen.tls[].client_ca",
        "admin.tls.certificate",
        "admin.tls.key",
        "admin.tls.client_ca",
        "upstreams[].tls.ca",
        "jupiter.upstreams[].tls.ca",
        "cache.redis.ca",
    ];
    let keys = config::reference().into_iter().map(|key| key.path);
    for path in keys.filter(|path| !shown.contains(&path.as_str())) {
        let mut document = json!({
            "listen": { "tls": [{}] },
            "consumers": [{ "id": "bot" }],
            "plans": [{ "id": "small" }],
            "upstreams": [{ "id": "one", "url": "http://127.0.0.1:1", "tier": "local" }],
        });
        *place(&mut document, &path) = match path.as_str() {
            "consumers[].keys" => json!(["${SECRET}"]),
            "upstreams[].headers" => json!({ "x-key": "${SECRET}" }),
            _ => json!("${SECRET}"),
        };
        let environment = Checkout {
            directory: PathBuf::from("conf"),
            variables: BTreeMap::from([("SECRET", "http://hunter2 :\n/".to_owned())]),
        };
        let error = config::parse(&document.to_string(), &environment)
            .unwrap_err()
            .to_string();
        assert!(!error.contains("hunter2"), "{path}:\n{error}");
    }
}

#[test]
fn only_what_is_known_to_be_wrong_is_doubted() {
    for (text, doubt) in [
        (
            "upstreams: [{id: a, url: 'http://validator.rpc.svc:8899', tier: local}]",
            None,
        ),
        (
            "upstreams: [{id: a, url: 'http://100.64.3.4:8899', tier: local}]",
            None,
        ),
        (
            "upstreams: [{id: a, url: 'https://rpc.provider.com', tier: local}]",
            Some("upstreams.a: is in tier local, but its address is not in a local network"),
        ),
        (
            "plans: [{id: p, requests_per_minute: 60, burst: 5, max_batch: 6}]",
            Some("plans[0].max_batch: is above `burst`"),
        ),
        (
            "plans: [{id: p, requests_per_minute: 60, burst: 5, max_batch: 5}]",
            None,
        ),
    ] {
        let upstreams = if text.starts_with("plans") { TWO } else { "" };
        let warnings = parse_text(&format!("{text}\n{upstreams}"))
            .unwrap()
            .warnings;
        let found = warnings
            .iter()
            .find(|warning| warning.contains("local network") || warning.contains("max_batch"));
        match doubt {
            None => assert_eq!(found, None, "{text}"),
            Some(doubt) => assert!(found.is_some_and(|one| one.contains(doubt)), "{warnings:?}"),
        }
    }
}

#[test]
fn a_shared_cache_that_others_can_read_is_doubted() {
    for (url, doubt) in [
        ("redis://cache:6379", None),
        ("rediss://:hunter2@cache.example.com", None),
        (
            "redis://:hunter2@cache.example.com",
            Some("cache.redis: sends password and answers unencrypted over redis://"),
        ),
        (
            "redis://8.8.8.8",
            Some(
                "cache.redis: sends answers unencrypted over redis://, where others can change \
                 them",
            ),
        ),
    ] {
        let text = format!("cache: {{redis: {{url: '{url}'}}}}\n{TWO}");
        let mut warnings = parse_text(&text).unwrap().warnings;
        warnings.retain(|warning| warning.starts_with("cache."));
        assert_eq!(warnings, Vec::from_iter(doubt), "{url}");
    }
}

#[test]
fn upstreams_of_which_none_keeps_old_history_are_doubted() {
    let own = "{id: own, url: 'http://127.0.0.1:1', tier: local";
    let paid = "{id: paid, url: 'https://paid.example.com', tier: paid";
    for (upstreams, doubted) in [
        (format!("[{own}}}]"), true),
        (format!("[{own}}}, {paid}}}]"), false),
        (
            format!("[{own}, capabilities: [history, archive]}}]"),
            false,
        ),
        (
            format!("[{own}}}, {paid}, capabilities: [full-api, history]}}]"),
            true,
        ),
        (
            format!("[{own}}}, {paid}, capabilities: [history, archive]}}]"),
            false,
        ),
    ] {
        let loaded = parse_text(&format!("upstreams: {upstreams}")).unwrap();
        let said = |warning: &String| warning.starts_with("upstreams: no upstream has old history");
        assert_eq!(loaded.warnings.iter().any(said), doubted, "{upstreams}");
    }
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

#[test]
fn a_budget_file_that_would_replace_something_else_is_refused() {
    let folder = tempfile::TempDir::new().unwrap();
    let budget =
        "{id: a, url: 'http://10.0.0.1', tier: local, budget: {requests: 1000, per: second}}";
    let check = |file: &str| {
        let text =
            format!("keys_file: keys.yaml\nbudgets: {{file: {file}}}\nupstreams: [{budget}]\n");
        fs::write(folder.path().join("gateway.yaml"), text).unwrap();
        config::load(&folder.path().join("gateway.yaml"))
    };
    for (name, content) in [
        ("keys.yaml", "{}"),
        ("tls.crt", "-----BEGIN CERTIFICATE-----\n"),
        ("budgets.json", r#"{"upstream/a":1795926700201}"#),
    ] {
        fs::write(folder.path().join(name), content).unwrap();
    }
    for (file, fault) in [
        (
            "gateway.yaml",
            "gateway.yaml holds something else than budgets",
        ),
        ("keys.yaml", "is the keys file"),
        ("./keys.yaml", "is the keys file"),
        ("tls.crt", "tls.crt holds something else than budgets"),
        (".", "is not a plain file"),
        ("/dev/zero", "/dev/zero is not a plain file"),
    ] {
        let error = check(file).unwrap_err().to_string();
        let said = |line: &str| line.contains("budgets.file: ") && line.contains(fault);
        assert!(error.lines().any(said), "{file}: {error}");
    }
    for (file, doubted) in [
        ("budgets.json", false),
        ("new.json", false),
        ("no/new.json", true),
    ] {
        let warnings = check(file).unwrap().warnings;
        let said = |warning: &String| warning.starts_with("budgets.file: ");
        assert_eq!(warnings.iter().any(said), doubted, "{file}: {warnings:?}");
    }
}

#[test]
fn budgets_that_probes_would_use_up_are_doubted() {
    let slow = "are slowed down to one in 36s";
    for (upstream, doubt) in [
        (
            "tier: local, budget: {requests: 1000, per: hour}",
            Some(slow),
        ),
        (
            "tier: paid, metered: false, provider: helius",
            Some("one in 12s"),
        ),
        ("tier: paid, provider: helius", None),
        (
            "tier: paid, budget: {requests: 100, per: hour}",
            Some("one in 360s"),
        ),
        (
            "tier: paid, budget: {requests: 50000, per: month}",
            Some("one in 518s"),
        ),
        ("tier: paid, budget: {requests: 50, per: second}", None),
        (
            "tier: local, budget: {requests: 50, per: second}",
            Some("20 % of the budget"),
        ),
        ("tier: local, budget: {requests: 200, per: second}", None),
        (
            "tier: local, probe: {interval: 5m}, budget: {requests: 1000, per: hour}",
            None,
        ),
        (
            "tier: paid, budget: {requests: 3000, per: hour, costs: {getSlot: 5}}",
            Some("one in 60s"),
        ),
    ] {
        let text = format!("upstreams: [{{id: a, url: 'http://10.0.0.1', {upstream}}}]");
        let mut warnings = parse_text(&text).unwrap().warnings;
        warnings.retain(|warning| warning.starts_with("upstreams.a.probe.interval"));
        match doubt {
            None => assert_eq!(warnings, [""; 0], "{upstream}"),
            Some(doubt) => assert!(warnings[0].contains(doubt), "{upstream}: {warnings:?}"),
        }
    }
    let jupiter = "upstreams: [{id: a, url: 'http://10.0.0.1', tier: local}]
jupiter: {upstreams: [{id: j, kind: hosted, url: 'https://api.jup.ag', budget: {requests: 60, per: hour}}]}";
    let warnings = parse_text(jupiter).unwrap().warnings;
    let is_doubt = |warning: &String| warning.contains("that of j is slowed down to one in 600s");
    assert!(warnings.iter().any(is_doubt), "{warnings:?}");
}

#[test]
fn plans_with_typos_and_plans_of_nobody_are_doubted() {
    let plans = "
plans:
  - {id: small, allow: [getBalanse, getSlot, providersOwn], deny: [getProgramAcounts], costs: {getBlok: 2}}
  - {id: spare}
  - {id: default, burst: 7}
";
    let doubts = |more: &str| {
        let mut warnings = parse_text(&format!("{plans}{more}{TWO}")).unwrap().warnings;
        warnings.retain(|warning| warning.starts_with("plans."));
        warnings
    };
    let typos = [
        "plans.small.allow: getBalanse is unknown; did you mean getBalance?",
        "plans.small.deny: getProgramAcounts is unknown; did you mean getProgramAccounts?",
        "plans.small.costs: getBlok is unknown; did you mean getBlock?",
    ];
    let nobody = |id: &str| {
        format!("plans.{id}: applies to nobody: no consumer names it, nor does anonymous_plan")
    };
    let all: Vec<String> = typos.map(str::to_owned).to_vec();
    let expected = [
        all.clone(),
        vec![nobody("small"), nobody("spare"), nobody("default")],
    ];
    assert_eq!(doubts(""), expected.concat());
    let some = "anonymous_plan: spare\nconsumers: [{id: a, keys: [a-long-key-for-tests]}]";
    assert_eq!(doubts(some), [all.clone(), vec![nobody("small")]].concat());
    // Keys that are yet to be made may name any.
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.yaml");
    fs::write(&keys, "keys: []\n").unwrap();
    assert_eq!(doubts(&format!("keys_file: {}", keys.display())), all);
}

#[test]
fn an_admin_port_that_others_can_reach_is_doubted_with_the_cure() {
    let machine = Equipped::new();
    let tls = "tls: {certificate: a.crt, key: a.key";
    for (admin, doubt) in [
        ("listen: 127.0.0.1:9090".to_owned(), None),
        (
            "listen: 0.0.0.0:9090".to_owned(),
            Some("set admin.token or admin.tls.client_ca, or listen on 127.0.0.1"),
        ),
        (
            "listen: 0.0.0.0:9090, token: an-operators-token".to_owned(),
            Some("is sent in cleartext to 0.0.0.0:9090; set admin.tls"),
        ),
        (
            format!("listen: 0.0.0.0:9090, token: an-operators-token, {tls}}}"),
            None,
        ),
        (
            format!("listen: 0.0.0.0:9090, {tls}, client_ca: ca.crt}}"),
            None,
        ),
        (
            format!("listen: 0.0.0.0:9090, {tls}}}"),
            Some("set admin.token or admin.tls.client_ca"),
        ),
    ] {
        let text = format!("admin: {{{admin}}}\n{TWO}");
        let mut warnings = config::parse(&text, &machine).unwrap().warnings;
        warnings.retain(|warning| warning.starts_with("admin."));
        match doubt {
            None => assert_eq!(warnings, [""; 0], "{admin}"),
            Some(doubt) => {
                assert_eq!(warnings.len(), 1, "{warnings:?}");
                assert!(warnings[0].contains(doubt), "{warnings:?}");
            }
        }
    }
}

#[test]
fn certificates_of_consumers_that_nobody_asks_for_are_doubted() {
    let machine = Equipped::new();
    let consumer = "consumers: [{id: bots, certificates: ['CN=bots']}]";
    let listener = "{address: '0.0.0.0:8443', certificate: a.crt, key: a.key";
    for (listen, doubted) in [
        (String::new(), true),
        (format!("listen: {{tls: [{listener}}}]}}\n"), true),
        (
            format!("listen: {{tls: [{listener}, client_ca: ca.crt}}]}}\n"),
            false,
        ),
    ] {
        let text = format!("{listen}{consumer}\n{TWO}");
        let warnings = config::parse(&text, &machine).unwrap().warnings;
        let said = |warning: &String| warning.contains("no listener asks clients for certificates");
        assert_eq!(warnings.iter().any(said), doubted, "{warnings:?}");
    }
}

/// What is said about the bounds of a key when it has this value.
fn complaints(key: &KeyReference, value: &str) -> Vec<String> {
    let mut document = json!({
        "plans": [{ "id": "small" }],
        "upstreams": [{ "id": "one", "url": "http://127.0.0.1:1", "tier": "local" }],
    });
    *place(&mut document, &key.path) = value.into();
    let violations = match parse_text(&document.to_string()) {
        Ok(_) => Vec::new(),
        Err(error) => error.violations,
    };
    let path = key.path.replace("[]", "[0]");
    let own = violations
        .into_iter()
        .filter(|violation| violation.path == path);
    own.map(|violation| violation.message)
        .filter(|text| text.starts_with("must be at"))
        .collect()
}

#[test]
fn both_bounds_are_allowed_and_what_is_beyond_is_not() {
    let bounded: Vec<KeyReference> = config::reference()
        .into_iter()
        .filter(|key| key.bounds.is_some())
        .collect();
    assert!(bounded.len() > 40);
    for key in &bounded {
        let (least, most) = key.bounds.clone().unwrap();
        assert_eq!(complaints(key, &least), [""; 0], "{}", key.path);
        assert_eq!(complaints(key, &most), [""; 0], "{}", key.path);
        if let Ok(number) = most.parse::<u64>() {
            let beyond = complaints(key, &(number + 1).to_string());
            assert_eq!(beyond, [format!("must be at most {most}")], "{}", key.path);
        }
    }
}

#[test]
fn writing_every_default_changes_nothing() {
    let mut document = json!({
        "upstreams": [
            { "id": "one", "url": "http://127.0.0.1:1", "tier": "local" },
            { "id": "two", "url": "http://127.0.0.1:2", "tier": "local" },
        ],
        "plans": [{ "id": "default" }],
    });
    let lists = [
        "admin.hosts",
        "consumers[].certificates",
        "consumers[].key_hashes",
        "health.ready_for",
        "listen.proxy_protocol",
        "listen.rpc",
        "listen.trusted_proxies",
        "methods.deny",
        "methods.read",
        "plans[].allow",
        "plans[].deny",
        "plans[].allow_addresses",
        "plans[].deny_addresses",
        "plans[].allow_origins",
        "plans[].deny_origins",
        "upstreams[].allow",
        "upstreams[].deny",
    ];
    // TLS is refused for this URL, whatever is said about it; Redis is not used at all, nor is
    // any upstream of Jupiter's API.
    let other = |path: &str| {
        let unused = [
            "upstreams[].tls",
            "upstreams[].budget",
            "jwt.",
            "cache.redis.",
            "telemetry.otlp.",
            "jupiter.upstreams[]",
            "jupiter.referral.fee_accounts[]",
        ];
        lists.contains(&path) || unused.iter().any(|start| path.starts_with(start))
    };
    for key in config::reference()
        .into_iter()
        .filter(|key| !other(&key.path))
    {
        if let Some(default) = key.default {
            *place(&mut document, &key.path) = default.into();
        }
    }
    let written = parse_text(&document.to_string()).unwrap();
    let silent = parse_text(TWO).unwrap();
    assert_eq!(written.config, silent.config);
    assert_ne!(written.digest, silent.digest);
}

#[test]
fn the_schema_in_the_repository_is_up_to_date() {
    let file = root().join("conf/gateway.schema.json");
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

#[test]
fn every_key_is_described_in_the_schema() {
    let schema = config::schema();
    for key in config::reference() {
        let property = key.path.split('.').fold(&schema, |place, step| {
            if step == "*" {
                return &place["additionalProperties"];
            }
            let name = step.trim_end_matches("[]");
            let place = &place["properties"][name];
            if name.len() < step.len() {
                &place["items"]
            } else {
                place
            }
        });
        let text = property["description"].as_str().unwrap_or_default();
        assert!(
            text.len() > 10 && !text.starts_with("From"),
            "{} is not described",
            key.path
        );
    }
}

#[test]
fn every_key_is_in_the_reference_with_its_default_its_bounds_and_what_a_reload_does() {
    let text = fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    let rows: BTreeMap<&str, Vec<&str>> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .map(|(path, rest)| (path, rest.split('|').map(str::trim).collect::<Vec<_>>()))
        .filter(|(_, columns)| columns.len() == 6)
        .collect();
    let keys = config::reference();
    for key in &keys {
        let row = rows
            .get(key.path.as_str())
            .unwrap_or_else(|| panic!("no row for {}", key.path));
        let [kind, default, bounds, reload, meaning, ""] = row[..] else {
            panic!("the row of {} has other columns", key.path)
        };
        assert!(!kind.is_empty() && !meaning.is_empty(), "{}", key.path);
        match &key.default {
            Some(value) => assert_eq!(default, format!("`{value}`"), "default of {}", key.path),
            None => assert_eq!(default == "required", key.required, "{}", key.path),
        }
        let expected = match &key.bounds {
            Some((least, most)) => format!("{least} – {most}"),
            None => "–".to_owned(),
        };
        assert_eq!(bounds, expected, "bounds of {}", key.path);
        let restart = restart_only_keys()
            .iter()
            .any(|only| key.path.starts_with(only));
        assert_eq!(
            reload,
            if restart { "restart" } else { "yes" },
            "reload of {}",
            key.path
        );
    }
    let known: BTreeSet<&str> = keys.iter().map(|key| key.path.as_str()).collect();
    let unknown: Vec<_> = rows.keys().filter(|path| !known.contains(**path)).collect();
    assert!(unknown.is_empty(), "keys there are not: {unknown:?}");
}

/// What is named when everything that needs a restart has changed.
fn restart_only_keys() -> Vec<&'static str> {
    let mut config = Config::default();
    config.listen.rpc.clear();
    config.listen.tls.push(config::TlsListener {
        address: "127.0.0.1:1".parse().unwrap(),
        certificate: PathBuf::new(),
        key: PathBuf::new(),
        client_ca: None,
        client_auth: config::ClientAuth::Required,
    });
    config.admin.tls = Some(config::AdminTls {
        certificate: PathBuf::new(),
        key: PathBuf::new(),
        client_ca: None,
        client_auth: config::ClientAuth::Required,
    });
    config.listen.keepalive *= 2;
    config.listen.h2c = !config.listen.h2c;
    config.listen.next_port = !config.listen.next_port;
    config.admin.listen = None;
    config.runtime.threads = Some(3);
    config.runtime.upgrade_socket = Some(PathBuf::from("elsewhere"));
    config.shutdown.delay += Duration::from_secs(1);
    config.shutdown.grace *= 2;
    config.shutdown.linger *= 2;
    config.log.format = LogFormat::Pretty;
    config.selection.floor_entries += 1;
    config.telemetry.otlp = Some(config::Otlp {
        endpoint: config::UpstreamUrl::parse("http://collector").unwrap(),
        headers: BTreeMap::new(),
        timeout: Duration::from_secs(1),
        ratio: 1.0,
        by_parent: true,
        queue: 64,
        service_name: String::new(),
    });
    config::restart_only_changes(&Config::default(), &config)
}
