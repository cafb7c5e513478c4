//! What the faults do to one request: when it is answered, with what, and how the bytes go out.
//! Pure; `connection` carries it out.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use super::body::Body;
use super::failure::Failure;
use super::fault::{Coding, Kind, RateShape, ResetWhen, StallAfter};
use super::rpc::error_body;
use super::spoil::Spoilage;

/// How to answer one request.
#[derive(Debug, Default)]
pub struct Treatment {
    pub delay: Duration,
    /// Occupies one of the validator's workers for this long.
    pub work: Option<Duration>,
    pub hang: bool,
    /// Not before the faults are taken away.
    pub hold: bool,
    pub reset: Option<ResetWhen>,
    pub cut: Option<Cut>,
    pub body_time: Duration,
    /// The time between two bytes of the body.
    pub trickle: Duration,
    pub spoil: Option<Spoilage>,
    /// The answer is that of the request before.
    pub previous: bool,
    /// The answer is sent once more after this time.
    pub twice: Option<Duration>,
    pub framing: Framing,
    pub close: Close,
    /// Answers are padded to at least this many bytes.
    pub widen: u64,
    /// The HTTP status in place of the answer's.
    pub status: Option<u16>,
    pub coding: Option<Coding>,
    /// The reply in place of the answer.
    pub instead: Option<Reply>,
}

/// Where an answer ends too early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Before the work is done: the connection is closed.
    Unanswered,
    /// After the work is done, before the answer: the connection is closed.
    Done,
    /// After half of the body: the connection is closed.
    Half,
    /// Here, and the connection stays open.
    Stall(StallAfter),
}

/// How the end of the body is marked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Framing {
    #[default]
    Length,
    Chunked,
    /// HTTP/1.0: the connection ends with the body.
    UntilClose,
}

/// What happens to the connection afterwards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Close {
    #[default]
    Keep,
    /// `connection: close`, then closed.
    Announced,
    /// Closed without a word.
    Silent,
}

/// A reply before framing.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub content_type: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub body: Body,
}

impl Treatment {
    /// The reply as it is dressed for the way.
    pub fn dress(&self, reply: &mut Reply) {
        reply.status = self.status.unwrap_or(reply.status);
        let Some(coding) = self.coding else { return };
        let plain = reply.body.clone().collect();
        let (name, packed) = match coding {
            Coding::Gzip => ("gzip", gzip(&plain)),
            Coding::Deflate => ("deflate", deflate(&plain)),
            Coding::FalseGzip => ("gzip", plain.to_vec()),
        };
        reply.headers.push(("content-encoding", name.to_owned()));
        reply.body = packed.into();
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap_or_default();
    encoder.finish().unwrap_or_default()
}

fn deflate(plain: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap_or_default();
    encoder.finish().unwrap_or_default()
}

/// The content type of JSON-RPC answers.
pub const JSON: &str = "application/json; charset=utf-8";
/// The content type of everything said in words.
pub const TEXT: &str = "text/plain; charset=utf-8";

impl Reply {
    /// A reply of this status and body.
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Body>) -> Self {
        Self {
            status,
            content_type,
            headers: Vec::new(),
            body: body.into(),
        }
    }
}

impl Treatment {
    /// Combines the faults a request meets; `id` is what an error answer echoes.
    pub fn of(kinds: &[Kind], id: &str) -> Self {
        let mut all = Self::default();
        for kind in kinds {
            match kind {
                Kind::Slow { ms } => add(&mut all.delay, *ms),
                Kind::Workers { ms, .. } => all.work = Some(Duration::from_millis(*ms)),
                Kind::SlowBody { ms } => add(&mut all.body_time, *ms),
                Kind::Hang => all.hang = true,
                Kind::Hold => all.hold = true,
                Kind::Reset { when } => all.reset = Some(*when),
                Kind::Truncate => all.cut = Some(Cut::Half),
                Kind::Close => all.cut = Some(Cut::Unanswered),
                Kind::Swallow => all.cut = Some(Cut::Done),
                Kind::Stall { after } => all.cut = Some(Cut::Stall(*after)),
                Kind::Trickle { ms } => all.trickle = Duration::from_millis(*ms),
                Kind::Spoil { how } => all.spoil = Some(*how),
                Kind::Previous => all.previous = true,
                Kind::Twice { ms } => all.twice = Some(Duration::from_millis(*ms)),
                Kind::Chunked => all.framing = Framing::Chunked,
                Kind::Http10 => all.framing = Framing::UntilClose,
                Kind::KeepAliveClose => all.close = Close::Silent,
                Kind::ConnectionClose => all.close = Close::Announced,
                Kind::Behind { status } => all.status = Some(*status),
                Kind::Compressed { coding } => all.coding = Some(*coding),
                Kind::Big { bytes } => all.widen = all.widen.max(*bytes),
                other => all.instead = instead(other, id).or(all.instead),
            }
        }
        all
    }
}

fn add(time: &mut Duration, milliseconds: u64) {
    *time = time.saturating_add(Duration::from_millis(milliseconds));
}

/// The reply a fault sends in place of an answer.
fn instead(kind: &Kind, id: &str) -> Option<Reply> {
    match kind {
        Kind::RateLimit { shape, retry_after } => {
            let mut reply = refusal(*shape, id);
            let wait = retry_after.iter().cloned();
            reply
                .headers
                .extend(wait.map(|seconds| ("retry-after", seconds)));
            Some(reply)
        }
        Kind::HttpStatus { status, body } => {
            let usual = usual_body(*status);
            Some(match body {
                Some(text) => Reply::new(*status, type_of(text), text.clone()),
                None => Reply::new(*status, usual.0, usual.1),
            })
        }
        Kind::Challenge => {
            let page = "<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>\
                        </body></html>\n";
            let mut reply = Reply::new(403, "text/html; charset=UTF-8", page);
            reply.headers.push(("cf-mitigated", "challenge".to_owned()));
            reply.headers.push(("server", "cloudflare".to_owned()));
            Some(reply)
        }
        Kind::Garbage => Some(Reply::new(200, JSON, "<<not json>>{\"jsonrpc\":")),
        Kind::WrongShape => Some(Reply::new(200, JSON, "{\"status\":\"ok\"}\n")),
        _ => None,
    }
}

/// A rate-limit refusal as the provider words it.
fn refusal(shape: RateShape, id: &str) -> Reply {
    let error = |status, failure: Failure| {
        let mut body = error_body(&failure, id, false);
        body.text("\n");
        Reply::new(status, JSON, body)
    };
    match shape {
        RateShape::Rpcpool => {
            let mut reply = error(429, Failure::typical(429, 0));
            for (name, value) in [
                ("x-ratelimit-tier", "free"),
                ("x-ratelimit-method-limit", "10"),
                ("x-ratelimit-method-remaining", "-1"),
                ("x-ratelimit-rps-limit", "250"),
                ("x-ratelimit-rps-remaining", "240"),
            ] {
                reply.headers.push((name, value.to_owned()));
            }
            reply
        }
        RateShape::Plain => Reply::new(429, TEXT, "Too Many Requests\n"),
        RateShape::Ok => error(200, Failure::typical(429, 0)),
        RateShape::OkInternal => error(
            200,
            Failure::new(-32603, "Too many requests, please slow down"),
        ),
        RateShape::Helius => helius("rate limited"),
        RateShape::Credits => helius("max usage reached"),
    }
}

/// Helius leaves the id out.
fn helius(message: &str) -> Reply {
    let body =
        format!("{{\"jsonrpc\":\"2.0\",\"error\":{{\"code\":-32429,\"message\":\"{message}\"}}}}");
    Reply::new(429, JSON, body)
}

fn type_of(text: &str) -> &'static str {
    match text.as_bytes().first() {
        Some(b'{' | b'[') => JSON,
        Some(b'<') => "text/html; charset=utf-8",
        _ => TEXT,
    }
}

/// What such a status usually says.
fn usual_body(status: u16) -> (&'static str, &'static str) {
    match status {
        401 => (
            JSON,
            "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32401,\"message\":\"invalid api key provided\"}}\n",
        ),
        403 => (
            JSON,
            "{\"jsonrpc\":\"2.0\",\"error\":{\"code\": 403,\"message\":\"Access forbidden, contact your app developer or support@rpcpool.com.\"}}\n",
        ),
        410 => (
            JSON,
            "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":410,\"message\":\"The RPC call or parameters have been disabled.\"},\"id\":1}\n",
        ),
        502 => (
            "text/html",
            "<html><head><title>502 Bad Gateway</title></head></html>\n",
        ),
        503 => (
            TEXT,
            "upstream connect error or disconnect/reset before headers\n",
        ),
        504 => (
            "text/html",
            "<html><head><title>504 Gateway Time-out</title></head></html>\n",
        ),
        _ => (TEXT, "something went wrong\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_combine() {
        let kinds = [
            Kind::Slow { ms: 5 },
            Kind::Slow { ms: 7 },
            Kind::Chunked,
            Kind::Big { bytes: 9 },
        ];
        let all = Treatment::of(&kinds, "1");
        assert_eq!(all.delay, Duration::from_millis(12));
        assert_eq!(all.framing, Framing::Chunked);
        assert_eq!(all.widen, 9);
        assert!(all.instead.is_none());
    }

    #[test]
    fn a_rate_limit_may_lack_the_id_or_say_when_to_return() {
        let kind = |shape, retry_after: Option<&str>| Kind::RateLimit {
            shape,
            retry_after: retry_after.map(str::to_owned),
        };
        let helius = Treatment::of(&[kind(RateShape::Helius, None)], "\"x\"");
        let mut reply = helius.instead.unwrap();
        assert_eq!(reply.status, 429);
        let text = reply.body.take(1_000);
        assert!(!String::from_utf8_lossy(&text).contains("\"id\""));
        let rpcpool = Treatment::of(&[kind(RateShape::Rpcpool, Some("3"))], "1");
        let headers = rpcpool.instead.unwrap().headers;
        assert!(headers.contains(&("retry-after", "3".to_owned())));
    }
}
