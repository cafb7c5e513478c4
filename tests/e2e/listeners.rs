//! Listeners serve, or the program ends and says why; certificates are checked before they are
//! served and renewed while they are.

use std::net::SocketAddr;
use std::path::Path;

use perijove_tests::client::builder;
use perijove_tests::gateway::config::loopback;
use perijove_tests::gateway::process::binary;
use perijove_tests::gateway::{Gateway, GatewayConfig, Process};
use perijove_tests::sandbox::Sandbox;
use perijove_tests::tls::Identity;
use perijove_tests::wait::{PATIENCE, until};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::scene::{Scene, equals};

/// A folder with the files of a listener.
struct Files {
    folder: TempDir,
}

impl Files {
    fn of(identity: &Identity) -> Self {
        let files = Self {
            folder: TempDir::new().unwrap(),
        };
        files.write(identity.certificate(), identity.key());
        files
    }

    fn write(&self, certificate: &str, key: &str) {
        self.replace("tls.crt", certificate);
        self.replace("tls.key", key);
    }

    fn replace(&self, name: &str, text: &str) {
        let new = self.folder.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, self.folder.path().join(name)).unwrap();
    }

    fn listener(&self) -> Value {
        listener_at(self.folder.path())
    }
}

fn listener_at(folder: &Path) -> Value {
    json!([{
        "address": loopback(),
        "certificate": folder.join("tls.crt").display().to_string(),
        "key": folder.join("tls.key").display().to_string(),
    }])
}

/// The end of a program that does not start: its exit code, and all it said.
async fn fails_to_start(config: GatewayConfig) -> (Option<i32>, String) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("gateway.yaml");
    std::fs::write(&file, config.text()).unwrap();
    let mut process = Process::run(&file, &[]);
    let status = process.wait(PATIENCE).await;
    assert_eq!(process.listening(), None, "nothing is announced");
    let said = until("its words", || {
        let log = process.log().join("\n");
        std::future::ready(log.contains("cannot start").then_some(log))
    })
    .await;
    assert!(!said.contains("panicked"), "{said}");
    (status.code(), said)
}

fn check(config: &GatewayConfig) -> (Option<i32>, String) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("gateway.yaml");
    std::fs::write(&file, config.text()).unwrap();
    let output = std::process::Command::new(binary("perijove-gateway"))
        .args(["check", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

fn with_tls(cluster: &Sandbox, files: &Files) -> GatewayConfig {
    equals(cluster).set("listen.tls", files.listener())
}

/// The certificate that a new connection is shown, in DER form.
async fn shown(address: SocketAddr) -> Vec<u8> {
    let client = builder()
        .danger_accept_invalid_certs(true)
        .tls_info(true)
        .build()
        .unwrap();
    let url = format!("https://localhost:{}/health", address.port());
    let response = client.get(url).send().await.unwrap();
    let info = response.extensions().get::<reqwest::tls::TlsInfo>();
    info.unwrap().peer_certificate().unwrap().to_vec()
}

async fn until_shown(gateway: &Gateway, identity: &Identity) {
    let expected = der(identity);
    until("the renewed certificate", || async {
        (shown(gateway.tls_address()).await == expected).then_some(())
    })
    .await;
}

fn der(identity: &Identity) -> Vec<u8> {
    use base64::Engine;
    let lines = identity.certificate().lines();
    let text: String = lines.filter(|line| !line.starts_with("-----")).collect();
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap()
}

async fn logged(gateway: &Gateway, words: &[&str]) -> Value {
    let line = until(&format!("a line with {words:?}"), || {
        let log = gateway.process.log();
        let found = log
            .into_iter()
            .find(|line| words.iter().all(|word| line.contains(word)));
        std::future::ready(found)
    })
    .await;
    serde_json::from_str(&line).unwrap()
}

#[tokio::test]
async fn what_cannot_be_served_is_found_by_check_and_ends_a_start_before_anything_is_announced() {
    let cluster = Sandbox::start(1).await.unwrap();
    let (own, other) = (Identity::of("localhost"), Identity::of("localhost"));
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE \
                     KEY-----\n";
    let not_one = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let (cut, _rest) = own.certificate().split_at(own.certificate().len() / 2);
    let broken_chain = format!("{}{not_one}", own.certificate());
    for (certificate, key, place, words) in [
        (
            own.certificate(),
            other.key(),
            "key",
            "does not belong to the certificate in",
        ),
        (
            "",
            own.key(),
            "certificate",
            "has no CERTIFICATE in PEM form",
        ),
        (
            own.certificate(),
            "",
            "key",
            "has no PRIVATE KEY in PEM form",
        ),
        (
            own.key(),
            own.key(),
            "certificate",
            "has no CERTIFICATE in PEM form",
        ),
        (
            own.certificate(),
            own.certificate(),
            "key",
            "has no PRIVATE KEY in PEM form",
        ),
        (
            own.certificate(),
            encrypted,
            "key",
            "decrypt an encrypted key",
        ),
        (
            not_one,
            own.key(),
            "certificate",
            "holds no certificate in block 1",
        ),
        (
            &broken_chain,
            own.key(),
            "certificate",
            "holds no certificate in block 2",
        ),
        (cut, own.key(), "certificate", "PEM"),
    ] {
        let files = Files::of(&own);
        files.write(certificate, key);
        let config = with_tls(&cluster, &files);
        let place = format!("listen.tls[0].{place}: ");
        let (code, said) = check(&config);
        assert_eq!(code, Some(3), "{said}");
        assert!(said.contains(&place) && said.contains(words), "{said}");
        let (code, said) = fails_to_start(config).await;
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(&place) && said.contains(words), "{said}");
    }
    let files = Files::of(&own);
    std::fs::remove_file(files.folder.path().join("tls.key")).unwrap();
    let config = with_tls(&cluster, &files);
    let (code, said) = check(&config);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("listen.tls[0].key: cannot read"), "{said}");
    assert_eq!(fails_to_start(config).await.0, Some(1));
}

#[tokio::test]
async fn an_expired_certificate_is_served_with_a_warning_that_tells_the_date() {
    let cluster = Sandbox::start(1).await.unwrap();
    for (from, until, words) in [
        (2001, 2002, "expired on 2002-01-01T00:00:00Z"),
        (2200, 2201, "is not valid before 2200-01-01T00:00:00Z"),
    ] {
        let files = Files::of(&Identity::of_years("localhost", from, until));
        let config = with_tls(&cluster, &files);
        let (code, said) = check(&config);
        assert_eq!(code, Some(0), "{said}");
        let warning = format!(
            "warning: listen.tls[0].certificate: {}",
            files.folder.path().display()
        );
        assert!(said.contains(&warning) && said.contains(words), "{said}");
        let gateway = Gateway::start(config).await;
        assert_eq!(
            logged(&gateway, &["certificate", words]).await["level"],
            "WARN"
        );
        shown(gateway.tls_address()).await;
        let status = gateway.status().await;
        let told = status["certificates"][0].to_string();
        assert!(told.contains(words), "{status}");
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_served_without_a_restart_and_a_broken_one_is_not() {
    let cluster = Sandbox::start(1).await.unwrap();
    let identities = [2101, 2102, 2103].map(|year| Identity::of_years("localhost", 2001, year));
    let [first, second, third] = &identities;
    let files = Files::of(first);
    let gateway = Gateway::start(with_tls(&cluster, &files)).await;
    let label = gateway.tls_address().to_string();
    let metric = async |name: &str, more: &[(&str, &str)]| {
        let labels: Vec<_> = [("listener", label.as_str())]
            .iter()
            .chain(more)
            .copied()
            .collect();
        gateway.metrics().await.sum(name, &labels)
    };
    let expiry = async || metric("perijove_tls_certificate_expiry_timestamp_seconds", &[]).await;
    let fresh = async || metric("perijove_tls_certificate_last_renewal_successful", &[]).await;
    assert_eq!(shown(gateway.tls_address()).await, der(first));
    let old = expiry().await;
    assert!((old - 4_133_980_800.0).abs() < 1.0, "2101-01-01: {old}");

    files.write(second.certificate(), second.key());
    until_shown(&gateway, second).await;
    logged(&gateway, &["certificate renewed", "2102-01-01"]).await;
    until("its end in the metrics", || async {
        (expiry().await > old + 1.0).then_some(())
    })
    .await;
    let revision = gateway.status().await["revision"].clone();
    assert_eq!(revision, 1, "that is no change of the configuration");

    files.replace("tls.key", third.key());
    let line = logged(
        &gateway,
        &["renewed certificate rejected", "does not belong"],
    )
    .await;
    assert_eq!(line["level"], "WARN", "{line}");
    assert!(line["errors"].is_array(), "{line}");
    assert!(fresh().await < 0.5);
    assert_eq!(shown(gateway.tls_address()).await, der(second));
    let problems = gateway.status().await["certificates"][0]["problems"].to_string();
    assert!(problems.contains("does not belong"), "{problems}");
    // Broken certificates do not stand in the way of other changes.
    assert_eq!(gateway.reload().await.status, 200);

    files.replace("tls.crt", third.certificate());
    until_shown(&gateway, third).await;
    until("the metric to say so", || async {
        (fresh().await > 0.5).then_some(())
    })
    .await;
    let refused = [("outcome", "refused")];
    assert!(metric("perijove_tls_certificate_renewals_total", &refused).await >= 1.0);
}

#[tokio::test]
async fn the_swapped_links_of_a_mounted_secret_are_followed() {
    let cluster = Sandbox::start(1).await.unwrap();
    let (first, second) = (Identity::of("localhost"), Identity::of("localhost"));
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    let publish = |version: &str, identity: &Identity| {
        std::fs::create_dir(at(version)).unwrap();
        std::fs::write(at(version).join("tls.crt"), identity.certificate()).unwrap();
        std::fs::write(at(version).join("tls.key"), identity.key()).unwrap();
        std::os::unix::fs::symlink(version, at("..data_tmp")).unwrap();
        std::fs::rename(at("..data_tmp"), at("..data")).unwrap();
    };
    publish("..1", &first);
    for name in ["tls.crt", "tls.key"] {
        std::os::unix::fs::symlink(format!("..data/{name}"), at(name)).unwrap();
    }
    let mounted = Gateway::start(equals(&cluster).set("listen.tls", listener_at(folder.path())));
    // The same certificate by way of a folder that is itself a link: nothing happens in it.
    let by_link = listener_at(&at("..data"));
    let linked = Gateway::start(equals(&cluster).set("listen.tls", by_link));
    let (mounted, linked) = tokio::join!(mounted, linked);
    assert_eq!(shown(mounted.tls_address()).await, der(&first));
    publish("..2", &second);
    std::fs::remove_dir_all(at("..1")).unwrap();
    until_shown(&mounted, &second).await;
    until_shown(&linked, &second).await;
}

#[tokio::test]
async fn a_port_in_use_ends_the_start_and_is_named() {
    let cluster = Sandbox::start(1).await.unwrap();
    let files = Files::of(&Identity::of("localhost"));
    for key in ["listen.rpc", "admin.listen", "listen.tls"] {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let config = with_tls(&cluster, &files);
        let config = match key {
            "listen.rpc" => config.set(key, json!([address])),
            "admin.listen" => config.set(key, address.clone()),
            _ => {
                let mut listener = files.listener();
                listener[0]["address"] = json!(address);
                config.set(key, listener)
            }
        };
        let (code, said) = fails_to_start(config).await;
        assert_eq!(code, Some(1), "{said}");
        let words = format!("{key}: cannot listen on {address}: Address already in use");
        assert!(said.contains(&words), "{said}");
    }
    // An address that this machine does not have.
    let config = equals(&cluster).set("listen.rpc", json!(["192.0.2.1:8899"]));
    let (code, said) = fails_to_start(config).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("listen.rpc: cannot listen on 192.0.2.1:8899"),
        "{said}"
    );
}

#[tokio::test]
async fn certificates_and_plain_ports_serve_side_by_side() {
    let cluster = Sandbox::start(1).await.unwrap();
    let files = Files::of(&Identity::of("localhost"));
    let gateway = Gateway::start(with_tls(&cluster, &files)).await;
    shown(gateway.tls_address()).await;
    let reply = gateway.rpc("getSlot", json!([])).await;
    assert_eq!(reply.status, 200);
    let log = gateway.process.log().join("\n");
    assert!(!log.contains("\"ERROR\""), "the start is no error: {log}");
}

#[tokio::test]
async fn without_a_file_it_says_loudly_that_it_is_the_demo() {
    let output = std::process::Command::new(binary("perijove-gateway"))
        .arg("check")
        .env_remove("PERIJOVE_CONFIG")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("no configuration file"), "{said}");
    let scene = Scene::equals(1).await;
    let log = scene.gateway.process.log().join("\n");
    assert!(
        !log.contains("no configuration file"),
        "with a file it does not"
    );
}
