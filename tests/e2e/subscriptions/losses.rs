//! Three upstreams, and the ways in which one of them is lost.

use std::time::Duration;

use perijove_tests::gateway::{Endpoint, Gateway, GatewayConfig};
use perijove_tests::sandbox::{Fault, Kind, Settings};
use perijove_tests::wait::until;

use super::Watched;
use crate::scene::all_probed;

/// How an upstream is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
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

pub const LOSSES: [Loss; 17] = [
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
    pub fn sign(self) -> &'static str {
        match self {
            Self::Killed | Self::Closed(_) => "closed",
            Self::Stopped | Self::Frozen | Self::Silent => "silent",
            Self::SocketsLag | Self::NodeLags => "behind",
        }
    }

    pub fn fault(self) -> Option<Fault> {
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

/// Sockets to an upstream with subscriptions on them, by number; and how many wait for one.
pub async fn sockets(scene: &Watched, upstream: &str) -> (Vec<u64>, u64) {
    let status = scene.gateway.status().await;
    let upstreams = &status["websocket"]["upstreams"];
    let sockets = upstreams["sockets"].as_array().unwrap();
    let own = sockets.iter().filter(|socket| {
        socket["upstream"] == upstream && socket["subscriptions"].as_u64() > Some(0)
    });
    let numbers = own.map(|socket| socket["socket"].as_u64().unwrap());
    (numbers.collect(), upstreams["waiting"].as_u64().unwrap())
}

pub async fn all_are_well(scene: &Watched) {
    until("all upstreams to be well", || async {
        let status = scene.gateway.status().await;
        let upstreams = status["upstreams"].as_array()?;
        let well = upstreams.iter().all(|one| one["health"] == "healthy");
        well.then_some(())
    })
    .await;
}

/// `v0` and `v1` are validators; `p` is a process of its own, another gateway in front of `v2`.
pub async fn scene(change: impl FnOnce(GatewayConfig) -> GatewayConfig) -> (Watched, Gateway) {
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
    let gateway = Gateway::start(change(config)).await;
    all_probed(&gateway).await;
    (Watched { cluster, gateway }, process)
}
