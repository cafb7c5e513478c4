//! What is asked: reads whose answers follow from their question and from the slot, and signed
//! transactions that nobody has sent before.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fastrand::Rng;
use perijove_tests::sandbox::accounts::{Nature, keys};
use perijove_tests::sandbox::sight::{Level, Sight};
use perijove_tests::sandbox::{Sandbox, chain, transaction};
use serde_json::{Value, json};

/// Accounts that are asked about. Many, so that few questions meet in the cache.
const ACCOUNTS: usize = 600;
/// Transactions that are there from the start.
const LANDED: u64 = 200;
/// The method of a scan.
pub const SCAN: &str = "getProgramAccounts";
/// The method of a write.
pub const WRITE: &str = "sendTransaction";

/// A call and what its answer is judged by.
#[derive(Debug, Clone)]
pub struct Question {
    pub method: &'static str,
    pub params: Value,
    pub level: Level,
    /// The signature that a write must be answered with.
    pub signature: Option<String>,
}

/// Thinks of questions.
#[derive(Debug)]
pub struct Asker {
    chance: Rng,
    accounts: Vec<String>,
    landed: Vec<String>,
}

impl Asker {
    /// One for this cluster, some transactions of which it lands first.
    pub fn new(cluster: &Sandbox) -> Self {
        let mut chance = Rng::new();
        let tip = cluster.cluster().clock.tip();
        let landed = (0..LANDED)
            .filter_map(|_| cluster.cluster().land(&signed(&mut chance, tip)))
            .collect();
        Self {
            chance,
            accounts: keys(Nature::Moving, ACCOUNTS),
            landed,
        }
    }

    /// A read, as traders ask: mostly single accounts at the head of the chain.
    pub fn read(&mut self, now: Sight) -> Question {
        let level = match self.chance.u8(..10) {
            0..5 => Level::Processed,
            5..9 => Level::Confirmed,
            _ => Level::Finalized,
        };
        let commitment = level.label();
        let key = self.account();
        let (method, params) = match self.chance.u8(..100) {
            0..40 => ("getBalance", json!([key, {"commitment": commitment}])),
            40..60 => (
                "getAccountInfo",
                json!([key, {"commitment": commitment, "encoding": "base64"}]),
            ),
            60..70 => {
                let three = [key, self.account(), self.account()];
                let config = json!({"commitment": commitment, "encoding": "base64"});
                ("getMultipleAccounts", json!([three, config]))
            }
            70..80 => ("getLatestBlockhash", json!([{"commitment": commitment}])),
            80..85 => ("getSlot", json!([{"commitment": commitment}])),
            85..90 => ("getBlockHeight", json!([{"commitment": commitment}])),
            90..95 => {
                let signature = self.chance.choice(&self.landed).cloned();
                let config = json!({"commitment": "confirmed", "encoding": "base64"});
                ("getTransaction", json!([signature, config]))
            }
            _ => {
                let back = self.chance.u64(40..400);
                let slot = chain::block_at_or_before(now.finalized - back);
                ("getBlockTime", json!([slot]))
            }
        };
        question(method, params, level)
    }

    /// A scan of a program's accounts.
    pub fn scan(&mut self) -> Question {
        let config = json!({
            "commitment": "confirmed",
            "encoding": "base64",
            "withContext": true,
        });
        question(SCAN, json!([self.account(), config]), Level::Confirmed)
    }

    /// A signed transaction nobody has seen.
    pub fn write(&mut self, now: Sight) -> Question {
        let bytes = signed(&mut self.chance, now.processed);
        let signature = bytes
            .get(1..65)
            .map(|bytes| bs58::encode(bytes).into_string());
        let config = json!({"encoding": "base64", "preflightCommitment": "confirmed"});
        let params = json!([STANDARD.encode(bytes), config]);
        Question {
            signature,
            ..question(WRITE, params, Level::Confirmed)
        }
    }

    fn account(&mut self) -> String {
        self.chance
            .choice(&self.accounts)
            .cloned()
            .unwrap_or_default()
    }
}

fn question(method: &'static str, params: Value, level: Level) -> Question {
    Question {
        method,
        params,
        level,
        signature: None,
    }
}

/// The bytes of a transaction with a random signature of 64 bytes and a blockhash that every node
/// knows by now.
fn signed(chance: &mut Rng, tip: u64) -> Vec<u8> {
    let slot = chain::block_at_or_before(tip - 20);
    let mut bytes = transaction::sample(0, &chain::blockhash(slot));
    if let Some(signature) = bytes.get_mut(1..65) {
        chance.fill(signature);
    }
    bytes
}
