//! A program with many accounts, of most of which nobody was ever told.

use perijove_tests::client::websocket::{Heard, WebSocket};
use perijove_tests::sandbox::accounts::{large_program, large_program_accounts};
use perijove_tests::sandbox::sight::Sight;
use perijove_tests::sandbox::{Settings, chain};
use perijove_tests::wait::until;
use serde_json::{Value, json};

use super::Watched;
use super::told::Told;
use crate::scene::ranked;

/// Those of its accounts that change.
fn moving() -> &'static [String] {
    &large_program_accounts()[..5]
}

struct Program {
    socket: WebSocket,
    told: Told,
    gaps: usize,
}

impl Program {
    async fn follow(scene: &Watched) -> Self {
        let mut socket = scene.socket().await;
        let params = json!([large_program(), {"commitment": "confirmed", "encoding": "base64"}]);
        socket.subscribe("programSubscribe", &params).await;
        Self {
            socket,
            told: Told::of_client(&large_program()),
            gaps: 0,
        }
    }

    /// Hears what is told until each account that moves has reached this slot.
    async fn until_slot(&mut self, slot: u64) {
        while moving().iter().any(|key| self.newest(key) < Some(slot)) {
            let heard = self.socket.hear().await;
            self.add(&heard);
        }
    }

    /// Hears what is told until something else has happened.
    async fn until(&mut self, happened: impl Future<Output = ()>) {
        let mut happened = std::pin::pin!(happened);
        loop {
            let heard = tokio::select! {
                heard = self.socket.hear() => heard,
                () = &mut happened => return,
            };
            self.add(&heard);
        }
    }

    fn add(&mut self, heard: &Heard) {
        let Heard::Json(message) = heard else {
            panic!("the client noticed: {heard:?}");
        };
        let params: &Value = &message["params"];
        self.gaps += usize::from(params.get("gap").is_some());
        self.told.add_of("program", &params["result"]);
    }

    fn newest(&self, key: &str) -> Option<u64> {
        let told = self.told.accounts.get(&("program", key.to_owned()))?;
        Some(told.last()?.0)
    }
}

/// Waits until a move was repaired in this way so many times.
async fn repaired(scene: &Watched, outcomes: &[&str], times: f64) {
    until("what was missed to be read", || async {
        let metrics = scene.gateway.metrics().await;
        let count = |outcome: &&str| {
            let labels = [("kind", "program"), ("outcome", outcome)];
            metrics.sum("perijove_websocket_repairs_total", &labels)
        };
        let seen: f64 = outcomes.iter().map(count).sum();
        (seen >= times).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_large_program_is_told_of_what_has_changed_and_of_nothing_else() {
    let scene = Watched::with(Settings::default(), ranked).await;
    let mut program = Program::follow(&scene).await;
    let tip = || scene.cluster.cluster().clock.tip();
    program.until_slot(tip()).await;
    // Of most accounts nobody knows how they were, so that something may be missing.
    scene.cluster.validator(0).down().await;
    program.until(repaired(&scene, &["failed"], 1.0)).await;
    program.until_slot(tip()).await;
    assert_eq!(program.gaps, 1);
    // From now on all are known.
    scene.cluster.validator(0).heal().unwrap();
    let well = until("the first one to be well", || async {
        let status = scene.gateway.status().await;
        (status["upstreams"][0]["health"] == "healthy").then_some(())
    });
    program.until(well).await;
    scene.cluster.validator(1).down().await;
    let repair = repaired(&scene, &["told", "nothing"], 1.0);
    program.until(repair).await;
    program.until_slot(tip()).await;
    scene.cluster.cluster().clock.stop();
    let confirmed = chain::block_at_or_before(Sight::of(tip()).confirmed);
    program.until_slot(confirmed).await;
    assert_eq!(program.gaps, 1, "nothing was missed by the second move");
    program.told.check("a large program", &scene.cluster);
    // Blocks mention a few of the others.
    let accounts = program.told.accounts.len();
    assert!(accounts < 25, "{accounts} accounts were told of");
}
