//! The admin port, and what the check of a configuration finds.

use super::*;

/// A gateway whose admin port asks for certificates, and who may use it.
async fn guarded(auth: &str, more: &[(&str, Value)]) -> (Gateway, Authority, TempDir) {
    let cluster = Sandbox::start(1).await.unwrap();
    let authority = Authority::new("operators");
    let (folder, _server) = files(&authority);
    let mut config = equals(&cluster).set("admin.tls", tls(&folder, auth));
    for (path, value) in more {
        config = config.set(path, value.clone());
    }
    (Gateway::start_unready(config).await, authority, folder)
}

#[tokio::test]
async fn the_admin_port_is_for_those_with_a_certificate() {
    let (gateway, authority, folder) = guarded("required", &[]).await;
    let operator = authority.issue("operator", &[]);
    let stranger = Authority::new("others").issue("operator", &[]);
    for path in ["/status", "/metrics", "/health"] {
        assert_eq!(
            asked(&gateway, path, Some(&operator), "").await,
            Some(200),
            "{path}"
        );
        assert_eq!(
            asked(&gateway, path, Some(&stranger), "").await,
            None,
            "{path}"
        );
        assert_eq!(asked(&gateway, path, None, "").await, None, "{path}");
    }
    // It speaks TLS only.
    let clear = gateway.client().get(gateway.admin_url("/health")).send();
    assert!(clear.await.is_err());

    let next = Authority::new("next operators");
    let new = next.issue("operator", &[]);
    write(&folder, "ca.crt", next.certificate());
    until("the next operators to be let in", || async {
        asked(&gateway, "/status", Some(&new), "").await
    })
    .await;
    assert_eq!(asked(&gateway, "/status", Some(&operator), "").await, None);
}

#[tokio::test]
async fn where_certificates_are_optional_a_token_does_too_and_health_is_for_everybody() {
    const TOKEN: &str = "an-operator-has-this";
    for token in [None, Some(TOKEN)] {
        let more = token.map(|token| ("admin.token", json!(token)));
        let (gateway, authority, _folder) = guarded("optional", more.as_slice()).await;
        let operator = authority.issue("operator", &[]);
        assert_eq!(
            asked(&gateway, "/status", Some(&operator), "").await,
            Some(200)
        );
        assert_eq!(asked(&gateway, "/status", None, "").await, Some(401));
        assert_eq!(asked(&gateway, "/metrics", None, "").await, Some(401));
        assert_eq!(asked(&gateway, "/health", None, "").await, Some(200));
        let with_token = asked(&gateway, "/status", None, TOKEN).await;
        assert_eq!(with_token, Some(if token.is_some() { 200 } else { 401 }));
        let stranger = Authority::new("others").issue("operator", &[]);
        assert_eq!(asked(&gateway, "/health", Some(&stranger), "").await, None);
    }
    let open = [("admin.open_metrics", json!(true))];
    let (gateway, _authority, _folder) = guarded("optional", &open).await;
    assert_eq!(asked(&gateway, "/metrics", None, "").await, Some(200));
    assert_eq!(asked(&gateway, "/status", None, "").await, Some(401));
}

#[tokio::test]
async fn check_names_what_is_wrong_with_authorities() {
    let cluster = Sandbox::start(1).await.unwrap();
    let old = Authority::of_years("an old authority", 2001, 2002);
    let leaf = Identity::of("localhost");
    for (text, code, words) in [
        (
            Some(old.certificate()),
            0,
            "holds an authority (certificate 1) that expired on 2002",
        ),
        (Some("nothing"), 3, "ca.crt has no CERTIFICATE in PEM form"),
        (
            Some(leaf.certificate()),
            3,
            "ca.crt holds no authority in certificate 1",
        ),
        (None, 3, "client_ca: cannot read"),
    ] {
        let (folder, _server) = files(&Authority::new("any"));
        match text {
            Some(text) => write(&folder, "ca.crt", text),
            None => std::fs::remove_file(folder.path().join("ca.crt")).unwrap(),
        }
        let config = equals(&cluster).set("admin.tls", tls(&folder, "required"));
        let file = folder.path().join("gateway.yaml");
        std::fs::write(&file, config.text()).unwrap();
        let output = std::process::Command::new(binary("perijove-gateway"))
            .args(["check", "--config"])
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(
            said.contains("admin.tls.client_ca: ") && said.contains(words),
            "{said}"
        );
    }
}
