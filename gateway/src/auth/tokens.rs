//! JSON Web Tokens in place of keys: who owns a token, and whether it is valid now.

use std::collections::HashSet;
use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode, decode_header};
use quick_cache::sync::Cache;
use serde_json::{Map, Value};
use tokio::time::{Duration, Instant};

use super::consumer_id::ConsumerId;
use crate::config::{Jwt, TokenKey};

/// Longer tokens are not valid.
const LONGEST: usize = 8 * 1024;
const LONGEST_NAME: usize = 255;

/// How many valid tokens are remembered, and for how long: checking a signature takes as long as a
/// memory hit.
const REMEMBERED: usize = 10_000;
const REMEMBER: Duration = Duration::from_secs(5);

/// Precedes the plan in the name of a caller with a token. No configured consumer has a colon in
/// its name.
const MARK: &str = "token:";

/// Checks tokens by one configuration.
#[derive(Debug)]
pub(super) struct Tokens {
    settings: Jwt,
    keys: Vec<TokenKey>,
    plans: HashSet<String>,
    good: Cache<[u8; 32], (ConsumerId, Instant)>,
}

/// When a token is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    Request,
    /// While the socket that it opened lasts: it may have expired since.
    OpenSocket,
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenFault {
    /// It used to be valid.
    Expired,
    Bad,
}

impl Tokens {
    pub(super) fn new(settings: &Jwt, plans: HashSet<String>) -> Self {
        // It was validated when the configuration was read.
        let keys = TokenKey::all(settings.key_set.expose())
            .unwrap_or_default()
            .0;
        Self {
            settings: settings.clone(),
            keys,
            plans,
            good: Cache::new(REMEMBERED),
        }
    }

    /// The owner of a token. `None` if it does not look like a token.
    pub(super) fn identify(
        &self,
        token: &[u8],
        moment: Moment,
    ) -> Option<Result<ConsumerId, TokenFault>> {
        if !has_three_parts(token) {
            return None;
        }
        let fingerprint = *blake3::hash(token).as_bytes();
        if let Some((consumer, until)) = self.good.get(&fingerprint)
            && Instant::now() < until
        {
            return Some(Ok(consumer));
        }
        if !has_header(token) {
            return None;
        }
        let checked = self.check(token, moment);
        if let Ok(consumer) = &checked
            && moment == Moment::Request
        {
            let known = (Arc::clone(consumer), Instant::now() + REMEMBER);
            self.good.insert(fingerprint, known);
        }
        Some(checked)
    }

    /// Whether a token may be one of those that are issued for the gateway, also one that is not valid any
    /// more: it names one of the keys or the issuer, is signed with one of the keys, or says too little
    /// to tell.
    pub(super) fn may_be_own(&self, token: &[u8]) -> bool {
        let Ok(header) = decode_header(token) else {
            return true;
        };
        let named = header.kid.as_deref().is_some_and(|id| {
            let mut keys = self.keys.iter();
            keys.any(|key| key.id.as_deref() == Some(id))
        });
        let issuer = self.settings.issuer.as_deref();
        named
            || issuer.is_some_and(|issuer| claim(token, "iss").is_none_or(|told| told == issuer))
            || self
                .keys
                .iter()
                .any(|key| is_signed(token, header.alg, key))
    }

    fn check(&self, token: &[u8], moment: Moment) -> Result<ConsumerId, TokenFault> {
        let header = decode_header(token).map_err(|_error| TokenFault::Bad)?;
        let key = self.key(header.kid.as_deref()).ok_or(TokenFault::Bad)?;
        // The algorithm named in the token only selects among those allowed for the key.
        if !key.algorithms.contains(&header.alg) {
            return Err(TokenFault::Bad);
        }
        let claims =
            decode::<Map<String, Value>>(token, &key.key, &self.validation(header.alg, moment));
        let claims = claims.map_err(|error| match error.kind() {
            ErrorKind::ExpiredSignature => TokenFault::Expired,
            _ => TokenFault::Bad,
        })?;
        self.consumer(&claims.claims).ok_or(TokenFault::Bad)
    }

    /// The key that a token names by its id; without an id, the only one.
    fn key(&self, id: Option<&str>) -> Option<&TokenKey> {
        match (id, self.keys.as_slice()) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(id), keys) => keys
                .iter()
                .find(|key| key.id.as_deref() == Some(id))
                .or_else(|| {
                    keys.first()
                        .filter(|only| keys.len() == 1 && only.id.is_none())
                }),
        }
    }

    fn validation(&self, algorithm: jsonwebtoken::Algorithm, moment: Moment) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = self.settings.leeway.as_secs();
        validation.validate_nbf = true;
        validation.validate_exp = moment == Moment::Request;
        validation.validate_aud = !self.settings.audience.is_empty();
        validation.set_required_spec_claims(&["exp"]);
        if validation.validate_aud {
            validation.set_audience(&self.settings.audience);
            validation.required_spec_claims.insert("aud".to_owned());
        }
        if let Some(issuer) = &self.settings.issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".to_owned());
        }
        validation
    }

    /// The name of a caller, which includes the plan.
    fn consumer(&self, claims: &Map<String, Value>) -> Option<ConsumerId> {
        let text = |claim: &str| match claims.get(claim) {
            None | Some(Value::Null) => Some(None),
            Some(Value::String(text)) => Some(Some(text.as_str())),
            Some(_) => None,
        };
        let plan = text(&self.settings.plan_claim)?.unwrap_or(&self.settings.plan);
        let name = text(&self.settings.consumer_claim)??;
        let fits =
            !name.is_empty() && name.len() <= LONGEST_NAME && !name.contains(char::is_control);
        (fits && self.plans.contains(plan)).then(|| format!("{MARK}{plan}:{name}").into())
    }
}

/// Whether it looks like a token.
pub(super) fn is_token(token: &[u8]) -> bool {
    has_three_parts(token) && has_header(token)
}

fn has_three_parts(token: &[u8]) -> bool {
    memchr::memchr_iter(b'.', token).count() == 2 && token.len() <= LONGEST
}

/// Whether a token is signed with a key, whatever it claims.
fn is_signed(token: &[u8], algorithm: jsonwebtoken::Algorithm, key: &TokenKey) -> bool {
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    key.algorithms.contains(&algorithm)
        && decode::<Map<String, Value>>(token, &key.key, &validation).is_ok()
}

/// A claim that is a text, unverified.
fn claim(token: &[u8], name: &str) -> Option<String> {
    let claims = part(token, 1)?;
    Some(claims.get(name)?.as_str()?.to_owned())
}

/// Whether the first part is a JSON object, as a token's is: a path may have a segment with two dots
/// that is none.
fn has_header(token: &[u8]) -> bool {
    part(token, 0).is_some()
}

/// The JSON object that is one of the parts of a token.
fn part(token: &[u8], index: usize) -> Option<Map<String, Value>> {
    use base64::Engine as _;
    let part = token.split(|byte| *byte == b'.').nth(index)?;
    let decoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part);
    serde_json::from_slice(&decoded.ok()?).ok()
}

/// The plan in the name of a caller with a token.
pub fn plan_of_token(consumer: &str) -> Option<&str> {
    let (plan, _name) = consumer.strip_prefix(MARK)?.split_once(':')?;
    Some(plan)
}

#[cfg(test)]
mod tests;
