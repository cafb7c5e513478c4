//! The answer scanner and the splicer: no panic; what is taken for an answer keeps every byte but
//! the id; and of an answer to the request a stream in chunks gives what the whole gives.

#![no_main]

use std::{collections::BTreeSet, fmt};

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use perijove_fuzz::jsonrpc::{Answer, HeadKind, Id, RequestId, Splicer, head_kind};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

fuzz_target!(|input: (u8, &[u8])| {
    let (step, body) = (usize::from(input.0) + 1, Bytes::copy_from_slice(input.1));
    let id = Id::from(1_234_567);
    let streamed = stream(&body, step, &id);
    let asked = RequestId::from(ASKED);
    let kind = head_kind(&body, asked);
    let Ok(answer) = Answer::scan(body.clone()) else {
        return;
    };
    let belongs = Answer::scan_reply(body.clone(), asked).is_ok_and(|reply| !reply.is_anonymous());
    let spliced = answer.splice(&id).concat();

    // Long results are not read token by token, so only real JSON is held to more; and with a
    // repeated member there is more than one right answer.
    if serde_json::from_slice::<Unrepeated>(&body).is_err() {
        return;
    }
    let after: serde_json::Value = serde_json::from_slice(&spliced).expect("still JSON");
    assert_eq!(after["id"], 1_234_567);
    match kind {
        HeadKind::Error => assert!(answer.error().is_some()),
        HeadKind::Result(_) => assert!(answer.result().is_some() || answer.error().is_some()),
        HeadKind::Foreign => assert!(!belongs),
        HeadKind::Unknown => {}
    }
    // No number is asked for twice in a process, so nothing but the id has it.
    let original: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    if !belongs || times_named(&original) != 1 {
        return;
    }
    let Some(streamed) = streamed else {
        // Such a beginning is not looked into, and its id must stand near the end.
        assert!(body.starts_with(br#"{"jsonrpc":"2.0","result":"#));
        return;
    };
    let streamed: serde_json::Value = serde_json::from_slice(&streamed).expect("still JSON");
    assert_eq!(streamed["id"], 1_234_567);
});

/// The id that the corpus' answers have.
const ASKED: u64 = 1;

/// How many members, wherever they stand, are named and valued like the id.
fn times_named(value: &serde_json::Value) -> usize {
    use serde_json::Value;
    let is_asked = |value: &Value| match value {
        Value::Number(number) => number.as_f64() == Some(1.0),
        Value::String(text) => text == "1",
        _ => false,
    };
    match value {
        Value::Array(values) => values.iter().map(times_named).sum(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| usize::from(name == "id" && is_asked(value)) + times_named(value))
            .sum(),
        _ => 0,
    }
}

fn stream(body: &Bytes, step: usize, id: &Id) -> Option<Vec<u8>> {
    let mut splicer = Splicer::new(id, RequestId::from(ASKED));
    let mut out = Vec::new();
    let mut rest = body.clone();
    while !rest.is_empty() {
        splicer.push(rest.split_to(rest.len().min(step)), &mut out);
    }
    splicer.finish(&mut out).ok()?;
    Some(out.concat())
}

/// A value in which no object has a member twice, however deep.
struct Unrepeated;

impl<'de> Deserialize<'de> for Unrepeated {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Unrepeated {
    type Value = Self;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut keys = BTreeSet::new();
        while let Some((key, _)) = map.next_entry::<String, Self>()? {
            if !keys.insert(key) {
                return Err(A::Error::custom("repeated"));
            }
        }
        Ok(self)
    }
}
