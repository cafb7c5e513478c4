use serde_json::{Value, json};

use super::*;

const USER: Pubkey = Pubkey([7; 32]);
const OTHER: Pubkey = Pubkey([8; 32]);
const MINTS: [Pubkey; 2] = [Pubkey([1; 32]), Pubkey([2; 32])];

fn request(payer: &Value) -> Value {
    json!({
        "userPublicKey": USER.to_string(), "payer": payer,
        "quoteResponse": {
            "inputMint": MINTS[0].to_string(), "outputMint": MINTS[1].to_string(),
            "inAmount": "100", "outAmount": "15", "swapMode": "ExactIn",
        },
    })
}

fn transaction(signers: &[Pubkey], version: Option<u8>) -> String {
    let count = u8::try_from(signers.len()).unwrap();
    let mut wire = vec![count];
    wire.extend(vec![0; usize::from(count) * SIGNATURE]);
    wire.extend(version);
    wire.extend([count, 0, 1, count + 1]);
    wire.extend(signers.iter().flat_map(|key| key.0));
    wire.extend([9; 64]);
    STANDARD.encode(wire)
}

fn answers(request: &Value, answer: &Value) -> bool {
    let asked = AskedTransaction::of(request.to_string().as_bytes());
    asked.may_be_answered_by(answer.to_string().as_bytes(), Some(1_000))
}

#[test]
fn a_transaction_of_another_wallet_is_no_answer() {
    let (none, other, odd) = (json!(null), json!(OTHER.to_string()), json!(5));
    for (payer, signers, may_be) in [
        (&none, vec![USER], true),
        (&none, vec![USER, OTHER], true),
        (&none, vec![OTHER], false),
        // Another would pay, which nobody has asked for.
        (&none, vec![OTHER, USER], false),
        (&other, vec![OTHER, USER], true),
        (&other, vec![USER, OTHER], true),
        (&other, vec![OTHER], false),
        (&other, vec![MINTS[0], USER], false),
        (&odd, vec![OTHER, USER], true),
        (&odd, vec![OTHER], false),
    ] {
        for version in [None, Some(VERSION_0)] {
            let answer = json!({ "swapTransaction": transaction(&signers, version) });
            assert_eq!(
                answers(&request(payer), &answer),
                may_be,
                "{payer} {signers:?}"
            );
        }
    }
}

#[test]
fn what_is_not_understood_is_not_refused() {
    let request = request(&json!(null));
    let later = transaction(&[OTHER], Some(VERSION_0 + 1));
    let whole = transaction(&[OTHER], None);
    for answer in [
        json!({}),
        json!({ "swapTransaction": "AQ==" }),
        json!({ "swapTransaction": later }),
        json!({ "swapTransaction": whole.split_at(40).0 }),
        json!({ "swapTransaction": 7, "lastValidBlockHeight": 0 }),
        json!({ "swapTransaction": null, "lastValidBlockHeight": null }),
        json!({ "swapInstruction": { "accounts": [] }, "lastValidBlockHeight": "soon" }),
    ] {
        assert!(answers(&request, &answer), "{answer}");
    }
    let unknown = json!({ "userPublicKey": "x", "quoteResponse": {} });
    assert!(answers(&unknown, &json!({ "swapTransaction": whole })));
    assert!(!answers(&request, &json!([])));
}

#[test]
fn instructions_that_another_wallet_signs_are_no_answer() {
    for (signer, may_be) in [(USER, true), (OTHER, false)] {
        let account = |key: Pubkey, signs| json!({ "pubkey": key.to_string(), "isSigner": signs });
        let accounts = [account(MINTS[0], false), account(signer, true)];
        let answer = json!({ "swapInstruction": { "accounts": accounts, "data": "" } });
        assert_eq!(answers(&request(&json!(null)), &answer), may_be);
    }
}

#[test]
fn an_order_is_signed_by_who_takes_it_whoever_pays() {
    let order = |taker: &str, transaction: &Value, last: u64| {
        let query = format!("inputMint=a&amount=1{taker}");
        let asked = AskedTransaction::of_order(&query);
        let order = json!({ "transaction": transaction, "lastValidBlockHeight": last });
        asked.may_be_answered_by(order.to_string().as_bytes(), Some(1_000))
    };
    let (of_user, none) = (format!("&taker={USER}"), json!(null));
    let signed = |signers: &[Pubkey]| json!(transaction(signers, Some(VERSION_0)));
    assert!(order(&of_user, &signed(&[USER]), 0));
    assert!(order(&of_user, &signed(&[OTHER, USER]), 1_000));
    assert!(!order(&of_user, &signed(&[OTHER]), 0));
    assert!(!order(&of_user, &signed(&[USER]), 999));
    for nothing in [none, json!("")] {
        assert!(order(&of_user, &nothing, 0), "{nothing}");
    }
    assert!(order("", &signed(&[OTHER]), 0));
}

#[test]
fn a_transaction_that_has_expired_is_no_answer() {
    let request = request(&json!(null));
    for (last, may_be) in [
        (json!(999), false),
        (json!("999"), false),
        (json!(1_000), true),
    ] {
        let answer = json!({ "lastValidBlockHeight": last });
        assert_eq!(answers(&request, &answer), may_be, "{answer}");
        let answer =
            json!({ "blockhashWithMetadata": { "blockhash": [], "lastValidBlockHeight": last } });
        assert_eq!(answers(&request, &answer), may_be, "{answer}");
    }
}

#[test]
fn a_swap_that_names_another_pair_or_amount_is_no_answer() {
    let request = request(&json!(null));
    for (member, value, may_be) in [
        ("inputMint", MINTS[0].to_string(), true),
        ("inputMint", MINTS[1].to_string(), false),
        ("outputMint", MINTS[0].to_string(), false),
        ("inAmount", "100".to_owned(), true),
        ("inAmount", "101".to_owned(), false),
        ("swapMode", "ExactOut".to_owned(), false),
    ] {
        let answer = json!({ "swapTransaction": "AQ==", member: value });
        assert_eq!(answers(&request, &answer), may_be, "{answer}");
    }
}
