//! Gateways that are their own upstreams, or each other's.

use super::*;

#[tokio::test]
async fn a_gateway_that_is_its_own_upstream_says_so_and_takes_no_call_twice() {
    // A way back to the gateway that its configuration does not show.
    let way = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", way.local_addr().unwrap());
    let cluster = Sandbox::start(1).await.unwrap();
    let config = GatewayConfig::new()
        .endpoint(Endpoint::at("itself", &url))
        .endpoint(Endpoint::of(cluster.validator(0)).tier("paid"));
    let gateway = Gateway::start(config).await;
    let forwards = forward(way, gateway.address());
    until("the cause to be shown", || async {
        let told = status_of(&gateway, "itself").await;
        let shown = told["state"] == "failing (HTTP 508)"
            && says(&told["cure"], "points back at this gateway");
        shown.then_some(())
    })
    .await;
    let line = until_changed(&gateway, "itself", "failing").await;
    assert!(says(&line["cure"], "points back at this gateway"), "{line}");
    cluster.reset_counts();
    for number in 0..10 {
        let reply = gateway
            .rpc("getBalance", json!([chain::identity(number)]))
            .await;
        assert_eq!(reply.upstream(), "v0", "{}", reply.text());
    }
    assert_eq!(cluster.hits("getBalance"), 10);
    forwards.abort();
}

/// Forwards connections until it is aborted.
fn forward(way: TcpListener, to: SocketAddr) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Ok((mut near, _)) = way.accept().await {
            tokio::spawn(async move {
                let mut far = TcpStream::connect(to).await.unwrap();
                drop(copy_bidirectional(&mut near, &mut far).await);
            });
        }
    })
}

#[tokio::test]
async fn two_gateways_that_are_each_others_upstreams_send_no_call_in_circles() {
    let way = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", way.local_addr().unwrap());
    let cluster = Sandbox::start(1).await.unwrap();
    let config = GatewayConfig::new()
        .endpoint(Endpoint::at("second", &url))
        .endpoint(Endpoint::of(cluster.validator(0)).tier("paid"));
    let first = Gateway::start(config).await;
    let second = GatewayConfig::new().endpoint(Endpoint::at("first", &first.url()));
    let second = Gateway::start(second).await;
    let forwards = forward(way, second.address());
    for number in 0..10 {
        for gateway in [&first, &second] {
            let account = json!([chain::identity(number)]);
            let reply = until("an answer", || async {
                let reply = gateway.rpc("getBalance", account.clone()).await;
                reply.json()["result"].is_object().then_some(reply)
            })
            .await;
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
    }
    let refused = first.metrics().await;
    let loops = refused.sum("perijove_http_refused_total", &[("reason", "loop")]);
    assert!(loops > 0.0, "what came back was refused");
    let told = said(
        &first,
        "WARN",
        "calls come back to the gateway that has sent them",
    );
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(says(&told[0]["cause"], "leads back to this gateway"));
    forwards.abort();
}
