//! `docs/metrics.md` and `/metrics` tell the same: names, types, labels, and where each is made.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use perijove_tests::gateway::{Gateway, loopback};
use perijove_tests::sandbox::{Fault, Sandbox, chain};
use perijove_tests::tls::Identity;
use serde_json::json;

use crate::scene::{Scene, on_reads, ranked};

/// What is said of one metric.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    kind: String,
    labels: BTreeSet<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn is_ours(name: &str) -> bool {
    name.starts_with("perijove_") || name.starts_with("jupiter_")
}

/// The rows of the document, with their source files.
fn documented() -> BTreeMap<String, (Told, String)> {
    let text = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let mut told = BTreeMap::new();
    for row in rows {
        let columns: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, labels, unit, meaning, source] = columns[..] else {
            panic!("a row of other columns: {row}");
        };
        assert!(!unit.is_empty() && !meaning.is_empty(), "{row}");
        let quoted = |text: &str| text.trim_matches('`').to_owned();
        let labels = labels.split(", ").filter(|label| *label != "–").map(quoted);
        let entry = Told {
            kind: kind.to_owned(),
            labels: labels.collect(),
        };
        let twice = told.insert(quoted(name), (entry, quoted(source)));
        assert!(twice.is_none(), "{name} is there twice");
    }
    told
}

/// What a scrape shows of our metrics.
fn exported(scrape: &str) -> BTreeMap<String, Told> {
    let mut told: BTreeMap<String, Told> = BTreeMap::new();
    let mut current = "";
    for line in scrape.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            let (name, kind) = family.split_once(' ').unwrap();
            current = name;
            let fresh = Told {
                kind: kind.to_owned(),
                ..Told::default()
            };
            told.insert(current.to_owned(), fresh);
        } else if !line.starts_with('#')
            && let Some((_, rest)) = line.split_once('{')
            && let Some((labels, _)) = rest.rsplit_once('}')
            && let Some(family) = told.get_mut(current)
        {
            let names = labels
                .split("\",")
                .filter_map(|pair| pair.split('=').next());
            let own = names.filter(|name| *name != "le").map(str::to_owned);
            family.labels.extend(own);
        }
    }
    told.retain(|name, _| is_ours(name));
    told
}

/// A TLS listener, whose metrics are there only with one.
fn listener(identity: &Identity) -> serde_json::Value {
    json!([{
        "address": loopback(),
        "certificate": identity.certificate_file().display().to_string(),
        "key": identity.key_file().display().to_string(),
    }])
}

/// An upstream of Jupiter's API where nobody listens: its series are there with it.
fn nobody() -> serde_json::Value {
    let url = format!("http://{}", loopback());
    json!([{ "id": "swap-api", "kind": "self-hosted", "url": url }])
}

/// A scene in which everything that is counted has happened.
async fn eventful() -> Scene {
    let identity = Identity::of("localhost");
    let listener = listener(&identity);
    let mut bought = nobody();
    bought[0]["budget"] = json!({"requests": 100, "per": "hour"});
    let scene = Scene::ranked_with(|config| {
        let mut upstreams = config.get("upstreams").unwrap().clone();
        upstreams[0]["budget"] = json!({"requests": 100_000, "per": "second", "burst": 10_000});
        upstreams[0]["adaptive_concurrency"] = json!(true);
        config
            .set("upstreams", upstreams)
            .set("cache.enabled", true)
            .set("hedge.enabled", true)
            .set("listen.tls", listener)
            .set("jupiter.upstreams", bought)
    })
    .await;
    // A name that somebody made up.
    scene.gateway.rpc("madeUp", json!([])).await;
    // A miss that is kept, and a hit.
    for _ in 0..2 {
        scene.gateway.rpc("getGenesisHash", json!([])).await;
    }
    // A retry and a failover, then a hedge: each for another account, so that nothing is known.
    scene.v(0).fault(on_reads(Fault::status(503)).times(1));
    balance_of(&scene, 1).await;
    scene.v(0).fault(on_reads(Fault::slow(3_000)).times(1));
    balance_of(&scene, 2).await;
    // A transaction that v0 does not know, and v1 is asked for as the archive.
    let unknown = json!([bs58::encode([9; 64]).into_string()]);
    scene.gateway.rpc("getTransaction", unknown).await;
    // A refusal at the door, a body without a call, and a reload.
    scene.gateway.post("{").await;
    scene
        .gateway
        .send(scene.gateway.client().get(scene.gateway.url()))
        .await;
    scene.gateway.reload().await;
    // A quote that nobody gives, and one that nobody can give.
    for query in [
        "inputMint=So11111111111111111111111111111111111111112\
         &outputMint=EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v&amount=1",
        "",
    ] {
        let url = format!("{}swap/v1/quote?{query}", scene.gateway.url());
        scene.gateway.send(scene.gateway.client().get(url)).await;
    }
    scene
}

async fn balance_of(scene: &Scene, number: usize) {
    let params = json!([chain::identity(number)]);
    scene.gateway.rpc("getBalance", params).await;
}

#[tokio::test]
async fn every_metric_is_documented_and_every_documented_one_is_there() {
    let scene = eventful().await;
    let scrape = scene.gateway.admin("/metrics").await.text();
    let exported = exported(&scrape);
    let documented = documented();
    let names = |all: Vec<&String>| all.into_iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(
        names(exported.keys().collect()),
        names(documented.keys().collect())
    );
    for (name, told) in &exported {
        assert_eq!(&documented[name].0, told, "{name}");
    }
}

#[test]
fn every_metric_is_made_where_the_document_says() {
    for (name, (_, source)) in documented() {
        let text = std::fs::read_to_string(root().join(&source)).unwrap_or_default();
        assert!(
            text.contains(&format!("\"{name}\"")),
            "{name} is not in {source}"
        );
    }
}

/// Not there before an upstream has told of it.
const NOT_KNOWN: [&str; 7] = [
    // None of the upstreams has one.
    "perijove_jupiter_budget_left_requests",
    "perijove_upstream_budget_left_requests",
    "perijove_upstream_budget_ends_seconds",
    // Only with `adaptive_concurrency`.
    "perijove_upstream_concurrency_limit",
    "perijove_upstream_slot",
    "perijove_upstream_slot_lag",
    "perijove_upstream_oldest_slot",
];

#[tokio::test]
async fn every_metric_is_there_from_the_start_but_for_what_is_not_known() {
    let cluster = Sandbox::start(2).await.unwrap();
    for validator in cluster.validators() {
        validator.down().await;
    }
    let identity = Identity::of("localhost");
    let config = ranked(&cluster)
        .set("listen.tls", listener(&identity))
        .set("jupiter.upstreams", nobody());
    let gateway = Gateway::start_unready(config).await;
    let exported = exported(&gateway.admin("/metrics").await.text());
    let missing: Vec<_> = documented()
        .into_keys()
        .filter(|name| !exported.contains_key(name))
        .collect();
    let mut expected = NOT_KNOWN.map(str::to_owned).to_vec();
    expected.sort();
    assert_eq!(missing, expected);
    let status = gateway.status().await;
    let told = &status["upstreams"][0];
    assert_eq!(told["lag"], serde_json::Value::Null, "{told}");
    assert_eq!(
        told["slots"]["processed"],
        serde_json::Value::Null,
        "{told}"
    );
}

#[tokio::test]
async fn requests_are_counted_by_status_and_where_asked_for_by_consumer() {
    for counted in [false, true] {
        let consumers = json!([{ "id": "wallet", "keys": ["wallet-key-1234567890"] }]);
        let scene = Scene::equals_with(1, |config| {
            config
                .set("consumers", consumers)
                .set("anonymous", true)
                .set("consumer_metrics", counted)
        })
        .await;
        let request = scene
            .gateway
            .client()
            .post(scene.gateway.url())
            .header("content-type", "application/json")
            .header("x-api-key", "wallet-key-1234567890")
            .body(r#"{"jsonrpc":"2.0","id":1,"method":"getSlot"}"#);
        scene.gateway.send(request).await;
        let metrics = scene.gateway.metrics().await;
        let wallet = [("consumer", "wallet")];
        let requests = metrics.sum("perijove_consumer_requests_total", &wallet);
        assert_eq!(requests > 0.5, counted);
        assert!(metrics.sum("perijove_http_responses_total", &[("status", "200")]) > 0.5);
    }
}
