//! Accounts that are read often: notifications of them are kept like answers that arrived at that
//! moment. Which accounts those are is counted in [`super::hot_reads`].
//!
//! A notification is valid as long as an answer of its slot, by the same rules. An account that has
//! not changed in a slot is therefore still read once in it: a missing notification may also be a
//! late one.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::cacheable::CacheableCall;
use super::hot_reads::HotRead;
use super::shared::Pipeline;
use crate::cache::AnswerOrigin;
use crate::jsonrpc::Answer;
use crate::snapshot::Snapshot;
use crate::solana::{self, Method};

impl CacheableCall<'_> {
    /// Counts a read of an account, if hot accounts are followed.
    pub(super) fn count_read(&self) {
        let request = self.request;
        let is_account = self.class.method == Method::GetAccountInfo;
        if !is_account
            || request.ledger_only
            || request.snapshot.config.cache.hot_accounts.most == 0
        {
            return;
        }
        let hot = &request.pipeline.hot;
        hot.count(self.keys.live, self.call, self.call_plan);
    }
}

/// The content of a notification.
#[derive(Deserialize)]
struct NotifiedAccount<'a> {
    context: NotifiedContext,
    #[serde(borrow)]
    value: &'a RawValue,
}

#[derive(Deserialize)]
struct NotifiedContext {
    slot: u64,
}

#[derive(Deserialize)]
struct CachedAccount {
    lamports: u64,
}

/// The members of an answer's context besides its slot.
#[derive(Deserialize)]
struct AnsweredContext<'a> {
    #[serde(borrow, rename = "apiVersion")]
    api_version: Option<&'a RawValue>,
}

/// A notification in the shape of an earlier answer, whose context may have more members.
fn as_answered(told: &[u8], before: &[u8]) -> Option<Vec<u8>> {
    let NotifiedAccount { context, value } = serde_json::from_slice(told).ok()?;
    let held: CachedAccount = serde_json::from_str(value.get()).ok()?;
    // For a deleted account, a notification differs from an answer.
    if held.lamports == 0 {
        return None;
    }
    let (before, _) = solana::wrapped_parts(before)?;
    let AnsweredContext { api_version } = serde_json::from_slice(before).ok()?;
    let version = api_version.map_or_else(String::new, |version| {
        format!(r#","apiVersion":{}"#, version.get())
    });
    let (slot, value) = (context.slot, value.get());
    Some(
        format!(
            r#"{{"jsonrpc":"2.0","result":{{"context":{{"slot":{slot}{version}}},"value":{value}}},"id":1}}"#
        )
        .into_bytes(),
    )
}

impl Pipeline {
    /// Keeps a notification of an account, `{"context":…,"value":…}`, from `upstream`, for calls
    /// that read it.
    pub fn keep_heard(&self, snapshot: &Snapshot, hot: &HotRead, told: &Bytes, upstream: &str) {
        let pool = &snapshot.pool;
        let generation = pool.generation();
        let upstream = pool
            .upstream(upstream)
            .filter(|one| !one.is_of_other_cluster());
        let (Some(upstream), Some(view)) = (upstream, pool.slots()) else {
            return;
        };
        // It is hot because it was read: an answer is there, valid or not.
        let before = self.cache.memory.get(&hot.key());
        let body = before
            .as_ref()
            .and_then(|before| as_answered(told, before.result()?));
        let Some(body) = body else {
            return;
        };
        let Ok(answer) = Answer::scan(Bytes::from(body)) else {
            return;
        };
        let class = hot.class();
        let dated = solana::keep(class, hot.params(), &answer);
        let source = AnswerOrigin {
            upstream: upstream.name(),
            reached: None,
        };
        let admitted = snapshot.cache.admit(&answer, &dated, class, &view, &source);
        if let Some((_, entry)) = admitted {
            self.cache.memory.put(hot.key(), Arc::new(entry));
            self.forget_since(generation, pool);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_takes_the_shape_of_what_was_answered() {
        let told =
            br#"{"context":{"slot":9},"value":{"lamports":3,"rentEpoch":18446744073709551615}}"#;
        let before = br#"{"context":{"apiVersion":"4.2.2","slot":7},"value":null}"#;
        let answer = as_answered(told, before).unwrap();
        let expected = br#"{"jsonrpc":"2.0","result":{"context":{"slot":9,"apiVersion":"4.2.2"},"value":{"lamports":3,"rentEpoch":18446744073709551615}},"id":1}"#;
        assert_eq!(answer, expected);
        let plain = as_answered(told, br#"{"context":{"slot":7},"value":{}}"#).unwrap();
        assert!(plain.starts_with(br#"{"jsonrpc":"2.0","result":{"context":{"slot":9},"value""#));
    }

    #[test]
    fn an_account_that_is_no_more_is_asked_for() {
        let before = br#"{"context":{"slot":7},"value":{}}"#;
        for told in [
            &br#"{"context":{"slot":9},"value":{"lamports":0}}"#[..],
            br#"{"context":{"slot":9},"value":null}"#,
            br#"{"value":{"lamports":1}}"#,
            b"9",
        ] {
            assert_eq!(as_answered(told, before), None);
        }
    }
}
