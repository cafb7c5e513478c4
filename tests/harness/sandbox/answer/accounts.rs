//! Methods about accounts, tokens and supply.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Found, Node, filters, recorded, set};
use crate::sandbox::accounts::{Account, large_program, large_program_accounts};
use crate::sandbox::chain;
use crate::sandbox::failure::Failure;
use crate::sandbox::params::Params;

pub(super) fn answer(node: &Node<'_>, method: &str, params: &Params) -> Found {
    Some(match method {
        "getBalance" => balance(node, params),
        "getAccountInfo" => account_info(node, params),
        "getMultipleAccounts" => multiple_accounts(node, params),
        "getProgramAccounts" => program_accounts(node, params),
        "getTokenAccountsByOwner" | "getTokenAccountsByDelegate" => token_accounts(node, params),
        "getTokenAccountBalance" | "getTokenSupply" => token_amount(node, params),
        "getTokenLargestAccounts" => token_largest(node, params),
        "getLargestAccounts" => largest(node, params),
        "getSupply" => supply(node, params),
        "getMinimumBalanceForRentExemption" => params
            .number(0)
            .map(|length| json!(length.saturating_add(128).saturating_mul(6_960))),
        "getStakeMinimumDelegation" => node.wrapped(params, json!(1_000_000_000)),
        _ => return None,
    })
}

fn balance(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    let found = held(node, params, params.pubkey(0)?);
    node.wrapped(params, json!(found.map_or(0, |account| account.lamports)))
}

/// What an account holds at the slot of the caller's commitment.
fn held(node: &Node<'_>, params: &Params, key: &str) -> Option<Account> {
    node.accounts.at(key, node.moment(params), node.ledger)
}

/// The account in the encoding asked for.
fn account(
    node: &Node<'_>,
    params: &Params,
    key: &str,
    encoding: Option<&str>,
) -> Result<Value, Failure> {
    let Some(found) = held(node, params, key) else {
        return Ok(Value::Null);
    };
    let mut account = recorded(include_str!("../../../sandbox/answers/getAccountInfo.json"));
    let mut value = account
        .get_mut("value")
        .map(Value::take)
        .unwrap_or_default();
    set(&mut value, "lamports", found.lamports);
    set(&mut value, "space", found.data.len());
    set(&mut value, "data", encoded(found.data, params, encoding)?);
    Ok(value)
}

/// An account's bytes, or the slice of them asked for, as `data` has them.
fn encoded(data: Vec<u8>, params: &Params, encoding: Option<&str>) -> Result<Value, Failure> {
    let data = sliced(data, params)?;
    Ok(match encoding {
        None | Some("binary") => json!(bs58::encode(data).into_string()),
        Some("base58") => json!([bs58::encode(data).into_string(), "base58"]),
        Some("base64+zstd") => json!([STANDARD.encode(stored(&data)), "base64+zstd"]),
        // What has no parser is answered in base64.
        Some(_) => json!([STANDARD.encode(data), "base64"]),
    })
}

fn sliced(data: Vec<u8>, params: &Params) -> Result<Vec<u8>, Failure> {
    let Some(slice) = params.option("dataSlice") else {
        return Ok(data);
    };
    let part = |name: &str| {
        let number = slice.get(name).and_then(Value::as_u64);
        number.and_then(|number| usize::try_from(number).ok())
    };
    let (Some(offset), Some(length)) = (part("offset"), part("length")) else {
        return Err(Failure::params(
            "Invalid params: dataSlice needs offset and length",
        ));
    };
    Ok(data.into_iter().skip(offset).take(length).collect())
}

/// A zstd frame that holds fewer than 2^21 bytes as they are.
fn stored(data: &[u8]) -> Vec<u8> {
    let block = u32::try_from(data.len() << 3 | 1).unwrap_or(1);
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58];
    frame.extend(block.to_le_bytes().into_iter().take(3));
    frame.extend_from_slice(data);
    frame
}

fn account_info(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    let account = account(node, params, params.pubkey(0)?, params.encoding())?;
    node.wrapped(params, account)
}

fn multiple_accounts(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    let keys = params.texts(0)?;
    if keys.len() > 100 {
        return Err(Failure::params("Too many inputs provided; max 100"));
    }
    let encoding = params.encoding().or(Some("base64"));
    let mut accounts = Vec::with_capacity(keys.len());
    for key in keys {
        Params::check_key(key)?;
        accounts.push(account(node, params, key, encoding)?);
    }
    node.wrapped(params, json!(accounts))
}

fn program_accounts(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    let program = params.pubkey(0)?;
    let filters = params.option("filters").and_then(Value::as_array);
    let filters = filters.map_or(&[][..], Vec::as_slice);
    filters::verify(filters)?;
    let mut list = Vec::new();
    for key in accounts_of(program) {
        let Some(found) = held(node, params, &key) else {
            continue;
        };
        // The accounts of a cluster at rest hold no bytes that filters could be about.
        if node.accounts.moves() && !filters::keep(filters, &found.data) {
            continue;
        }
        let mut account = account(node, params, &key, params.encoding())?;
        set(&mut account, "owner", program);
        list.push(json!({ "account": account, "pubkey": key }));
    }
    if params.option("withContext") == Some(&json!(true)) {
        return node.wrapped(params, json!(list));
    }
    Ok(json!(list))
}

/// The keys of a program's accounts: the same few for every program but the large one.
fn accounts_of(program: &str) -> Vec<String> {
    if program == large_program() {
        return large_program_accounts().to_vec();
    }
    (0..3).map(chain::blockhash).collect()
}

/// None in a cluster at rest, two in a moving one.
fn token_accounts(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    let owner = params.pubkey(0)?;
    // The configuration comes after it.
    let wanted = |name| params.get(1).is_some_and(|only| only.get(name).is_some());
    if !wanted("mint") && !wanted("programId") {
        return Err(Failure::params(
            "Invalid params: expected a mint or a programId",
        ));
    }
    let mut list = Vec::new();
    if node.accounts.moves() {
        for key in [owner.to_owned(), chain::blockhash(7)] {
            let account = account(node, params, &key, params.encoding())?;
            list.push(json!({ "account": account, "pubkey": key }));
        }
        list.retain(|one| one.get("account").is_some_and(Value::is_object));
    }
    node.wrapped(params, json!(list))
}

fn amount(units: u64) -> Value {
    json!({
        "amount": units.to_string(),
        "decimals": 6,
        "uiAmount": units / 1_000_000,
        "uiAmountString": (units / 1_000_000).to_string(),
    })
}

/// How many units of a token there are: more or fewer with every slot in a moving cluster.
fn units(node: &Node<'_>, params: &Params, key: &str) -> u64 {
    let found = held(node, params, key);
    let moved = found.filter(|_| node.accounts.moves());
    let more = moved.map_or(0, |account| account.lamports);
    more.saturating_add(25_000_000)
}

fn token_amount(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    let key = params.pubkey(0)?;
    if node.accounts.moves() && held(node, params, key).is_none() {
        return Err(Failure::params("Invalid param: could not find account"));
    }
    node.wrapped(params, amount(units(node, params, key)))
}

fn token_largest(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    let mut holder = amount(units(node, params, params.pubkey(0)?));
    set(&mut holder, "address", chain::blockhash(1));
    node.wrapped(params, json!([holder]))
}

fn largest(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    let more = node.accounts.tide(2, node.moment(params), 1_000_000);
    let list: Vec<_> = (1..=20_u64)
        .map(|rank| {
            json!({
                "address": chain::blockhash(rank),
                "lamports": 10_000_000_000_000_000 / rank + more,
            })
        })
        .collect();
    node.wrapped(params, json!(list))
}

fn supply(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    let minted = node.accounts.tide(3, node.moment(params), 1_000_000_000);
    node.wrapped(
        params,
        json!({
            "circulating": 540_000_000_000_000_000 + minted,
            "nonCirculating": 60_000_000_000_000_000_u64,
            "nonCirculatingAccounts": [],
            "total": 600_000_000_000_000_000 + minted,
        }),
    )
}
