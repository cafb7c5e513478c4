//! Upstreams that are lost one after the other, in every way, at moments that chance chooses, while
//! clients are told of everything: nothing is lost, nothing comes twice, all is in order and true.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use perijove_tests::client::websocket::{Heard, WebSocket};
use perijove_tests::gateway::{Endpoint, Gateway, GatewayConfig};
use perijove_tests::sandbox::accounts::{Nature, keys};
use perijove_tests::sandbox::{Fault, Kind, Settings, chain, transaction};
use perijove_tests::wait::until;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::Watched;
use super::told::Told;
use crate::scene::all_probed;

const ROUNDS: usize = 20;
const CLIENTS: usize = 4;
/// Chance is the same each time, so that a failure comes again.
const SEED: u64 = 12;

/// How an upstream is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Loss {
    /// Its port is closed, and its sockets are cut.
    Killed,
    Closed(u16),
    /// Its process is stopped.
    Stopped,
    /// Its sockets stay open, and nothing is read or written.
    Frozen,
    /// Nothing is told any more, but pings are answered.
    Silent,
    /// Its sockets tell late.
    SocketsLag,
    NodeLags,
}

const LOSSES: [Loss; 17] = [
    Loss::Killed,
    Loss::Closed(0),
    Loss::Closed(1000),
    Loss::Closed(1001),
    Loss::Closed(1002),
    Loss::Closed(1006),
    Loss::Closed(1008),
    Loss::Closed(1009),
    Loss::Closed(1011),
    Loss::Closed(1012),
    Loss::Closed(1013),
    Loss::Closed(4000),
    Loss::Stopped,
    Loss::Frozen,
    Loss::Silent,
    Loss::SocketsLag,
    Loss::NodeLags,
];

impl Loss {
    /// How it can be seen.
    fn sign(self) -> &'static str {
        match self {
            Self::Killed | Self::Closed(_) => "closed",
            Self::Stopped | Self::Frozen | Self::Silent => "silent",
            Self::SocketsLag | Self::NodeLags => "behind",
        }
    }

    fn fault(self) -> Option<Fault> {
        Some(match self {
            Self::Killed | Self::Stopped => return None,
            Self::Closed(code) => Fault::ws_close(code),
            Self::Frozen => Kind::WsFreeze.into(),
            Self::Silent => Kind::WsSilence { after: 0 }.into(),
            Self::SocketsLag => Kind::WsLag { slots: 40 }.into(),
            Self::NodeLags => Fault::lag(40),
        })
    }
}

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

/// Sockets to an upstream with subscriptions on them, by number; and how many wait for one.
async fn sockets(scene: &Watched, upstream: &str) -> (Vec<u64>, u64) {
    let status = scene.gateway.status().await;
    let upstreams = &status["websocket"]["upstreams"];
    let sockets = upstreams["sockets"].as_array().unwrap();
    let own = sockets.iter().filter(|socket| {
        socket["upstream"] == upstream && socket["subscriptions"].as_u64() > Some(0)
    });
    let numbers = own.map(|socket| socket["socket"].as_u64().unwrap());
    (numbers.collect(), upstreams["waiting"].as_u64().unwrap())
}

async fn all_are_well(scene: &Watched) {
    until("all upstreams to be well", || async {
        let status = scene.gateway.status().await;
        let upstreams = status["upstreams"].as_array()?;
        let well = upstreams.iter().all(|one| one["health"] == "healthy");
        well.then_some(())
    })
    .await;
}

/// `v0` and `v1` are validators; `p` is a process of its own, another gateway in front of `v2`.
async fn scene() -> (Watched, Gateway) {
    let settings = Settings {
        validators: 3,
        moving: true,
        slot_time: Duration::from_millis(150),
        start_slot: 41 * 7_000_000 + 20,
        ..Settings::default()
    };
    let cluster = perijove_tests::sandbox::Sandbox::with(settings)
        .await
        .unwrap();
    let process = Gateway::start(GatewayConfig::new().upstream(cluster.validator(2))).await;
    let ws_url = format!("ws://{}/", process.address());
    let config = GatewayConfig::new()
        .upstream(cluster.validator(0))
        .upstream(cluster.validator(1))
        .endpoint(Endpoint::at("p", &process.url()).set("ws_url", ws_url))
        // As it is by default.
        .set("hedge.enabled", true);
    let gateway = Gateway::start(config).await;
    all_probed(&gateway).await;
    (Watched { cluster, gateway }, process)
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
    let (scene, process) = scene().await;
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
