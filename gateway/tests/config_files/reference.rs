//! Schema and reference are complete, and defaults and bounds are what they say.

use super::*;

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
    let tls = config::AdminTls {
        certificate: PathBuf::new(),
        key: PathBuf::new(),
        client_ca: None,
        client_crl: None,
        client_auth: config::ClientAuth::Required,
    };
    config
        .listen
        .tls
        .push(tls.at("127.0.0.1:1".parse().unwrap()));
    config.admin.tls = Some(tls);
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
