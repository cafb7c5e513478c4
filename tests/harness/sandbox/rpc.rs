//! JSON-RPC framing as Agave does it: requests into calls, answers into a body. Ids are echoed as
//! they came.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

use super::body::Body;
use super::failure::Failure;

/// A parsed request body.
#[derive(Debug, Clone, PartialEq)]
pub struct Incoming {
    pub entries: Vec<Entry>,
    pub batch: bool,
}

/// One entry of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    Call(Call),
    /// Not a call; answered with its error. `versionless` answers lack the `jsonrpc` member.
    Bad {
        id: String,
        failure: Failure,
        versionless: bool,
    },
}

/// A call, or a notification if it has no id.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The id's JSON text.
    pub id: Option<String>,
    pub method: String,
    /// The params' JSON text.
    pub params: Option<String>,
}

impl Incoming {
    /// Parses a body; an error is the one answer for all of it.
    pub fn parse(body: &[u8]) -> Result<Self, Failure> {
        let broken = || Failure::new(-32700, "Parse error");
        let text = std::str::from_utf8(body).map_err(|_utf8| broken())?;
        let batch = text.trim_start().starts_with('[');
        let raw: Vec<&RawValue> = if batch {
            serde_json::from_str(text).map_err(|_json| broken())?
        } else {
            vec![serde_json::from_str(text).map_err(|_json| broken())?]
        };
        let mut entries = Vec::with_capacity(raw.len());
        for one in raw {
            entries.push(entry(one.get()).ok_or_else(broken)?);
        }
        Ok(Self { entries, batch })
    }

    /// The methods called.
    pub fn methods(&self) -> Vec<String> {
        let called = self.entries.iter().filter_map(|entry| match entry {
            Entry::Call(call) => Some(call.method.clone()),
            Entry::Bad { .. } => None,
        });
        called.collect()
    }

    /// The first id, `null` if there is none.
    pub fn first_id(&self) -> &str {
        match self.entries.first() {
            Some(Entry::Call(call)) => call.id.as_deref().unwrap_or("null"),
            Some(Entry::Bad { id, .. }) => id,
            None => "null",
        }
    }

    /// Answers every entry in order; empty when nobody waits for an answer.
    pub fn answer(&self, mut result: impl FnMut(&Call) -> Result<Body, Failure>) -> Body {
        let mut all = Body::default();
        for entry in &self.entries {
            let one = match entry {
                Entry::Bad {
                    id,
                    failure,
                    versionless,
                } => error_body(failure, id, *versionless),
                Entry::Call(call) => {
                    let outcome = result(call);
                    let Some(id) = &call.id else { continue };
                    match outcome {
                        Ok(value) => {
                            let mut body = Body::from(r#"{"jsonrpc":"2.0","result":"#);
                            body.append(value);
                            body.text(format!(r#","id":{id}}}"#));
                            body
                        }
                        Err(failure) => error_body(&failure, id, false),
                    }
                }
            };
            if self.batch {
                all.text(if all.is_empty() { "[" } else { "," });
            }
            all.append(one);
        }
        if !all.is_empty() {
            all.text(if self.batch { "]\n" } else { "\n" });
        }
        all
    }
}

/// An error answer, without the newline.
pub fn error_body(failure: &Failure, id: &str, versionless: bool) -> Body {
    let version = if versionless {
        ""
    } else {
        r#""jsonrpc":"2.0","#
    };
    let error = failure.json();
    format!(r#"{{{version}"error":{error},"id":{id}}}"#).into()
}

/// Reads one entry; `None` if it is one that makes Agave's parser give up on everything: no object,
/// or with an id it cannot hold.
fn entry(text: &str) -> Option<Entry> {
    let invalid = |id: String, message: &str, versionless| Entry::Bad {
        id,
        failure: Failure::new(-32600, message),
        versionless,
    };
    let mut members = serde_json::from_str::<BTreeMap<String, &RawValue>>(text).ok()?;
    let id = match members.remove("id").map(RawValue::get) {
        None => None,
        Some(raw) if is_id(raw) => Some(raw.to_owned()),
        Some(_) => return None,
    };
    let shown = id.clone().unwrap_or_else(|| "null".to_owned());
    let method = members
        .remove("method")
        .and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
    let params = members.remove("params").map(|raw| raw.get().to_owned());
    let version = members.remove("jsonrpc").map(RawValue::get);
    let Some(method) = method.filter(|_| members.is_empty()) else {
        return Some(invalid(shown, "Invalid request", false));
    };
    match version {
        Some(r#""2.0""#) => Some(Entry::Call(Call { id, method, params })),
        None => Some(invalid(
            shown,
            "Unsupported JSON-RPC protocol version",
            true,
        )),
        Some(_) => Some(invalid(shown, "Invalid request", false)),
    }
}

/// Strings, unsigned 64-bit integers and null.
fn is_id(raw: &str) -> bool {
    match serde_json::from_str::<Value>(raw) {
        Ok(Value::String(_) | Value::Null) => true,
        Ok(Value::Number(number)) => number.is_u64(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(body: &str) -> String {
        let mut body = match Incoming::parse(body.as_bytes()) {
            Ok(incoming) => incoming.answer(|call| match call.method.as_str() {
                "ok" => Ok(call.params.clone().unwrap_or_default().into()),
                _ => Err(Failure::new(-32601, "Method not found")),
            }),
            Err(failure) => error_body(&failure, "null", false),
        };
        let mut text = Vec::new();
        while !body.is_empty() {
            text.extend_from_slice(&body.take(1_000));
        }
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn answers_are_agaves() {
        for (request, expected) in [
            (
                r#"{"jsonrpc":"2.0","id":"a b","method":"ok","params":[1]}"#,
                "{\"jsonrpc\":\"2.0\",\"result\":[1],\"id\":\"a b\"}\n",
            ),
            (
                r#"[{"jsonrpc":"2.0","id":1,"method":"ok","params":[]},{"jsonrpc":"2.0","id":2,"method":"no"}]"#,
                "[{\"jsonrpc\":\"2.0\",\"result\":[],\"id\":1},{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32601,\"message\":\"Method not found\"},\"id\":2}]\n",
            ),
            (r#"{"jsonrpc":"2.0","method":"ok","params":[]}"#, ""),
            ("[]", ""),
            (
                r#"{"id":7,"method":"ok"}"#,
                "{\"error\":{\"code\":-32600,\"message\":\"Unsupported JSON-RPC protocol version\"},\"id\":7}\n",
            ),
            (
                r#"{"jsonrpc":"2.0","id":7,"method":"ok","extra":1}"#,
                "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32600,\"message\":\"Invalid request\"},\"id\":7}\n",
            ),
            (
                r#"{"jsonrpc":"2.0","id":-7,"method":"ok"}"#,
                "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32700,\"message\":\"Parse error\"},\"id\":null}",
            ),
        ] {
            assert_eq!(answered(request), expected, "{request}");
        }
    }
}
