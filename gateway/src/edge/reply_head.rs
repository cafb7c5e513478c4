//! The head of an answer, line by line.

use bytes::Bytes;
use perijove_core::Pubkey;

use super::cors::{self, HeaderLine};
use super::request_head::RequestHead;
use crate::limit::Remaining;
use crate::pipeline::{CacheStatus, Provenance};

/// The head of an answer, without what belongs to the connection.
#[derive(Debug)]
pub(super) struct ReplyHead<'a> {
    pub status: u16,
    pub content_type: &'a str,
    pub head: &'a RequestHead,
    /// The upstream that gave the answer.
    pub upstream: Option<&'a str>,
    pub cache: Option<CacheStatus>,
    pub retry_after: Option<u64>,
    /// What is left of the caller's plan.
    pub remaining: Option<Remaining>,
    /// The origin of an answer that no upstream gave.
    pub provenance: Option<Provenance>,
    pub gzip: bool,
    /// Header lines of the upstream's answer that are passed on, and further ones about it.
    pub others: &'a [(&'static str, Bytes)],
    /// The answer to a preflight, with what to allow.
    pub preflight: Option<Preflight<'a>>,
}

/// What the answer to a preflight needs besides the head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Preflight<'a> {
    /// The header names to allow.
    pub requested: Option<&'a [u8]>,
    /// The verbs of a path of Jupiter's API.
    pub verbs: Option<&'static str>,
}

impl<'a> ReplyHead<'a> {
    pub(super) fn new(status: u16, content_type: &'a str, head: &'a RequestHead) -> Self {
        Self {
            status,
            content_type,
            head,
            upstream: None,
            cache: None,
            retry_after: None,
            remaining: None,
            provenance: None,
            gzip: false,
            others: &[],
            preflight: None,
        }
    }

    /// Emits each line, name and value.
    pub(super) fn tell(&self, line: HeaderLine<'_>) {
        if let Some(Preflight { requested, verbs }) = self.preflight {
            line("x-request-id", self.head.context.id.as_bytes());
            let origin = self.head.origin.as_deref();
            return cors::preflight(origin, requested, verbs.unwrap_or("POST"), line);
        }
        if !self.content_type.is_empty() {
            line("content-type", self.content_type.as_bytes());
        }
        for (name, value) in self.others {
            line(name, value);
        }
        line("x-request-id", self.head.context.id.as_bytes());
        if self.status == 401 {
            line("www-authenticate", b"Bearer");
        }
        if self.status == 426 {
            line("upgrade", b"websocket");
            line("sec-websocket-version", b"13");
        }
        if let Some(origin) = &self.head.origin {
            cors::allow(origin, &mut *line);
        }
        if let Some(upstream) = self.upstream {
            line("x-perijove-upstream", upstream.as_bytes());
        }
        if let Some(cache) = self.cache {
            line("x-perijove-cache", cache.label().as_bytes());
        }
        if let Some(seconds) = self.retry_after {
            line("retry-after", seconds.to_string().as_bytes());
        }
        if let Some(remaining) = &self.remaining {
            let reset = remaining.reset.as_secs() + u64::from(remaining.reset.subsec_nanos() > 0);
            let mut number = itoa::Buffer::new();
            line(
                "x-ratelimit-limit",
                number.format(remaining.limit).as_bytes(),
            );
            let left = number.format(remaining.remaining);
            line("x-ratelimit-remaining", left.as_bytes());
            line("x-ratelimit-reset", number.format(reset).as_bytes());
        }
        if let Some(provenance) = &self.provenance {
            tell_origin(provenance, line);
        }
        if self.gzip {
            line("content-encoding", b"gzip");
            line("vary", b"accept-encoding");
        }
    }
}

fn tell_origin(provenance: &Provenance, line: HeaderLine<'_>) {
    line("x-perijove-source", provenance.source.label().as_bytes());
    // What is valid now must not be stored by a cache on the way.
    line("cache-control", b"no-store");
    if let Some(age) = provenance.age {
        line("age", age.as_secs().to_string().as_bytes());
    }
    if !provenance.unavailable.is_empty() {
        let tokens = provenance.unavailable.iter().map(Pubkey::to_string);
        let tokens: Vec<_> = tokens.collect();
        line("x-perijove-unavailable", tokens.join(",").as_bytes());
    }
}
