//! What the clients ask: every method whose answers may be kept, at every commitment, with all the
//! options that change the answer, and in all the spellings that do not.

use std::sync::Arc;

use parking_lot::Mutex;
use perijove_tests::sandbox::accounts::{Nature, keys};
use perijove_tests::sandbox::chain;
use perijove_tests::sandbox::sight::{Level, Sight};
use serde_json::{Map, Value, json};

/// A call and what is known of the answers it may have.
#[derive(Debug, Clone)]
pub struct Question {
    pub method: &'static str,
    /// What it means.
    pub params: Value,
    /// How this client wrote it.
    pub spelled: String,
    /// The commitment whose slot the answer follows from.
    pub level: Level,
    /// The oldest slot the client accepts.
    pub least: Option<u64>,
    /// How many slots an answer may be given for, the one it was read at included.
    pub slots: u64,
    /// Where the number stands that must not go backwards for a client, and what kind it is.
    pub head: Option<(Head, &'static str)>,
}

/// Numbers that only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Head {
    Slot,
    Height,
    LastValid,
    Transactions,
}

/// What a method takes.
#[derive(Debug, Clone, Copy)]
struct Row {
    method: &'static str,
    args: Args,
    config: Config,
    /// Slots by commitment.
    slots: [u64; 3],
}

/// Positional parameters before the configuration.
#[derive(Debug, Clone, Copy)]
enum Args {
    None,
    Key,
    Keys,
    KeyAndMint,
    Program,
    Hash,
    Message,
    Signature,
    /// A slot around the confirmed one, which may be skipped, ahead or long final.
    Slot,
    Range,
    Limited,
    Length,
    MaybeKeys,
    FewSamples,
    Epochs,
}

/// The configuration object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Config {
    /// None: the answer follows from this level whatever is asked.
    Without(Level),
    /// Only a commitment.
    Bare,
    /// Commitment and `minContextSlot`.
    Plain,
    /// The same with encoding and slice.
    Account,
    Scan,
    /// The same from confirmed on.
    History,
    Block,
    Transaction,
}

const fn row(method: &'static str, args: Args, config: Config, slots: [u64; 3]) -> Row {
    Row {
        method,
        args,
        config,
        slots,
    }
}

const HEAD: [u64; 3] = [1, 1, 2];
const ALWAYS: [u64; 3] = [2, 2, 2];

/// The methods; those at the beginning are asked most.
const ROWS: [Row; 37] = [
    row("getAccountInfo", Args::Key, Config::Account, HEAD),
    row("getMultipleAccounts", Args::Keys, Config::Account, HEAD),
    row("getBalance", Args::Key, Config::Plain, HEAD),
    row("getSlot", Args::None, Config::Plain, HEAD),
    row("getLatestBlockhash", Args::None, Config::Plain, HEAD),
    row(
        "getTransaction",
        Args::Signature,
        Config::Transaction,
        [1, 1, 1],
    ),
    row("getBlock", Args::Slot, Config::Block, [1, 1, 1]),
    row("getBlockHeight", Args::None, Config::Plain, HEAD),
    row("getEpochInfo", Args::None, Config::Plain, HEAD),
    row("getTransactionCount", Args::None, Config::Plain, HEAD),
    row("isBlockhashValid", Args::Hash, Config::Plain, HEAD),
    row(
        "getBlockTime",
        Args::Slot,
        Config::Without(Level::Processed),
        [1, 1, 1],
    ),
    row("getTokenAccountBalance", Args::Key, Config::Bare, HEAD),
    row("getTokenSupply", Args::Key, Config::Bare, HEAD),
    row("getProgramAccounts", Args::Program, Config::Scan, HEAD),
    row(
        "getTokenAccountsByOwner",
        Args::KeyAndMint,
        Config::Account,
        HEAD,
    ),
    row(
        "getTokenAccountsByDelegate",
        Args::KeyAndMint,
        Config::Account,
        HEAD,
    ),
    row("getTokenLargestAccounts", Args::Key, Config::Bare, HEAD),
    row("getLargestAccounts", Args::None, Config::Bare, HEAD),
    row("getSupply", Args::None, Config::Bare, HEAD),
    row("getSlotLeader", Args::None, Config::Plain, HEAD),
    row("getFeeForMessage", Args::Message, Config::Plain, HEAD),
    row("getStakeMinimumDelegation", Args::None, Config::Plain, HEAD),
    row("getBlockProduction", Args::None, Config::Bare, HEAD),
    row("getVoteAccounts", Args::None, Config::Bare, HEAD),
    row("getBlocks", Args::Range, Config::History, [1, 1, 2]),
    row(
        "getBlocksWithLimit",
        Args::Limited,
        Config::History,
        [1, 1, 2],
    ),
    row(
        "getSignaturesForAddress",
        Args::Key,
        Config::History,
        [1, 1, 2],
    ),
    row(
        "getRecentPrioritizationFees",
        Args::MaybeKeys,
        Config::Without(Level::Confirmed),
        ALWAYS,
    ),
    row(
        "getRecentPerformanceSamples",
        Args::FewSamples,
        Config::Without(Level::Finalized),
        ALWAYS,
    ),
    row("getInflationReward", Args::Epochs, Config::Plain, HEAD),
    row(
        "getMinimumBalanceForRentExemption",
        Args::Length,
        Config::Bare,
        ALWAYS,
    ),
    row("getInflationGovernor", Args::None, Config::Bare, ALWAYS),
    row(
        "getInflationRate",
        Args::None,
        Config::Without(Level::Finalized),
        ALWAYS,
    ),
    row(
        "getGenesisHash",
        Args::None,
        Config::Without(Level::Finalized),
        ALWAYS,
    ),
    row(
        "getEpochSchedule",
        Args::None,
        Config::Without(Level::Finalized),
        ALWAYS,
    ),
    row(
        "getClusterNodes",
        Args::None,
        Config::Without(Level::Finalized),
        ALWAYS,
    ),
];

/// The methods whose answers live for the slot they were read at.
pub fn read_at_the_head() -> impl Iterator<Item = &'static str> {
    let rows = ROWS.iter().filter(|row| row.slots == HEAD);
    let rewards = |method: &&str| *method != "getInflationReward";
    rows.map(|row| row.method).filter(rewards)
}

/// Questions that are in everybody's mouth at a time.
const TOPICS: u64 = 20;

/// Makes up questions; a seed makes up the same ones again, but for the slots in them. What is asked
/// is what others ask at the same time too; how it is written is the client's own.
#[derive(Debug)]
pub struct Asker {
    /// Common to all clients.
    seed: u64,
    /// The client's own.
    own: fastrand::Rng,
    /// That of the present topic.
    rng: fastrand::Rng,
    keys: Vec<String>,
    signatures: Arc<Mutex<Vec<String>>>,
}

impl Asker {
    pub fn new(seed: u64, client: u64, signatures: Arc<Mutex<Vec<String>>>) -> Self {
        // Few keys, so that questions repeat.
        let mut all = keys(Nature::Moving, 5);
        all.extend(keys(Nature::Fleeting, 2));
        all.extend(keys(Nature::Absent, 1));
        all.extend(keys(Nature::Still, 1));
        Self {
            seed,
            own: fastrand::Rng::with_seed(seed.wrapping_add(client)),
            rng: fastrand::Rng::with_seed(seed),
            keys: all,
            signatures,
        }
    }

    /// For what else the client decides by chance.
    pub fn chance(&mut self) -> &mut fastrand::Rng {
        &mut self.own
    }

    /// A question of a client that sees the cluster like this.
    pub fn ask(&mut self, sight: Sight) -> Question {
        let topic = sight.processed / 3 * TOPICS + self.own.u64(..TOPICS);
        self.rng = fastrand::Rng::with_seed(self.seed ^ topic);
        // The smaller of two numbers: the first rows come up most.
        let index = self
            .rng
            .usize(..ROWS.len())
            .min(self.rng.usize(..ROWS.len()));
        let row = ROWS[index];
        let level = match row.config {
            Config::Without(level) => level,
            Config::History | Config::Block | Config::Transaction => {
                self.pick(&[Level::Confirmed, Level::Finalized])
            }
            _ => self.pick(&Level::ALL),
        };
        let mut params = self.args(row.args, sight, level);
        let mut members = self.members(row.config, level);
        if matches!(row.args, Args::Epochs) && self.rng.bool() {
            members.insert("epoch".to_owned(), json!(600 + self.rng.u64(..3)));
        }
        let least = self.least(row.config, sight.at(level));
        if let Some(least) = least {
            members.insert("minContextSlot".to_owned(), json!(least));
        }
        let spelled = self.spell(row, &params, &members);
        if !members.is_empty() {
            params.push(Value::Object(members));
        }
        Question {
            method: row.method,
            params: Value::Array(params),
            spelled,
            level,
            least,
            slots: row.slots[level as usize],
            head: head_of(row.method),
        }
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.rng.usize(..from.len())].clone()
    }

    fn args(&mut self, args: Args, sight: Sight, level: Level) -> Vec<Value> {
        let slot = sight.at(level);
        match args {
            Args::None => vec![],
            Args::Key => vec![json!(self.key())],
            Args::Keys => {
                let count = 1 + self.rng.usize(..5);
                let list: Vec<_> = (0..count).map(|_| self.key()).collect();
                vec![json!(list)]
            }
            Args::KeyAndMint => {
                let name = self.pick(&["mint", "programId"]);
                let (owner, mint) = (self.key(), self.key());
                vec![json!(owner), json!({ name: mint })]
            }
            Args::Program => vec![json!(chain::blockhash(self.rng.u64(..3)))],
            Args::Hash => {
                // Just valid, just not valid any more, or not known yet.
                let age = self.pick(&[0, 1, 2, 30, 150, 153, 154, 155, 156]);
                vec![json!(chain::blockhash(slot + 1 - age))]
            }
            Args::Message => vec![json!(self.pick(&["AQ==", "AQI=", "AQID"]))],
            Args::Signature => vec![json!(self.signature())],
            Args::Slot => {
                let age = self.pick(&[0, 1, 2, 5, 30, 33, 100, 101, 102, 103]);
                vec![json!(slot + 1 - age)]
            }
            Args::Range => {
                let start = slot - self.rng.u64(1..40);
                let mut range = vec![json!(start)];
                if self.rng.bool() {
                    range.push(json!(start + self.rng.u64(..50)));
                }
                range
            }
            Args::Limited => vec![
                json!(slot - self.rng.u64(1..40)),
                json!(self.rng.u64(1..50)),
            ],
            Args::Length => vec![json!(self.pick(&[0, 165, 200]))],
            Args::MaybeKeys if self.rng.bool() => vec![],
            Args::MaybeKeys | Args::Epochs => vec![json!([self.key()])],
            Args::FewSamples => vec![json!(self.rng.u64(1..4))],
        }
    }

    fn key(&mut self) -> String {
        let index = self.rng.usize(..self.keys.len());
        self.keys[index].clone()
    }

    /// One of the newest signatures most of the time, to see them become confirmed and final.
    fn signature(&mut self) -> String {
        let all = self.signatures.lock();
        let newest = all.len().saturating_sub(40 + self.rng.usize(..10));
        all.get(self.rng.usize(newest..all.len().max(newest + 1)))
            .cloned()
            .unwrap_or_else(|| bs58::encode([9; 64]).into_string())
    }

    fn members(&mut self, config: Config, level: Level) -> Map<String, Value> {
        let mut members = Map::new();
        if !matches!(config, Config::Without(_)) && (level != Level::Finalized || self.rng.bool()) {
            members.insert("commitment".to_owned(), json!(level.label()));
        }
        let mut maybe = |rng: &mut fastrand::Rng, name: &str, values: &[Value]| {
            if rng.u8(..3) > 0 {
                let value = values[rng.usize(..values.len())].clone();
                members.insert(name.to_owned(), value);
            }
        };
        let rng = &mut self.rng;
        if matches!(config, Config::Account | Config::Scan) {
            let encodings = ["base64", "base58", "base64+zstd", "jsonParsed"].map(Value::from);
            maybe(rng, "encoding", &encodings);
            let slice = json!({"offset": 8, "length": 16});
            if rng.u8(..4) == 0 {
                maybe(rng, "dataSlice", &[slice]);
            }
        }
        match config {
            Config::Scan => maybe(rng, "withContext", &[json!(true), json!(false)]),
            Config::Block => {
                let details = ["full", "signatures", "none"].map(Value::from);
                maybe(rng, "transactionDetails", &details);
                maybe(rng, "rewards", &[json!(true), json!(false)]);
                maybe(rng, "maxSupportedTransactionVersion", &[json!(0)]);
            }
            Config::Transaction => {
                maybe(
                    rng,
                    "encoding",
                    &["json", "base64", "base58"].map(Value::from),
                );
                maybe(rng, "maxSupportedTransactionVersion", &[json!(0)]);
            }
            _ => {}
        }
        members
    }

    /// Now and then a client insists on what it has seen, or on what is only just coming.
    fn least(&mut self, config: Config, slot: u64) -> Option<u64> {
        let takes = matches!(
            config,
            Config::Plain | Config::Account | Config::Scan | Config::History | Config::Transaction
        );
        let back = [0, 0, 1, 1, 2, 3, 10];
        (takes && self.rng.u8(..5) == 0).then(|| slot + 1 - self.pick(&back).min(slot))
    }

    /// The params as one of many clients would write them.
    fn spell(&mut self, row: Row, params: &[Value], members: &Map<String, Value>) -> String {
        let mut written: Vec<(String, String)> = members
            .iter()
            .map(|(name, value)| (name.clone(), value.to_string()))
            .collect();
        let takes_config = !matches!(row.config, Config::Without(_));
        if takes_config {
            for (name, spelling) in [("commitment", "null"), ("commitment", "\"finalized\"")] {
                let absent = !written.iter().any(|(own, _)| own == name);
                if absent && self.own.u8(..4) == 0 {
                    written.push((name.to_owned(), spelling.to_owned()));
                }
            }
            for name in ["minContextSlot", "dataSlice", "filters"] {
                let absent = !members.contains_key(name);
                if absent && row.config != Config::Bare && self.own.u8(..6) == 0 {
                    written.push((name.to_owned(), "null".to_owned()));
                }
            }
            self.own.shuffle(&mut written);
        }
        let only_encoding = written.len() == 1 && written[0].0 == "encoding";
        let space = if self.own.u8(..3) == 0 { " " } else { "" };
        let mut parts: Vec<String> = params.iter().map(Value::to_string).collect();
        if only_encoding && row.config == Config::Transaction && self.own.bool() {
            // The old way: a bare string in the place of the configuration.
            parts.push(written[0].1.clone());
        } else if !written.is_empty() {
            let inner: Vec<_> = written
                .iter()
                .map(|(name, value)| format!("\"{name}\":{space}{value}"))
                .collect();
            parts.push(format!("{{{}}}", inner.join(&format!(",{space}"))));
        } else if takes_config && self.own.u8(..4) == 0 && row.method != "getBlocks" {
            parts.push("{}".to_owned());
        }
        format!("[{}]", parts.join(&format!(",{space}")))
    }
}

fn head_of(method: &str) -> Option<(Head, &'static str)> {
    Some(match method {
        "getSlot" => (Head::Slot, ""),
        "getEpochInfo" => (Head::Slot, "/absoluteSlot"),
        "getBlockHeight" => (Head::Height, ""),
        "getLatestBlockhash" => (Head::LastValid, "/value/lastValidBlockHeight"),
        "getTransactionCount" => (Head::Transactions, ""),
        _ => return None,
    })
}
