#![allow(clippy::too_many_lines, reason = "tables, one case per row")]

use perijove_core::{Commitment, Slot};
use proptest::prelude::*;

use super::{Class, ImpossibleCall, classify};
use crate::solana::{Capability, Method, Priority};

fn class(method: &str, params: &str) -> Class {
    classify(method, Some(params.as_bytes()))
}

#[test]
fn commitment_and_minimum_slot_are_read_where_each_method_has_them() {
    use Commitment::{Confirmed, Finalized, Processed};
    for (method, params, commitment, slot) in [
        ("getSlot", "[]", Finalized, None),
        (
            "getSlot",
            r#"[{"commitment":"processed"}]"#,
            Processed,
            None,
        ),
        (
            "getSlot",
            r#"[{"minContextSlot":7,"commitment":"confirmed"}]"#,
            Confirmed,
            Some(7),
        ),
        ("getBalance", r#"["k"]"#, Finalized, None),
        (
            "getBalance",
            r#"["k",{"commitment":"confirmed","minContextSlot":null}]"#,
            Confirmed,
            None,
        ),
        ("getBalance", r#"["k",null]"#, Finalized, None),
        (
            "getBalance",
            r#" [ "k" , { "commitment" : "confirmed" } ] "#,
            Confirmed,
            None,
        ),
        (
            "getAccountInfo",
            r#"["k",{"encoding":"base64","minContextSlot":18446744073709551615}]"#,
            Finalized,
            Some(u64::MAX),
        ),
        (
            "getMultipleAccounts",
            r#"[["a","b"],{"commitment":"processed"}]"#,
            Processed,
            None,
        ),
        // The second parameter is a filter, not the configuration.
        (
            "getTokenAccountsByOwner",
            r#"["o",{"commitment":"processed"},{"commitment":"confirmed"}]"#,
            Confirmed,
            None,
        ),
        (
            "getBlocks",
            r#"[1,5,{"commitment":"confirmed"}]"#,
            Confirmed,
            None,
        ),
        (
            "getBlocks",
            r#"[1,{"commitment":"confirmed"}]"#,
            Confirmed,
            None,
        ),
        (
            "getLeaderSchedule",
            r#"[{"commitment":"confirmed"}]"#,
            Confirmed,
            None,
        ),
        (
            "getLeaderSchedule",
            r#"[null,{"commitment":"confirmed"}]"#,
            Confirmed,
            None,
        ),
        (
            "getTokenSupply",
            r#"["m",{"commitment":"processed"}]"#,
            Processed,
            None,
        ),
        ("getSignatureStatuses", r#"[["s"]]"#, Processed, None),
        (
            "sendTransaction",
            r#"["t",{"preflightCommitment":"processed","minContextSlot":9}]"#,
            Processed,
            Some(9),
        ),
        (
            "sendTransaction",
            r#"["t",{"commitment":"processed"}]"#,
            Finalized,
            None,
        ),
        ("getTransaction", r#"["s","jsonParsed"]"#, Finalized, None),
        // Unknown levels are ignored; so are members of another type, and more members.
        (
            "getBalance",
            r#"["k",{"commitment":"recent"}]"#,
            Finalized,
            None,
        ),
        (
            "getTokenSupply",
            r#"["m",{"commitment":"max"}]"#,
            Finalized,
            None,
        ),
        (
            "getBalance",
            r#"["k",{"commitment":1,"minContextSlot":"5","x":{"commitment":"processed"}}]"#,
            Finalized,
            None,
        ),
        (
            "getBalance",
            r#"["k",{"minContextSlot":-1}]"#,
            Finalized,
            None,
        ),
        (
            "getGenesisHash",
            r#"[{"commitment":"processed"}]"#,
            Finalized,
            None,
        ),
    ] {
        let class = class(method, params);
        let found = (class.context.commitment, class.context.min_context_slot);
        assert_eq!(found, (commitment, slot.map(Slot)), "{method} {params}");
        assert_eq!(class.refusal, None, "{method} {params}");
    }
}

#[test]
fn processed_is_refused_where_agave_refuses_it() {
    let refusing: Vec<_> = Method::ALL
        .into_iter()
        .filter(|method| method.profile().floor > Commitment::Processed)
        .collect();
    assert_eq!(
        refusing,
        [
            Method::GetBlock,
            Method::GetBlocks,
            Method::GetBlocksWithLimit,
            Method::GetSignaturesForAddress,
            Method::GetTransaction,
        ]
    );
    for method in refusing {
        let params = match method.profile().config_index {
            Some(1) => r#"["x",{"commitment":"processed"}]"#,
            _ => r#"[1,2,{"commitment":"processed"}]"#,
        };
        let refusal = class(method.label(), params).refusal;
        assert_eq!(
            refusal,
            Some(ImpossibleCall::CommitmentTooWeak),
            "{method:?}"
        );
        assert_eq!(classify(method.label(), None).refusal, None);
    }
    let error = ImpossibleCall::CommitmentTooWeak.error();
    assert_eq!(error.code, -32602);
    assert_eq!(
        error.message,
        "Method does not support commitment below `confirmed`"
    );
}

#[test]
fn an_object_for_parameters_is_refused_for_agaves_methods_only() {
    let refused = class("getBalance", r#"{"pubkey":"k"}"#);
    assert_eq!(refused.refusal, Some(ImpossibleCall::ParamsByName));
    assert_eq!(
        ImpossibleCall::ParamsByName.error().message,
        "`params` should be an array"
    );
    assert_eq!(class("getAsset", r#"{"id":"x"}"#).refusal, None);
}

#[test]
fn history_calls_name_the_slot_they_are_about() {
    for (method, params, slot) in [
        ("getBlock", "[430,{\"encoding\":\"json\"}]", Some(430)),
        ("getBlock", "[430,\"json\"]", Some(430)),
        ("getBlockTime", "[5]", Some(5)),
        ("getBlockCommitment", "[6]", Some(6)),
        ("getBlocks", "[5,9]", Some(9)),
        ("getBlocks", "[5]", Some(5)),
        ("getBlocks", "[5,null]", Some(5)),
        ("getBlocksWithLimit", "[5,500]", Some(5)),
        ("getSlotLeaders", "[5,10]", None),
        ("getMinimumBalanceForRentExemption", "[165]", None),
        ("getBlock", "[\"430\"]", None),
        ("getBlock", "[]", None),
    ] {
        assert_eq!(
            class(method, params).pinned_slot,
            slot.map(Slot),
            "{method} {params}"
        );
    }
}

#[test]
fn looking_for_old_signatures_needs_history() {
    let plain = class("getSignatureStatuses", r#"[["s"]]"#);
    assert_eq!(
        (plain.heavy, plain.needs),
        (false, Some(Capability::FullApi))
    );
    let search = class(
        "getSignatureStatuses",
        r#"[["s"],{"searchTransactionHistory":true}]"#,
    );
    assert_eq!(
        (search.heavy, search.needs),
        (true, Some(Capability::History))
    );
    let no = class(
        "getSignatureStatuses",
        r#"[["s"],{"searchTransactionHistory":false}]"#,
    );
    assert_eq!((no.heavy, no.needs), (false, Some(Capability::FullApi)));
}

#[test]
fn an_unknown_method_gets_defaults_that_are_safe() {
    for (name, method, heavy) in [
        ("zzz", Method::Other, false),
        ("sendBundle", Method::Other, false),
        ("getNothing", Method::NamedAsRead, false),
        ("getAsset", Method::Extension, false),
        ("getProgramAccountsV2", Method::Extension, true),
    ] {
        let class = class(name, r#"{"commitment":"processed"}"#);
        assert_eq!((class.method, class.heavy), (method, heavy), "{name}");
        assert_eq!((class.needs, class.refusal), (None, None));
        assert_eq!(class.profile().priority, Priority::Medium);
        assert_eq!(class.profile().finality, crate::solana::Finality::Never);
        assert_eq!(class.context.commitment, Commitment::Finalized);
        assert_eq!(class.may_hedge(), method != Method::NamedAsRead);
    }
}

proptest! {
    #[test]
    fn no_parameters_make_classification_panic(
        method in proptest::sample::select(Method::ALL.to_vec()),
        params in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..60),
            r#"[\[{](1|"k"|null|\{"(commitment|minContextSlot)":("processed"|5|\{)\}?|,){0,8}[\]}]?"#
                .prop_map(String::into_bytes),
        ],
    ) {
        let class = classify(method.label(), Some(&params));
        prop_assert_eq!(class.method, method);
    }

    #[test]
    fn a_minimum_slot_survives_beyond_what_a_double_holds(slot: u64) {
        let params = format!(r#"["k",{{"minContextSlot":{slot}}}]"#);
        prop_assert_eq!(class("getBalance", &params).context.min_context_slot, Some(Slot(slot)));
    }
}
