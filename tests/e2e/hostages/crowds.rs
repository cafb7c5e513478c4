//! More connections than there is room for.

use std::net::SocketAddr;

use perijove_tests::client::call;
use perijove_tests::client::raw::post;
use perijove_tests::sandbox::Kind;
use perijove_tests::wait::{eventually, until};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use super::line::{ALL, Stage, Way};
use crate::scene::{KEY, on_reads};

const OPEN: &str = "perijove_connections_open";
const CUT: &str = "perijove_connections_cut_total";
const CROWDED: [(&str, &str); 1] = [("cause", "crowded")];

#[tokio::test]
async fn idle_connections_make_room_for_newcomers() {
    let stage = Stage::with(|config| {
        config
            .set("limits.connections", 8)
            .set("limits.connections_per_address", 8)
    })
    .await;
    let mut crowd = Vec::new();
    for round in 0..10 {
        for way in ALL {
            crowd.push(stage.tcp(way).await);
        }
        stage.serves().await;
        assert!(stage.metric(OPEN, &[]).await <= 8.0, "{round}");
    }
    stage.until(CUT, &CROWDED, |cut| cut >= 32.0).await;
    eventually("the log to tell of it", || {
        let told = stage.told("client connection limit of an address reached");
        let setting = "\"limit\":8,\"setting\":\"limits.connections_per_address\"";
        told.len() == 1 && told[0].contains(setting)
    })
    .await;
    let status = stage.gateway.status().await;
    assert_eq!(status["connections"]["limit"], 8, "{status}");
}

#[tokio::test]
async fn a_crowd_of_one_address_crowds_out_its_own() {
    let stage = Stage::with(|config| config.set("limits.connections_per_address", 4)).await;
    let mut calm = stage.gateway.raw().await;
    let request = post(&call("sandboxEcho", &json!([1])), "");
    calm.send(&request).await;
    assert_eq!(calm.reply().await.unwrap().status, 200);
    let mut crowd = Vec::new();
    for _ in 0..30 {
        crowd.push(from("127.0.0.9:0", stage.gateway.address()).await);
    }
    stage.until(CUT, &CROWDED, |cut| cut >= 26.0).await;
    calm.send(&request).await;
    assert_eq!(calm.reply().await.unwrap().status, 200);
}

async fn from(own: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(own.parse().unwrap()).unwrap();
    socket.connect(to).await.unwrap()
}

#[tokio::test]
async fn whoever_is_served_is_not_crowded_out() {
    let stage = Stage::with(|config| {
        config
            .set("limits.connections", 2)
            .set("limits.connections_per_address", 2)
    })
    .await;
    let validator = stage.cluster.validator(0);
    validator.fault(on_reads(Kind::Hang));
    let mut served = Vec::new();
    for before in 1..=2 {
        let mut raw = stage.gateway.raw().await;
        raw.send(post(&call("getBalance", &json!([KEY])), "")).await;
        eventually("the call to arrive", || {
            validator.hits("getBalance") == before
        })
        .await;
        served.push(raw);
    }
    assert!(stage.gateway.raw().await.closed().await.is_empty());
    let refused = "perijove_connections_refused_total";
    assert_eq!(stage.count(refused, &[]).await, 1);
    assert_eq!(stage.count(CUT, &CROWDED).await, 0);
    // A place that is free again is given away.
    drop(served);
    stage.until(OPEN, &[], |open| open == 0.0).await;
    stage.serves().await;
}

#[tokio::test]
async fn upstreams_and_the_admin_port_have_descriptors_left_in_any_crowd() {
    let stage = Stage::with_descriptors(160, 160).await;
    let mut crowd = Vec::new();
    for at in 0..250 {
        let way = if at % 2 == 0 {
            Way::Http1
        } else {
            Way::TlsHttp1
        };
        crowd.push(stage.tcp(way).await);
    }
    let hits = stage.cluster.validator(0).hits("sandboxEcho");
    for _ in 0..5 {
        stage.serves().await;
        assert_eq!(stage.gateway.admin("/health").await.status, 200);
    }
    assert_eq!(stage.cluster.validator(0).hits("sandboxEcho"), hits + 5);
    assert!(stage.metric(OPEN, &[]).await <= 48.0);
    assert!(stage.told("Accept() failed").is_empty());
    assert_eq!(stage.gateway.admin("/ready").await.status, 200);
}

#[tokio::test]
async fn a_crowd_at_the_admin_port_takes_nothing_from_clients_nor_the_port() {
    let stage = Stage::with_descriptors(160, 160).await;
    let mut crowd = Vec::new();
    for _ in 0..250 {
        let mut line = TcpStream::connect(admin_address(&stage)).await.unwrap();
        // Those that have been closed need not take it.
        drop(line.write_all(b"GET /metri").await);
        crowd.push(line);
    }
    for _ in 0..5 {
        stage.serves().await;
        for path in ["/health", "/status", "/metrics"] {
            assert_eq!(stage.gateway.admin(path).await.status, 200, "{path}");
        }
    }
    eventually("the log to tell of it", || {
        let told = stage.told("admin connection limit of an address reached");
        told.iter().any(|line| line.contains("\"limit\":16"))
    })
    .await;
    assert!(stage.told("Accept() failed").is_empty());
}

#[tokio::test]
async fn those_who_ask_the_admin_port_and_do_not_read_hold_up_nobody_for_long() {
    let stage = Stage::with(|config| config).await;
    let mut crowd = Vec::new();
    for _ in 0..24 {
        let mut line = TcpStream::connect(admin_address(&stage)).await.unwrap();
        let requests = "GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(200);
        drop(line.write_all(requests.as_bytes()).await);
        crowd.push(line);
    }
    until("the admin port to serve others", || async {
        let client = perijove_tests::client::builder().build().unwrap();
        let url = stage.gateway.admin_url("/health");
        client.get(url).send().await.ok()
    })
    .await;
}

#[tokio::test]
async fn the_soft_limit_of_descriptors_is_raised_to_the_hard_one() {
    let stage = Stage::with_descriptors(200, 500).await;
    let told = stage.told("\"message\":\"open file limit\"");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("\"limit\":500"), "{told:?}");
    assert_eq!(stage.count("process_max_fds", &[]).await, 500);
    let status = stage.gateway.status().await;
    assert_eq!(status["connections"]["limit"], (500 - 64) / 2, "{status}");
}

fn admin_address(stage: &Stage) -> String {
    let url = stage.gateway.admin_url("");
    url.trim_start_matches("http://").to_owned()
}
