//! Compares Redis with the aggregates of the trades in the database, except prices of tokens, which
//! depend on when they are computed. For tests and for troubleshooting.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use perijove_core::Slot;
use perijove_core::redis::{Candle, Fill, Interval, Latest, PREFIX, PairKeys, open, pool};
use redis::{Cmd, FromRedisValue, Value};

use crate::sink::database::{Database, TickQuery};
use crate::sink::market::MarketError;
use crate::sink::market::aggregate::{MarketAggregate, PairAggregate};
use crate::sink::market::connection::RedisConnection;

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Keys that were compared.
    pub compared: usize,
    /// Differences, one line each.
    pub differences: Vec<String>,
}

/// Most bytes of a value that is looked into.
const MOST: usize = 4096;

/// What a key should have.
enum Wanted {
    Latest(Option<Latest>),
    Fills(Vec<Fill>),
    /// The candles of a group by their beginnings.
    Candles(Interval, i64, BTreeMap<i64, Candle>),
    Slot(Slot),
}

/// Compares the aggregates of all trades from a time on, and looks for keys without any trade.
/// Nothing may be written meanwhile; candles that have expired in Redis are reported as missing.
///
/// # Errors
/// Redis or the database failed.
pub async fn audit(
    database: &Database,
    redis: &mut RedisConnection,
    from: i64,
) -> Result<Audit, MarketError> {
    let mut aggregate = MarketAggregate::default();
    let ticks = TickQuery {
        from: Interval::Hour.start(from),
        ..TickQuery::default()
    };
    let each = |stored: crate::sink::database::StoredTick| aggregate.add(&stored.tick);
    database.ticks(&ticks, each).await?;
    let wanted = wanted(&aggregate);
    let commands: Vec<Cmd> = wanted.iter().map(|(key, wanted)| wanted.ask(key)).collect();
    let mut audit = Audit::default();
    let found: Vec<Value> = redis.run(&commands).await?;
    for ((key, wanted), value) in wanted.iter().zip(found) {
        audit.compared += 1;
        let difference = wanted
            .compare(key, value)
            .map_err(redis::RedisError::from)?;
        audit
            .differences
            .extend(difference.map(|text| format!("{key}: {text}")));
    }
    let known = wanted.keys().cloned().collect();
    unexplained(redis, &known, &mut audit.differences).await?;
    Ok(audit)
}

fn wanted(aggregate: &MarketAggregate) -> BTreeMap<String, Wanted> {
    let mut wanted = BTreeMap::new();
    for (pair, folded) in &aggregate.pairs {
        let keys = PairKeys::of(*pair);
        wanted.insert(keys.latest(), Wanted::Latest(folded.latest));
        wanted.insert(keys.trades(), Wanted::Fills(folded.fills()));
        for ((interval, group), candles) in groups(folded) {
            let key = keys.candles(interval, group);
            wanted.insert(key, Wanted::Candles(interval, group, candles));
        }
    }
    for (address, (slot, _)) in &aggregate.pools {
        wanted.insert(pool(*address), Wanted::Slot(*slot));
    }
    wanted
}

fn groups(folded: &PairAggregate) -> BTreeMap<(Interval, i64), BTreeMap<i64, Candle>> {
    let mut groups: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for (&(interval, start), candle) in &folded.candles {
        let group = groups.entry((interval, interval.group(start)));
        group.or_default().insert(start, *candle);
    }
    groups
}

impl Wanted {
    fn ask(&self, key: &str) -> Cmd {
        let mut command = redis::cmd(match self {
            Self::Latest(_) | Self::Slot(_) => "GET",
            Self::Fills(_) => "ZRANGE",
            Self::Candles(..) => "HGETALL",
        });
        command.arg(key);
        if let Self::Fills(_) = self {
            command.arg(0).arg(-1);
        }
        command
    }

    /// What is different, if anything is.
    fn compare(&self, key: &str, value: Value) -> Result<Option<String>, redis::ParsingError> {
        Ok(match self {
            Self::Latest(wanted) => {
                let value = Option::<Vec<u8>>::from_redis_value(value)?;
                let opened = value
                    .as_deref()
                    .and_then(|value| open(key, value, MOST).ok());
                let found = opened.and_then(|(_, body)| Latest::decode(&body));
                differs(&found, wanted)
            }
            Self::Slot(wanted) => {
                let value = Option::<Vec<u8>>::from_redis_value(value)?;
                let opened = value
                    .as_deref()
                    .and_then(|value| open(key, value, MOST).ok());
                differs(&opened.map(|(stamp, _)| stamp.slot), &Some(*wanted))
            }
            Self::Fills(wanted) => {
                let members = Vec::<Vec<u8>>::from_redis_value(value)?;
                let found: Option<_> = members.iter().map(|member| Fill::decode(member)).collect();
                differs(&found, &Some(wanted.clone()))
            }
            Self::Candles(interval, group, wanted) => {
                let fields = Vec::<(Vec<u8>, Vec<u8>)>::from_redis_value(value)?;
                let fields = fields.iter().map(|(field, part)| (&**field, &**part));
                differs(&Candle::read(*interval, *group, fields), wanted)
            }
        })
    }
}

fn differs<T: PartialEq + Debug>(found: &T, wanted: &T) -> Option<String> {
    (found != wanted).then(|| format!("{found:?} instead of {wanted:?}"))
}

async fn unexplained(
    redis: &mut RedisConnection,
    known: &BTreeSet<String>,
    differences: &mut Vec<String>,
) -> Result<(), MarketError> {
    for part in ["pair", "pool"] {
        let mut cursor = "0".to_owned();
        loop {
            let mut command = redis::cmd("SCAN");
            command
                .arg(&cursor)
                .arg("MATCH")
                .arg(format!("{PREFIX}{part}:*"));
            command.arg("COUNT").arg(1000);
            let answer: Vec<(String, Vec<String>)> = redis.run(&[command]).await?;
            let Some((next, keys)) = answer.into_iter().next() else {
                break;
            };
            let strange = keys.into_iter().filter(|key| !known.contains(key));
            differences
                .extend(strange.map(|key| format!("{key}: no stored trade accounts for it")));
            cursor = next;
            if cursor == "0" {
                break;
            }
        }
    }
    Ok(())
}
