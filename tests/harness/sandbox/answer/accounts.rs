//! Methods about accounts, tokens and supply.

use serde_json::{Value, json};

use super::{Found, Node, recorded, set};
use crate::sandbox::failure::Failure;
use crate::sandbox::params::Params;

/// The account nobody has: `getAccountInfo` answers null.
pub(super) const NOBODY: &str = "1nc1nerator11111111111111111111111111111111";

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
        "getSupply" => node.wrapped(
            params,
            json!({
                "circulating": 540_000_000_000_000_000_u64,
                "nonCirculating": 60_000_000_000_000_000_u64,
                "nonCirculatingAccounts": [],
                "total": 600_000_000_000_000_000_u64,
            }),
        ),
        "getMinimumBalanceForRentExemption" => params
            .number(0)
            .map(|length| json!((length + 128).saturating_mul(6_960))),
        "getStakeMinimumDelegation" => node.wrapped(params, json!(1_000_000_000)),
        _ => return None,
    })
}

fn balance(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    let key = params.pubkey(0)?;
    let lamports = if key == NOBODY {
        0
    } else {
        node.ledger.lamports(key)
    };
    node.wrapped(params, json!(lamports))
}

/// The account in the encoding asked for; it holds no bytes, so encodings differ in shape only.
fn account(node: &Node<'_>, key: &str, encoding: Option<&str>) -> Value {
    if key == NOBODY {
        return Value::Null;
    }
    let mut account = recorded(include_str!("../../../sandbox/answers/getAccountInfo.json"));
    let mut value = account
        .get_mut("value")
        .map(Value::take)
        .unwrap_or_default();
    set(&mut value, "lamports", node.ledger.lamports(key));
    let bytes = match encoding {
        None => json!(""),
        Some("base58") => json!(["", "base58"]),
        Some("base64+zstd") => json!(["KLUv/QBYAQAA", "base64+zstd"]),
        // What has no parser is answered in base64.
        Some(_) => json!(["", "base64"]),
    };
    set(&mut value, "data", bytes);
    value
}

fn account_info(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    let account = account(node, params.pubkey(0)?, params.encoding());
    node.wrapped(params, account)
}

fn multiple_accounts(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    let keys = params.texts(0)?;
    if keys.len() > 100 {
        return Err(Failure::params("Too many inputs provided; max 100"));
    }
    let mut accounts = Vec::with_capacity(keys.len());
    for key in keys {
        Params::check_key(key)?;
        accounts.push(account(node, key, params.encoding().or(Some("base64"))));
    }
    node.wrapped(params, json!(accounts))
}

fn program_accounts(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    let program = params.pubkey(0)?;
    let filters = params.option("filters").and_then(Value::as_array);
    if filters.is_some_and(|filters| filters.len() > 4) {
        return Err(Failure::params("Too many filters provided; max 4"));
    }
    let list: Vec<_> = (0..3)
        .map(|index| {
            let key = crate::sandbox::chain::blockhash(index);
            let mut account = account(node, &key, params.encoding());
            set(&mut account, "owner", program);
            json!({ "account": account, "pubkey": key })
        })
        .collect();
    if params.option("withContext") == Some(&json!(true)) {
        return node.wrapped(params, json!(list));
    }
    Ok(json!(list))
}

fn token_accounts(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    params.pubkey(0)?;
    if params.option("mint").is_none() && params.option("programId").is_none() {
        return Err(Failure::params(
            "Invalid params: expected a mint or a programId",
        ));
    }
    node.wrapped(params, json!([]))
}

fn amount(units: u64) -> Value {
    json!({
        "amount": units.to_string(),
        "decimals": 6,
        "uiAmount": units / 1_000_000,
        "uiAmountString": (units / 1_000_000).to_string(),
    })
}

fn token_amount(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    params.pubkey(0)?;
    node.wrapped(params, amount(25_000_000))
}

fn token_largest(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    params.pubkey(0)?;
    let mut holder = amount(25_000_000);
    set(&mut holder, "address", crate::sandbox::chain::blockhash(1));
    node.wrapped(params, json!([holder]))
}

fn largest(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    let list: Vec<_> = (1..=20_u64)
        .map(|rank| {
            json!({
                "address": crate::sandbox::chain::blockhash(rank),
                "lamports": 10_000_000_000_000_000 / rank,
            })
        })
        .collect();
    node.wrapped(params, json!(list))
}
