//! Who may have what another has not, and what a node's word on its own ledger is worth.

use perijove_core::Slot;

use super::{Ledger, Reach, may_have};
use crate::config::Tier;
use crate::solana::{Capability, Place, Word};
use crate::upstream::testing::{pool, settings};
use tokio::time::Instant;

const DECLARED: Reach = Reach::Archive;
const BOUGHT: Reach = Reach::Presumed(None);
const OWN: Reach = Reach::From(Slot(1_000));
const OLDER: Reach = Reach::From(Slot(500));

#[test]
fn emptiness_is_taken_to_whoever_reaches_further_back() {
    let may = |said_by, other| may_have(Word::Empty, Place::Anywhere, said_by, other);
    for (said_by, other, expected) in [
        (OWN, BOUGHT, true),
        (OWN, OLDER, true),
        (OWN, OWN, false),
        (OLDER, OWN, false),
        (OWN, Reach::Unknown, false),
        (Reach::Unknown, OWN, true),
        (Reach::Unknown, Reach::Unknown, false),
        (BOUGHT, OWN, false),
        (BOUGHT, BOUGHT, false),
        (BOUGHT, DECLARED, true),
        (DECLARED, BOUGHT, false),
        (Reach::Presumed(Some(Slot(900))), BOUGHT, true),
        (Reach::From(Slot(0)), BOUGHT, false),
        (OWN, Reach::Nothing, false),
    ] {
        assert_eq!(may(said_by, other), expected, "{said_by:?} {other:?}");
    }
}

#[test]
fn a_slot_is_looked_for_only_where_it_may_be() {
    let at = |slot| Place::From(Slot(slot));
    let may = |slot, other| may_have(Word::Empty, at(slot), OWN, other);
    assert!(may(700, OLDER));
    assert!(!may(300, OLDER));
    assert!(may(300, BOUGHT));
}

#[test]
fn a_skipped_slot_is_looked_for_on_any_second_node() {
    let at = Place::From(Slot(2_000));
    let may = |said_by, other| may_have(Word::Skipped, at, said_by, other);
    for (said_by, other, expected) in [
        (OWN, OWN, true),
        (OWN, Reach::Unknown, true),
        (OWN, BOUGHT, true),
        (OWN, Reach::From(Slot(3_000)), false),
        (OWN, Reach::Nothing, false),
        (BOUGHT, OWN, false),
        (BOUGHT, BOUGHT, false),
        (BOUGHT, DECLARED, true),
    ] {
        assert_eq!(may(said_by, other), expected, "{said_by:?} {other:?}");
    }
}

#[test]
fn who_says_that_it_has_no_history_is_believed_in_that_alone() {
    let at = Place::From(Slot(300));
    let may = |place, said_by, other| may_have(Word::Refused, place, said_by, other);
    assert!(may(at, BOUGHT, BOUGHT), "another provider may keep more");
    assert!(may(at, DECLARED, BOUGHT));
    assert!(!may(at, OWN, OLDER));
    assert!(!may(at, OWN, Reach::Unknown));
    assert!(may(Place::Anywhere, Reach::From(Slot(0)), BOUGHT));
    assert!(!may(Place::Anywhere, OLDER, OWN));
}

#[test]
fn what_is_covered_is_what_the_upstream_would_know() {
    let slot = Slot(1_500);
    for (reach, covers) in [
        (DECLARED, true),
        (BOUGHT, true),
        (Reach::Presumed(Some(Slot(2_000))), false),
        (OWN, true),
        (Reach::From(Slot(1_501)), false),
        (Reach::Unknown, false),
        (Reach::Nothing, false),
    ] {
        assert_eq!(reach.covers(slot), covers, "{reach:?}");
    }
}

#[tokio::test]
async fn tiers_and_capabilities_say_what_is_presumed() {
    let bought = |id: &str, capabilities: Option<Vec<Capability>>| {
        let mut settings = settings(id, "http://127.0.0.1:1/");
        settings.tier = Tier::Paid;
        settings.capabilities = capabilities;
        settings
    };
    let public = crate::config::Upstream {
        tier: Tier::Public,
        ..settings("public", "http://127.0.0.1:1/")
    };
    let local = crate::config::Upstream {
        capabilities: Some(vec![Capability::History, Capability::Archive]),
        ..settings("archive", "http://127.0.0.1:1/")
    };
    let pool = pool(vec![
        settings("own", "http://127.0.0.1:1/"),
        local,
        bought("paid", None),
        bought(
            "pruned",
            Some(vec![Capability::FullApi, Capability::History]),
        ),
        bought("accounts", Some(vec![Capability::FullApi])),
        public,
    ]);
    let reach = |id: &str| pool.upstream(id).unwrap().reach(Instant::now());
    assert_eq!(reach("own"), Reach::Unknown);
    assert_eq!(reach("archive"), Reach::Archive);
    assert_eq!(reach("paid"), Reach::Presumed(None));
    assert_eq!(reach("pruned"), Reach::Unknown);
    assert_eq!(reach("accounts"), Reach::Nothing);
    assert_eq!(reach("public"), Reach::Presumed(None));
    for id in ["own", "paid", "pruned"] {
        pool.upstream(id).unwrap().live().history_begins(Slot(7));
    }
    assert_eq!(reach("own"), Reach::From(Slot(7)));
    assert_eq!(reach("paid"), Reach::Presumed(Some(Slot(7))));
    assert_eq!(reach("pruned"), Reach::From(Slot(7)));
}

#[test]
fn a_ledger_begins_where_the_node_says_and_moves_on() {
    let ledger = Ledger::default();
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
    let fresh = Ledger::default();
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
    let genesis = Ledger::default();
    genesis.starts(Slot(0));
    genesis.begins(Slot(0));
    assert_eq!(genesis.oldest(), Some(Slot(0)));
}
