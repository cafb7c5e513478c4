//! Upstreams that are lost one after the other, in every way, at moments that chance chooses, while
//! clients are told of everything: nothing is lost, nothing comes twice, all is in order and true.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use perijove_tests::client::websocket::{Heard, WebSocket};
use perijove_tests::sandbox::accounts::{Nature, keys};
use perijove_tests::sandbox::{chain, transaction};
use perijove_tests::wait::until;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::Watched;
use super::losses::{LOSSES, Loss, all_are_well, scene, sockets};
use super::told::Told;

const ROUNDS: usize = 20;
const CLIENTS: usize = 4;
/// Chance is the same each time, so that a failure comes again.
const SEED: u64 = 12;

/// A client that is told by a task of its own.
struct Client {
    told: Arc<Mutex<Told>>,
    newest: watch::Receiver<u64>,
    hearing: JoinHandle<()>,
}

impl Client {
    async fn new(scene: &Watched, key: &str) -> Self {
        let mut socket = scene.socket().await;
        let told = Told::subscribe(&mut socket, key).await;
        let told = Arc::new(Mutex::new(told));
        let (tell, newest) = watch::channel(0);
        let hears = Arc::clone(&told);
        let hearing = tokio::spawn(async move {
            // What came while it subscribed.
            loop {
                match socket.hear().await {
                    Heard::Json(message) => {
                        let mut told = hears.lock();
                        told.add(&message);
                        tell.send_replace(told.newest_slot().unwrap_or(0));
                    }
                    other => panic!("the client noticed: {other:?}"),
                }
            }
        });
        Self {
            told,
            newest,
            hearing,
        }
    }

    async fn until_slot(&mut self, slot: u64) {
        let reached = self.newest.wait_for(|newest| *newest >= slot);
        let reached = tokio::time::timeout(Duration::from_mins(1), reached).await;
        assert!(
            reached.is_ok_and(|reached| reached.is_ok()),
            "slot {slot} is not told"
        );
    }
}

/// A client that sends transactions and waits for them.
struct Sender {
    socket: WebSocket,
    sent: u64,
    told: BTreeMap<u64, usize>,
}

impl Sender {
    async fn subscribe(&mut self, scene: &Watched) -> Vec<u8> {
        self.sent += 1;
        let tip = scene.cluster.cluster().clock.tip();
        let hash = chain::blockhash(chain::block_at_or_before(tip - 60));
        let bytes = transaction::sample(self.sent, &hash);
        let signature = bs58::encode(&bytes[1..65]).into_string();
        let params = json!([signature, {"commitment": "confirmed"}]);
        let id = self.socket.subscribe("signatureSubscribe", &params).await;
        self.told.insert(id, 0);
        bytes
    }

    async fn send(&self, scene: &Watched, bytes: &[u8]) {
        let params = json!([bs58::encode(bytes).into_string()]);
        scene.gateway.rpc("sendTransaction", params).await.result();
    }

    /// Waits until all are told of.
    async fn hear(&mut self) {
        while self.told.values().any(|times| *times == 0) {
            let told = self.socket.notification().await;
            assert_eq!(told.result["value"], json!({ "err": null }));
            *self.told.get_mut(&told.subscription).unwrap() += 1;
        }
        for told in self.socket.pending().await {
            *self.told.get_mut(&told.subscription).unwrap() += 1;
        }
    }
}

/// The upstream of this round and how it is lost.
fn choose(random: &mut fastrand::Rng, round: usize) -> (&'static str, Loss) {
    // Each way once, in whatever order; then what comes.
    let loss = match LOSSES.get(round) {
        Some(loss) => *loss,
        None => LOSSES[random.usize(..LOSSES.len())],
    };
    let upstream = match loss {
        Loss::Stopped => "p",
        _ => ["v0", "v1"][random.usize(..2)],
    };
    (upstream, loss)
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    let place = (times.len() * percent).div_ceil(100).max(1) - 1;
    times[place]
}

#[tokio::test]
async fn twenty_losses_at_any_moment_lose_nothing() {
    let (scene, process) = scene(|config| config).await;
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut clients = Vec::new();
    for key in keys(Nature::Moving, CLIENTS) {
        clients.push(Client::new(&scene, &key).await);
    }
    let mut sender = Sender {
        socket: scene.socket().await,
        sent: 0,
        told: BTreeMap::new(),
    };
    let mut times: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for round in 0..ROUNDS {
        let (upstream, loss) = choose(&mut random, round);
        let validator = match upstream {
            "v0" => scene.cluster.validator(0),
            "v1" => scene.cluster.validator(1),
            _ => scene.cluster.validator(2),
        };
        let (early, late) = (
            sender.subscribe(&scene).await,
            sender.subscribe(&scene).await,
        );
        sender.send(&scene, &early).await;
        let moment = Duration::from_millis(random.u64(..400));
        sleep(moment).await;
        let (before, _) = sockets(&scene, upstream).await;
        let lost_at = Instant::now();
        match loss.fault() {
            Some(fault) => validator.fault(fault),
            None if loss == Loss::Killed => validator.down().await,
            None => process.process.signal("STOP"),
        }
        sender.send(&scene, &late).await;
        until(
            &format!("{loss:?} of {upstream}: subscriptions to move"),
            || async {
                let (now, waiting) = sockets(&scene, upstream).await;
                let moved = now.iter().all(|socket| !before.contains(socket));
                (moved && waiting == 0).then_some(())
            },
        )
        .await;
        let time = lost_at.elapsed();
        eprintln!(
            "{round}: {loss:?} of {upstream} with {} sockets: {time:?}",
            before.len()
        );
        if !before.is_empty() {
            times.entry(loss.sign()).or_default().push(time);
        }
        let slot = scene.cluster.cluster().clock.tip() + 5;
        for client in &mut clients {
            client.until_slot(slot).await;
        }
        sender.hear().await;
        match loss {
            Loss::Stopped => process.process.signal("CONT"),
            _ => validator.heal().unwrap(),
        }
        all_are_well(&scene).await;
    }
    for (what, times) in &mut times {
        let (half, most) = (percentile(times, 50), percentile(times, 99));
        eprintln!("{what}: {} moves, p50 {half:?}, p99 {most:?}", times.len());
    }
    assert!(
        sender.told.values().all(|times| *times == 1),
        "{:?}",
        sender.told
    );
    assert_eq!(sender.told.len(), ROUNDS * 2);
    scene.cluster.cluster().clock.stop();
    let tip = scene.cluster.cluster().clock.tip();
    let newest = chain::block_at_or_before(tip);
    for client in &mut clients {
        client.until_slot(newest).await;
    }
    until("clients to be told of how it ends", || async {
        let known = |client: &Client| client.told.lock().knows_how_it_ends(&scene.cluster, tip);
        clients.iter().all(known).then_some(())
    })
    .await;
    for client in &clients {
        client.hearing.abort();
        let told = client.told.lock();
        told.check("losses", &scene.cluster);
    }
    let metrics = scene.gateway.metrics().await;
    let moves = metrics.sum("perijove_websocket_moves_total", &[]);
    eprintln!("{moves} subscriptions moved");
    let failed = metrics.sum("perijove_websocket_repairs_total", &[("outcome", "failed")]);
    assert!(moves > 0.0 && failed < 1.0, "{moves} {failed}");
}
