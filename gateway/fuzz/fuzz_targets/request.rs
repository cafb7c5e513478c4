//! The request parser: whatever comes in, no panic; what is taken for a call is JSON, and stays the
//! same call on the way to an upstream.

#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use perijove_fuzz::jsonrpc::{
    Call, RequestEntry, RequestId, RequestPayload, encode, error_reply, parse,
};

fuzz_target!(|body: &[u8]| {
    let body = Bytes::copy_from_slice(body);
    let entries = match parse(&body, 16) {
        Ok(RequestPayload::Single(entry)) => vec![entry],
        Ok(RequestPayload::Batch(entries)) => entries.collect(),
        Err(_) => return,
    };
    for entry in &entries {
        match entry {
            RequestEntry::Call(call) => survives(call),
            RequestEntry::Invalid(invalid) => {
                let reply = error_reply(&invalid.id, &invalid.error, invalid.versionless);
                json(&reply);
            }
        }
    }
});

fn survives(call: &Call) {
    let mut open = BytesMut::new();
    encode(call, &mut open);
    let mut sent = open.to_vec();
    RequestId::from(u64::MAX).close(&mut sent);
    json(&sent);
    let Ok(RequestPayload::Single(RequestEntry::Call(again))) = parse(&Bytes::from(sent), 1) else {
        panic!("what is sent is no call: {call:?}");
    };
    assert_eq!(again.method(), call.method());
    assert_eq!(again.params(), call.params());
}

/// Numbers are left alone: serde refuses those beyond a double, which JSON does not.
fn json(text: &[u8]) {
    if let Err(error) = serde_json::from_slice::<&serde_json::value::RawValue>(text) {
        panic!("{error}: {}", String::from_utf8_lossy(text));
    }
}
