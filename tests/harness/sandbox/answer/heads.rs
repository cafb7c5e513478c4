//! Methods about where the chain is: slots, heights, epochs, blockhashes, leaders.

use serde_json::{Value, json};

use super::{Found, Node};
use crate::sandbox::chain::{self, Moment};
use crate::sandbox::failure::Failure;
use crate::sandbox::params::Params;
use crate::sandbox::sight::Level;

/// How many blocks a blockhash stays valid.
const BLOCKHASH_LIFE: u64 = 150;

pub(super) fn answer(node: &Node<'_>, method: &str, params: &Params) -> Found {
    let slot = node.slot(params);
    Some(match method {
        "getSlot" => Ok(json!(slot)),
        "getBlockHeight" if node.distortion.height_is_slot => Ok(json!(slot)),
        "getBlockHeight" => Ok(json!(node.moment(params).line.height(slot))),
        "getTransactionCount" => Ok(json!(transaction_count(slot))),
        "getEpochInfo" => Ok(epoch_info(node.moment(params))),
        "getLatestBlockhash" => latest_blockhash(node, params),
        "isBlockhashValid" => is_blockhash_valid(node, params),
        "getSlotLeader" => Ok(json!(leader(node, slot))),
        "getSlotLeaders" => slot_leaders(node, params),
        "getLeaderSchedule" => Ok(leader_schedule(node, params)),
        "getMaxShredInsertSlot" => Ok(json!(received(node))),
        "getMaxRetransmitSlot" => Ok(json!(node.sight.processed.saturating_add(1))),
        "getFirstAvailableBlock" | "minimumLedgerSlot" => Ok(json!(first_available(node))),
        "getHighestSnapshotSlot" => Ok(json!({
            "full": node.sight.processed / 25_000 * 25_000,
            "incremental": node.sight.processed / 100 * 100,
        })),
        _ => return None,
    })
}

/// The newest slot this node has shreds of.
fn received(node: &Node<'_>) -> u64 {
    let next = node.sight.processed.saturating_add(1);
    next.saturating_add(node.distortion.shred_gap)
}

/// The oldest slot whose block this node still has.
pub(super) fn first_available(node: &Node<'_>) -> u64 {
    let slot = node
        .tip
        .saturating_sub(node.tip % 1_000)
        .saturating_sub(chain::HISTORY);
    chain::block_at_or_before(slot)
}

pub(super) fn transaction_count(slot: u64) -> u64 {
    slot.saturating_mul(1_200)
}

fn epoch_info(Moment { slot, line }: Moment) -> Value {
    json!({
        "absoluteSlot": slot,
        "blockHeight": line.height(slot),
        "epoch": slot / chain::SLOTS_PER_EPOCH,
        "slotIndex": slot % chain::SLOTS_PER_EPOCH,
        "slotsInEpoch": chain::SLOTS_PER_EPOCH,
        "transactionCount": transaction_count(slot),
    })
}

fn latest_blockhash(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    let Moment { slot, line } = node.moment(params);
    let slot = line.block_at_or_before(slot);
    node.wrapped(
        params,
        json!({
            "blockhash": line.blockhash(slot),
            "lastValidBlockHeight": line.height(slot).saturating_add(BLOCKHASH_LIFE),
        }),
    )
}

fn is_blockhash_valid(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    let text = params.pubkey(0)?;
    let Moment { slot, line } = node.moment(params);
    let valid = line
        .slot_of(text, slot)
        .is_some_and(|of| line.height(of).saturating_add(BLOCKHASH_LIFE) >= line.height(slot));
    node.wrapped(params, json!(valid))
}

/// Leaders take turns of four slots.
fn leader(node: &Node<'_>, slot: u64) -> String {
    let turn = usize::try_from(slot / 4).unwrap_or(0);
    chain::identity(turn % node.validators.max(1))
}

fn slot_leaders(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    let (start, limit) = (params.number(0)?, params.number(1)?);
    if limit == 0 || limit > 5_000 {
        return Err(Failure::params("Invalid limit; max 5000"));
    }
    let leaders: Vec<_> = (start..start.saturating_add(limit))
        .map(|slot| leader(node, slot))
        .collect();
    Ok(json!(leaders))
}

/// A short schedule: the first 400 slots of the epoch.
fn leader_schedule(node: &Node<'_>, params: &Params) -> Value {
    let tip = node.newest(Level::Processed, params);
    let slot = params.get(0).and_then(Value::as_u64).unwrap_or(tip);
    if slot > tip.saturating_add(chain::SLOTS_PER_EPOCH) {
        return Value::Null;
    }
    let first = slot - slot % chain::SLOTS_PER_EPOCH;
    let only = params.option("identity").and_then(Value::as_str);
    let mut schedule = serde_json::Map::new();
    for index in 0..400_u64 {
        let name = leader(node, first.saturating_add(index));
        if only.is_none_or(|identity| identity == name) {
            let turns = schedule.entry(name).or_insert_with(|| json!([]));
            if let Some(list) = turns.as_array_mut() {
                list.push(json!(index));
            }
        }
    }
    Value::Object(schedule)
}
