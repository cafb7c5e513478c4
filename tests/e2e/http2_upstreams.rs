//! Upstreams that speak HTTP/2 over TLS: few connections carry many calls, and what is particular
//! to it loses none of them.

use std::time::Duration;

use futures::future::join_all;
use perijove_tests::client::{call, keep_alive};
use perijove_tests::gateway::{Endpoint, Gateway, GatewayConfig};
use perijove_tests::load::Load;
use perijove_tests::sandbox::Sandbox;
use perijove_tests::tls::{Http2Front, Identity, TlsFront};
use perijove_tests::wait::eventually;
use serde_json::json;

use crate::scene::{KEY, Scene};

const MEGABYTE: u64 = 1024 * 1024;

/// `v0` behind HTTP/2.
struct Distant {
    scene: Scene,
    front: Http2Front,
    _identity: Identity,
}

/// With so many validators; `v1` is spoken to in the clear and bought.
async fn distant(validators: usize, delay: u64) -> Distant {
    let cluster = Sandbox::start(validators).await.unwrap();
    let identity = Identity::of("localhost");
    let delay = Duration::from_millis(delay);
    let front = Http2Front::start(&identity, cluster.validator(0), delay, 250).await;
    let tls = json!({ "ca": identity.certificate_file().display().to_string() });
    let first = Endpoint::at("v0", &front.url())
        .set("tls", tls)
        .set("connections", 10);
    let mut config = GatewayConfig::new().endpoint(first);
    for other in cluster.validators().iter().skip(1) {
        let other = Endpoint::of(other).tier("paid").set("metered", false);
        config = config.endpoint(other);
    }
    let config = config.set("hedge.enabled", false);
    let gateway = Gateway::start(config).await;
    let scene = Scene { cluster, gateway };
    scene.until_answered_by("v0").await;
    scene.cluster.reset_counts();
    Distant {
        scene,
        front,
        _identity: identity,
    }
}

#[tokio::test]
async fn an_upstream_that_wants_http_1_after_all_is_spoken_to_in_it() {
    let cluster = Sandbox::start(1).await.unwrap();
    let identity = Identity::of("localhost");
    let front = Http2Front::start_reluctant(&identity, cluster.validator(0)).await;
    let tls = json!({ "ca": identity.certificate_file().display().to_string() });
    let only = Endpoint::at("v0", &front.url()).set("tls", tls);
    let gateway = Gateway::start(GatewayConfig::new().endpoint(only)).await;
    for number in 0..10 {
        let reply = gateway.rpc("sandboxEcho", json!([number])).await;
        assert_eq!(reply.json()["result"], json!([number]), "{}", reply.text());
    }
    // One call at most was refused, and sent again.
    assert_eq!(front.older_calls(), 10);
    assert!(front.calls() <= 11, "{}", front.calls());
    let status = gateway.status().await;
    assert_eq!(status["upstreams"][0]["http"], "1.1", "{status}");
}

fn echo() -> String {
    call("sandboxEcho", &json!([1]))
}

#[tokio::test]
async fn few_connections_carry_what_a_distant_upstream_is_asked() {
    let distant = distant(1, 100).await;
    let status = distant.scene.gateway.status().await;
    assert_eq!(status["upstreams"][0]["http"], "2", "{status}");
    // So many are under way at any time, however fast the machine is: more than ten connections of
    // HTTP/1.1 could carry.
    let callers = (0..60).map(|_| async {
        for number in 0..10 {
            let reply = distant.scene.gateway.rpc("sandboxEcho", json!([number]));
            assert_eq!(reply.await.result(), json!([number]));
        }
    });
    join_all(callers).await;
    let connections = distant.front.connections();
    assert!(connections <= 10, "{connections} connections");
    let metrics = distant.scene.gateway.metrics().await;
    let waited = metrics.sum("perijove_upstream_saturated_total", &[("upstream", "v0")]);
    assert!(waited.abs() < 0.1, "{waited} calls waited");
}

#[tokio::test]
async fn goaway_in_the_middle_of_calls_loses_none() {
    let distant = distant(1, 50).await;
    let load = Load::start(&distant.scene.gateway.url(), 100, &echo());
    for times in 1..=3 {
        let until = times * 100;
        eventually("some calls to be made", || load.started() >= until).await;
        let before = distant.front.connections();
        distant.front.leave();
        eventually("another connection to be used", || {
            distant.front.connections() > before
        })
        .await;
    }
    load.stop().await.assert_nothing_lost();
}

#[tokio::test]
async fn refused_streams_are_sent_again_to_the_same_upstream() {
    let distant = distant(2, 0).await;
    let before = distant.front.calls();
    distant.front.refuse(2);
    for _ in 0..5 {
        let reply = distant.scene.gateway.rpc("sandboxEcho", json!([1])).await;
        assert_eq!(reply.upstream(), "v0");
    }
    assert_eq!(distant.front.calls() - before, 7);
    assert_eq!(distant.scene.hits("sandboxEcho"), [5, 0]);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_asked_for_elsewhere() {
    let distant = distant(2, 0).await;
    distant.front.break_off(1);
    let reply = distant.scene.balance().await;
    assert_eq!(reply.upstream(), "v1");
    assert!(reply.result()["value"].is_u64(), "{}", reply.text());
    assert_eq!(distant.scene.hits("getBalance"), [1, 1]);
    // The connection has lost nothing but that stream.
    let connections = distant.front.connections();
    distant.scene.until_answered_by("v0").await;
    assert_eq!(distant.front.connections(), connections);
}

#[tokio::test]
async fn an_upstream_that_chooses_http_1_is_spoken_to_in_it() {
    let cluster = Sandbox::start(1).await.unwrap();
    let identity = Identity::of("localhost");
    let front = TlsFront::offering(&identity, cluster.validator(0), &["http/1.1"]).await;
    let tls = json!({ "ca": identity.certificate_file().display().to_string() });
    let url = format!("https://localhost:{}/", front.port());
    let config = GatewayConfig::new().endpoint(Endpoint::at("v0", &url).set("tls", tls));
    let gateway = Gateway::start(config).await;
    let scene = Scene { cluster, gateway };
    scene.settles_on(0).await;
    let calls = (0..30).map(|_| scene.gateway.rpc("getBalance", json!([KEY])));
    for reply in join_all(calls).await {
        assert_eq!(reply.upstream(), "v0");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_answers_take_bounded_memory() {
    const ANSWERS: u64 = 10;
    let distant = distant(2, 0).await;
    let gateway = &distant.scene.gateway;
    let before = gateway.process.resident();
    let body = call("sandboxPad", &json!([{ "bytes": 20 * MEGABYTE }]));
    let answers = (0..ANSWERS).map(|_| {
        let request = keep_alive()
            .post(gateway.url())
            .header("content-type", "application/json")
            .body(body.clone());
        async move {
            let mut response = request.send().await.unwrap();
            let mut length = 0;
            while let Some(chunk) = response.chunk().await.unwrap() {
                length += chunk.len() as u64;
            }
            length
        }
    });
    let mut answers = Box::pin(join_all(answers));
    let mut most = 0;
    let lengths = loop {
        tokio::select! {
            lengths = &mut answers => break lengths,
            () = tokio::time::sleep(Duration::from_millis(20)) => {
                most = most.max(gateway.process.resident());
            }
        }
    };
    assert!(lengths.iter().all(|length| *length > 20 * MEGABYTE));
    let grown = most.saturating_sub(before) / MEGABYTE;
    assert!(grown < 96, "{grown} MB for {ANSWERS} answers of 20 MB");
}

#[tokio::test]
async fn where_streams_are_short_a_trade_goes_before_what_waits() {
    let cluster = Sandbox::start(1).await.unwrap();
    let identity = Identity::of("localhost");
    let front = Http2Front::start(
        &identity,
        cluster.validator(0),
        Duration::from_millis(200),
        1,
    )
    .await;
    let upstream = Endpoint::at("v0", &front.url())
        .set(
            "tls",
            json!({ "ca": identity.certificate_file().display().to_string() }),
        )
        .set("connections", 1)
        .set("connections_ceiling", 1);
    let config = GatewayConfig::new().endpoint(upstream);
    let gateway = Gateway::start(config.set("hedge.enabled", false)).await;
    let scene = Scene { cluster, gateway };
    scene.until_answered_by("v0").await;
    scene.cluster.reset_counts();
    let flood = join_all((0..15).map(|number| scene.gateway.rpc("sandboxEcho", json!([number]))));
    let trade = async {
        eventually("the flood to begin", || scene.v(0).hits("sandboxEcho") >= 1).await;
        let sent = scene.transaction(1);
        let reply = scene.gateway.rpc("sendTransaction", sent).await;
        assert!(reply.result().is_string(), "{}", reply.text());
        scene.v(0).hits("sandboxEcho")
    };
    let (replies, before) = tokio::join!(flood, trade);
    assert!(before < 15, "{before} of the flood went before");
    assert!(replies.iter().all(|reply| reply.status == 200));
}
