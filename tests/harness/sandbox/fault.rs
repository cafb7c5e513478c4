//! The faults a validator can be given: what kinds there are, which requests they hit and for how
//! long. How a fault shows on the wire is in `treatment` and `connection`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::spoil::Spoilage;

/// The method that stands for the handshake of a WebSocket. Only faults that name it hit one.
pub const HANDSHAKE: &str = "webSocket";

/// A fault and the requests it is limited to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fault {
    #[serde(flatten)]
    pub kind: Kind,
    /// Only requests that call one of these methods; empty means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// How many requests (for `rpc-error`: calls) it hits before it is over; `None` means until
    /// it is removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// Whether requests of a gateway's health probe (`x-perijove-probe: 1`) pass unharmed.
    pub spare_probes: bool,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Kind {
    /// Trails the cluster by `slots`.
    Lag { slots: u64 },
    /// The slot stays where it was when the fault was set.
    Stop,
    /// It processes and confirms, and makes nothing final any more: its finalized slot stays where it
    /// was when the fault was set.
    StopFinality,
    /// What it has processed since the fault was set is another fork of the chain, `ahead` slots
    /// before the cluster; what is confirmed stays the cluster's. Without the fault it is back on
    /// the main line, and those slots are gone.
    Fork {
        #[serde(default)]
        ahead: u64,
    },
    /// Answers with mainnet's genesis hash.
    WrongGenesis,
    /// `getHealth` and `GET /health` say this whatever the slot: `ok`, `behind` or `unknown`.
    Health { says: String },
    /// `getBlockHeight` answers the slot.
    HeightIsSlot,
    /// `getMaxShredInsertSlot` is this far ahead of the processed slot.
    ShredGap { slots: u64 },
    /// Has processed whatever any validator was sent, and refuses it when it comes again.
    AlreadyProcessed,
    /// Refuses for its rate limit, in the shape of one of the providers.
    RateLimit {
        #[serde(default)]
        shape: RateShape,
        /// The `retry-after` header, as it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<String>,
    },
    /// Answers with this HTTP status and, unless `body` is given, the usual text for it. A body
    /// that begins with `{` or `<` is sent as JSON or HTML.
    HttpStatus {
        status: u16,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<String>,
    },
    /// Cloudflare's challenge page: 403, HTML, `cf-mitigated: challenge`.
    Challenge,
    /// Waits before the first byte.
    Slow { ms: u64 },
    /// Executes so many calls at once, each for so long; others wait for their turn.
    Workers { count: usize, ms: u64 },
    /// Sends the head at once and the body spread over this time.
    SlowBody { ms: u64 },
    /// Resets the connection (RST).
    Reset {
        #[serde(default)]
        when: ResetWhen,
    },
    /// Promises a whole body and closes after half of it.
    Truncate,
    /// Closes the connection (FIN) instead of answering, without executing the call.
    Close,
    /// Executes the call and closes the connection without an answer.
    Swallow,
    /// Sends a part of the answer and then nothing more.
    Stall {
        #[serde(default)]
        after: StallAfter,
    },
    /// Sends the body byte by byte, with this time between two.
    Trickle { ms: u64 },
    /// Answers, but something is wrong with the answer.
    Spoil { how: Spoilage },
    /// Answers with what the request before, on the same connection, should have had; the first
    /// one gets its own.
    Previous,
    /// Sends each answer a second time, unasked: after this time, or before the next answer if
    /// that is earlier.
    Twice { ms: u64 },
    /// 200, `application/json`, and a body that is not JSON.
    Garbage,
    /// 200 and JSON that is no JSON-RPC answer.
    WrongShape,
    /// A JSON-RPC error in place of the answer.
    RpcError {
        code: i64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<Value>,
    },
    /// The port is closed: connections are refused and open ones are cut.
    Down,
    /// Takes requests and never answers them.
    Hang,
    /// Takes requests and answers them when the fault is taken away.
    Hold,
    /// Pads every result to at least this many bytes.
    Big { bytes: u64 },
    /// Closes the connection after each answer without having announced it.
    KeepAliveClose,
    /// Announces `connection: close` with each answer and closes.
    ConnectionClose,
    /// Answers as HTTP/1.0, the body ending with the connection.
    Http10,
    /// Sends bodies with `transfer-encoding: chunked`.
    Chunked,
    /// Answers what it should, behind this HTTP status.
    Behind { status: u16 },
    /// Closes WebSockets with this code: 1006 cuts them, 0 closes them without a code. Without
    /// `after`, those that are open when the fault is set; with it, each that has sent so many
    /// notifications since.
    WsClose {
        code: u16,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<u64>,
    },
    /// WebSockets stay open, and nothing is read from them or written to them. Whatever came about
    /// meanwhile is delivered when the fault is removed.
    WsFreeze,
    /// WebSockets answer, pings too, but after so many notifications no more are sent. They are lost.
    WsSilence {
        #[serde(default)]
        after: u64,
    },
    /// Notifications trail the node's answers by so many slots.
    WsLag { slots: u64 },
    /// Every notification comes twice.
    WsDuplicate,
    /// Every notification changes places with the next one of its socket, of those it hits.
    WsReorder,
    /// Notifications are made at least this many bytes long.
    WsOversized { bytes: u64 },
    /// Instead of a notification comes something else.
    WsGarbage {
        #[serde(default)]
        what: Garbage,
    },
    /// Each WebSocket's subscription with this number, and all after it, are refused as by a node
    /// that is full; counted from 1.
    WsRefuse {
        #[serde(default = "first")]
        from: u64,
    },
    /// Compresses answers whether or not anybody asked for it.
    Compressed {
        #[serde(default)]
        coding: Coding,
    },
}

fn first() -> u64 {
    1
}

/// What comes in place of a notification.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Garbage {
    /// A message that is no JSON.
    #[default]
    Text,
    /// JSON that is no JSON-RPC.
    Json,
    /// A notification for a subscription that does not exist.
    Stranger,
    /// A binary message.
    Binary,
    /// A text message that is no UTF-8.
    Utf8,
    /// Bytes that are no WebSocket frame.
    Frame,
    /// The notification, of a slot that no cluster will reach.
    Slot,
}

/// How an answer is compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Coding {
    #[default]
    Gzip,
    Deflate,
    /// It says gzip and sends something else.
    FalseGzip,
}

/// How a refusal for rate limits looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RateShape {
    /// 429 with error code 429 and per-method headers (rpcpool, public mainnet).
    #[default]
    Rpcpool,
    /// 429 and plain text (a CDN or load balancer).
    Plain,
    /// 200 with error code 429.
    Ok,
    /// 200 with -32603 "Too many requests".
    OkInternal,
    /// 429 with -32429 "rate limited" and no id (Helius).
    Helius,
    /// 429 with -32429 "max usage reached": the credits of the month are gone (Helius).
    Credits,
}

/// The moment of a reset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResetWhen {
    /// When the request's first bytes arrive, before any was read. Ignores `methods` and
    /// `spare_probes`, which would need reading.
    BeforeRead,
    /// After the whole request was read.
    #[default]
    AfterRead,
    /// After half of the answer was sent.
    MidBody,
}

/// How much of an answer is sent before it stalls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StallAfter {
    /// The head alone.
    #[default]
    Head,
    /// The head and half of the body.
    Half,
}

impl Kind {
    /// Whether the fault changes what the validator knows rather than how it answers.
    pub fn is_view(&self) -> bool {
        matches!(
            self,
            Self::Lag { .. }
                | Self::Stop
                | Self::StopFinality
                | Self::Fork { .. }
                | Self::WrongGenesis
                | Self::Health { .. }
                | Self::HeightIsSlot
                | Self::ShredGap { .. }
                | Self::AlreadyProcessed
        )
    }

    /// Whether the fault is one of WebSockets, `methods` being the notifications it hits.
    pub fn is_pubsub(&self) -> bool {
        matches!(
            self,
            Self::WsClose { .. }
                | Self::WsFreeze
                | Self::WsSilence { .. }
                | Self::WsLag { .. }
                | Self::WsDuplicate
                | Self::WsReorder
                | Self::WsOversized { .. }
                | Self::WsGarbage { .. }
                | Self::WsRefuse { .. }
        )
    }
}

impl From<Kind> for Fault {
    fn from(kind: Kind) -> Self {
        Self {
            kind,
            methods: Vec::new(),
            times: None,
            spare_probes: false,
        }
    }
}

impl Fault {
    /// Answers this HTTP status.
    pub fn status(status: u16) -> Self {
        Kind::HttpStatus { status, body: None }.into()
    }

    /// Answers this JSON-RPC error with the message and data Agave gives it.
    pub fn rpc(code: i64) -> Self {
        Kind::RpcError {
            code,
            message: None,
            data: None,
        }
        .into()
    }

    /// Trails the cluster.
    pub fn lag(slots: u64) -> Self {
        Kind::Lag { slots }.into()
    }

    /// Waits before the first byte.
    pub fn slow(ms: u64) -> Self {
        Kind::Slow { ms }.into()
    }

    /// Executes `count` calls at once.
    pub fn workers(count: usize, ms: u64) -> Self {
        Kind::Workers { count, ms }.into()
    }

    /// Resets the connection.
    pub fn reset(when: ResetWhen) -> Self {
        Kind::Reset { when }.into()
    }

    /// Spoils answers.
    pub fn spoil(how: Spoilage) -> Self {
        Kind::Spoil { how }.into()
    }

    /// Refuses in a provider's shape, with this `retry-after`.
    pub fn rate_limit(shape: RateShape, retry_after: Option<&str>) -> Self {
        Kind::RateLimit {
            shape,
            retry_after: retry_after.map(str::to_owned),
        }
        .into()
    }

    /// Closes the WebSockets that are open.
    pub fn ws_close(code: u16) -> Self {
        Kind::WsClose {
            code,
            reason: String::new(),
            after: None,
        }
        .into()
    }

    /// Takes connections and never answers the handshake of a WebSocket.
    pub fn no_handshake() -> Self {
        Self::from(Kind::Hang).on(HANDSHAKE)
    }

    /// Limits it to a method; may be repeated.
    #[must_use]
    pub fn on(mut self, method: &str) -> Self {
        self.methods.push(method.to_owned());
        self
    }

    /// Limits it to the next `times` requests.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Lets health probes pass.
    #[must_use]
    pub fn sparing_probes(mut self) -> Self {
        self.spare_probes = true;
        self
    }

    /// Reads the control port's JSON: the kind's own members beside `methods`, `times` and
    /// `spare_probes`.
    pub fn from_json(json: Value) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Limits {
            methods: Vec<String>,
            times: Option<u32>,
            spare_probes: bool,
        }
        let mut own = json;
        let mut limits = serde_json::Map::new();
        if let Some(members) = own.as_object_mut() {
            for name in ["methods", "times", "spare_probes"] {
                if let Some(value) = members.remove(name) {
                    limits.insert(name.to_owned(), value);
                }
            }
        }
        let kind = serde_json::from_value(own)?;
        let limits: Limits = serde_json::from_value(Value::Object(limits))?;
        Ok(Self {
            kind,
            methods: limits.methods,
            times: limits.times,
            spare_probes: limits.spare_probes,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_fault_reads_back_as_it_is_written() {
        let faults = [
            Fault::lag(50),
            Kind::Fork { ahead: 2 }.into(),
            Fault::status(503).on("getBalance").times(2),
            Fault::rpc(-32005).sparing_probes(),
            Fault::rate_limit(RateShape::Credits, Some("3")),
            Fault::reset(ResetWhen::BeforeRead),
            Kind::Down.into(),
            Kind::WsRefuse { from: 3 }.into(),
            Fault::ws_close(1_012).times(1),
            Fault::no_handshake(),
            Fault::spoil(Spoilage::NullResult).on("sendTransaction"),
            Kind::Stall {
                after: StallAfter::Half,
            }
            .into(),
        ];
        for fault in faults {
            let json = serde_json::to_value(&fault).unwrap();
            assert_eq!(Fault::from_json(json).unwrap(), fault);
        }
    }

    #[test]
    fn what_is_misspelt_is_refused() {
        for json in [
            json!({"kind": "lagg", "slots": 5}),
            json!({"kind": "lag", "slot": 5}),
            json!({"kind": "lag", "slots": 5, "extra": 1}),
            json!({"kind": "hang", "times": -1}),
            json!({"slots": 5}),
            json!([]),
        ] {
            assert!(Fault::from_json(json.clone()).is_err(), "{json}");
        }
    }
}
