//! A new configuration takes effect without a restart, three ways; a bad one changes nothing.

use perijove_tests::gateway::{Endpoint, GatewayConfig};
use perijove_tests::sandbox::{Fault, Kind};
use perijove_tests::wait::until;

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
