//! The plan of a call: its class, and the keys its answer may be stored under. Computed once for
//! repeated calls: parsing and hashing their parameters costs more than the memory lookup that
//! follows.
//!
//! Nothing here depends on the configuration. What depends on the cluster is computed again when
//! the cluster changes.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};

use crate::cache::{CacheKey, KeyScope, ScopedKeys};
use crate::jsonrpc::Call;
use crate::solana::{self, Class, Finality, Idempotency};

/// Approximate memory of all remembered calls, in bytes.
const MOST: u64 = 4 * 1024 * 1024;

/// Approximate memory of one call besides its text.
const OVERHEAD: usize = 256;

/// Longer calls are parsed each time.
const LONGEST: usize = 1024;

/// The plan of a call.
#[derive(Clone, Debug)]
pub(super) struct CallPlan {
    pub class: Class,
    /// `None` for calls that no other call's answer can answer.
    pub cache_keys: Option<CacheKeys>,
}

/// Where the answer to a call may be stored.
#[derive(Clone, Debug)]
pub(super) struct CacheKeys {
    /// The genesis hash.
    pub cluster: Arc<String>,
    /// Answers at the call's commitment.
    pub live: CacheKey,
    /// Permanent answers, for the methods that have such.
    pub permanent: Option<CacheKey>,
    /// The identical call in flight.
    pub in_flight: CacheKey,
}

impl CallPlan {
    /// Parses the call. `variant` is what else distinguishes its answers; without a cluster there
    /// are no keys.
    fn of(call: &Call, variant: &[u8], cluster: Option<&Arc<String>>) -> Self {
        let class = solana::classify(call.method(), call.params());
        let places = cluster.and_then(|cluster| CacheKeys::of(call, &class, variant, cluster));
        Self {
            class,
            cache_keys: places,
        }
    }

    /// A method that the configuration declares a read. Nothing is known of its answers, so they
    /// have no keys.
    pub(super) fn of_a_read() -> Self {
        Self {
            class: Class::foreign(Some(solana::Extension::Read)),
            cache_keys: None,
        }
    }
}

impl CacheKeys {
    fn of(call: &Call, class: &Class, variant: &[u8], cluster: &Arc<String>) -> Option<Self> {
        let profile = class.profile();
        if profile.idempotency != Idempotency::Read || profile.node_specific() {
            return None;
        }
        let canonical = solana::canonical(class, call.params())?;
        let scope = KeyScope::AtCommitment(class.context.commitment);
        let keys = ScopedKeys::new(cluster, &canonical, variant);
        let here = keys.at(scope);
        let flight = match class.context.min_context_slot {
            None => here,
            // Its answer or refusal is not valid for calls that request another slot.
            Some(slot) => {
                let variant = [variant, b"@", &slot.0.to_be_bytes()].concat();
                ScopedKeys::new(cluster, &canonical, &variant).at(scope)
            }
        };
        Some(Self {
            cluster: Arc::clone(cluster),
            live: here,
            permanent: may_become_permanent(profile.finality).then(|| keys.at(KeyScope::Permanent)),
            in_flight: flight,
        })
    }
}

/// Whether answers of this finality may become permanent.
const fn may_become_permanent(finality: Finality) -> bool {
    matches!(
        finality,
        Finality::Pinned | Finality::PerEpoch | Finality::Genesis
    )
}

/// The plans of earlier calls.
#[derive(Debug)]
pub(super) struct CallPlans(Cache<OwnedCallText, Arc<CallPlan>, ByLength>);

impl Default for CallPlans {
    fn default() -> Self {
        let usual = usize::try_from(MOST).unwrap_or(usize::MAX) / (2 * OVERHEAD);
        Self(Cache::with_weighter(usual, MOST, ByLength))
    }
}

impl CallPlans {
    /// The plan of a call in this cluster.
    pub(super) fn of(
        &self,
        call: &Call,
        variant: &'static [u8],
        cluster: Option<&Arc<String>>,
    ) -> Arc<CallPlan> {
        let words = CallText {
            method: call.method(),
            params: call.params().unwrap_or_default(),
            variant,
        };
        if words.method.len() + words.params.len() > LONGEST {
            return Arc::new(CallPlan::of(call, variant, cluster));
        }
        if let Some(known) = self.0.get(&words)
            && known.is_in(cluster)
        {
            return known;
        }
        let call_plan = Arc::new(CallPlan::of(call, variant, cluster));
        if call_plan.cache_keys.is_some() {
            self.0.insert(words.to_text(), Arc::clone(&call_plan));
        }
        call_plan
    }
}

impl CallPlan {
    fn is_in(&self, cluster: Option<&Arc<String>>) -> bool {
        let known = self.cache_keys.as_ref().map(|places| &places.cluster);
        known == cluster
    }
}

/// The text of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct CallText<'a> {
    method: &'a str,
    params: &'a [u8],
    variant: &'static [u8],
}

/// The same, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OwnedCallText {
    method: Box<str>,
    params: Box<[u8]>,
    variant: &'static [u8],
}

impl CallText<'_> {
    fn to_text(self) -> OwnedCallText {
        OwnedCallText {
            method: self.method.into(),
            params: self.params.into(),
            variant: self.variant,
        }
    }
}

impl OwnedCallText {
    fn words(&self) -> CallText<'_> {
        CallText {
            method: &self.method,
            params: &self.params,
            variant: self.variant,
        }
    }
}

/// As [`CallText`] do.
impl Hash for OwnedCallText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.words().hash(state);
    }
}

impl Equivalent<OwnedCallText> for CallText<'_> {
    fn equivalent(&self, text: &OwnedCallText) -> bool {
        *self == text.words()
    }
}

#[derive(Clone, Debug)]
struct ByLength;

impl Weighter<OwnedCallText, Arc<CallPlan>> for ByLength {
    fn weight(&self, text: &OwnedCallText, _: &Arc<CallPlan>) -> u64 {
        let bytes = OVERHEAD + text.method.len() + text.params.len();
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::jsonrpc::{self, RequestEntry, RequestPayload};

    fn call(method: &str, params: &str) -> Call {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        match jsonrpc::parse(&Bytes::from(body), 1) {
            Ok(RequestPayload::Single(RequestEntry::Call(call))) => call,
            other => panic!("{other:?}"),
        }
    }

    fn cluster(name: &str) -> Arc<String> {
        Arc::new(name.to_owned())
    }

    #[test]
    fn a_call_that_was_read_before_means_what_it_meant_then() {
        let call_plans = CallPlans::default();
        let cluster = cluster("genesis");
        for (method, params) in [
            ("getBalance", r#"["x",{"minContextSlot":7}]"#),
            ("getBalance", r#"["x"]"#),
            ("getTransaction", r#"["x","base64"]"#),
            ("sendTransaction", r#"["x"]"#),
        ] {
            let call = call(method, params);
            let read = CallPlan::of(&call, b"", Some(&cluster));
            for _ in 0..2 {
                let call_plan = call_plans.of(&call, b"", Some(&cluster));
                assert_eq!(call_plan.class, read.class);
                let keys = |call_plan: &CallPlan| {
                    let places = call_plan.cache_keys.as_ref();
                    places.map(|places| (places.live, places.permanent, places.in_flight))
                };
                assert_eq!(keys(&call_plan), keys(&read), "{method} {params}");
            }
        }
        assert_eq!(
            call_plans.0.len(),
            3,
            "what is never kept is not remembered"
        );
    }

    #[test]
    fn equal_words_of_another_cluster_or_variant_have_places_of_their_own() {
        let call_plans = CallPlans::default();
        let call = call("getBalance", r#"["x"]"#);
        let here = |variant, cluster: Option<&Arc<String>>| {
            let call_plan = call_plans.of(&call, variant, cluster);
            call_plan.cache_keys.as_ref().map(|places| places.live)
        };
        let (one, other) = (cluster("one"), cluster("other"));
        let first = here(b"", Some(&one));
        assert!(first.is_some());
        assert_ne!(here(b"ledger only", Some(&one)), first);
        assert_ne!(here(b"", Some(&other)), first);
        assert_eq!(here(b"", None), None);
        assert_eq!(here(b"", Some(&cluster("one"))), first);
    }

    #[test]
    fn method_and_parameters_are_not_run_together() {
        let (a, b) = (b"", b"");
        let words = |method, params| CallText {
            method,
            params,
            variant: a,
        };
        assert_ne!(words("ab", b"c"), words("a", b"bc"));
        assert!(!words("ab", b"c").equivalent(&words("a", b"bc").to_text()));
        assert!(words("ab", b).equivalent(&words("ab", a).to_text()));
    }
}
