//! Solana's own clients while upstreams are lost in every way, and while the gateway is replaced:
//! they are told of everything, and whatever they send is confirmed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use parking_lot::Mutex;
use perijove_tests::gateway::{Gateway, GatewayConfig};
use perijove_tests::sandbox::accounts::{Nature, keys};
use perijove_tests::sandbox::{Sandbox, chain};
use perijove_tests::wait::{eventually, until};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use super::account;
use super::losses::{LOSSES, Loss, all_are_well, scene, sockets};
use super::told::Told;

const REMEDY: &str = "install it with: scripts/setup test";

/// The clients, with the program that runs each.
const CLIENTS: [(&str, &str); 4] = [
    ("web3js.mjs", "node"),
    ("kit.mjs", "node"),
    ("solana_py.py", ".venv/solana-py-0.36/bin/python"),
    ("solana_py.py", ".venv/solana-py-0.41/bin/python"),
];

/// What a client has printed.
struct Printed {
    told: Told,
    /// What has come of its orders; text if they failed.
    done: BTreeMap<String, Option<String>>,
    /// What it wrote otherwise.
    log: Vec<String>,
}

/// A real client in a process of its own.
struct RealClient {
    name: String,
    orders: ChildStdin,
    printed: Arc<Mutex<Printed>>,
    _process: Child,
}

impl RealClient {
    fn start((script, program): (&str, &str), gateway: &Gateway, key: &str) -> Self {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let program = if program.contains('/') {
            tests.join("..").join(program)
        } else {
            program.into()
        };
        let mut process = Command::new(&program)
            .arg(tests.join("clients/failover").join(script))
            .args([gateway.url().trim_end_matches('/'), key])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; {REMEDY}", program.display()));
        let printed = Arc::new(Mutex::new(Printed {
            told: Told::of_client(key),
            done: BTreeMap::new(),
            log: Vec::new(),
        }));
        hear(process.stdout.take().unwrap(), Arc::clone(&printed));
        hear(process.stderr.take().unwrap(), Arc::clone(&printed));
        Self {
            name: format!("{script} with {}", program.display()),
            orders: process.stdin.take().unwrap(),
            printed,
            _process: process,
        }
    }

    /// Waits until something was printed.
    async fn until(&self, what: &str, mut is_so: impl FnMut(&Printed) -> bool) {
        let waiting = until(what, || {
            let printed = self.printed.lock();
            std::future::ready(is_so(&printed).then_some(()))
        });
        // What the client says of it comes with the failure.
        let waited = futures::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(waiting)).await;
        if waited.is_err() {
            let printed = self.printed.lock();
            let (done, log) = (&printed.done, &printed.log);
            panic!("{}: {what}; {done:?} {log:#?}", self.name);
        }
    }

    async fn order(&mut self, order: &Value) {
        let written = self.orders.write_all(format!("{order}\n").as_bytes()).await;
        written.unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    /// Waits until what was ordered has been done.
    async fn until_done(&self, subject: &str) {
        self.until(subject, |printed| printed.done.contains_key(subject))
            .await;
        let outcome = self.printed.lock().done.get(subject).cloned().flatten();
        assert_eq!(outcome, None, "{}: {subject}", self.name);
    }

    async fn until_slot(&self, slot: u64) {
        let reached = |printed: &Printed| printed.told.newest_slot() >= Some(slot);
        self.until(&format!("slot {slot}"), reached).await;
    }
}

/// Takes in what is printed, in a task of its own.
fn hear(output: impl AsyncRead + Unpin + Send + 'static, printed: Arc<Mutex<Printed>>) {
    tokio::spawn(async move {
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let json: Value = serde_json::from_str(&line).unwrap_or_default();
            let mut printed = printed.lock();
            if let Some(what) = json["told"].as_str() {
                printed.told.add_of(what, &json["result"]);
            } else if let Some(subject) = json.get("done") {
                let failed = json["failed"].as_str().map(str::to_owned);
                let subject = subject.as_str().map_or(subject.to_string(), str::to_owned);
                printed.done.insert(subject, failed);
            } else {
                printed.log.push(line);
            }
        }
    });
}

/// All clients, each of which is told of everything.
async fn clients(gateway: &Gateway, cluster: &Sandbox, key: &str) -> Vec<RealClient> {
    let start = |client| RealClient::start(client, gateway, key);
    let clients: Vec<_> = CLIENTS.into_iter().map(start).collect();
    for client in &clients {
        client
            .until("everything to be told", |printed| {
                printed.told.is_told_of_everything()
            })
            .await;
        client.until_slot(cluster.cluster().clock.tip() + 2).await;
    }
    clients
}

/// The account that everybody follows, and others, of which each is followed once.
fn followed() -> (String, impl Iterator<Item = String>) {
    let others = keys(Nature::Moving, 2000).into_iter().skip(1);
    (account(), others)
}

/// Each client sends something before a loss and after it, and subscribes to something new: all of it
/// at the moment of the loss, too.
#[tokio::test]
async fn no_client_notices_the_loss_of_an_upstream() {
    let (scene, process) = scene(|config| config).await;
    let (key, mut others) = followed();
    let mut clients = clients(&scene.gateway, &scene.cluster, &key).await;
    let mut random = fastrand::Rng::with_seed(7);
    for (round, loss) in LOSSES.into_iter().enumerate() {
        let index = if loss == Loss::Stopped {
            2
        } else {
            random.usize(..2)
        };
        let (upstream, validator) = (["v0", "v1", "p"][index], scene.cluster.validator(index));
        let (before, _) = sockets(&scene, upstream).await;
        let mut ordered = Vec::new();
        for client in &mut clients {
            let (early, late) = (others.next().unwrap(), others.next().unwrap());
            client.order(&json!({ "send": round * 2 })).await;
            client.order(&json!({ "follow": early })).await;
            ordered.push([early, late]);
        }
        match loss.fault() {
            Some(fault) => validator.fault(fault),
            None if loss == Loss::Killed => validator.down().await,
            None => process.process.signal("STOP"),
        }
        for (client, [_, late]) in clients.iter_mut().zip(&ordered) {
            client.order(&json!({ "send": round * 2 + 1 })).await;
            client.order(&json!({ "follow": late })).await;
        }
        until(&format!("{loss:?} of {upstream}: all to move"), || async {
            let (now, waiting) = sockets(&scene, upstream).await;
            let moved = now.iter().all(|socket| !before.contains(socket));
            (moved && waiting == 0).then_some(())
        })
        .await;
        let slot = scene.cluster.cluster().clock.tip() + 2;
        for (client, [early, late]) in clients.iter().zip(&ordered) {
            for sent in [round * 2, round * 2 + 1] {
                client.until_done(&sent.to_string()).await;
            }
            client.until_done(early).await;
            client.until_done(late).await;
            client.until_slot(slot).await;
        }
        match loss {
            Loss::Stopped => process.process.signal("CONT"),
            _ => validator.heal().unwrap(),
        }
        all_are_well(&scene).await;
    }
    scene.cluster.cluster().clock.stop();
    let tip = scene.cluster.cluster().clock.tip();
    for client in &clients {
        client.until_slot(chain::block_at_or_before(tip)).await;
        client
            .until("the end to be known", |printed| {
                printed.told.knows_how_it_ends(&scene.cluster, tip)
            })
            .await;
        let printed = client.printed.lock();
        printed.told.check(&client.name, &scene.cluster);
        // No socket of theirs was lost.
        let noticed = |line: &&String| line.contains("\"lost\"");
        let lost: Vec<_> = printed.log.iter().filter(noticed).collect();
        assert!(lost.is_empty(), "{}: {lost:?}", client.name);
    }
}

/// What a client has sent when its gateway is replaced is confirmed before its socket is closed; it is
/// opened again then, to the new one.
#[tokio::test]
async fn clients_outlive_the_gateway() {
    // Far more time than a confirmation takes on a busy machine.
    let over = |config: GatewayConfig| config.set("websocket.close_over", "10s");
    let (scene, _process) = scene(over).await;
    let (key, mut others) = followed();
    let mut clients = clients(&scene.gateway, &scene.cluster, &key).await;
    let mut gateway = scene.gateway;
    for round in 0..2 {
        let successor = gateway.successor().await;
        for client in &mut clients {
            client.order(&json!({ "send": round })).await;
        }
        let mut old = gateway;
        gateway = old.hand_over_to(successor).await;
        for client in &clients {
            client.until_done(&round.to_string()).await;
        }
        eventually("the old one to end", || old.process.ended().is_some()).await;
        for client in &mut clients {
            client.printed.lock().told.forget();
            let other = others.next().unwrap();
            client.order(&json!({ "follow": other })).await;
            client.until_done(&other).await;
        }
        let slot = scene.cluster.cluster().clock.tip() + 2;
        for client in &clients {
            client.until_slot(slot).await;
            client
                .until("everything to be told again", |printed| {
                    printed.told.is_told_of_everything()
                })
                .await;
        }
    }
}
