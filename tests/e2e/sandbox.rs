//! The stand-in cluster itself, asked directly: its answers over HTTP, its faults on the wire, its
//! control port.

use std::sync::Arc;

use perijove_tests::client::raw::{RawConnection, post};
use perijove_tests::client::{self, Reply};
use perijove_tests::sandbox::accounts::{self, Nature};
use perijove_tests::sandbox::{
    Fault, Kind, RateShape, ResetWhen, Sandbox, Settings, Validator, control,
};
use perijove_tests::wait::eventually;
use serde_json::{Value, json};

const SLOT: &str = r#"{"jsonrpc":"2.0","id":7,"method":"getSlot"}"#;

async fn ask(validator: &Validator, method: &str, params: Value) -> reqwest::Result<Reply> {
    let request = client::keep_alive()
        .post(validator.url())
        .header("content-type", "application/json")
        .body(client::call(method, &params));
    Reply::read(request.send().await?).await
}

#[tokio::test]
async fn validators_answer_over_one_moving_chain() {
    let cluster = Sandbox::start(2).await.unwrap();
    let first = ask(cluster.validator(0), "getSlot", json!([]))
        .await
        .unwrap();
    let second = ask(cluster.validator(1), "getSlot", json!([]))
        .await
        .unwrap();
    assert_eq!(first.header("x-sandbox-validator"), Some("0"));
    assert_eq!(second.header("x-sandbox-validator"), Some("1"));
    assert!(first.text().ends_with("}\n"));
    let slots = (
        first.result().as_u64().unwrap(),
        second.result().as_u64().unwrap(),
    );
    assert!(slots.1 - slots.0 <= 2, "{slots:?}");
    assert_eq!(cluster.hits("getSlot"), 2);
    assert_eq!(cluster.validator(0).hits_total(), 1);
}

#[tokio::test]
async fn probes_are_counted_apart() {
    let cluster = Sandbox::start(1).await.unwrap();
    let request = client::keep_alive()
        .post(cluster.validator(0).url())
        .header("content-type", "application/json")
        .header("x-perijove-probe", "1")
        .body(SLOT);
    request.send().await.unwrap();
    assert_eq!(cluster.validator(0).hits_total(), 0);
    assert_eq!(cluster.validator(0).probes(), 1);
}

#[tokio::test]
async fn a_transaction_sent_to_one_validator_is_found_on_another() {
    let cluster = Sandbox::start(2).await.unwrap();
    let key = "3qri489hLgWkzeAw76pCNPwRF2RiCmi5iQgKpLioeJz2";
    let sent = ask(cluster.validator(0), "requestAirdrop", json!([key, 5]))
        .await
        .unwrap();
    let signature = sent.result();
    // Its slot is the next one: it shows when that has come.
    perijove_tests::wait::until("the transaction's status", || async {
        let other = cluster.validator(1);
        let statuses = ask(other, "getSignatureStatuses", json!([[signature]]))
            .await
            .unwrap();
        (!statuses.result()["value"][0].is_null()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn http_is_agaves() {
    let cluster = Sandbox::start(1).await.unwrap();
    let url = cluster.validator(0).url();
    let client = client::keep_alive();
    let get = client.get(&url).send().await.unwrap();
    assert_eq!(get.status(), 405);
    let health = client.get(format!("{url}/health")).send().await.unwrap();
    assert_eq!(health.text().await.unwrap(), "ok");
    let plain = client.post(&url).body(SLOT).send().await.unwrap();
    assert_eq!(plain.status(), 415);
    let mut raw = RawConnection::open(cluster.validator(0).address()).await;
    raw.send(post(SLOT, "expect: 100-continue\r\n")).await;
    assert_eq!(raw.reply().await.unwrap().status, 100);
    assert_eq!(raw.reply().await.unwrap().status, 200);
    raw.send(format!("{0}{0}", post(SLOT, ""))).await;
    assert_eq!(raw.reply().await.unwrap().status, 200);
    assert_eq!(raw.reply().await.unwrap().status, 200);
}

#[tokio::test]
async fn large_answers_are_as_long_as_asked_for() {
    let cluster = Sandbox::start(1).await.unwrap();
    let validator = cluster.validator(0);
    let padded = ask(validator, "sandboxPad", json!([{"bytes": 3_000_000}]))
        .await
        .unwrap();
    assert_eq!(padded.result().as_str().unwrap().len(), 3_000_000);
    validator.fault(Kind::Big { bytes: 200_000 });
    validator.fault(Kind::Chunked);
    let wide = ask(validator, "getEpochInfo", json!([])).await.unwrap();
    assert!(wide.body.len() > 200_000);
    assert!(wide.result()["absoluteSlot"].is_u64());
}

#[tokio::test]
async fn faults_of_the_wire_break_the_reply() {
    let cluster = Sandbox::start(1).await.unwrap();
    let validator = cluster.validator(0);
    for fault in [
        Fault::reset(ResetWhen::BeforeRead),
        Fault::reset(ResetWhen::AfterRead),
        Fault::reset(ResetWhen::MidBody),
        Kind::Truncate.into(),
    ] {
        let described = format!("{fault:?}");
        validator.fault(fault.times(1));
        assert!(
            ask(validator, "getSlot", json!([])).await.is_err(),
            "{described}"
        );
        assert!(
            ask(validator, "getSlot", json!([])).await.is_ok(),
            "{described}"
        );
    }
}

#[tokio::test]
async fn faults_of_the_answer_replace_it() {
    let cluster = Sandbox::start(1).await.unwrap();
    let validator = cluster.validator(0);
    for (fault, status, code) in [
        (Fault::status(503), 503, None),
        (Fault::rpc(-32005), 200, Some(-32005)),
        (
            Fault::rate_limit(RateShape::Rpcpool, Some("2")),
            429,
            Some(429),
        ),
        (
            Fault::rate_limit(RateShape::OkInternal, None),
            200,
            Some(-32603),
        ),
        (
            Fault::rate_limit(RateShape::Credits, None),
            429,
            Some(-32429),
        ),
        (Kind::Challenge.into(), 403, None),
        (Kind::WrongShape.into(), 200, None),
    ] {
        let described = format!("{fault:?}");
        validator.fault(fault.on("getSlot").times(1));
        assert!(
            ask(validator, "getBlockHeight", json!([]))
                .await
                .unwrap()
                .code()
                .is_none()
        );
        let reply = ask(validator, "getSlot", json!([])).await.unwrap();
        assert_eq!(reply.status, status, "{described}");
        if code.is_some() {
            assert_eq!(reply.code(), code, "{described}");
        }
        assert!(
            ask(validator, "getSlot", json!([]))
                .await
                .unwrap()
                .result()
                .is_u64()
        );
    }
}

#[tokio::test]
async fn a_validator_that_is_down_refuses_and_returns_to_its_port() {
    let cluster = Sandbox::start(1).await.unwrap();
    let validator = cluster.validator(0);
    let mut open = RawConnection::open(validator.address()).await;
    open.send(post(SLOT, "")).await;
    open.reply().await.unwrap();
    validator.down().await;
    let refused = ask(validator, "getSlot", json!([])).await.unwrap_err();
    assert!(refused.is_connect());
    assert!(open.closed().await.is_empty());
    validator.heal().unwrap();
    assert!(ask(validator, "getSlot", json!([])).await.is_ok());
}

#[tokio::test]
async fn a_lagging_validator_trails_and_a_stopped_one_stands() {
    let cluster = Sandbox::start(2).await.unwrap();
    cluster.validator(0).fault(Fault::lag(50));
    let lag = cluster.validator(1).sight().processed - cluster.validator(0).sight().processed;
    assert!((50..=51).contains(&lag), "{lag}");
    cluster.validator(1).fault(Kind::Stop);
    let stopped = cluster.validator(1).sight().processed;
    eventually("the cluster to move on", || {
        cluster.cluster().clock.tip() > stopped + 1
    })
    .await;
    assert_eq!(cluster.validator(1).sight().processed, stopped);
}

#[tokio::test]
async fn a_forked_validator_processes_blocks_that_vanish_when_it_is_healed() {
    let cluster = Sandbox::with(Settings {
        validators: 2,
        moving: true,
        ..Settings::default()
    })
    .await
    .unwrap();
    let slot = cluster.cluster().clock.stop();
    let key = accounts::keys(Nature::Moving, 1).pop().unwrap();
    let balances = async |level: &str| {
        let params = json!([key, {"commitment": level}]);
        let mut said = Vec::new();
        for one in cluster.validators() {
            said.push(
                ask(one, "getBalance", params.clone())
                    .await
                    .unwrap()
                    .result(),
            );
        }
        (said[0].clone(), said[1].clone())
    };
    let before = balances("processed").await;
    assert_eq!(before.0, before.1);
    cluster.validator(0).fault(Kind::Fork { ahead: 2 });
    let (forked, main) = balances("processed").await;
    assert_eq!(
        (&forked["context"]["slot"], &main),
        (&json!(slot + 2), &before.1)
    );
    for level in ["confirmed", "finalized"] {
        let (forked, main) = balances(level).await;
        assert_eq!(forked, main, "{level}");
    }
    cluster.validator(0).heal().unwrap();
    assert_eq!(balances("processed").await, before);
    // When the others come to that slot, it says something else.
    cluster.cluster().clock.advance(2);
    let (later, _) = balances("processed").await;
    assert_eq!(later["context"], forked["context"]);
    assert_ne!(later["value"], forked["value"]);
}

#[tokio::test]
async fn a_caller_that_leaves_is_noticed() {
    let cluster = Sandbox::start(1).await.unwrap();
    let validator = cluster.validator(0);
    validator.fault(Kind::Hang);
    let mut raw = RawConnection::open(validator.address()).await;
    raw.send(post(SLOT, "")).await;
    eventually("the request to arrive", || validator.hits("getSlot") == 1).await;
    drop(raw);
    eventually("it to be abandoned", || {
        validator.counts().tally().abandoned == 1
    })
    .await;
    eventually("no connection to be open", || {
        validator.counts().open() == 0
    })
    .await;
}

#[tokio::test]
async fn connections_end_as_the_faults_say() {
    let cluster = Sandbox::start(1).await.unwrap();
    let validator = cluster.validator(0);
    for (kind, announced) in [
        (Kind::KeepAliveClose, None),
        (Kind::ConnectionClose, Some("close")),
        (Kind::Http10, Some("close")),
    ] {
        validator.fault(Fault::from(kind).times(1));
        let mut raw = RawConnection::open(validator.address()).await;
        raw.send(post(SLOT, "")).await;
        let reply = raw.reply().await.unwrap();
        assert_eq!(reply.header("connection"), announced);
        assert!(reply.text().contains("result"));
        assert!(raw.closed().await.is_empty());
    }
}

#[tokio::test]
async fn the_control_port_switches_faults_and_shows_what_happened() {
    let cluster = Arc::new(Sandbox::start(2).await.unwrap());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(control::serve(listener, Arc::clone(&cluster)));
    let http = client::keep_alive();
    let fault = async |body: &'static str| {
        let url = format!("{base}/validators/0/fault");
        http.post(url)
            .body(body)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(fault(r#"{"kind":"lag","slots":50}"#).await, 200);
    assert_eq!(
        fault(r#"{"kind":"rpc-error","code":-32004,"methods":["getSlot"]}"#).await,
        200
    );
    assert_eq!(fault(r#"{"kind":"lagg"}"#).await, 400);
    let answered = ask(cluster.validator(0), "getSlot", json!([]))
        .await
        .unwrap();
    assert_eq!(answered.code(), Some(-32004));
    let shown = http.get(format!("{base}/validators")).send().await.unwrap();
    let shown: Value = shown.json().await.unwrap();
    assert_eq!(shown[0]["hits"]["getSlot"], 1);
    assert_eq!(shown[0]["faults"].as_array().unwrap().len(), 2);
    assert_eq!(shown[1]["requests"], 0);
    let steer = async |body: &'static str| {
        let sent = http.post(format!("{base}/cluster")).body(body).send();
        sent.await.unwrap().json::<Value>().await.unwrap()
    };
    let stopped = steer(r#"{"stopped":true,"stall_finality":true}"#).await;
    let moved = steer(r#"{"advance":40,"slot_time_ms":100}"#).await;
    let tip = stopped["tip"].as_u64().unwrap();
    assert_eq!(moved["tip"], tip + 40);
    assert_eq!(moved["slot_time_ms"], 100);
    let sight = cluster.validator(1).sight();
    assert_eq!((sight.processed, sight.finalized), (tip + 40, tip - 31));
    assert!(steer(r#"{"halt":true}"#).await["error"].is_string());
    assert_eq!(fault(r#"{"kind":"down"}"#).await, 200);
    assert!(
        ask(cluster.validator(0), "getSlot", json!([]))
            .await
            .is_err()
    );
    assert_eq!(fault(r#"{"kind":"up"}"#).await, 200);
    let healed = ask(cluster.validator(0), "getSlot", json!([]))
        .await
        .unwrap();
    assert!(healed.result().is_u64());
    let nobody = http
        .delete(format!("{base}/validators/9/fault"))
        .send()
        .await
        .unwrap();
    assert_eq!(nobody.status(), 404);
    serving.abort();
}
