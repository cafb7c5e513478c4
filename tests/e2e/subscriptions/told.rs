//! What one client was told, held against what the chain says it should have been.

use std::collections::BTreeMap;
use std::time::Duration;

use perijove_tests::client::websocket::{Heard, WebSocket};
use perijove_tests::sandbox::chain::{self, Line, Moment};
use perijove_tests::sandbox::{Cluster, Sandbox};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout, timeout_at};

/// Commitments, at each of which an account is followed.
pub const LEVELS: [&str; 3] = ["processed", "confirmed", "finalized"];

/// What the accounts of a program are followed at.
const PROGRAM: &str = "program";
const PROGRAM_LEVEL: &str = "confirmed";

/// What one client was told, by subscription.
#[derive(Default)]
pub struct Told {
    key: String,
    pub slots: Vec<u64>,
    pub roots: Vec<u64>,
    /// Slots and values of the account by commitment, and of the program by account.
    pub accounts: BTreeMap<(&'static str, String), Vec<(u64, Value)>>,
    ids: BTreeMap<u64, &'static str>,
    /// Notifications that said that something was missed before them.
    pub gaps: usize,
    /// Values lack what the client does not show.
    is_partial: bool,
}

fn params(key: &str, level: &str) -> Value {
    json!([key, {"commitment": level, "encoding": "base64"}])
}

impl Told {
    /// Subscribes to slots, roots, an account at all commitments, and a program.
    pub async fn subscribe(socket: &mut WebSocket, key: &str) -> Self {
        let mut told = Self::of_slots(socket).await;
        told.key = key.to_owned();
        let id = socket.subscribe("rootSubscribe", &json!([])).await;
        told.ids.insert(id, "root");
        for level in LEVELS {
            let params = params(key, level);
            let id = socket.subscribe("accountSubscribe", &params).await;
            told.ids.insert(id, level);
        }
        let params = params(key, PROGRAM_LEVEL);
        let id = socket.subscribe("programSubscribe", &params).await;
        told.ids.insert(id, PROGRAM);
        told
    }

    /// Told by a client that was made to subscribe to the same.
    pub fn of_client(key: &str) -> Self {
        Self {
            key: key.to_owned(),
            is_partial: true,
            ..Self::default()
        }
    }

    /// Subscribes to slots alone.
    pub async fn of_slots(socket: &mut WebSocket) -> Self {
        let id = socket.subscribe("slotSubscribe", &json!([])).await;
        Self {
            ids: [(id, "slot")].into(),
            ..Self::default()
        }
    }

    pub fn add(&mut self, message: &Value) {
        let params = &message["params"];
        let id = params["subscription"].as_u64().unwrap();
        self.gaps += usize::from(params.get("gap").is_some());
        self.add_of(self.ids[&id], &params["result"]);
    }

    /// A result of this subscription.
    pub fn add_of(&mut self, what: &str, result: &Value) {
        match what {
            "slot" => self.slots.push(result["slot"].as_u64().unwrap()),
            "root" => self.roots.push(result.as_u64().unwrap()),
            what => {
                let slot = result["context"]["slot"].as_u64().unwrap();
                let value = &result["value"];
                let (key, account) = match value["pubkey"].as_str() {
                    Some(key) => (key, &value["account"]),
                    None => (self.key.as_str(), value),
                };
                let (key, account) = (key.to_owned(), self.shown(account.clone()));
                let known = LEVELS.into_iter().find(|level| *level == what);
                let what = known.unwrap_or(PROGRAM);
                let told = self.accounts.entry((what, key)).or_default();
                told.push((slot, account));
            }
        }
    }

    /// Whether something was told of each subscription.
    pub fn is_told_of_everything(&self) -> bool {
        let told = |what| self.accounts.keys().any(|(of, _)| *of == what);
        let lists = [&self.slots, &self.roots];
        lists.iter().all(|list| !list.is_empty()) && LEVELS.into_iter().chain([PROGRAM]).all(told)
    }

    /// Forgets what was told until now.
    pub fn forget(&mut self) {
        (self.slots, self.roots) = (Vec::new(), Vec::new());
        self.accounts = BTreeMap::new();
    }

    pub fn newest_slot(&self) -> Option<u64> {
        self.slots.iter().max().copied()
    }

    /// Hears what comes until the newest slot is so far on.
    pub async fn until_slot(&mut self, socket: &mut WebSocket, slot: u64) {
        let hearing = async {
            while self.newest_slot() < Some(slot) {
                match socket.hear().await {
                    Heard::Json(message) => self.add(&message),
                    other => panic!("the client noticed: {other:?}"),
                }
            }
        };
        let in_time = timeout(Duration::from_mins(1), hearing).await;
        in_time.unwrap_or_else(|_| panic!("nothing more is told after {:?}", self.slots.last()));
    }

    /// Hears what comes for some time.
    pub async fn for_a_while(&mut self, socket: &mut WebSocket, time: Duration) {
        let end = Instant::now() + time;
        while let Ok(heard) = timeout_at(end, socket.hear()).await {
            match heard {
                Heard::Json(message) => self.add(&message),
                other => panic!("the client noticed: {other:?}"),
            }
        }
    }

    /// Every slot and root that has a block was told, once and in order; what was told of accounts
    /// is true, and in order.
    pub fn check(&self, what: &str, cluster: &Sandbox) {
        for (name, told) in [("slots", &self.slots), ("roots", &self.roots)] {
            let (Some(first), Some(last)) = (told.first(), told.last()) else {
                continue;
            };
            let all: Vec<_> = (*first..=*last)
                .filter(|slot| !chain::skipped(*slot))
                .collect();
            assert_eq!(
                told, &all,
                "{what}: {name} that have a block, and no others"
            );
        }
        for (of, told) in &self.accounts {
            let slots: Vec<_> = told.iter().map(|(slot, _)| *slot).collect();
            let rises = slots.windows(2).all(|pair| pair[0] < pair[1]);
            assert!(rises, "{what}: {of:?} {slots:?}");
            for (slot, value) in told {
                let truth = self.shown(self.truth(cluster.cluster(), of, *slot));
                assert_eq!(value, &truth, "{what}: {of:?} at {slot}");
            }
        }
        assert_eq!(self.gaps, 0, "{what}: nothing is missing");
    }

    /// Whether the last that was told of accounts is how they are: `tip` is the newest slot, and
    /// will be.
    pub fn knows_how_it_ends(&self, cluster: &Sandbox, tip: u64) -> bool {
        self.last(cluster, tip)
            .iter()
            .all(|(_, _, told, truth)| told == truth)
    }

    pub fn check_last(&self, what: &str, cluster: &Sandbox, tip: u64) {
        for (of, slot, told, truth) in self.last(cluster, tip) {
            assert_eq!(told, truth, "{what}: {of}, told at {slot}, now {tip}");
        }
    }

    /// What was told last at which slot, and how it is.
    fn last(&self, cluster: &Sandbox, tip: u64) -> Vec<(String, u64, Value, Value)> {
        let sight = perijove_tests::sandbox::sight::Sight::of(tip);
        let told: Vec<_> = self.accounts.keys().map(|(what, _)| *what).collect();
        assert!(
            [PROGRAM]
                .iter()
                .chain(&LEVELS)
                .all(|one| told.contains(one))
        );
        let mut last = Vec::new();
        for (of, told) in &self.accounts {
            let now = match of.0 {
                "processed" => sight.processed,
                "finalized" => sight.finalized,
                _ => sight.confirmed,
            };
            let now = chain::block_at_or_before(now);
            let (slot, value) = told.last().unwrap();
            let truth = self.shown(self.truth(cluster.cluster(), of, now.max(*slot)));
            // A program is not told of accounts that are no more.
            if !truth.is_null() {
                last.push((format!("{of:?}"), *slot, value.clone(), truth));
            }
        }
        last
    }

    /// What a client shows of an account.
    fn shown(&self, mut account: Value) -> Value {
        if self.is_partial
            && let Some(members) = account.as_object_mut()
        {
            members.retain(|name, _| !["rentEpoch", "space"].contains(&name.as_str()));
        }
        account
    }

    /// What an account held at a slot; null where it was not there.
    fn truth(&self, cluster: &Cluster, (what, key): &(&str, String), slot: u64) -> Value {
        let moment = Moment {
            slot,
            line: Line::MAIN,
        };
        let params = params(key, "processed").to_string();
        let said = cluster.said_at(moment, "getAccountInfo", Some(&params));
        let mut value = said.unwrap()["value"].take();
        if *what == PROGRAM && value.is_object() {
            value["owner"] = json!(self.key);
        }
        value
    }
}
