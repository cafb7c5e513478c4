//! Writes configurations for the gateway under test. A file is JSON, which is YAML.

use serde_json::{Map, Value, json};

use crate::ports;
use crate::sandbox::Validator;

/// A configuration in the making. What tests need is set: free ports on loopback, frequent probes,
/// and no cache, no hedges, no sockets before a subscription, so that each call comes to an
/// upstream, and to one only, however busy the machine is. Tests of hedging set their times.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    root: Value,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl GatewayConfig {
    /// No upstreams yet.
    pub fn new() -> Self {
        Self {
            root: json!({
                "listen": { "rpc": [loopback()], "next_port": false },
                "admin": { "listen": loopback() },
                "runtime": { "threads": 2 },
                "log": { "format": "json", "level": "info", "access": true },
                "cache": { "enabled": false },
                "hedge": { "enabled": false, "metered_after": "10s" },
                "retry": { "write_after": "10s" },
                "websocket": { "feed": { "track_slots": false } },
                "upstreams": [],
            }),
        }
    }

    /// Adds a validator as a local upstream called `v0`, `v1`, … by its number.
    #[must_use]
    pub fn upstream(self, validator: &Validator) -> Self {
        self.endpoint(Endpoint::of(validator))
    }

    /// Adds an endpoint.
    #[must_use]
    pub fn endpoint(mut self, endpoint: Endpoint) -> Self {
        if let Some(list) = self.root.get_mut("upstreams").and_then(Value::as_array_mut) {
            list.push(endpoint.json);
        }
        self
    }

    /// Sets a value by its path, such as `retry.attempts`.
    #[must_use]
    pub fn set(mut self, path: &str, value: impl Into<Value>) -> Self {
        put(&mut self.root, path, value.into());
        self
    }

    /// The text of the file.
    pub fn text(&self) -> String {
        format!("{:#}\n", self.root)
    }

    /// The value at a path.
    pub fn get(&self, path: &str) -> Option<&Value> {
        path.split('.')
            .try_fold(&self.root, |value, name| value.get(name))
    }
}

/// One upstream of a configuration.
#[derive(Debug, Clone)]
pub struct Endpoint {
    json: Value,
}

impl Endpoint {
    /// A validator as a local upstream.
    pub fn of(validator: &Validator) -> Self {
        Self::at(&format!("v{}", validator.index()), &validator.url())
    }

    /// Any URL as a local upstream, probed often. A probe or a connection may take as long as a busy
    /// machine needs: what is slow has not failed.
    pub fn at(id: &str, url: &str) -> Self {
        Self {
            json: json!({
                "id": id,
                "url": url,
                "tier": "local",
                "probe": { "interval": "100ms", "timeout": "10s" },
                "timeouts": { "connect": "10s" },
            }),
        }
    }

    /// Its tier.
    #[must_use]
    pub fn tier(self, tier: &str) -> Self {
        self.set("tier", tier)
    }

    /// Sets a value by its path, such as `timeouts.first_byte`.
    #[must_use]
    pub fn set(mut self, path: &str, value: impl Into<Value>) -> Self {
        put(&mut self.json, path, value.into());
        self
    }
}

/// A free address on loopback. Port 0 would do for one gateway, but it has to let go of the port it
/// found before its server takes it, and among many tests another may be faster.
pub fn loopback() -> String {
    format!("127.0.0.1:{}", ports::take())
}

/// Sets a value, making the objects on the way.
fn put(root: &mut Value, path: &str, value: Value) {
    let mut place = root;
    for name in path.split('.') {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Some(members) = place.as_object_mut() else {
            return;
        };
        place = members.entry(name).or_insert(Value::Null);
    }
    *place = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_make_their_way() {
        let config = GatewayConfig::new()
            .set("retry.attempts", 2)
            .set("listen.h2c", true)
            .endpoint(Endpoint::at("a", "http://a").set("timeouts.total", "1s"));
        assert_eq!(config.get("retry.attempts"), Some(&json!(2)));
        assert!(config.get("listen.rpc").is_some());
        let upstream = config
            .get("upstreams")
            .and_then(|list| list.get(0))
            .unwrap();
        assert_eq!(upstream["timeouts"]["total"], "1s");
        assert_eq!(upstream["tier"], "local");
    }
}
