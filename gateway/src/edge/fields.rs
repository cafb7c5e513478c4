//! The fields of a request head that matter to the gateway, found in one pass for every HTTP
//! version. Several lines of a field that is a list are one list; of others the first counts.

use super::compress::GzipChoice;
use crate::solana::Priority;

/// Values as they are in the head.
#[derive(Clone, Debug, Default)]
pub(super) struct RequestFields<'a> {
    pub content_type: Option<&'a [u8]>,
    pub request_id: Option<&'a [u8]>,
    pub origin: Option<&'a [u8]>,
    pub api_key: Option<&'a [u8]>,
    pub authorization: Option<&'a [u8]>,
    gzip: GzipChoice,
    bigtable: Option<&'a [u8]>,
    /// The gateway that sent it, if one did.
    pub instance: Option<&'a [u8]>,
    priority: Option<&'a [u8]>,
    pub forwarded_for: ForwardedFor<'a>,
    /// Boxed, since most requests have none and all are moved.
    pub trace: Option<Box<TraceFields<'a>>>,
    /// `cache-control: no-store`, `x-perijove-cache: bypass`.
    pub bypasses: bool,
    /// `cache-control: no-cache`.
    pub revalidates: bool,
    pub framing: RequestFraming<'a>,
}

/// The lines of `x-forwarded-for`; most requests have one or none.
#[derive(Clone, Debug, Default)]
pub(super) struct ForwardedFor<'a> {
    /// Written by the nearest proxy.
    latest: &'a [u8],
    /// Those before it, the first of them first.
    earlier: Vec<&'a [u8]>,
}

impl<'a> ForwardedFor<'a> {
    fn add(&mut self, line: &'a [u8]) {
        let before = std::mem::replace(&mut self.latest, line);
        if !before.is_empty() {
            self.earlier.push(before);
        }
    }

    /// Every entry, the latest first.
    pub(super) fn hops(&self) -> impl Iterator<Item = &'a [u8]> {
        let earlier = self.earlier.iter().rev().copied();
        let lines = std::iter::once(self.latest).chain(earlier);
        lines.flat_map(|line| line.rsplit(|byte| *byte == b',').map(<[u8]>::trim_ascii))
    }
}

/// The lines of a trace context. A second `traceparent` makes it none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TraceFields<'a> {
    pub parent: Option<&'a [u8]>,
    pub repeated: bool,
    states: [&'a [u8]; 4],
    lines: usize,
}

impl<'a> TraceFields<'a> {
    fn parent(&mut self, value: &'a [u8]) {
        self.repeated |= self.parent.replace(value).is_some();
    }

    fn state(&mut self, value: &'a [u8]) {
        if let Some(line) = self.states.get_mut(self.lines) {
            *line = value;
        }
        self.lines += 1;
    }

    /// The lines of `tracestate` in their order; none where there are more than anybody sends.
    pub(super) fn states(&self) -> &[&'a [u8]] {
        self.states.get(..self.lines).unwrap_or_default()
    }
}

/// What determines where a request ends, and what has to happen first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RequestFraming<'a> {
    pub content_length: Option<&'a [u8]>,
    pub host: Option<&'a [u8]>,
    /// It has more than one length and one host: a coding, an upgrade, an expectation, or a
    /// connection to be closed.
    pub special: bool,
}

impl<'a> RequestFields<'a> {
    /// Reads names (in any case) and values.
    pub(super) fn of(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut found = Self::default();
        for (name, value) in fields {
            found.add(name, value);
        }
        found
    }

    /// By length first: it tells most names apart, and most fields are none of these.
    fn add(&mut self, name: &[u8], value: &'a [u8]) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match name.len() {
            4 if is("host") => self.framing.host(value),
            6 if is("origin") => first(&mut self.origin, value),
            6 if is("expect") => self.framing.special = true,
            7 if is("upgrade") => self.framing.special = true,
            9 if is("x-api-key") => first(&mut self.api_key, value),
            10 if is("x-bigtable") => first(&mut self.bigtable, value),
            10 if is("x-priority") => first(&mut self.priority, value),
            10 if is("tracestate") => self.trace.get_or_insert_default().state(value),
            10 if is("connection") => self.framing.connection(value),
            11 if is("traceparent") => self.trace.get_or_insert_default().parent(value),
            12 if is("content-type") => first(&mut self.content_type, value),
            12 if is("x-request-id") => first(&mut self.request_id, value),
            13 if is("authorization") => first(&mut self.authorization, value),
            13 if is("cache-control") => self.cache_control(value),
            14 if is("content-length") => self.framing.length(value),
            15 if is("x-forwarded-for") => self.forwarded_for.add(value),
            15 if is("accept-encoding") => self.gzip.add(value),
            16 if is("x-perijove-cache") => self.bypasses |= says(value, b"bypass"),
            17 if is("transfer-encoding") => self.framing.special = true,
            19 if is("x-perijove-instance") => first(&mut self.instance, value),
            _ => {}
        }
    }

    fn cache_control(&mut self, value: &[u8]) {
        self.bypasses |= says(value, b"no-store");
        self.revalidates |= says(value, b"no-cache");
    }

    /// Whether the client accepts a compressed answer.
    pub(super) fn accepts_gzip(&self) -> bool {
        self.gzip.is_admitted()
    }

    /// Whether the caller disables long-term storage on the node, as Agave allows.
    pub(super) fn ledger_only(&self) -> bool {
        self.bigtable == Some(b"disabled")
    }

    /// The class that the caller requests. Unknown classes are ignored.
    pub(super) fn priority(&self) -> Option<Priority> {
        let word = self.priority?.trim_ascii();
        let named = |class: &Priority| word.eq_ignore_ascii_case(class.label().as_bytes());
        Priority::ALL.into_iter().find(named)
    }

    /// Whether the content type is JSON, in one of the three spellings that Agave's server accepts.
    pub(super) fn is_json(&self) -> bool {
        const SPELLINGS: [&str; 3] = [
            "application/json",
            "application/json; charset=utf-8",
            "application/json;charset=utf-8",
        ];
        let is = |value: &[u8], spelling: &str| value.eq_ignore_ascii_case(spelling.as_bytes());
        let value = self.content_type;
        value.is_some_and(|value| SPELLINGS.iter().any(|spelling| is(value, spelling)))
    }
}

impl<'a> RequestFraming<'a> {
    fn host(&mut self, value: &'a [u8]) {
        self.special |= self.host.replace(value).is_some();
    }

    fn length(&mut self, value: &'a [u8]) {
        self.special |= self.content_length.replace(value).is_some();
    }

    fn connection(&mut self, value: &[u8]) {
        self.special |= !value.eq_ignore_ascii_case(b"keep-alive");
    }
}

fn first<'a>(place: &mut Option<&'a [u8]>, value: &'a [u8]) {
    place.get_or_insert(value);
}

/// Whether a list contains this word.
pub(super) fn says(list: &[u8], word: &[u8]) -> bool {
    list.split(|byte| *byte == b',')
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'a>(fields: &[(&'a str, &'a str)]) -> RequestFields<'a> {
        let bytes = fields.iter();
        RequestFields::of(bytes.map(|(name, value)| (name.as_bytes(), value.as_bytes())))
    }

    #[test]
    fn content_types_are_taken_as_agave_takes_them() {
        for yes in [
            "application/json",
            "Application/JSON",
            "application/json; charset=UTF-8",
        ] {
            assert!(read(&[("Content-Type", yes)]).is_json(), "{yes}");
        }
        for no in [
            "",
            "text/plain",
            "application/json; charset=latin1",
            "application/jsonp",
        ] {
            assert!(!read(&[("content-type", no)]).is_json(), "{no}");
        }
        assert!(!read(&[]).is_json());
    }

    #[test]
    fn names_count_in_any_case_and_the_first_of_equals_counts() {
        let fields = read(&[
            ("ORIGIN", "a"),
            ("X-Api-Key", "key"),
            ("x-request-id", "1"),
            ("X-Request-Id", "2"),
            ("Authorization", "Bearer x"),
            ("X-Bigtable", "disabled"),
            ("Accept-Encoding", "gzip"),
        ]);
        assert_eq!(fields.origin, Some(&b"a"[..]));
        assert_eq!(fields.api_key, Some(&b"key"[..]));
        assert_eq!(fields.request_id, Some(&b"1"[..]));
        assert_eq!(fields.authorization, Some(&b"Bearer x"[..]));
        assert!(fields.ledger_only() && fields.accepts_gzip());
    }

    #[test]
    fn lines_of_a_trace_are_kept_in_their_order() {
        let fields = read(&[
            ("TraceParent", "00-a"),
            ("tracestate", "a=1"),
            ("Tracestate", "b=2"),
        ]);
        let trace = fields.trace.unwrap();
        assert_eq!(trace.parent, Some(&b"00-a"[..]));
        assert!(!trace.repeated);
        assert_eq!(trace.states(), [&b"a=1"[..], b"b=2"]);
        let twice = read(&[("traceparent", "00-a"), ("traceparent", "00-a")]);
        assert!(twice.trace.unwrap().repeated);
        let many = read(&[("tracestate", "a=1"); 5]);
        assert!(many.trace.unwrap().states().is_empty());
    }

    #[test]
    fn lines_of_a_list_are_one_list() {
        let fields = read(&[("accept-encoding", "br"), ("Accept-Encoding", "gzip;q=0.5")]);
        assert!(fields.accepts_gzip());
        let fields = read(&[
            ("x-forwarded-for", "a, b"),
            ("X-Forwarded-For", "c"),
            ("x-forwarded-for", ""),
        ]);
        let hops: Vec<&[u8]> = fields.forwarded_for.hops().collect();
        assert_eq!(hops, [&b""[..], b"c", b"b", b"a"]);
    }

    #[test]
    fn words_for_the_cache_count_wherever_they_stand() {
        let words = |fields| {
            let fields = read(fields);
            (fields.bypasses, fields.revalidates)
        };
        assert_eq!(words(&[("cache-control", "max-age=1")]), (false, false));
        assert_eq!(
            words(&[
                ("cache-control", "max-age=1, No-Cache"),
                ("accept", "no-store")
            ]),
            (false, true)
        );
        assert_eq!(
            words(&[("cache-control", "a"), ("Cache-Control", "no-store ,b")]),
            (true, false)
        );
        assert_eq!(words(&[("x-perijove-cache", "bypass")]), (true, false));
    }

    #[test]
    fn whatever_makes_framing_more_than_one_length_is_special() {
        for special in [
            &[("content-length", "1"), ("Content-Length", "1")][..],
            &[("host", "a"), ("host", "a")],
            &[("Transfer-Encoding", "chunked")],
            &[("Expect", "100-continue")],
            &[("upgrade", "websocket")],
            &[("connection", "close")],
            &[("connection", "keep-alive, upgrade")],
        ] {
            assert!(read(special).framing.special, "{special:?}");
        }
        let usual = [
            ("Host", "a"),
            ("Content-Length", "5"),
            ("Connection", "Keep-Alive"),
            ("Accept", "*/*"),
        ];
        let framing = read(&usual).framing;
        assert!(!framing.special);
        assert_eq!(framing.content_length, Some(&b"5"[..]));
        assert_eq!(framing.host, Some(&b"a"[..]));
    }
}
