//! Keys in a file of their own: made, listed and revoked by the command `keys` while the gateway
//! runs.

use std::path::PathBuf;
use std::process::{Command, Output};

use perijove_tests::gateway::process::binary;
use perijove_tests::wait::until;
use serde_json::json;
use tempfile::TempDir;

use crate::scene::Scene;

/// A gateway whose keys are in a file.
struct Kept {
    scene: Scene,
    folder: TempDir,
}

impl Kept {
    fn file(&self) -> PathBuf {
        self.folder.path().join("keys.yaml")
    }

    /// Runs `perijove-gateway keys …` on the file.
    fn keys(&self, arguments: &[&str]) -> Output {
        let (command, rest) = arguments.split_first().unwrap();
        let mut keys = Command::new(binary("perijove-gateway"));
        keys.args(["keys", command, "--file"]).arg(self.file());
        keys.args(rest).output().unwrap()
    }

    /// Makes a key for a consumer.
    fn make(&self, arguments: &[&str]) -> String {
        let made = self.keys(&[&["new"], arguments].concat());
        assert!(made.status.success(), "{made:?}");
        let text = String::from_utf8(made.stdout).unwrap();
        let key = text.lines().find_map(|line| line.strip_prefix("key:"));
        key.unwrap().trim().to_owned()
    }

    async fn status(&self, key: &str) -> u16 {
        let request = self.scene.gateway.client().post(self.scene.gateway.url());
        let request = request
            .header("content-type", "application/json")
            .header("x-api-key", key)
            .body(r#"{"jsonrpc":"2.0","id":1,"method":"getSlot"}"#);
        self.scene.gateway.send(request).await.status
    }

    /// Waits until a key is answered so.
    async fn until_it_is(&self, key: &str, expected: u16) {
        until(
            &format!("the key to be answered with {expected}"),
            || async { (self.status(key).await == expected).then_some(()) },
        )
        .await;
    }
}

/// The file holds one key, of the consumer `first`.
async fn kept() -> (Kept, String) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("keys.yaml");
    let made = Command::new(binary("perijove-gateway"))
        .args(["keys", "new", "--consumer", "first", "--file"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let text = String::from_utf8(made.stdout).unwrap();
    let key = text.lines().find_map(|line| line.strip_prefix("key:"));
    let key = key.unwrap().trim().to_owned();
    let scene = Scene::equals_with(1, |config| {
        config
            .set("keys_file", file.display().to_string())
            .set("plans", json!([{"id": "small", "deny": ["getSlot"]}]))
    })
    .await;
    (Kept { scene, folder }, key)
}

#[tokio::test]
async fn a_key_works_once_it_is_made_and_no_longer_once_it_is_revoked() {
    let (kept, first) = kept().await;
    assert_eq!(kept.status(&first).await, 200);
    let second = kept.make(&["--consumer", "second"]);
    kept.until_it_is(&second, 200).await;
    let listed = String::from_utf8(kept.keys(&["list"]).stdout).unwrap();
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.len(), 2, "{listed}");
    assert!(!listed.contains(&first) && !listed.contains(&second));
    let hash = lines[0].split(' ').next().unwrap();
    assert!(lines[0].contains("first") && lines[1].contains("second"));
    let gone = kept.keys(&["revoke", hash]);
    assert!(gone.status.success(), "{gone:?}");
    kept.until_it_is(&first, 401).await;
    assert_eq!(kept.status(&second).await, 200);
    // With the last key gone nobody may call; not everybody.
    let gone = kept.keys(&["revoke", "--consumer", "second"]);
    assert!(gone.status.success(), "{gone:?}");
    kept.until_it_is(&second, 401).await;
    let reply = kept.scene.gateway.rpc("getSlot", json!([])).await;
    assert_eq!(reply.status, 401);
}

#[tokio::test]
async fn a_key_in_the_file_has_the_plan_that_stands_beside_it() {
    let (kept, _) = kept().await;
    let key = kept.make(&["--consumer", "poor", "--plan", "small"]);
    kept.until_it_is(&key, 403).await;
}

#[tokio::test]
async fn a_key_with_a_plan_that_is_none_keeps_no_other_from_being_revoked() {
    let (kept, first) = kept().await;
    let second = kept.make(&["--consumer", "second"]);
    kept.until_it_is(&second, 200).await;
    let typo = kept.make(&["--consumer", "third", "--plan", "smal"]);
    let gone = kept.keys(&["revoke", "--consumer", "first"]);
    assert!(gone.status.success(), "{gone:?}");
    kept.until_it_is(&first, 401).await;
    assert_eq!(kept.status(&typo).await, 401, "it has no plan");
    assert_eq!(kept.status(&second).await, 200);
    let log = kept.scene.gateway.process.log();
    let is_told = |line: &&String| line.contains("did you mean `small`") && line.contains("WARN");
    assert!(log.iter().any(|line| is_told(&line)), "{log:#?}");
}

#[tokio::test]
async fn a_broken_configuration_keeps_no_key_from_being_revoked() {
    let (kept, first) = kept().await;
    let gateway = &kept.scene.gateway;
    let errors = async || {
        let status = gateway.status().await;
        let errors = status["config"]["errors"].as_array().cloned();
        errors.filter(|errors| !errors.is_empty())
    };
    gateway.write_file("upstreams: [");
    until("the file to be refused", &errors).await;
    assert_eq!(kept.status(&first).await, 200);
    let second = kept.make(&["--consumer", "second"]);
    kept.until_it_is(&second, 200).await;
    let gone = kept.keys(&["revoke", "--consumer", "first"]);
    assert!(gone.status.success(), "{gone:?}");
    kept.until_it_is(&first, 401).await;
    assert_eq!(kept.status(&second).await, 200);
    assert!(errors().await.is_some(), "the file is as broken as before");
    let metrics = gateway.metrics().await;
    let successful = metrics.sum("perijove_config_last_reload_successful", &[]);
    assert!(successful < 0.5, "{successful}");
}

#[tokio::test]
async fn a_broken_keys_file_changes_nothing_and_is_told() {
    let (kept, first) = kept().await;
    let whole = std::fs::read_to_string(kept.file()).unwrap();
    for broken in ["keys: [", "keys: [{hash: \"sha256:12\", consumer: a}]"] {
        std::fs::write(kept.file(), broken).unwrap();
        let errors = until("the file to be refused", || async {
            let status = kept.scene.gateway.status().await;
            let errors = status["config"]["errors"].as_array()?.clone();
            (!errors.is_empty()).then_some(errors)
        })
        .await;
        assert!(
            errors[0].as_str().unwrap().contains("keys_file"),
            "{errors:?}"
        );
        assert_eq!(kept.status(&first).await, 200, "the last good one counts");
    }
    std::fs::remove_file(kept.file()).unwrap();
    until("the missing file to be told of", || async {
        let status = kept.scene.gateway.status().await;
        let errors = status["config"]["errors"].to_string();
        errors.contains("cannot read").then_some(())
    })
    .await;
    assert_eq!(kept.status(&first).await, 200);
    let second = kept.keys(&["list"]);
    assert_eq!(second.status.code(), Some(1));
    std::fs::write(kept.file(), whole.replace("first", "renamed")).unwrap();
    until("the mended file to count", || async {
        let status = kept.scene.gateway.status().await;
        let errors = status["config"]["errors"].as_array()?;
        errors.is_empty().then_some(())
    })
    .await;
    assert_eq!(kept.status(&first).await, 200);
}

#[tokio::test]
async fn the_command_refuses_what_no_gateway_would_read() {
    let (kept, _) = kept().await;
    let before = std::fs::read_to_string(kept.file()).unwrap();
    for arguments in [
        &["new", "--consumer", "two words"][..],
        &["revoke", "0011"],
        &["revoke", "00112233"],
        &["revoke", "--consumer", "nobody"],
    ] {
        let refused = kept.keys(arguments);
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}: {refused:?}");
        assert!(!refused.stderr.is_empty());
        assert!(
            refused.stdout.is_empty(),
            "no key is shown that is not kept"
        );
    }
    assert_eq!(std::fs::read_to_string(kept.file()).unwrap(), before);
}
