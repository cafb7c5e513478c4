//! Which requests are recorded, decided before anything is spent on them.

use super::context::TraceContext;

/// What becomes of traces, by the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sampling {
    /// Spans are exported at all.
    pub exports: bool,
    /// Share of the traces that begin here and are recorded, 0 to 1.
    pub ratio: f64,
    /// A client that records its trace has it recorded here.
    pub by_parent: bool,
    /// Some upstream is told of traces.
    pub propagates: bool,
}

impl Sampling {
    /// Whether a request is recorded.
    pub fn samples(&self, client: Option<&TraceContext>) -> bool {
        if !self.exports {
            return false;
        }
        match client {
            Some(client) if self.by_parent => client.sampled,
            _ => self.ratio >= 1.0 || (self.ratio > 0.0 && fastrand::f64() < self.ratio),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(sampled: bool) -> TraceContext {
        TraceContext::begin(sampled)
    }

    #[test]
    fn a_clients_word_counts_and_else_the_ratio() {
        let sampling = |ratio, by_parent| Sampling {
            exports: true,
            ratio,
            by_parent,
            propagates: false,
        };
        for (ratio, by_parent, parent, samples) in [
            (0.0, true, Some(client(true)), true),
            (1.0, true, Some(client(false)), false),
            (1.0, false, Some(client(false)), true),
            (0.0, false, Some(client(true)), false),
            (1.0, true, None, true),
            (0.0, true, None, false),
        ] {
            let decided = sampling(ratio, by_parent).samples(parent.as_ref());
            assert_eq!(decided, samples, "{ratio} {by_parent} {parent:?}");
        }
        let half = sampling(0.5, true);
        let sampled = (0..10_000).filter(|_| half.samples(None)).count();
        assert!((4_000..6_000).contains(&sampled), "{sampled}");
        let off = Sampling {
            exports: false,
            ..sampling(1.0, true)
        };
        assert!(!off.samples(Some(&client(true))) && !off.samples(None));
    }
}
