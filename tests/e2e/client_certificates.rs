//! Clients with certificates: who is let in and as whom, and authorities that change while the
//! gateway serves.

mod admin_port;

use futures::{SinkExt, StreamExt};
use perijove_tests::client::{Reply, builder, call};
use perijove_tests::gateway::process::binary;
use perijove_tests::gateway::{Gateway, GatewayConfig, loopback};
use perijove_tests::sandbox::Sandbox;
use perijove_tests::tls::{Authority, Identity};
use perijove_tests::wait::until;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use crate::scene::equals;

/// A gateway that knows its clients by their certificates.
struct Port {
    cluster: Sandbox,
    gateway: Gateway,
    folder: TempDir,
    server: Identity,
    authority: Authority,
}

/// A folder with the certificate of a server and of an authority.
fn files(authority: &Authority) -> (TempDir, Identity) {
    let folder = TempDir::new().unwrap();
    let server = Identity::of("localhost");
    write(&folder, "tls.crt", server.certificate());
    write(&folder, "tls.key", server.key());
    write(&folder, "ca.crt", authority.certificate());
    (folder, server)
}

fn write(folder: &TempDir, name: &str, text: &str) {
    let new = folder.path().join("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, folder.path().join(name)).unwrap();
}

fn tls(folder: &TempDir, auth: &str) -> Value {
    let at = |name: &str| folder.path().join(name).display().to_string();
    json!({
        "certificate": at("tls.crt"),
        "key": at("tls.key"),
        "client_ca": at("ca.crt"),
        "client_auth": auth,
    })
}

impl Port {
    async fn start(auth: &str, change: impl FnOnce(GatewayConfig) -> GatewayConfig) -> Self {
        let cluster = Sandbox::start(1).await.unwrap();
        let authority = Authority::new("first authority");
        let (folder, server) = files(&authority);
        let mut listener = tls(&folder, auth);
        listener["address"] = json!(loopback());
        let config = equals(&cluster).set("listen.tls", json!([listener]));
        let gateway = Gateway::start(change(config)).await;
        cluster.reset_counts();
        Self {
            cluster,
            gateway,
            folder,
            server,
            authority,
        }
    }

    /// Calls over a connection of its own.
    async fn call_as(&self, shown: Option<&Identity>) -> Option<Reply> {
        self.call_by(&client(shown)).await
    }

    /// `None` if there is no answer, only the end of a connection.
    async fn call_by(&self, client: &reqwest::Client) -> Option<Reply> {
        let url = format!("https://localhost:{}/", self.gateway.tls_address().port());
        let request = client.post(url).header("content-type", "application/json");
        let request = request.body(call("getSlot", &json!([])));
        Reply::read(request.send().await.ok()?).await.ok()
    }

    async fn refused(&self, reason: &str) -> f64 {
        let metrics = self.gateway.metrics().await;
        let name = "perijove_tls_client_certificates_refused_total";
        metrics.sum(name, &[("reason", reason)])
    }

    /// The client may know before it is counted.
    async fn until_refused(&self, reason: &str, before: f64) {
        until("the refusal to be counted", || async {
            (self.refused(reason).await > before + 0.5).then_some(())
        })
        .await;
    }

    fn lines(&self) -> Vec<Value> {
        let log = self.gateway.process.log();
        log.iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The access line of a reply.
    async fn access(&self, reply: &Reply) -> Value {
        let id = reply.header("x-request-id").unwrap().to_owned();
        until("its line in the log", || async {
            let mut lines = self.lines().into_iter();
            lines.find(|line| line["request_id"] == id.as_str())
        })
        .await
    }
}

fn client(shown: Option<&Identity>) -> reqwest::Client {
    let client = builder().danger_accept_invalid_certs(true);
    match shown {
        Some(identity) => client.identity(identity.shown()),
        None => client,
    }
    .build()
    .unwrap()
}

#[tokio::test]
async fn only_clients_of_the_authority_are_served() {
    let port = Port::start("required", |config| config).await;
    let good = port.authority.issue("bot-1", &["bot.example"]);
    let reply = port.call_as(Some(&good)).await.unwrap();
    assert_eq!(reply.status, 200);
    let line = port.access(&reply).await;
    assert_eq!(line["certificate"], "CN=bot-1", "{line}");
    let older = builder().danger_accept_invalid_certs(true).http1_only();
    let older = older.identity(good.shown()).build().unwrap();
    let reply = port.call_by(&older).await.unwrap();
    assert_eq!(
        port.access(&reply).await["certificate"],
        "CN=bot-1",
        "also over HTTP/1.1"
    );

    assert!(port.call_as(None).await.is_none());
    port.until_refused("missing", 0.0).await;
    let others = Authority::new("another authority");
    let impostors = Authority::new("first authority");
    for wrong in [
        others.issue("bot-1", &[]),
        // Only by name the same.
        impostors.issue("bot-1", &[]),
        port.authority.issue_until("bot-1", &[], 2002),
        Identity::of("bot-1"),
    ] {
        let before = port.refused("invalid").await;
        assert!(port.call_as(Some(&wrong)).await.is_none());
        port.until_refused("invalid", before).await;
    }
    assert_eq!(
        port.cluster.validator(0).hits("getSlot"),
        2,
        "nobody else's"
    );
    let failed = "perijove_tls_handshakes_failed_total";
    assert!(port.gateway.metrics().await.sum(failed, &[]) > 4.5);
    let alarms = |line: &&Value| {
        let loud = line["level"] == "ERROR" || line["level"] == "WARN";
        loud && line["message"] != "configuration warning"
    };
    let lines = port.lines();
    let alarms: Vec<_> = lines.iter().filter(alarms).collect();
    assert!(alarms.is_empty(), "strangers alarm nobody: {alarms:?}");
    // The port in cleartext is as open as before.
    assert_eq!(port.gateway.rpc("getSlot", json!([])).await.status, 200);
}

#[tokio::test]
async fn where_certificates_are_optional_only_a_wrong_one_is_refused() {
    let port = Port::start("optional", |config| config).await;
    let reply = port.call_as(None).await.unwrap();
    assert_eq!(reply.status, 200);
    assert!(port.access(&reply).await.get("certificate").is_none());
    let good = port.authority.issue("bot-1", &[]);
    assert_eq!(port.call_as(Some(&good)).await.unwrap().status, 200);
    let wrong = Authority::new("another authority").issue("bot-1", &[]);
    assert!(port.call_as(Some(&wrong)).await.is_none());
    port.until_refused("invalid", 0.0).await;
    assert!(port.refused("missing").await < 0.5);
}

#[tokio::test]
async fn authorities_are_read_again_when_their_file_changes() {
    let port = Port::start("required", |config| config).await;
    let next = Authority::new("next authority");
    let (old, new) = (port.authority.issue("bot-1", &[]), next.issue("bot-1", &[]));
    assert!(port.call_as(Some(&new)).await.is_none());
    let kept = client(Some(&old));
    assert_eq!(port.call_by(&kept).await.unwrap().status, 200);
    // Each call on a new connection, which may resume the session of the one before.
    let resuming = builder()
        .danger_accept_invalid_certs(true)
        .identity(old.shown())
        .pool_max_idle_per_host(0)
        .build()
        .unwrap();
    for _ in 0..3 {
        assert_eq!(port.call_by(&resuming).await.unwrap().status, 200);
    }

    // First both, so that clients can be changed one by one.
    let both = format!("{}{}", port.authority.certificate(), next.certificate());
    write(&port.folder, "ca.crt", &both);
    until("clients of the next authority to be served", || async {
        port.call_as(Some(&new)).await
    })
    .await;
    assert_eq!(port.call_as(Some(&old)).await.unwrap().status, 200);
    let status = port.gateway.status().await;
    assert_eq!(
        status["certificates"][0]["client_authorities"], 2,
        "{status}"
    );

    write(&port.folder, "ca.crt", next.certificate());
    until("clients of the old authority to be refused", || async {
        port.call_as(Some(&old)).await.is_none().then_some(())
    })
    .await;
    assert_eq!(port.call_as(Some(&new)).await.unwrap().status, 200);
    assert!(
        port.call_by(&resuming).await.is_none(),
        "nor is a session resumed"
    );
    let reply = port.call_by(&kept).await;
    assert_eq!(
        reply.unwrap().status,
        200,
        "a connection that is there stays"
    );
    let revision = port.gateway.status().await["revision"].clone();
    assert_eq!(revision, 1, "that is no change of the configuration");
}

#[tokio::test]
async fn authorities_that_cannot_be_used_replace_none() {
    let port = Port::start("required", |config| config).await;
    let good = port.authority.issue("bot-1", &[]);
    // The certificate of a client: it lets nobody in.
    for (text, fault) in [
        ("nothing\n", "ca.crt has no CERTIFICATE"),
        (good.certificate(), "ca.crt holds no authority"),
    ] {
        replaces_none(&port, &good, text, fault).await;
    }
}

async fn replaces_none(port: &Port, good: &Identity, text: &str, fault: &str) {
    write(&port.folder, "ca.crt", text);
    until("a warning", || async {
        let said = |line: &Value| {
            line["message"] == "renewed certificate rejected; still serving the old one"
                && line["errors"].to_string().contains(fault)
        };
        port.lines().into_iter().find(said)
    })
    .await;
    assert_eq!(port.call_as(Some(good)).await.unwrap().status, 200);
    assert!(port.call_as(None).await.is_none());
    let status = port.gateway.status().await;
    let problems = status["certificates"][0]["problems"].to_string();
    assert!(
        problems.contains("client_ca") && problems.contains(fault),
        "{problems}"
    );
}

#[tokio::test]
async fn a_certificate_stands_for_a_consumer() {
    const KEY: &str = "a-key-of-the-wallet";
    let plans = json!([
        {"id": "bots", "requests_per_minute": 1, "burst": 2, "queue": "0s"},
        {"id": "default"},
    ]);
    let consumers = json!([
        {"id": "bots", "certificates": ["CN=bot-1", "URI:spiffe://example/bot"], "plan": "bots"},
        {"id": "wallet", "keys": [KEY]},
    ]);
    let port = Port::start("optional", |config| {
        config.set("plans", plans).set("consumers", consumers)
    })
    .await;
    let by_name = port.authority.issue("bot-1", &[]);
    let by_uri = port.authority.issue("any", &["URI:spiffe://example/bot"]);
    let reply = port.call_as(Some(&by_name)).await.unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(port.access(&reply).await["consumer"], "bots");
    assert_eq!(port.call_as(Some(&by_uri)).await.unwrap().status, 200);
    // One plan for both of its certificates.
    assert_eq!(port.call_as(Some(&by_uri)).await.unwrap().status, 429);

    let unknown = port.authority.issue("bot-2", &["bot-1"]);
    for stranger in [None, Some(&unknown)] {
        let reply = port.call_as(stranger).await.unwrap();
        assert_eq!(reply.status, 401, "{}", reply.text());
    }
    let url = format!("https://localhost:{}/", port.gateway.tls_address().port());
    let request = client(Some(&by_name)).post(url).header("x-api-key", KEY);
    let request = request.header("content-type", "application/json");
    let reply = request
        .body(call("getSlot", &json!([])))
        .send()
        .await
        .unwrap();
    let reply = Reply::read(reply).await.unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(
        port.access(&reply).await["consumer"],
        "wallet",
        "a key counts for more"
    );
}

#[tokio::test]
async fn who_shows_a_certificate_does_not_wait_for_those_who_guess_keys() {
    const KEY: &str = "a-key-of-the-wallet";
    let consumers = json!([
        {"id": "bots", "certificates": ["CN=bot-1"]},
        {"id": "wallet", "keys": [KEY]},
    ]);
    let port = Port::start("optional", |config| config.set("consumers", consumers)).await;
    let bot = client(Some(&port.authority.issue("bot-1", &[])));
    let unknown = client(Some(&port.authority.issue("bot-2", &[])));
    let at = async |client: &reqwest::Client, path: &str, key: Option<&str>| {
        let port = port.gateway.tls_address().port();
        let request = client.post(format!("https://localhost:{port}{path}"));
        let mut request = request.header("content-type", "application/json");
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        let request = request.body(call("getSlot", &json!([])));
        request.send().await.unwrap().status().as_u16()
    };
    for guess in 0..20 {
        let key = format!("a-guess-of-somebody-{guess}");
        at(&client(None), "/rpc", Some(&key)).await;
    }
    assert_eq!(at(&bot, "/rpc", None).await, 200);
    assert_eq!(at(&bot, "/rpc", Some(KEY)).await, 429, "a new key");
    assert_eq!(at(&bot, "/rpc", Some("another-guess")).await, 429);
    assert_eq!(at(&bot, &format!("/{KEY}"), None).await, 429);
    assert_eq!(at(&unknown, "/rpc", None).await, 429, "nobody's");
}

#[tokio::test]
async fn a_socket_belongs_to_whom_its_certificate_names() {
    let consumers = json!([{"id": "bots", "certificates": ["CN=bot-1"]}]);
    let port = Port::start("required", |config| config.set("consumers", consumers)).await;
    let bot = port.authority.issue("bot-1", &[]);
    let stream = TcpStream::connect(port.gateway.tls_address())
        .await
        .unwrap();
    let stream = port.server.dial_showing(&bot, stream).await;
    let (mut socket, _) = Box::pin(client_async("wss://localhost/", stream))
        .await
        .unwrap();
    let asked = call("getSlot", &json!([]));
    socket.send(Message::text(asked)).await.unwrap();
    let answer = socket.next().await.unwrap().unwrap();
    assert!(answer.to_text().unwrap().contains("result"), "{answer}");
    socket.close(None).await.unwrap();
    let line = until("the line of the socket", || async {
        let mut lines = port.lines().into_iter();
        lines.find(|line| line["message"] == "websocket")
    })
    .await;
    assert_eq!(line["consumer"], "bots", "{line}");
    assert_eq!(line["certificate"], "CN=bot-1", "{line}");
}

/// The status of an answer of the admin port.
async fn asked(
    gateway: &Gateway,
    path: &str,
    shown: Option<&Identity>,
    token: &str,
) -> Option<u16> {
    let url = gateway.admin_url(path).replacen("http://", "https://", 1);
    let mut request = client(shown).get(url);
    if !token.is_empty() {
        request = request.bearer_auth(token);
    }
    Some(request.send().await.ok()?.status().as_u16())
}
