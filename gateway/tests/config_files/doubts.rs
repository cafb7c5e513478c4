//! What is valid but probably not meant is warned of.

use super::*;

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
        let about = ["plans.", "anonymous_plan"];
        warnings.retain(|warning| about.iter().any(|of| warning.starts_with(of)));
        warnings.retain(|warning| !warning.contains(".burst: "));
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
    let told = "anonymous_plan: applies to nobody: callers without a key are refused";
    let refused = doubts(some);
    assert!(refused[0].starts_with(told), "{refused:?}");
    let some = format!("anonymous: true\n{some}");
    assert_eq!(doubts(&some), [all.clone(), vec![nobody("small")]].concat());
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

#[test]
fn the_url_of_a_call_of_jupiters_api_is_doubted_where_that_of_the_api_is_meant() {
    for (upstream, doubt) in [
        ("url: 'https://api.jup.ag', kind: hosted", None),
        (
            "url: 'https://api.jup.ag/swap/v1', kind: hosted",
            Some("leave /swap/v1 out"),
        ),
        (
            "url: 'https://api.jup.ag/ultra/v1/', kind: hosted",
            Some("leave /ultra/v1 out"),
        ),
        (
            "url: 'https://proxy.example.com/jupiter', kind: hosted",
            None,
        ),
        (
            "url: 'https://quote-api.jup.ag/v6', kind: hosted",
            Some("leave /v6 out"),
        ),
        (
            "url: 'https://quote-api.jup.ag', kind: hosted",
            Some("did you mean https://api.jup.ag?"),
        ),
        (
            "url: 'http://127.0.0.1:1/quote', kind: self-hosted",
            Some("leave /quote out"),
        ),
        ("url: 'http://127.0.0.1:1/swap/v1', kind: self-hosted", None),
        (
            "url: 'http://127.0.0.1:1/v6', kind: other, paths: {swap_v1: /}",
            None,
        ),
    ] {
        let text = format!("{TWO}\njupiter: {{upstreams: [{{id: j, {upstream}}}]}}");
        let warnings = parse_text(&text).unwrap().warnings;
        let found = warnings
            .iter()
            .find(|warning| warning.starts_with("jupiter.upstreams.j.url: "));
        match doubt {
            None => assert_eq!(found, None, "{upstream}"),
            Some(doubt) => assert!(found.is_some_and(|one| one.contains(doubt)), "{warnings:?}"),
        }
    }
}
