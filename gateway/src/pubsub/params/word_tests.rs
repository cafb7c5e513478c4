//! Words that may be written as maps.

use super::*;

#[test]
fn a_filter_without_content_may_be_written_as_a_map_as_a_node_reads_it() {
    for (kind, word) in [
        (SubscriptionKind::Logs, "all"),
        (SubscriptionKind::Logs, "allWithVotes"),
        (SubscriptionKind::Block, "all"),
    ] {
        let read = |filter: Value| {
            let params = json!([filter, { "commitment": "confirmed" }]).to_string();
            SubscriptionSpec::read(kind, Some(params.as_bytes()))
        };
        assert_eq!(read(json!({ word: null })), read(json!(word)), "{kind:?}");
        assert!(read(json!({ word: 1 })).is_err());
        assert!(read(json!({ word: null, "mentions": [] })).is_err());
    }
}
