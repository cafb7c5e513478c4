//! A reply before it goes out, and the shapes of Jupiter's refusals.

use serde_json::{Value, json};

/// A reply.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl Reply {
    /// 200 with this.
    pub(super) fn ok(value: &Value) -> Self {
        Self::json(200, value)
    }

    pub(super) fn json(status: u16, value: &Value) -> Self {
        Self {
            status,
            headers: vec![("content-type", "application/json".to_owned())],
            body: value.to_string(),
        }
    }

    /// Words.
    pub(super) fn text(status: u16, text: &str) -> Self {
        Self {
            status,
            headers: vec![("content-type", "text/plain; charset=utf-8".to_owned())],
            body: text.to_owned(),
        }
    }

    /// 400 of the swap API.
    pub(super) fn refusal(error: &str, code: &str) -> Self {
        Self::json(400, &json!({ "error": error, "errorCode": code }))
    }

    /// 400 for a parameter that cannot be read.
    pub(super) fn unreadable(name: &str, why: &str) -> Self {
        let error = format!("Query parameter {name} cannot be parsed: {why}");
        Self::json(400, &json!({ "error": error }))
    }

    /// An error of the API gateway in front of Jupiter.
    pub(super) fn gateway(status: u16, message: &str) -> Self {
        Self::json(status, &json!({ "code": status, "message": message }))
    }

    pub(super) fn header(&mut self, name: &'static str, value: String) {
        self.headers.push((name, value));
    }
}
