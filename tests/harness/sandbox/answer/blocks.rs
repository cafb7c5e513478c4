//! Methods about blocks.

use serde_json::{Value, json};

use super::heads::first_available;
use super::{Found, Node, recorded, set};
use crate::sandbox::chain;
use crate::sandbox::failure::Failure;
use crate::sandbox::params::Params;
use crate::sandbox::sight::Level;

/// Slots a range may span.
const MAX_RANGE: u64 = 500_000;

pub(super) fn answer(node: &Node<'_>, method: &str, params: &Params) -> Found {
    Some(match method {
        "getBlock" => block(node, params),
        "getBlockTime" => block_time(node, params),
        "getBlocks" => blocks(node, params),
        "getBlocksWithLimit" => blocks_with_limit(node, params),
        "getBlockCommitment" => params.number(0).map(|_| {
            recorded(include_str!(
                "../../../sandbox/answers/getBlockCommitment.json"
            ))
        }),
        "getBlockProduction" => block_production(node, params),
        _ => return None,
    })
}

/// The errors Agave has for a slot whose block it cannot give.
fn check(node: &Node<'_>, slot: u64, level: Level) -> Result<(), Failure> {
    let first = first_available(node);
    if slot < first {
        return Err(Failure::new(
            -32001,
            format!(
                "Block {slot} cleaned up, does not exist on node. First available block: {first}"
            ),
        ));
    }
    let newest = node.sight.moment(level);
    if slot > newest.slot {
        return Err(Failure::typical(-32004, slot));
    }
    if newest.line.skipped(slot) {
        return Err(Failure::typical(-32007, slot));
    }
    Ok(())
}

fn block(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    let slot = params.number(0)?;
    check(node, slot, params.level_of_history()?)?;
    let parent = chain::block_at_or_before(slot.saturating_sub(1));
    let mut block = recorded(include_str!("../../../sandbox/answers/getBlock.json"));
    set(&mut block, "blockHeight", chain::height(slot));
    set(&mut block, "blockTime", chain::time(slot));
    set(&mut block, "blockhash", chain::blockhash(slot));
    set(&mut block, "parentSlot", parent);
    set(&mut block, "previousBlockhash", chain::blockhash(parent));
    let transactions = block
        .as_object_mut()
        .and_then(|members| members.remove("transactions"))
        .unwrap_or_default();
    match params.option("transactionDetails").and_then(Value::as_str) {
        Some("none") => {}
        Some("signatures") => {
            let signatures: Vec<_> = transactions
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|one| one.pointer("/transaction/signatures/0").cloned())
                .collect();
            set(&mut block, "signatures", signatures);
        }
        _ => set(&mut block, "transactions", transactions),
    }
    if params.option("rewards") == Some(&json!(false))
        && let Some(members) = block.as_object_mut()
    {
        members.remove("rewards");
    }
    Ok(block)
}

fn block_time(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    let slot = params.number(0)?;
    check(node, slot, Level::Processed)?;
    Ok(json!(node.sight.line.time(slot)))
}

/// The slots with blocks from `start` to `end`, as far as this node has them.
fn range(node: &Node<'_>, start: u64, end: u64, level: Level) -> Value {
    let last = end.min(node.sight.at(level));
    let slots: Vec<_> = (start.max(first_available(node))..=last)
        .filter(|slot| !chain::skipped(*slot))
        .collect();
    json!(slots)
}

fn blocks(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    let level = params.level_of_history()?;
    let start = params.number(0)?;
    let end = params
        .get(1)
        .and_then(Value::as_u64)
        .unwrap_or_else(|| node.sight.at(level));
    if end < start {
        return Ok(json!([]));
    }
    if end - start > MAX_RANGE {
        return Err(Failure::params("Slot range too large; max 500000"));
    }
    Ok(range(node, start, end, level))
}

fn blocks_with_limit(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    let level = params.level_of_history()?;
    let (start, limit) = (params.number(0)?, params.number(1)?);
    if limit > MAX_RANGE {
        return Err(Failure::params("Limit too large; max 500000"));
    }
    // Skipped slots do not count, so look a little further than the limit.
    let end = start.saturating_add(limit + limit / 20 + 1);
    let mut found = range(node, start, end, level);
    if let Some(list) = found.as_array_mut() {
        list.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    Ok(found)
}

fn block_production(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    let slot = node.slot(params);
    let first = slot - slot % chain::SLOTS_PER_EPOCH;
    let by_identity: serde_json::Map<_, _> = (0..node.validators)
        .map(|index| (chain::identity(index), json!([400, 390])))
        .collect();
    node.wrapped(
        params,
        json!({
            "byIdentity": by_identity,
            "range": { "firstSlot": first, "lastSlot": slot },
        }),
    )
}
