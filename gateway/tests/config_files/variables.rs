//! What comes from the environment and from files, and that no error shows it.

use super::*;

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
        "listen.tls[].client_crl",
        "admin.tls.certificate",
        "admin.tls.key",
        "admin.tls.client_ca",
        "admin.tls.client_crl",
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
