//! Upstreams that refuse everything, or one method.

use super::*;

async fn refuses_everything(status: u16) {
    let cluster = Sandbox::start(2).await.unwrap();
    let config = GatewayConfig::new()
        .endpoint(metered(&cluster, 0))
        .endpoint(metered(&cluster, 1));
    let gateway = Gateway::start(config).await;
    let shown = format!("failing (HTTP {status})");
    cluster.validator(0).fault(Fault::status(status));
    until(&shown, || async {
        gateway.rpc("getBalance", json!([KEY])).await;
        gateway.rpc("getEpochInfo", json!([])).await;
        (status_of(&gateway, "v0").await["state"] == shown.as_str()).then_some(())
    })
    .await;
    let told = status_of(&gateway, "v0").await;
    assert_eq!(told["health"], "failing", "{told}");
    // Whichever was refused first, a probe or a call.
    let methods = ["getSlot", "getBalance", "getEpochInfo"];
    let named = methods.iter().any(|method| says(&told["cause"], method));
    assert!(
        named && says(&told["cause"], &format!("HTTP {status}")),
        "{told}"
    );
    assert!(told["cure"].is_string(), "{told}");
    assert_eq!(told["last_error"]["http_status"], status, "{told}");
    let metrics = gateway.metrics().await;
    let failing = [("upstream", "v0"), ("state", "failing")];
    assert!(metrics.sum("perijove_upstream_state", &failing) > 0.5);
    let line = until_changed(&gateway, "v0", "failing").await;
    assert!(says(&line["cause"], &format!("HTTP {status}")), "{line}");
    assert!(line["cure"].is_string(), "{line}");
    // Whatever is called from now on, it has been said.
    let before = lines_about(&gateway, "v0");
    for number in 0..30 {
        let method = ["getBalance", "getAccountInfo"][number % 2];
        let reply = gateway.rpc(method, json!([chain::identity(number)])).await;
        assert_eq!(reply.upstream(), "v1", "{}", reply.text());
    }
    assert_eq!(changes(&gateway, "v0", "failing").len(), 1);
    assert!(
        lines_about(&gateway, "v0") <= before + 2,
        "{:#?}",
        lines(&gateway)
    );
}

#[tokio::test]
async fn an_upstream_that_refuses_every_call_with_403_fails_and_says_so_once() {
    refuses_everything(403).await;
}

#[tokio::test]
async fn an_upstream_that_refuses_every_call_with_401_fails_and_says_so_once() {
    refuses_everything(401).await;
}

#[tokio::test]
async fn an_upstream_that_refuses_every_call_with_402_fails_and_says_so_once() {
    refuses_everything(402).await;
}

#[tokio::test]
async fn an_upstream_that_refuses_every_call_with_404_fails_and_says_so_once() {
    refuses_everything(404).await;
}

#[tokio::test]
async fn an_upstream_that_never_was_well_fails_too() {
    let cluster = Sandbox::start(2).await.unwrap();
    cluster.validator(0).fault(Fault::status(403));
    let config = GatewayConfig::new()
        .endpoint(metered(&cluster, 0))
        .endpoint(metered(&cluster, 1));
    let gateway = Gateway::start(config).await;
    until_changed(&gateway, "v0", "failing").await;
    cluster.validator(0).heal().unwrap();
    until("it to be healthy", || async {
        (status_of(&gateway, "v0").await["health"] == "healthy").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_method_that_the_key_does_not_allow_is_named_with_the_likely_cure() {
    let scene = Scene::ranked().await;
    // What a client has made up is no trouble of an upstream's.
    scene.gateway.rpc("aTypo", json!([])).await;
    let well = status_of(&scene.gateway, "v0").await;
    assert_eq!(
        (&well["state"], &well["holds"]),
        (&json!("healthy"), &json!([]))
    );
    scene.v(0).fault(on_reads(Fault::status(403)));
    for _ in 0..10 {
        scene.balance().await;
    }
    let refused = "v0 refuses getBalance with HTTP 403; is the key valid?";
    let line = until_said(&scene.gateway, "WARN", refused).await;
    assert_eq!(line["method"], "getBalance", "{line}");
    assert_eq!(line["http_status"], 403, "{line}");
    assert_eq!(said(&scene.gateway, "WARN", refused).len(), 1);
    let told = status_of(&scene.gateway, "v0").await;
    assert_eq!(told["health"], "healthy", "{told}");
    assert_eq!(told["state"], "refuses getBalance (HTTP 403)", "{told}");
    let hold = &told["holds"][0];
    assert_eq!(hold["method"], "getBalance", "{told}");
    assert_eq!(hold["cause"], "key-refused", "{told}");
    assert!(
        hold["since_seconds"].is_u64() && hold["seconds_left"].is_u64(),
        "{told}"
    );
    assert_eq!(told["last_error"]["fault"], "forbidden", "{told}");
}

#[tokio::test]
async fn a_dead_key_is_told_once_whatever_is_called() {
    let scene = Scene::ranked().await;
    let methods = [
        "getBalance",
        "getAccountInfo",
        "getSignaturesForAddress",
        "getProgramAccounts",
    ];
    for method in methods {
        scene.v(0).fault(Fault::status(403).on(method));
    }
    for method in methods {
        for _ in 0..3 {
            let reply = scene.gateway.rpc(method, json!([KEY])).await;
            assert_eq!(reply.upstream(), "v1", "{method}: {}", reply.text());
        }
    }
    let refused = until_said(&scene.gateway, "WARN", "v0 refuses").await;
    assert_eq!(refused["http_status"], 403, "{refused}");
    let told = said(&scene.gateway, "WARN", "v0 refuses");
    assert_eq!(told.len(), 1, "{told:#?}");
}

#[tokio::test]
async fn a_breaker_that_opens_is_told_with_cause_and_cure_and_its_end_is_no_warning() {
    let scene = Scene::ranked_with(|config| config.set("breaker.open", "100ms")).await;
    let changed = "upstream circuit breaker changed";
    scene.v(0).fault(on_reads(Fault::status(500)));
    let line = until("the breaker to open", || async {
        scene.balance().await;
        said(&scene.gateway, "WARN", changed).into_iter().next()
    })
    .await;
    assert_eq!(
        (&line["upstream"], &line["from"], &line["to"]),
        (&json!("v0"), &json!("closed"), &json!("open")),
        "{line}"
    );
    assert!(
        says(&line["cause"], "getBalance: server-error (HTTP 500)"),
        "{line}"
    );
    assert!(says(&line["cure"], "own log"), "{line}");
    scene.v(0).heal().unwrap();
    until("the breaker to close", || async {
        scene.balance().await;
        let mut lines = said(&scene.gateway, "INFO", changed).into_iter();
        lines.find(|line| line["to"] == "closed")
    })
    .await;
    assert_eq!(said(&scene.gateway, "WARN", changed).len(), 1);
}

#[tokio::test]
async fn a_redirect_is_told_with_the_server_that_it_leads_to_and_no_key() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let redirects = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                while matches!(stream.read(&mut request).await, Ok(1..)) {
                    let reply = "HTTP/1.1 308 Permanent Redirect\r\ncontent-length: 0\r\n\
                                 location: https://rpc.example:8443/v1?api-key=a-secret\r\n\r\n";
                    drop(stream.write_all(reply.as_bytes()).await);
                }
            });
        }
    });
    let cluster = Sandbox::start(1).await.unwrap();
    let config = GatewayConfig::new()
        .endpoint(Endpoint::at("moved", &url))
        .endpoint(Endpoint::of(cluster.validator(0)).tier("paid"));
    let gateway = Gateway::start(config).await;
    let line = until_changed(&gateway, "moved", "failing").await;
    assert!(
        says(
            &line["cause"],
            "(HTTP 308): redirects to https://rpc.example:8443"
        ),
        "{line}"
    );
    let log = gateway.process.log();
    assert!(!log.iter().any(|line| line.contains("a-secret")));
    redirects.abort();
}
