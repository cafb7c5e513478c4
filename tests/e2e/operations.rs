//! What an operator sees: metrics, status, the access log, the command line.

use perijove_tests::gateway::process::binary;
use perijove_tests::sandbox::Fault;
use perijove_tests::wait::until;
use serde_json::{Value, json};

use crate::scene::{KEY, Scene, on_reads};

#[tokio::test]
async fn metrics_have_bounded_labels_and_count_what_happened() {
    let scene = Scene::ranked().await;
    scene.v(0).fault(on_reads(Fault::status(500)).times(1));
    for _ in 0..3 {
        scene.balance().await;
    }
    for index in 0..5 {
        scene
            .gateway
            .rpc(&format!("madeUp{index}"), json!([]))
            .await;
    }
    let text = scene.gateway.admin("/metrics").await.text();
    assert!(!text.contains("madeUp"), "a client's word became a label");
    let metrics = scene.gateway.metrics().await;
    for name in [
        "jupiter_api_rpc_failover_total",
        "perijove_config_last_reload_successful",
        "process_resident_memory_bytes",
        "process_open_fds",
    ] {
        assert!(metrics.has(name), "{name} in {text}");
    }
    assert!(
        text.contains("getBalance") && text.contains("upstream=\"v0\""),
        "{text}"
    );
}

#[tokio::test]
async fn status_shows_every_upstream() {
    let scene = Scene::ranked().await;
    scene.v(0).fault(Fault::lag(40));
    scene.settles_on(1).await;
    let status = scene.gateway.status().await;
    let text = status.to_string();
    assert!(text.contains("\"v0\"") && text.contains("\"v1\""), "{text}");
    assert_eq!(scene.gateway.admin("/").await.status, 200);
    assert_eq!(scene.gateway.admin("/nothing").await.status, 404);
}

#[tokio::test]
async fn each_request_leaves_one_line_in_the_access_log() {
    let scene = Scene::ranked().await;
    let reply = scene.balance().await;
    let id = reply.header("x-request-id").unwrap().to_owned();
    let line = until("the line of the request", || async {
        scene
            .gateway
            .process
            .log()
            .into_iter()
            .find(|line| line.contains(&id))
    })
    .await;
    let json: Value = serde_json::from_str(&line).unwrap();
    let text = json.to_string();
    for word in ["getBalance", "v0", "200"] {
        assert!(text.contains(word), "{word} in {text}");
    }
    assert!(
        !text.contains(KEY),
        "params do not belong into a log: {text}"
    );
}

#[tokio::test]
async fn a_refused_request_leaves_a_line_too() {
    let scene = Scene::equals(1).await;
    let request = scene.gateway.client().get(scene.gateway.url());
    let reply = scene.gateway.send(request).await;
    let id = reply.header("x-request-id").unwrap().to_owned();
    let line = until("the line of the request", || {
        let log = scene.gateway.process.log();
        std::future::ready(log.into_iter().find(|line| line.contains(&id)))
    })
    .await;
    let json: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(json["status"], 405, "{line}");
    assert_eq!(json["outcome"], "http_method", "{line}");
}

#[tokio::test]
async fn a_request_id_of_the_client_is_kept_if_it_is_a_sane_one() {
    let scene = Scene::equals(1).await;
    let send = async |id: &str| {
        let request = scene
            .gateway
            .client()
            .post(scene.gateway.url())
            .header("content-type", "application/json")
            .header("x-request-id", id)
            .body(r#"{"jsonrpc":"2.0","id":1,"method":"getSlot"}"#);
        scene.gateway.send(request).await
    };
    let long = "x".repeat(5_000);
    let reply = send(&long).await;
    assert_ne!(reply.header("x-request-id"), Some(long.as_str()));
    assert!(reply.header("x-request-id").is_some());
}

fn check(text: &str) -> std::process::Output {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("gateway.yaml");
    std::fs::write(&file, text).unwrap();
    std::process::Command::new(binary("perijove-gateway"))
        .args(["check", "--config"])
        .arg(&file)
        .output()
        .unwrap()
}

#[test]
fn check_accepts_a_good_file_and_names_every_fault_of_a_bad_one() {
    let good = check("upstreams:\n  - {id: a, url: 'http://127.0.0.1:8898', tier: local}\n");
    assert!(good.status.success(), "{good:?}");
    let bad =
        check("upstreams:\n  - {id: a, url: 'ftp://x', tier: local}\nretry: {attempts: no}\n");
    assert_eq!(bad.status.code(), Some(3), "{bad:?}");
    let said = String::from_utf8_lossy(&bad.stderr);
    assert!(
        said.contains("upstreams[0].url") && said.contains("retry.attempts"),
        "{said}"
    );
}

#[test]
fn the_command_line_explains_itself() {
    let help = std::process::Command::new(binary("perijove-gateway"))
        .arg("--help")
        .output()
        .unwrap();
    assert!(help.status.success());
    let said = String::from_utf8_lossy(&help.stdout);
    for word in ["run", "check", "schema", "TERM", "HUP", "QUIT"] {
        assert!(said.contains(word), "{word} in {said}");
    }
}
