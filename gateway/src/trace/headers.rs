//! The headers by which an upstream's logs and traces can be matched with ours.

use super::context::TraceContext;
use super::hops::Hops;
use super::request_id::HttpRequestId;
use super::traceparent;

/// What one request to an upstream tells of the request that it is made for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CorrelationHeaders {
    pub id: Option<HttpRequestId>,
    /// Where the attempt stands in the trace.
    pub trace: Option<TraceContext>,
    /// The gateways that it came through before this one.
    pub hops: Option<Hops>,
}

impl CorrelationHeaders {
    /// The names of all that may be written.
    pub const NAMES: [&'static str; 4] = [
        "x-request-id",
        "traceparent",
        "tracestate",
        "x-perijove-via",
    ];

    /// Tells each header, name and value.
    pub fn tell(&self, mut line: impl FnMut(&'static str, &[u8])) {
        let [id, parent, state, via] = Self::NAMES;
        if let Some(request_id) = &self.id {
            line(id, request_id.as_bytes());
        }
        if let Some(trace) = &self.trace {
            line(parent, traceparent::write(trace).as_bytes());
            if let Some(said) = &trace.state {
                line(state, said.as_str().as_bytes());
            }
        }
        if let Some(hops) = &self.hops {
            line(via, hops.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(headers: &CorrelationHeaders) -> Vec<(String, String)> {
        let mut told = Vec::new();
        headers.tell(|name, value| {
            told.push((name.to_owned(), String::from_utf8_lossy(value).into_owned()));
        });
        told
    }

    #[test]
    fn only_what_is_there_is_told() {
        assert_eq!(told(&CorrelationHeaders::default()), []);
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
        let headers = CorrelationHeaders {
            id: Some(HttpRequestId::of(Some(b"order-7"))),
            trace: TraceContext::of(parent.as_bytes(), &[b"a=1", b"b=2"]),
            hops: Hops::of(Some(b"00000000000000ab"), None, "").unwrap(),
        };
        let usual = [
            ("x-request-id", "order-7"),
            ("traceparent", parent),
            ("tracestate", "a=1,b=2"),
            ("x-perijove-via", "00000000000000ab"),
        ];
        let usual = usual.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(told(&headers), usual);
    }
}
