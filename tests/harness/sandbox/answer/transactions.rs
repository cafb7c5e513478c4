//! Methods about transactions: sending, simulating, finding them again, fees.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Found, Node, recorded, set, wrapped_at};
use crate::sandbox::chain;
use crate::sandbox::failure::Failure;
use crate::sandbox::ledger::Landed;
use crate::sandbox::params::Params;
use crate::sandbox::sight::Level;
use crate::sandbox::transaction::{Transaction, sample};

pub(super) fn answer(node: &Node<'_>, method: &str, params: &Params) -> Found {
    Some(match method {
        "sendTransaction" => send(node, params),
        "simulateTransaction" => simulate(node, params),
        "requestAirdrop" => airdrop(node, params),
        "getTransaction" => transaction(node, params),
        "getSignatureStatuses" => statuses(node, params),
        "getSignaturesForAddress" => for_address(node, params),
        "getFeeForMessage" => fee(node, params),
        "getRecentPrioritizationFees" => Ok(fees(node)),
        _ => return None,
    })
}

/// Bytes of a transaction, and letters of its spellings, at most: as Agave has them. Decoding base58
/// takes time quadratic in the length.
const PACKET: usize = 1_232;
const LONGEST_BASE58: usize = 1_683;
const LONGEST_BASE64: usize = 1_644;
const LONGEST_SIGNATURE: usize = 88;

/// Decodes the transaction of the first parameter: base58 unless the call says otherwise.
fn decode(params: &Params) -> Result<(Transaction, Vec<u8>), Failure> {
    let text = params.text(0)?;
    let base64 = params.encoding() == Some("base64");
    let (name, longest) = if base64 {
        ("base64", LONGEST_BASE64)
    } else {
        ("base58", LONGEST_BASE58)
    };
    if text.len() > longest {
        return Err(Failure::params(format!(
            "{name} encoded solana_transaction::versioned::VersionedTransaction too large: {} \
             bytes (max: encoded/raw {longest}/{PACKET})",
            text.len()
        )));
    }
    let bytes = if base64 {
        STANDARD
            .decode(text)
            .map_err(|error| Failure::params(format!("invalid base64 encoding: {error:?}")))?
    } else {
        bs58::decode(text)
            .into_vec()
            .map_err(|error| Failure::params(format!("invalid base58 encoding: {error:?}")))?
    };
    let read = Transaction::read(&bytes).ok_or_else(|| {
        Failure::params(
            "failed to deserialize solana_transaction::versioned::VersionedTransaction: io error: \
             failed to fill whole buffer",
        )
    })?;
    Ok((read, bytes))
}

fn send(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    let (transaction, bytes) = decode(params)?;
    if params.option("skipPreflight") != Some(&json!(true)) {
        let level = params
            .option("preflightCommitment")
            .and_then(Value::as_str)
            .and_then(Level::parse)
            .unwrap_or(Level::Finalized);
        let seen = node.sight.moment(level);
        let known = transaction
            .blockhash
            .as_deref()
            .is_none_or(|hash| seen.line.slot_of(hash, seen.slot).is_some());
        if !known {
            return Err(Failure::blockhash_not_found());
        }
        if node.distortion.already_processed && node.ledger.find(&transaction.signature).is_some() {
            return Err(Failure::already_processed());
        }
    }
    node.ledger.land(
        &transaction.signature,
        STANDARD.encode(bytes),
        node.tip.saturating_add(1),
    );
    Ok(json!(transaction.signature))
}

fn simulate(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    decode(params)?;
    let mut simulated = recorded(include_str!(
        "../../../sandbox/answers/simulateTransaction.json"
    ));
    let value = simulated
        .get_mut("value")
        .map(Value::take)
        .unwrap_or_default();
    node.wrapped(params, value)
}

/// Every airdrop has its own signature: sending the request twice pays twice.
fn airdrop(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    let (key, lamports) = (params.pubkey(0)?, params.number(1)?);
    let lands = node.tip.saturating_add(1);
    let count = node.ledger.airdrop(key, lamports, lands);
    let bytes = sample(count, &chain::blockhash(node.tip));
    let signature = Transaction::read(&bytes).map_or_else(String::new, |read| read.signature);
    node.ledger.land(&signature, STANDARD.encode(bytes), lands);
    Ok(json!(signature))
}

fn check_signature(text: &str) -> Result<(), Failure> {
    if text.len() > LONGEST_SIGNATURE {
        return Err(Failure::params("Invalid param: WrongSize"));
    }
    match bs58::decode(text).into_vec() {
        Ok(bytes) if bytes.len() == 64 => Ok(()),
        Ok(_) => Err(Failure::params("Invalid param: WrongSize")),
        Err(_) => Err(Failure::params("Invalid param: Invalid")),
    }
}

fn transaction(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    let signature = params.text(0)?;
    check_signature(signature)?;
    let level = params.level_of_history()?;
    let visible = |landed: &Landed| landed.slot <= node.sight.at(level);
    let Some(landed) = node.ledger.find(signature).filter(visible) else {
        return Ok(Value::Null);
    };
    let mut found = recorded(include_str!("../../../sandbox/answers/getTransaction.json"));
    set(&mut found, "slot", landed.slot);
    set(&mut found, "blockTime", chain::time(landed.slot));
    if let Some(err) = &landed.err
        && let Some(meta) = found.get_mut("meta")
    {
        set(meta, "err", err.clone());
        set(meta, "status", outcome(Some(err)));
    }
    let encoding = params
        .encoding()
        .or_else(|| params.get(1).and_then(Value::as_str));
    if let Some(binary @ ("base64" | "base58")) = encoding {
        let text = if binary == "base64" {
            landed.transaction
        } else {
            let bytes = STANDARD.decode(&landed.transaction).unwrap_or_default();
            bs58::encode(bytes).into_string()
        };
        set(&mut found, "transaction", json!([text, binary]));
    } else if let Some(slot) = found.pointer_mut("/transaction/signatures/0") {
        *slot = json!(signature);
    }
    Ok(found)
}

fn statuses(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    let signatures = params.texts(0)?;
    if signatures.len() > 256 {
        return Err(Failure::params("Too many inputs provided; max 256"));
    }
    let mut list = Vec::with_capacity(signatures.len());
    for signature in signatures {
        check_signature(signature)?;
        list.push(status(node, signature));
    }
    let slot = node.sight.at(params.level(Level::Processed));
    Ok(wrapped_at(slot, json!(list)))
}

/// The older spelling of whether a transaction failed.
fn outcome(err: Option<&Value>) -> Value {
    match err {
        None => json!({ "Ok": null }),
        Some(err) => json!({ "Err": err }),
    }
}

fn status(node: &Node<'_>, signature: &str) -> Value {
    let found = node.ledger.find(signature);
    let seen = found.and_then(|landed| Some((node.sight.level_of(landed.slot)?, landed)));
    let Some((level, Landed { slot, err, .. })) = seen else {
        return Value::Null;
    };
    let confirmations = match level {
        Level::Finalized => Value::Null,
        _ => json!(node.sight.processed.saturating_sub(slot)),
    };
    json!({
        "confirmationStatus": level.label(),
        "confirmations": confirmations,
        "err": err,
        "slot": slot,
        "status": outcome(err.as_ref()),
    })
}

fn for_address(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    params.pubkey(0)?;
    let level = params.level_of_history()?;
    let limit = params.option("limit").and_then(Value::as_u64);
    if limit.is_some_and(|limit| limit == 0 || limit > 1_000) {
        return Err(Failure::params("Invalid limit; max 1000"));
    }
    let mut page = recorded(include_str!(
        "../../../sandbox/answers/getSignaturesForAddress.json"
    ));
    let newest = node.newest(Level::Finalized, params);
    let level = if node.accounts.moves() {
        level
    } else {
        Level::Finalized
    };
    for (age, entry) in (0..).zip(page.as_array_mut().into_iter().flatten()) {
        let slot = chain::block_at_or_before(newest.saturating_sub(age * 5));
        set(entry, "slot", slot);
        set(entry, "blockTime", chain::time(slot));
        set(entry, "confirmationStatus", level.label());
    }
    Ok(page)
}

fn fee(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    params.text(0)?;
    let more = node.accounts.tide(1, node.moment(params), 1_000);
    node.wrapped(params, json!(5_000 + more))
}

/// The last 150 slots, some of them with a fee.
fn fees(node: &Node<'_>) -> Value {
    let newest = node.sight.at(Level::Confirmed);
    let list: Vec<_> = (newest.saturating_sub(149)..=newest)
        .map(|slot| json!({ "prioritizationFee": slot % 7 * 1_000, "slot": slot }))
        .collect();
    json!(list)
}
