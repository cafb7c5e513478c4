//! Answers that are spoilt after they were given: broken JSON, another id, no result. Each is the
//! right answer but for one thing, as a proxy or a sick node makes of it.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::treatment::Reply;

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spoilage {
    /// Its id is 777, whatever was asked.
    WrongId,
    /// It has no id.
    NoId,
    /// Its result is null.
    NullResult,
    /// Its `error` is a text, not an object.
    ErrorText,
    /// A string of its result holds bytes below 0x20, which JSON forbids.
    ControlBytes,
    /// Its JSON ends in the middle, though as many bytes come as are promised.
    HalfJson,
    /// It is compressed although the request did not allow it.
    Gzip,
    /// The list of its result lacks the last item.
    Short,
    /// The last item of the list of its result comes twice.
    Long,
}

impl Spoilage {
    /// Spoils the answer to a call with this id. Batches are left as they are where only an id
    /// or a result would be spoilt.
    #[must_use]
    pub fn apply(self, mut reply: Reply, id: &str) -> Reply {
        let whole = reply.body.collect();
        if self == Self::Gzip {
            reply.headers.push(("content-encoding", "gzip".to_owned()));
        }
        reply.body = self.spoilt(&whole, id).into();
        reply
    }

    fn spoilt(self, whole: &Bytes, id: &str) -> Bytes {
        let text = String::from_utf8_lossy(whole);
        let Some((before_id, _)) = text.rsplit_once(",\"id\":") else {
            return whole.clone();
        };
        match self {
            Self::WrongId => format!("{before_id},\"id\":777}}\n").into(),
            Self::NoId => format!("{before_id}}}\n").into(),
            Self::NullResult => {
                format!("{{\"jsonrpc\":\"2.0\",\"result\":null,\"id\":{id}}}\n").into()
            }
            Self::ErrorText => {
                format!("{{\"jsonrpc\":\"2.0\",\"error\":\"overloaded\",\"id\":{id}}}\n").into()
            }
            Self::ControlBytes => with_control_bytes(&text).into(),
            Self::HalfJson => whole.slice(..whole.len() / 2),
            Self::Gzip => gzipped(whole).into(),
            Self::Short | Self::Long => {
                relisted(&text, self == Self::Long).map_or_else(|| whole.clone(), Into::into)
            }
        }
    }
}

/// Puts them into the first string of the result; as it was if there is none.
fn with_control_bytes(text: &str) -> String {
    let place = text
        .split_once("\"result\"")
        .and_then(|(before, result)| Some((before.len() + 8, result.find(":\"")? + 2)));
    match place.and_then(|(start, string)| text.split_at_checked(start + string)) {
        Some((before, after)) => format!("{before}\u{1}\n{after}"),
        None => text.to_owned(),
    }
}

/// The answer with a longer or a shorter list; `None` where its result has none that is not empty.
fn relisted(text: &str, longer: bool) -> Option<String> {
    let mut answer: Value = serde_json::from_str(text).ok()?;
    let result = answer.get_mut("result")?;
    let list = match result {
        Value::Array(list) => list,
        other => other.get_mut("value")?.as_array_mut()?,
    };
    let last = list.pop()?;
    if longer {
        list.extend([last.clone(), last]);
    }
    let (result, id) = (answer.get("result")?, answer.get("id")?);
    Some(format!(
        "{{\"jsonrpc\":\"2.0\",\"result\":{result},\"id\":{id}}}\n"
    ))
}

fn gzipped(whole: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory does not fail.
    let written = encoder.write_all(whole).and_then(|()| encoder.finish());
    written.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use serde_json::json;

    use super::*;
    use crate::sandbox::treatment::JSON;

    const ANSWER: &str = "{\"jsonrpc\":\"2.0\",\"result\":{\"context\":{\"apiVersion\":\"4\",\
                          \"slot\":9},\"value\":7},\"id\":\"a\"}\n";

    fn spoilt(how: Spoilage) -> Bytes {
        let reply = how.apply(Reply::new(200, JSON, ANSWER), "\"a\"");
        reply.body.collect()
    }

    fn json_of(how: Spoilage) -> Value {
        serde_json::from_slice(&spoilt(how)).unwrap()
    }

    #[test]
    fn one_thing_is_wrong_and_the_rest_is_right() {
        let whole: Value = serde_json::from_str(ANSWER).unwrap();
        let other_id = json_of(Spoilage::WrongId);
        assert_eq!(
            (&other_id["result"], &other_id["id"]),
            (&whole["result"], &json!(777))
        );
        let no_id = json_of(Spoilage::NoId);
        assert_eq!(
            (&no_id["result"], no_id.get("id")),
            (&whole["result"], None)
        );
        let null = json_of(Spoilage::NullResult);
        assert_eq!(null, json!({"jsonrpc": "2.0", "result": null, "id": "a"}));
        assert!(json_of(Spoilage::ErrorText)["error"].is_string());
    }

    #[test]
    fn control_bytes_and_half_answers_are_no_json() {
        for how in [Spoilage::ControlBytes, Spoilage::HalfJson] {
            let spoilt = spoilt(how);
            assert!(serde_json::from_slice::<Value>(&spoilt).is_err(), "{how:?}");
        }
        let signature = "{\"jsonrpc\":\"2.0\",\"result\":\"5sig\",\"id\":1}";
        assert!(with_control_bytes(signature).contains("\"\u{1}\n5sig\""));
        assert_eq!(with_control_bytes("{\"result\":5}"), "{\"result\":5}");
    }

    #[test]
    fn lists_become_shorter_or_longer_by_one() {
        let answer =
            "{\"jsonrpc\":\"2.0\",\"result\":{\"context\":{\"slot\":9},\"value\":[1,2]},\"id\":1}";
        let list = |longer| {
            let text = relisted(answer, longer).unwrap();
            serde_json::from_str::<Value>(&text).unwrap()["result"]["value"].clone()
        };
        assert_eq!(list(false), json!([1]));
        assert_eq!(list(true), json!([1, 2, 2]));
        let bare = relisted("{\"result\":[5],\"id\":7}", false).unwrap();
        assert_eq!(bare, "{\"jsonrpc\":\"2.0\",\"result\":[],\"id\":7}\n");
        assert_eq!(relisted(ANSWER, true), None);
    }

    #[test]
    fn what_is_compressed_says_so_and_unpacks() {
        let reply = Spoilage::Gzip.apply(Reply::new(200, JSON, ANSWER), "\"a\"");
        assert_eq!(reply.headers, [("content-encoding", "gzip".to_owned())]);
        let packed = reply.body.collect();
        let mut text = String::new();
        flate2::read::GzDecoder::new(&packed[..])
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, ANSWER);
    }
}
