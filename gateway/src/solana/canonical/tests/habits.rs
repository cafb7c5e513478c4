//! How the usual clients write the same call: web3.js and kit leave out what is not given, the Rust
//! client and solana-py write every member of the configuration's type, `null` when it is not given.

use super::meaning;
use crate::solana::classify;

/// Calls that are one call, by the client that writes them so.
const SAME: &[(&str, &[(&str, &str)])] = &[
    (
        "getAccountInfo",
        &[
            (
                "web3.js",
                r#"["k",{"encoding":"base64","commitment":"confirmed"}]"#,
            ),
            (
                "kit",
                r#"["k",{"commitment":"confirmed","encoding":"base64"}]"#,
            ),
            (
                "Rust, solana-py",
                r#"["k",{"encoding":"base64","dataSlice":null,"commitment":"confirmed","minContextSlot":null}]"#,
            ),
            (
                "curl",
                r#"[ "k", { "commitment": "confirmed", "encoding": "base64" } ]"#,
            ),
        ],
    ),
    (
        "getMultipleAccounts",
        &[
            (
                "web3.js",
                r#"[["a","b"],{"encoding":"base64","commitment":"confirmed"}]"#,
            ),
            ("kit", r#"[["a","b"],{"commitment":"confirmed"}]"#),
            (
                "Rust, solana-py",
                r#"[["a","b"],{"encoding":"base64","dataSlice":null,"commitment":"confirmed","minContextSlot":null}]"#,
            ),
        ],
    ),
    (
        "getBalance",
        &[
            ("web3.js", r#"["k"]"#),
            ("Rust", r#"["k",{"commitment":"finalized"}]"#),
            (
                "solana-py",
                r#"["k",{"commitment":"finalized","minContextSlot":null}]"#,
            ),
            ("web3.js, an old name", r#"["k",{"commitment":"max"}]"#),
        ],
    ),
    (
        "getSlot",
        &[
            ("web3.js", "[]"),
            ("Rust", r#"[{"commitment":"finalized"}]"#),
            (
                "solana-py",
                r#"[{"commitment":"finalized","minContextSlot":null}]"#,
            ),
        ],
    ),
    (
        "getLatestBlockhash",
        &[
            ("web3.js, kit, Rust", r#"[{"commitment":"confirmed"}]"#),
            (
                "solana-py",
                r#"[{"commitment":"confirmed","minContextSlot":null}]"#,
            ),
        ],
    ),
    (
        "getTransaction",
        &[
            (
                "web3.js",
                r#"["s",{"commitment":"confirmed","maxSupportedTransactionVersion":0}]"#,
            ),
            (
                "kit",
                r#"["s",{"encoding":"json","maxSupportedTransactionVersion":0,"commitment":"confirmed"}]"#,
            ),
            (
                "Rust, solana-py",
                r#"["s",{"encoding":"json","commitment":"confirmed","maxSupportedTransactionVersion":0}]"#,
            ),
        ],
    ),
    (
        "getTransaction",
        &[
            ("Rust, the old form", r#"["s","jsonParsed"]"#),
            (
                "solana-py",
                r#"["s",{"encoding":"jsonParsed","commitment":"finalized","maxSupportedTransactionVersion":null}]"#,
            ),
            ("curl", r#"["s",{"encoding":"jsonParsed"}]"#),
        ],
    ),
    (
        "getBlock",
        &[
            (
                "web3.js",
                r#"[430,{"commitment":"confirmed","maxSupportedTransactionVersion":0}]"#,
            ),
            (
                "Rust",
                r#"[430,{"encoding":"json","transactionDetails":"full","rewards":true,"commitment":"confirmed","maxSupportedTransactionVersion":0}]"#,
            ),
            (
                "solana-py",
                r#"[430,{"encoding":"json","transactionDetails":null,"rewards":null,"commitment":"confirmed","maxSupportedTransactionVersion":0}]"#,
            ),
        ],
    ),
    (
        "getSignaturesForAddress",
        &[
            (
                "web3.js",
                r#"["a",{"limit":1000,"commitment":"confirmed"}]"#,
            ),
            ("kit", r#"["a",{"commitment":"confirmed"}]"#),
            (
                "Rust, solana-py",
                r#"["a",{"before":null,"until":null,"limit":null,"commitment":"confirmed","minContextSlot":null}]"#,
            ),
        ],
    ),
    (
        "getTokenAccountsByOwner",
        &[
            (
                "web3.js",
                r#"["o",{"programId":"t"},{"encoding":"jsonParsed","commitment":"confirmed"}]"#,
            ),
            (
                "Rust, solana-py",
                r#"["o",{"programId":"t"},{"encoding":"jsonParsed","dataSlice":null,"commitment":"confirmed","minContextSlot":null}]"#,
            ),
        ],
    ),
    (
        "getProgramAccounts",
        &[
            (
                "web3.js",
                r#"["p",{"encoding":"base64","commitment":"confirmed","filters":[{"dataSize":165}]}]"#,
            ),
            (
                "Rust",
                r#"["p",{"filters":[{"dataSize":165}],"encoding":"base64","dataSlice":null,"commitment":"confirmed","minContextSlot":null,"withContext":null,"sortResults":null}]"#,
            ),
            (
                "solana-py",
                r#"["p",{"filters":[{"dataSize":165}],"encoding":"base64","dataSlice":null,"commitment":"confirmed","minContextSlot":null,"withContext":false}]"#,
            ),
        ],
    ),
    (
        "getTokenSupply",
        &[
            ("web3.js", r#"["m"]"#),
            ("Rust, solana-py", r#"["m",{"commitment":"finalized"}]"#),
        ],
    ),
    (
        "getMinimumBalanceForRentExemption",
        &[
            ("web3.js, Rust", "[165]"),
            ("solana-py", r#"[165,{"commitment":"finalized"}]"#),
        ],
    ),
    (
        "getBlocks",
        &[
            ("Rust", r#"[5,{"commitment":"confirmed"}]"#),
            ("solana-py", r#"[5,null,{"commitment":"confirmed"}]"#),
        ],
    ),
    (
        "getVoteAccounts",
        &[
            ("web3.js", "[]"),
            (
                "Rust",
                r#"[{"votePubkey":null,"commitment":"finalized","keepUnstakedDelinquents":null,"delinquentSlotDistance":null}]"#,
            ),
        ],
    ),
    (
        "getLeaderSchedule",
        &[
            ("web3.js", "[]"),
            (
                "Rust",
                r#"[null,{"identity":null,"commitment":"finalized"}]"#,
            ),
            ("kit", "[null]"),
        ],
    ),
];

#[test]
fn every_clients_way_of_writing_a_call_is_spelled_alike() {
    for (method, habits) in SAME {
        let (_, first) = habits[0];
        let expected = meaning(method, first);
        assert!(expected.0.is_some(), "{method} {first}");
        for (client, params) in *habits {
            let found = meaning(method, params);
            assert_eq!(found.0, expected.0, "{method} of {client}");
            assert_eq!(found.1.context, expected.1.context, "{method} of {client}");
        }
    }
}

#[test]
fn parameters_that_are_absent_null_or_empty_are_spelled_alike() {
    for method in [
        "getSlot",
        "getGenesisHash",
        "getEpochSchedule",
        "getClusterNodes",
    ] {
        let absent = super::canonical(&classify(method, None), None);
        assert!(absent.is_some());
        assert_eq!(absent, meaning(method, "[]").0, "{method}");
    }
}
