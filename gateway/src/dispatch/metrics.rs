//! Counters of retries, hedges and failovers.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use crate::solana::{FaultKind, Method};

#[derive(Clone, Debug)]
pub struct DispatchMetrics {
    retries: IntCounterVec,
    hedges: IntCounterVec,
    exhausted: IntCounter,
    failovers: IntCounterVec,
    history: IntCounterVec,
    unknown_methods: IntCounterVec,
}

impl DispatchMetrics {
    /// # Errors
    /// When one of the names is taken in `registry`.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let retries = IntCounterVec::new(
            Opts::new(
                "perijove_dispatch_retries_total",
                "Attempts repeated on another upstream, by the fault that caused them",
            ),
            &["reason"],
        )?;
        let hedges = IntCounterVec::new(
            Opts::new(
                "perijove_dispatch_hedges_total",
                "Attempts started while another was unanswered (hedged reads, resent \
                 transactions): started, won, or no_budget",
            ),
            &["result"],
        )?;
        let exhausted = IntCounter::new(
            "perijove_dispatch_retry_budget_exhausted_total",
            "Retries and hedges suppressed because the retry budget was spent",
        )?;
        let failovers = IntCounterVec::new(
            Opts::new(
                "jupiter_api_rpc_failover_total",
                "Calls answered by an upstream other than the first one tried",
            ),
            &["from", "to"],
        )?;
        let history = IntCounterVec::new(
            Opts::new(
                "perijove_dispatch_history_total",
                "Empty answers checked with an upstream that has more history, by result: found, \
                 nothing, failed, or limited (not checked, because too many checks found nothing)",
            ),
            &["method", "result"],
        )?;
        registry.register(Box::new(history.clone()))?;
        let unknown_methods = IntCounterVec::new(
            Opts::new(
                "perijove_dispatch_unknown_methods_total",
                "Calls of unknown methods that the first upstream refused: searched (other \
                 upstreams were asked) or answered (with the refusal)",
            ),
            &["result"],
        )?;
        registry.register(Box::new(unknown_methods.clone()))?;
        registry.register(Box::new(retries.clone()))?;
        registry.register(Box::new(hedges.clone()))?;
        registry.register(Box::new(exhausted.clone()))?;
        registry.register(Box::new(failovers.clone()))?;
        let metrics = Self {
            retries,
            hedges,
            exhausted,
            failovers,
            history,
            unknown_methods,
        };
        metrics.begin();
        Ok(metrics)
    }

    /// Creates every family at the start.
    fn begin(&self) {
        for fault in FaultKind::ALL.iter().filter(|kind| kind.is_transient()) {
            self.retries.with_label_values(&[fault.label()]);
        }
        for result in ["started", "won", "no_budget"] {
            self.hedges.with_label_values(&[result]);
        }
        for result in ["searched", "answered"] {
            self.unknown_methods.with_label_values(&[result]);
        }
        for result in ["found", "nothing", "failed"] {
            self.history
                .with_label_values(&[Method::GetTransaction.label(), result]);
        }
    }

    pub(super) fn retry(&self, reason: FaultKind) {
        self.retries.with_label_values(&[reason.label()]).inc();
    }

    /// `result` is one of `started`, `won`, `no_budget`.
    pub(super) fn hedge(&self, result: &'static str) {
        self.hedges.with_label_values(&[result]).inc();
    }

    /// `result` is one of `found`, `nothing`, `failed`.
    pub(super) fn history(&self, method: Method, result: &'static str) {
        let labels = [method.label(), result];
        self.history.with_label_values(&labels).inc();
    }

    /// A retry or hedge was suppressed by the budget.
    pub fn budget_exhausted(&self) {
        self.exhausted.inc();
    }

    /// The first upstream does not know an unknown method.
    pub(super) fn unknown_method(&self, searched: bool) {
        let result = if searched { "searched" } else { "answered" };
        self.unknown_methods.with_label_values(&[result]).inc();
    }

    /// The configured upstreams: failovers between any two of them are counted from zero.
    pub fn expect(&self, upstreams: &[&str]) {
        /// With more upstreams, pairs appear with their first failover.
        const FEW: usize = 8;
        for from in upstreams.iter().take(FEW) {
            for to in upstreams.iter().take(FEW).filter(|to| *to != from) {
                self.failovers.with_label_values(&[from, to]);
            }
        }
    }

    /// A request was answered by another upstream than usual.
    pub fn failover(&self, from: &str, to: &str) {
        self.failovers.with_label_values(&[from, to]).inc();
    }
}
