//! The command `health` against admin ports that speak TLS and want to see something.

use std::path::{Path, PathBuf};

use perijove_tests::gateway::process::binary;
use perijove_tests::gateway::{Gateway, GatewayConfig};
use perijove_tests::sandbox::Sandbox;
use perijove_tests::tls::{Authority, Identity};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::scene::equals;

const TOKEN: &str = "an-operator-has-this";

/// An admin port with a certificate for `localhost`, and a folder with the files.
struct Port {
    _cluster: Sandbox,
    gateway: Gateway,
    authority: Authority,
    folder: TempDir,
}

impl Port {
    async fn start(more: Value, change: impl FnOnce(GatewayConfig) -> GatewayConfig) -> Self {
        let cluster = Sandbox::start(1).await.unwrap();
        let authority = Authority::new("operators");
        let folder = TempDir::new().unwrap();
        let server = Identity::of("localhost");
        let at = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            json!(file)
        };
        let mut tls = json!({
            "certificate": at("tls.crt", server.certificate()),
            "key": at("tls.key", server.key()),
        });
        let ca = at("ca.crt", authority.certificate());
        if more != Value::Null {
            tls["client_ca"] = ca;
            tls["client_auth"] = more;
        }
        at("token", &format!("{TOKEN}\n"));
        let config = change(equals(&cluster).set("admin.tls", tls));
        let gateway = Gateway::start_unready(config).await;
        Self {
            _cluster: cluster,
            gateway,
            authority,
            folder,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An address of the port, under the name in its certificate or by number.
    fn url(&self, host: &str, path: &str) -> String {
        let url = self.gateway.admin_url(path);
        url.replacen("http://127.0.0.1", &format!("https://{host}"), 1)
    }
}

/// The exit code, and what is written to standard error.
async fn health(words: &[&str]) -> (i32, String) {
    let mut command = tokio::process::Command::new(binary("perijove-gateway"));
    let done = command.arg("health").args(words).output().await.unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    (done.status.code().unwrap(), said)
}

fn words(file: &Path) -> &str {
    file.to_str().unwrap()
}

#[tokio::test]
async fn an_admin_port_with_tls_is_asked_by_those_who_trust_it() {
    let port = Port::start(Value::Null, |config| config).await;
    let ca = port.file("tls.crt");
    let ca = ["--ca", words(&ca)];
    let url = port.url("localhost", "/health");
    let (code, said) = health(&[ca[0], ca[1], &url]).await;
    assert_eq!(code, 0, "{said}");
    // The name in the certificate is not this one.
    let by_number = port.url("127.0.0.1", "/health");
    let (code, said) = health(&[ca[0], ca[1], &by_number]).await;
    assert_eq!(code, 1);
    assert!(said.contains("certificate"), "{said}");
    let named = [ca[0], ca[1], "--server-name", "localhost", &by_number];
    assert_eq!(health(&named).await.0, 0);
    let (code, said) = health(&[&url]).await;
    assert_eq!(code, 1, "trusted without a reason");
    assert!(said.contains("UnknownIssuer"), "{said}");
    let clear = url.replacen("https", "http", 1);
    assert_eq!(health(&[&clear]).await.0, 1);
    let (code, said) = health(&["--ca", "/nonexistent", &url]).await;
    assert_eq!(code, 1);
    assert!(said.contains("cannot read /nonexistent"), "{said}");
    let ftp = url.replacen("https", "ftp", 1);
    let (code, said) = health(&["--wait", "10m", &ftp]).await;
    assert_eq!(code, 1);
    assert!(said.contains("must be http://host:port/path"), "{said}");
}

#[tokio::test]
async fn a_certificate_that_calls_itself_an_authority_is_trusted_by_itself() {
    let port = Port::start(Value::Null, |config| config).await;
    let own = Identity::authority("localhost");
    let other = Identity::authority("localhost");
    std::fs::write(port.file("tls.key"), own.key()).unwrap();
    std::fs::write(port.file("tls.crt"), own.certificate()).unwrap();
    std::fs::write(port.file("other.crt"), other.certificate()).unwrap();
    let url = port.url("localhost", "/health");
    let (code, said) = health(&["--wait", "30s", "--ca", words(&port.file("tls.crt")), &url]).await;
    assert_eq!(code, 0, "{said}");
    let numbered = port.url("127.0.0.1", "/health");
    assert_eq!(
        health(&["--ca", words(&port.file("tls.crt")), &numbered])
            .await
            .0,
        1
    );
    assert_eq!(
        health(&["--ca", words(&port.file("other.crt")), &url])
            .await
            .0,
        1
    );
}

#[tokio::test]
async fn the_variables_of_a_container_do_as_well() {
    let port = Port::start(Value::Null, |config| config).await;
    let mut command = tokio::process::Command::new(binary("perijove-gateway"));
    let urls = [
        port.url("127.0.0.1", "/health"),
        port.gateway.url() + "health",
    ];
    let done = command
        .arg("health")
        .env("PERIJOVE_HEALTH_URL", urls.join(" "))
        .env("PERIJOVE_HEALTH_CA", port.file("tls.crt"))
        .env("PERIJOVE_HEALTH_SERVER_NAME", "localhost")
        .output()
        .await
        .unwrap();
    assert!(done.status.success(), "{done:?}");
}

#[tokio::test]
async fn a_port_that_requires_a_certificate_or_a_token_is_shown_it() {
    let guarded = |config: GatewayConfig| config.set("admin.token", TOKEN);
    for (auth, with_token) in [("required", false), ("optional", true)] {
        let port = Port::start(json!(auth), guarded).await;
        let (ca, token) = (port.file("tls.crt"), port.file("token"));
        let operator = port.authority.issue("operator", &[]);
        let certificate = port.file("client.crt");
        let key = port.file("client.key");
        std::fs::write(&certificate, operator.certificate()).unwrap();
        std::fs::write(&key, operator.key()).unwrap();
        let url = port.url("localhost", "/status");
        let trusting = ["--ca", words(&ca), &url];
        assert_eq!(health(&trusting).await.0, 1, "{auth}");
        let showing = ["--certificate", words(&certificate), "--key", words(&key)];
        let (code, said) = health(&[&trusting[..], &showing].concat()).await;
        assert_eq!(code, 0, "{auth} {said}");
        let showing = ["--token-file", words(&token)];
        let (code, said) = health(&[&trusting[..], &showing].concat()).await;
        assert_eq!(code == 0, with_token, "{auth} {said}");
        assert!(!said.contains(TOKEN));
        std::fs::write(&token, "two\r\nlines").unwrap();
        let (code, said) = health(&[&trusting[..], &showing].concat()).await;
        assert_eq!(code, 1);
        assert!(said.contains("holds no token"), "{said}");
    }
}
