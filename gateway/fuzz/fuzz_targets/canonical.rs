//! The canonical spelling, and answers taken apart: no panic; a call written another way is spelled
//! the same; an account is spelled as the call for it alone; what is taken apart goes together
//! again.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use perijove_fuzz::{
    jsonrpc::{Answer, Call, RequestEntry, RequestPayload, parse},
    solana::{
        AccountReads, Canonical, Class, account_reads, canonical, classify, compose, single,
        values, wrapped_parts,
    },
};
use serde_json::Value;

fuzz_target!(|input: &[u8]| {
    taken_apart(input);
    let body = Bytes::copy_from_slice(input);
    if let Ok(RequestPayload::Single(RequestEntry::Call(call))) = parse(&body, 1) {
        spelled(&call);
    }
});

fn spelled(call: &Call) {
    let (class, spelling) = spell(call.method(), call.params());
    let accounts = account_reads(&class, call.params());
    let Some(params) = call.params().filter(|_| spelling.is_some()) else {
        assert!(accounts.is_none(), "without a spelling of the whole");
        return;
    };
    let value: Value = serde_json::from_slice(params).expect("parameters are JSON");
    if let Some(accounts) = &accounts {
        asked_for(accounts, &value);
    }
    // A commitment written with escapes is one the class does not read, and serde_json writes
    // exponents its own way.
    let again = value.to_string();
    let exponents = ["e+", "e-", "E+", "E-"]
        .iter()
        .any(|sign| again.contains(sign));
    if params.contains(&b'\\') || exponents {
        return;
    }
    let (again_class, again_spelling) = spell(call.method(), Some(again.as_bytes()));
    assert_eq!(spelling, again_spelling, "{again}");
    assert_eq!(class.context, again_class.context, "{again}");
    if let Some(accounts) = &accounts {
        alone(accounts, &value);
    }
}

fn spell(method: &str, params: Option<&[u8]>) -> (Class, Option<Canonical>) {
    let class = classify(method, params);
    (class, canonical(&class, params))
}

fn asked_for(accounts: &AccountReads, params: &Value) {
    let all: Vec<_> = (0..accounts.len()).collect();
    let rest: Value = serde_json::from_slice(&accounts.rest(&all)).expect("the rest is JSON");
    assert_eq!(&rest, params);
}

fn alone(accounts: &AccountReads, params: &Value) {
    let mut config = match &params[1] {
        Value::Null => serde_json::json!({}),
        config => config.clone(),
    };
    if config["encoding"].is_null() {
        config["encoding"] = "base64".into();
    }
    for position in 0..accounts.len() {
        let alone = serde_json::json!([params[0][position], config]).to_string();
        let (_, alone) = spell("getAccountInfo", Some(alone.as_bytes()));
        assert_eq!(alone.as_ref(), accounts.spelled(position));
    }
}

/// Only what is JSON is taken apart in earnest: a result of an answer that was scanned.
fn taken_apart(result: &[u8]) {
    if serde_json::from_slice::<Value>(result).is_err() {
        return;
    }
    let Some((context, value)) = wrapped_parts(result) else {
        return;
    };
    let body = single(context, value);
    let answer = Answer::scan(body).expect("a composed answer is one");
    assert_eq!(
        wrapped_parts(answer.result().unwrap()),
        Some((context, value))
    );
    if let Some(found) = values(result) {
        let list: Vec<_> = found.iter().collect();
        let answer = Answer::scan(compose(found.context(), &list)).expect("an answer");
        assert_eq!(values(answer.result().unwrap()), Some(found));
    }
}
