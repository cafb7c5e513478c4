//! Who may have what another has not.

use perijove_core::Slot;

use super::{HistoryReach, may_have};
use crate::config::Tier;
use crate::solana::{AbsenceWording, Capability, HistoryPosition};
use crate::upstream::testing::{pool, settings};
use tokio::time::Instant;

const DECLARED: HistoryReach = HistoryReach::Archive;
const BOUGHT: HistoryReach = HistoryReach::Presumed(None);
const OWN: HistoryReach = HistoryReach::From(Slot(1_000));
const OLDER: HistoryReach = HistoryReach::From(Slot(500));

#[test]
fn emptiness_is_taken_to_whoever_reaches_further_back() {
    let may = |said_by, other| {
        may_have(
            AbsenceWording::Empty,
            HistoryPosition::Anywhere,
            said_by,
            other,
        )
    };
    for (said_by, other, expected) in [
        (OWN, BOUGHT, true),
        (OWN, OLDER, true),
        (OWN, OWN, false),
        (OLDER, OWN, false),
        (OWN, HistoryReach::Unknown, false),
        (HistoryReach::Unknown, OWN, true),
        (HistoryReach::Unknown, HistoryReach::Unknown, false),
        (BOUGHT, OWN, false),
        (BOUGHT, BOUGHT, false),
        (BOUGHT, DECLARED, true),
        (DECLARED, BOUGHT, false),
        (HistoryReach::Presumed(Some(Slot(900))), BOUGHT, true),
        (HistoryReach::From(Slot(0)), BOUGHT, false),
        (OWN, HistoryReach::Nothing, false),
    ] {
        assert_eq!(may(said_by, other), expected, "{said_by:?} {other:?}");
    }
}

#[test]
fn a_slot_is_looked_for_only_where_it_may_be() {
    let at = |slot| HistoryPosition::From(Slot(slot));
    let may = |slot, other| may_have(AbsenceWording::Empty, at(slot), OWN, other);
    assert!(may(700, OLDER));
    assert!(!may(300, OLDER));
    assert!(may(300, BOUGHT));
}

#[test]
fn a_skipped_slot_is_looked_for_on_any_second_node() {
    let at = HistoryPosition::From(Slot(2_000));
    let may = |said_by, other| may_have(AbsenceWording::Skipped, at, said_by, other);
    for (said_by, other, expected) in [
        (OWN, OWN, true),
        (OWN, HistoryReach::Unknown, true),
        (OWN, BOUGHT, true),
        (OWN, HistoryReach::From(Slot(3_000)), false),
        (OWN, HistoryReach::Nothing, false),
        (BOUGHT, OWN, false),
        (BOUGHT, BOUGHT, false),
        (BOUGHT, DECLARED, true),
    ] {
        assert_eq!(may(said_by, other), expected, "{said_by:?} {other:?}");
    }
}

#[test]
fn who_says_that_it_has_no_history_is_believed_in_that_alone() {
    let at = HistoryPosition::From(Slot(300));
    let may = |place, said_by, other| may_have(AbsenceWording::Refused, place, said_by, other);
    assert!(may(at, BOUGHT, BOUGHT), "another provider may keep more");
    assert!(may(at, DECLARED, BOUGHT));
    assert!(!may(at, OWN, OLDER));
    assert!(!may(at, OWN, HistoryReach::Unknown));
    assert!(may(
        HistoryPosition::Anywhere,
        HistoryReach::From(Slot(0)),
        BOUGHT
    ));
    assert!(!may(HistoryPosition::Anywhere, OLDER, OWN));
}

#[test]
fn what_is_covered_is_what_the_upstream_would_know() {
    let slot = Slot(1_500);
    for (reach, covers) in [
        (DECLARED, true),
        (BOUGHT, true),
        (HistoryReach::Presumed(Some(Slot(2_000))), false),
        (OWN, true),
        (HistoryReach::From(Slot(1_501)), false),
        (HistoryReach::Unknown, false),
        (HistoryReach::Nothing, false),
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
    let public = crate::config::UpstreamSettings {
        tier: Tier::Public,
        ..settings("public", "http://127.0.0.1:1/")
    };
    let local = crate::config::UpstreamSettings {
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
    assert_eq!(reach("own"), HistoryReach::Unknown);
    assert_eq!(reach("archive"), HistoryReach::Archive);
    assert_eq!(reach("paid"), HistoryReach::Presumed(None));
    assert_eq!(reach("pruned"), HistoryReach::Unknown);
    assert_eq!(reach("accounts"), HistoryReach::Nothing);
    assert_eq!(reach("public"), HistoryReach::Presumed(None));
    for id in ["own", "paid", "pruned"] {
        pool.upstream(id).unwrap().state().history_begins(Slot(7));
    }
    assert_eq!(reach("own"), HistoryReach::From(Slot(7)));
    assert_eq!(reach("paid"), HistoryReach::Presumed(Some(Slot(7))));
    assert_eq!(reach("pruned"), HistoryReach::From(Slot(7)));
}
