//! The decoder and the rules behind it: whatever comes in, no panic; what is taken for a message
//! means the same after it was written again; no two rows have one name; and a price is there only
//! with all it is made of.

#![no_main]

use std::collections::BTreeSet;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use perijove_fuzz::decode::{Encoding, Kind, Limits, Message, decode};
use perijove_fuzz::project::{Projected, project};
use perijove_fuzz::record::UnixMillis;
use prost::Message as _;

const RECORDED: UnixMillis = UnixMillis(1_760_000_000_000);

fuzz_target!(|input: (u8, &[u8])| {
    let kind = Kind::ALL[usize::from(input.0) % Kind::ALL.len()];
    let payload = Bytes::copy_from_slice(input.1);
    let limits = Limits::default();
    let Ok(message) = decode(kind, Encoding::Auto, Some(&payload), &limits) else {
        return;
    };
    let again = Bytes::from(encode(&message));
    let again = decode(kind, Encoding::Protobuf, Some(&again), &limits).expect("still a message");
    let (rows, others) = (project(message, RECORDED), project(again, RECORDED));
    // Through text, where not a number is itself again.
    assert_eq!(format!("{rows:?}"), format!("{others:?}"));
    check(&rows);
});

fn encode(message: &Message) -> Vec<u8> {
    match message {
        Message::Trades(block) => block.encode_to_vec(),
        Message::Transfers(block) => block.encode_to_vec(),
        Message::Transactions(block) => block.encode_to_vec(),
        Message::Slot(header) => header.encode_to_vec(),
    }
}

fn check(rows: &Projected) {
    let names: BTreeSet<_> = rows.trades.iter().map(|trade| trade.key()).collect();
    assert_eq!(names.len(), rows.trades.len());
    let names: BTreeSet<_> = rows.transfers.iter().map(|one| one.key()).collect();
    assert_eq!(names.len(), rows.transfers.len());
    for trade in &rows.trades {
        let Some(price) = trade.price else { continue };
        assert!(trade.market.is_some() && trade.pair.base != trade.pair.quote);
        assert!(price.to_f64() > 0.0 || price.to_string().len() > 300);
        assert_eq!(trade.base().asset(), trade.pair.base);
        assert_eq!(trade.quote().asset(), trade.pair.quote);
    }
}
