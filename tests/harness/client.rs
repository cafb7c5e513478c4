//! Clients for tests: one for whole answers, and connections byte by byte.

#![expect(clippy::expect_used, reason = "a harness fails the test it is used in")]

pub mod deflating;
pub mod raw;
pub mod socket;
pub mod websocket;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::wait::PATIENCE;

/// A complete HTTP reply.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    /// Reads a reply to its end.
    pub async fn read(response: reqwest::Response) -> reqwest::Result<Self> {
        Ok(Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().await?,
        })
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }

    /// The `result` member.
    ///
    /// # Panics
    /// If the answer has none.
    pub fn result(&self) -> Value {
        let mut json = self.json();
        match json.get_mut("result") {
            Some(result) => result.take(),
            None => panic!("no result: {} {}", self.status, self.text()),
        }
    }

    /// The JSON-RPC error code, if it is an error.
    pub fn code(&self) -> Option<i64> {
        self.json().pointer("/error/code").and_then(Value::as_i64)
    }

    /// What the cache had to do with it: `none` if nothing.
    pub fn cache(&self) -> &str {
        self.header("x-perijove-cache").unwrap_or("none")
    }

    /// The name of the upstream that answered.
    pub fn upstream(&self) -> &str {
        self.header("x-perijove-upstream").unwrap_or("nobody")
    }
}

/// A client that keeps connections and never follows redirects or retries on its own.
///
/// # Panics
/// If the TLS library cannot be set up.
pub fn keep_alive() -> reqwest::Client {
    builder().build().expect("an HTTP client")
}

/// A client speaking HTTP/2 from the first byte.
///
/// # Panics
/// If the TLS library cannot be set up.
pub fn h2c() -> reqwest::Client {
    builder()
        .http2_prior_knowledge()
        .build()
        .expect("an HTTP client")
}

/// What all clients have in common. They wait longer than the gateway does by default.
pub fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .no_proxy()
        .no_gzip()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(2 * PATIENCE)
}

/// A call's body.
pub fn call(method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string()
}
