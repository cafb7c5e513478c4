//! Revocation lists: whose certificates no longer count, from the next handshake on.

use std::path::Path;

use perijove_tests::client::builder;
use perijove_tests::gateway::process::binary;
use perijove_tests::gateway::{Gateway, loopback};
use perijove_tests::sandbox::Sandbox;
use perijove_tests::tls::{Authority, Identity};
use perijove_tests::wait::until;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::scene::equals;

const NEVER: i32 = 2100;

fn write(folder: &TempDir, name: &str, text: &str) -> Value {
    let new = folder.path().join("new");
    std::fs::write(&new, text).unwrap();
    let file = folder.path().join(name);
    std::fs::rename(&new, &file).unwrap();
    json!(file)
}

/// A port for clients of these authorities, with their lists.
fn tls(folder: &TempDir, authorities: &str, lists: &str) -> Value {
    let server = Identity::of("localhost");
    json!({
        "certificate": write(folder, "tls.crt", server.certificate()),
        "key": write(folder, "tls.key", server.key()),
        "client_ca": write(folder, "ca.crt", authorities),
        "client_crl": write(folder, "crl.pem", lists),
    })
}

/// Whether a client with this certificate is served, over a connection of its own.
async fn is_served(url: &str, shown: &Identity) -> bool {
    let client = builder().danger_accept_invalid_certs(true);
    let client = client.identity(shown.shown()).build().unwrap();
    client.get(url).send().await.is_ok()
}

async fn until_refused(url: &str, shown: &Identity) {
    until("the certificate to be refused", || async {
        (!is_served(url, shown).await).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_by_both_ports_as_soon_as_the_list_says_so() {
    let cluster = Sandbox::start(1).await.unwrap();
    let authority = Authority::new("operators");
    let [good, bad] = ["good", "bad"].map(|name| authority.issue(name, &[]));
    let old_bad = authority.issue("bad before", &[]);
    let folder = TempDir::new().unwrap();
    let list = authority.revocation_list(&[&old_bad], NEVER);
    let port = tls(&folder, authority.certificate(), &list);
    let mut listener = port.clone();
    listener["address"] = json!(loopback());
    let config = equals(&cluster).set("listen.tls", json!([listener]));
    let gateway = Gateway::start_unready(config.set("admin.tls", port)).await;
    let health = format!("https://localhost:{}/health", gateway.tls_address().port());
    let status = gateway.admin_url("/status").replacen("http:", "https:", 1);
    for url in [&health, &status] {
        assert!(is_served(url, &good).await, "{url}");
        assert!(is_served(url, &bad).await, "{url}");
        assert!(!is_served(url, &old_bad).await, "{url}");
    }
    // What cannot be used changes nothing.
    write(
        &folder,
        "crl.pem",
        "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
    );
    until("the broken list to be refused", || async {
        let log = gateway.process.log();
        log.iter()
            .any(|line| line.contains("crl.pem holds no revocation list in block 1"))
            .then_some(())
    })
    .await;
    for url in [&health, &status] {
        assert!(is_served(url, &good).await && !is_served(url, &old_bad).await);
    }
    write(
        &folder,
        "crl.pem",
        &authority.revocation_list(&[&old_bad, &bad], NEVER),
    );
    for url in [&health, &status] {
        until_refused(url, &bad).await;
        assert!(is_served(url, &good).await, "{url}");
    }
    let operator = builder()
        .danger_accept_invalid_certs(true)
        .identity(good.shown());
    let told = operator.build().unwrap().get(&status).send().await.unwrap();
    let told: Value = serde_json::from_str(&told.text().await.unwrap()).unwrap();
    assert_eq!(told["certificates"][0]["revoked"], 2, "{told}");
    assert_eq!(told["certificates"][1]["revoked"], 2, "{told}");
}

/// What `check` says of a port with these files, and its exit code.
async fn checked(folder: &TempDir, port: &Value) -> (i32, String) {
    let cluster = Sandbox::start(1).await.unwrap();
    let mut listener = port.clone();
    listener["address"] = json!("127.0.0.1:8443");
    let config = equals(&cluster).set("listen.tls", json!([listener]));
    let file = folder.path().join("gateway.yaml");
    std::fs::write(&file, config.text()).unwrap();
    check(&file).await
}

async fn check(file: &Path) -> (i32, String) {
    let mut command = tokio::process::Command::new(binary("perijove-gateway"));
    let done = command.args(["check", "--config"]).arg(file);
    let done = done.output().await.unwrap();
    let said = [done.stdout, done.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (done.status.code().unwrap(), said)
}

#[tokio::test]
async fn check_names_what_is_wrong_with_lists() {
    let (one, other) = (Authority::new("one"), Authority::new("other"));
    let both = format!("{}{}", one.certificate(), other.certificate());
    let (good, old) = (
        one.revocation_list(&[], NEVER),
        one.revocation_list(&[], 2002),
    );
    for (authorities, lists, code, words) in [
        (one.certificate(), good.as_str(), 0, ""),
        (
            one.certificate(),
            "",
            3,
            "crl.pem has no X509 CRL in PEM form",
        ),
        (
            one.certificate(),
            one.certificate(),
            3,
            "crl.pem has no X509 CRL in PEM form",
        ),
        (
            one.certificate(),
            "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
            3,
            "crl.pem holds no revocation list in block 1",
        ),
        (
            &both,
            &good,
            0,
            "has no list of the authority in certificate 2 of client_ca",
        ),
        (
            one.certificate(),
            &old,
            0,
            "was to be replaced by 2002-01-01T00:00:00Z",
        ),
    ] {
        let folder = TempDir::new().unwrap();
        let port = tls(&folder, authorities, lists);
        let (exit, said) = checked(&folder, &port).await;
        assert_eq!(exit, code, "{said}");
        assert!(said.contains(words), "{said}");
        assert_eq!(words.is_empty(), !said.contains("client_crl"), "{said}");
    }
}
