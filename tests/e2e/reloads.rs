//! A new configuration takes effect without a restart, three ways; a bad one changes nothing.

use perijove_tests::gateway::{Endpoint, GatewayConfig};
use perijove_tests::sandbox::{Fault, Kind};
use perijove_tests::wait::until;
use serde_json::{Value, json};

use crate::scene::{Scene, on_reads, ranked};

/// A configuration in which only `v1` is left.
fn only_second(scene: &Scene) -> GatewayConfig {
    GatewayConfig::new().endpoint(Endpoint::of(scene.v(1)))
}

#[tokio::test]
async fn a_changed_file_is_noticed() {
    let scene = Scene::ranked().await;
    assert_eq!(scene.balance().await.upstream(), "v0");
    scene.gateway.write_config(only_second(&scene));
    scene.settles_on(1).await;
}

#[tokio::test]
async fn sighup_reloads() {
    let scene = Scene::ranked().await;
    assert_eq!(scene.balance().await.upstream(), "v0");
    scene.gateway.write_config(only_second(&scene));
    scene.gateway.process.signal("HUP");
    scene.settles_on(1).await;
}

#[tokio::test]
async fn the_admin_port_reloads_and_has_done_so_when_it_answers() {
    let scene = Scene::ranked().await;
    assert_eq!(scene.balance().await.upstream(), "v0");
    scene.gateway.write_config(only_second(&scene));
    let reply = scene.gateway.reload().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(scene.balance().await.upstream(), "v1");
    let get = scene.gateway.admin("/-/reload").await;
    assert_eq!(get.status, 405);
}

#[tokio::test]
async fn a_mounted_config_map_is_followed() {
    // Kubernetes swaps a symbolic link to a folder.
    let scene = Scene::ranked().await;
    let file = scene.gateway.config_file();
    let folder = file.parent().unwrap();
    let versions = [folder.join("..1"), folder.join("..2")];
    for (version, config) in versions
        .iter()
        .zip([ranked(&scene.cluster), only_second(&scene)])
    {
        std::fs::create_dir(version).unwrap();
        let socket = folder.join("upgrade.sock").display().to_string();
        let text = config.set("runtime.upgrade_socket", socket).text();
        std::fs::write(version.join("gateway.yaml"), text).unwrap();
    }
    let link = |target: &str, name: &str| {
        let new = folder.join(format!("{name}.new"));
        std::os::unix::fs::symlink(target, &new).unwrap();
        std::fs::rename(&new, folder.join(name)).unwrap();
    };
    link("..1", "..data");
    link("..data/gateway.yaml", "gateway.yaml");
    assert_eq!(scene.gateway.reload().await.status, 200);
    assert_eq!(scene.balance().await.upstream(), "v0");
    link("..2", "..data");
    scene.settles_on(1).await;
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_says_so() {
    let scene = Scene::ranked().await;
    let success = async || {
        let metrics = scene.gateway.metrics().await;
        assert!(metrics.has("perijove_config_last_reload_successful"));
        metrics.sum("perijove_config_last_reload_successful", &[]) > 0.5
    };
    assert!(success().await);
    for bad in ["upstreams: [", "", "surprise: 1\n", "upstreams: []\n"] {
        scene.gateway.write_file(bad);
        let reply = scene.gateway.reload().await;
        assert_ne!(reply.status, 200, "{bad:?}: {}", reply.text());
        assert!(!success().await, "{bad:?}");
        assert_eq!(scene.balance().await.upstream(), "v0", "{bad:?}");
    }
    scene.gateway.write_config(only_second(&scene));
    scene.gateway.process.signal("HUP");
    scene.settles_on(1).await;
    assert!(success().await);
}

#[tokio::test]
async fn a_file_that_is_refused_changes_no_budget_either() {
    let scene = Scene::ranked().await;
    let with_budget = |requests: u64| {
        let rate = json!({ "requests": requests, "per": "hour", "burst": requests });
        let first = Endpoint::of(scene.v(0)).tier("local").set("budget", rate);
        let second = Endpoint::of(scene.v(1)).tier("paid");
        GatewayConfig::new().endpoint(first).endpoint(second)
    };
    scene.gateway.write_config(with_budget(10_000));
    let reply = scene.gateway.reload().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    // The certificate is read late.
    let refused = with_budget(1)
        .set("cache.redis.url", "rediss://127.0.0.1:1")
        .set("cache.redis.ca", "/nowhere/ca.pem");
    scene.gateway.write_config(refused);
    let reply = scene.gateway.reload().await;
    assert!(reply.text().contains("cache.redis"), "{}", reply.text());
    for _ in 0..20 {
        assert_eq!(scene.balance().await.upstream(), "v0");
    }
}

#[tokio::test]
async fn a_bad_file_is_explained_in_all_its_faults() {
    let scene = Scene::ranked().await;
    scene.gateway.write_file(
        "upstreams:\n  - {id: a, url: 'ftp://x'}\n  - {id: a, url: 'http://x', weight: 0}\nretry: \
         {attempts: many}\n",
    );
    let reply = scene.gateway.reload().await;
    for path in ["upstreams[0].url", "upstreams[1].weight", "retry.attempts"] {
        assert!(reply.text().contains(path), "{path} in {}", reply.text());
    }
}

#[tokio::test]
async fn calls_under_way_are_finished_under_the_old_configuration() {
    let scene = Scene::ranked().await;
    scene.v(0).fault(on_reads(Kind::Hold));
    let slow = scene.balance();
    let meanwhile = async {
        perijove_tests::wait::eventually("the call to arrive", || {
            scene.v(0).hits("getBalance") == 1
        })
        .await;
        scene.gateway.write_config(only_second(&scene));
        assert_eq!(scene.gateway.reload().await.status, 200);
        assert_eq!(
            scene
                .gateway
                .rpc("getVersion", serde_json::json!([]))
                .await
                .upstream(),
            "v1"
        );
        scene.v(0).heal().unwrap();
    };
    let (slow, ()) = tokio::join!(slow, meanwhile);
    assert_eq!(slow.upstream(), "v0");
    assert!(slow.result()["value"].is_u64());
}

#[tokio::test]
async fn what_an_upstream_has_learnt_survives_a_reload() {
    let scene = Scene::ranked().await;
    scene.v(0).fault(Fault::status(410).on("getBalance"));
    scene.goes_past_the_first().await;
    scene.cluster.reset_counts();
    scene
        .gateway
        .write_config(ranked(&scene.cluster).set("limits.max_batch", 7));
    assert_eq!(scene.gateway.reload().await.status, 200);
    assert_eq!(scene.balance().await.upstream(), "v1");
    assert_eq!(scene.hits("getBalance"), [0, 1]);
}

#[tokio::test]
async fn a_removed_upstream_is_no_longer_probed() {
    let scene = Scene::ranked().await;
    scene.gateway.write_config(only_second(&scene));
    assert_eq!(scene.gateway.reload().await.status, 200);
    until("its probes to stop", || async {
        let before = (scene.v(0).probes(), scene.v(1).probes());
        perijove_tests::wait::eventually("probes of the other", || {
            scene.v(1).probes() > before.1 + 8
        })
        .await;
        (scene.v(0).probes() == before.0).then_some(())
    })
    .await;
}

/// The configuration that the gateway runs with, its addresses included.
fn same(scene: &Scene) -> GatewayConfig {
    let admin = scene.gateway.admin_url("");
    ranked(&scene.cluster)
        .set("listen.rpc", json!([scene.gateway.address().to_string()]))
        .set("admin.listen", admin.trim_start_matches("http://"))
}

/// The lines of the log with these words, parsed.
fn lines(scene: &Scene, words: &str) -> Vec<Value> {
    let log = scene.gateway.process.log().into_iter();
    log.filter(|line| line.contains(words))
        .map(|line| serde_json::from_str(&line).unwrap())
        .collect()
}

async fn reloads(scene: &Scene, outcome: &str) -> f64 {
    let metrics = scene.gateway.metrics().await;
    metrics.sum("perijove_config_reloads_total", &[("outcome", outcome)])
}

#[tokio::test]
async fn other_files_in_the_same_folder_do_not_reload_and_neither_does_the_same_text() {
    let scene = Scene::ranked().await;
    let folder = scene.gateway.config_file().parent().unwrap().to_owned();
    let text = std::fs::read_to_string(scene.gateway.config_file()).unwrap();
    for line in 0..50 {
        std::fs::write(folder.join("access.log"), format!("{line}\n")).unwrap();
        scene.gateway.write_file(&text);
    }
    // What is noticed after all of that has been noticed before.
    scene
        .gateway
        .write_config(ranked(&scene.cluster).set("limits.max_batch", 7));
    until("the reload", || async {
        (reloads(&scene, "changed").await > 0.5).then_some(())
    })
    .await;
    assert!(reloads(&scene, "unchanged").await < 0.5);
    assert!((reloads(&scene, "changed").await - 1.0).abs() < 0.5);
    assert_eq!(lines(&scene, "configuration reloaded").len(), 1);
}

#[tokio::test]
async fn the_log_says_which_settings_have_changed() {
    let scene = Scene::ranked().await;
    let config = same(&scene)
        .set("limits.max_batch", 7)
        .set("log.level", "debug,hyper=off")
        .endpoint(Endpoint::of(scene.v(0)).set("id", "third"));
    scene.gateway.write_config(config);
    let outcome = scene.gateway.reload().await.json();
    let changed = json!(["limits", "log.level", "upstreams.third"]);
    assert_eq!(outcome["settings"], changed);
    let line = until("the line", || {
        std::future::ready(lines(&scene, "configuration reloaded").pop())
    })
    .await;
    assert_eq!(line["changed"], changed);
    assert_eq!(line["level"], "INFO");
}

#[tokio::test]
async fn what_needs_a_restart_is_a_list_at_warn_in_the_status_and_a_metric() {
    let scene = Scene::ranked().await;
    let metric = async || {
        let metrics = scene.gateway.metrics().await;
        metrics.sum("perijove_config_restart_required", &[])
    };
    assert_eq!(
        scene.gateway.status().await["config"]["restart_required"],
        json!([])
    );
    let config = same(&scene)
        .set("runtime.threads", 3)
        .set("shutdown.grace", "7s");
    scene.gateway.write_config(config);
    let outcome = scene.gateway.reload().await.json();
    let keys = json!(["runtime.threads", "shutdown.grace"]);
    assert_eq!(outcome["restart_required"], keys);
    assert_eq!(
        scene.gateway.status().await["config"]["restart_required"],
        keys
    );
    assert!((metric().await - 2.0).abs() < 0.5);
    let line = until("the warning", || {
        std::future::ready(lines(&scene, "restart required").pop())
    })
    .await;
    assert_eq!(line["restart_required"], keys);
    assert_eq!(line["level"], "WARN");
    scene.gateway.write_config(same(&scene));
    assert_eq!(
        scene.gateway.reload().await.json()["restart_required"],
        json!([])
    );
    assert!(metric().await < 0.5);
}

#[tokio::test]
async fn a_mended_file_is_said_to_be_valid_again_even_if_it_is_the_old_one() {
    let scene = Scene::ranked().await;
    let good = std::fs::read_to_string(scene.gateway.config_file()).unwrap();
    scene.gateway.write_file("surprise: 1\n");
    let errors = async || scene.gateway.status().await["config"]["errors"].clone();
    until("the refusal", || async {
        errors()
            .await
            .to_string()
            .contains("surprise")
            .then_some(())
    })
    .await;
    assert!(lines(&scene, "valid again").is_empty());
    scene.gateway.write_file(&good);
    until("the good news", || {
        std::future::ready(lines(&scene, "configuration is valid again").pop())
    })
    .await;
    assert_eq!(errors().await, json!([]));
}

#[tokio::test]
async fn a_file_that_was_missing_mends_the_configuration_when_it_comes() {
    let scene = Scene::ranked().await;
    let folder = scene.gateway.config_file().parent().unwrap().to_owned();
    let secret = folder.join("secrets").join("key");
    let consumers = json!([{ "id": "bots", "keys": [{ "file": secret.display().to_string() }] }]);
    let config = ranked(&scene.cluster)
        .set("consumers", consumers)
        .set("anonymous", true);
    scene.gateway.write_config(config);
    until("the refusal", || async {
        (reloads(&scene, "refused").await > 0.5).then_some(())
    })
    .await;
    std::fs::create_dir(secret.parent().unwrap()).unwrap();
    std::fs::write(&secret, "a-key-of-many-characters").unwrap();
    until("the reload", || async {
        (reloads(&scene, "changed").await > 0.5).then_some(())
    })
    .await;
    assert_eq!(lines(&scene, "configuration is valid again").len(), 1);
}

#[tokio::test]
async fn references_that_were_not_replaced_are_warned_of_without_showing_them() {
    let cluster = perijove_tests::sandbox::Sandbox::start(1).await.unwrap();
    let url = format!("{}?api-key=$HUNTER_KEY", cluster.validator(0).url());
    let config = GatewayConfig::new()
        .endpoint(Endpoint::at("paid", &url).set("headers", json!({ "x-token": "$HUNTER" })))
        .set(
            "consumers",
            json!([{ "id": "bots", "keys": ["$${HUNTER_KEY_2}"] }]),
        )
        .set("anonymous", true);
    let gateway = perijove_tests::gateway::Gateway::start(config).await;
    let log = gateway.process.log();
    for place in [
        "upstreams[0].url",
        "upstreams[0].headers.x-token",
        "consumers[0].keys[0]",
    ] {
        let words = format!("{place}: holds a literal `$NAME`");
        let line = log.iter().find(|line| line.contains(&words));
        let line = line.unwrap_or_else(|| panic!("{place} in {log:#?}"));
        assert!(line.contains("\"WARN\""), "{line}");
    }
    assert!(!log.join("\n").contains("HUNTER"), "{log:#?}");
}
