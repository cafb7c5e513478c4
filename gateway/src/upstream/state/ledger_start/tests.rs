//! What a node's word on its own ledger is worth.

use perijove_core::Slot;

use super::LedgerStart;

#[test]
fn a_ledger_begins_where_the_node_says_and_moves_on() {
    let ledger = LedgerStart::default();
    assert_eq!(ledger.oldest(), None);
    ledger.starts(Slot(900));
    assert_eq!(ledger.oldest(), Some(Slot(900)));
    ledger.begins(Slot(902));
    assert_eq!(ledger.oldest(), Some(Slot(902)));
    ledger.starts(Slot(950));
    assert_eq!(ledger.oldest(), Some(Slot(902)), "the first block counts");
    ledger.begins(Slot(952));
    assert_eq!(ledger.oldest(), Some(Slot(952)));
    ledger.has_pruned(Slot(990));
    assert_eq!(ledger.oldest(), Some(Slot(990)));
    ledger.has_pruned(Slot(10));
    assert_eq!(ledger.oldest(), Some(Slot(990)));
}

#[test]
fn a_node_that_is_just_starting_is_no_archive() {
    let fresh = LedgerStart::default();
    fresh.starts(Slot(5_000));
    fresh.begins(Slot(0));
    assert_eq!(fresh.oldest(), Some(Slot(5_000)));
    fresh.begins(Slot(5_002));
    assert_eq!(fresh.oldest(), Some(Slot(5_002)));
    fresh.begins(Slot(0));
    assert_eq!(fresh.oldest(), Some(Slot(5_002)), "it was started anew");
    // Long-term storage goes on saying it; so does a ledger that really begins there at once.
    fresh.begins(Slot(0));
    assert_eq!(fresh.oldest(), Some(Slot(0)));
    let genesis = LedgerStart::default();
    genesis.starts(Slot(0));
    genesis.begins(Slot(0));
    assert_eq!(genesis.oldest(), Some(Slot(0)));
}
