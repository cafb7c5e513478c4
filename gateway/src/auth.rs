//! Authentication: finds the consumer behind an API key before the request body is read.
//!
//! Keys come where Solana clients and providers put them: the `x-api-key` header, a bearer token,
//! the `api-key` query parameter or a path segment (clients keep path and query of the URL they are
//! given). Where no key is shown, a client certificate may tell who calls. Not here: what a consumer
//! may do.

use std::collections::HashMap;

pub use client_certificate::ClientCertificate;

use crate::config::{Config, KeyHash};
use crate::error::Rejection;
use crate::jupiter::is_own_key;
pub use consumer_id::ConsumerId;
pub use tokens::plan_of_token;
use tokens::{Moment, TokenFault, Tokens};

mod client_certificate;
mod consumer_id;
mod tokens;

/// The parts of a request head that may carry a key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Credentials<'a> {
    /// Value of `x-api-key`.
    pub api_key: Option<&'a [u8]>,
    /// Value of `authorization`.
    pub authorization: Option<&'a [u8]>,
    pub path: &'a str,
    pub query: Option<&'a str>,
    /// The certificate of its connection, which an authority of the listener's has issued.
    pub certificate: Option<&'a ClientCertificate>,
}

/// All configured consumers, by key.
///
/// Only hashes of keys are stored and compared, so the duration of a lookup reveals nothing about a
/// key.
#[derive(Debug, Default)]
pub struct Consumers {
    by_key: HashMap<KeyHash, ConsumerId>,
    /// By the names in their certificates.
    by_certificate: HashMap<Box<str>, ConsumerId>,
    tokens: Option<Tokens>,
    /// Whether keys are configured at all, even if there are none at the moment.
    has_keys: bool,
    anonymous: bool,
}

impl Consumers {
    pub fn new(config: &Config) -> Self {
        let by_key = config
            .consumers
            .iter()
            .flat_map(|consumer| {
                let id: ConsumerId = consumer.id.as_str().into();
                consumer
                    .hashes()
                    .map(move |hash| (hash, ConsumerId::clone(&id)))
            })
            .collect();
        let names = config.consumers.iter().flat_map(|consumer| {
            let id: ConsumerId = consumer.id.as_str().into();
            let names = consumer.certificates.iter();
            names.map(move |name| (name.as_str().into(), ConsumerId::clone(&id)))
        });
        let plans = || config.plans.iter().map(|plan| plan.id.clone()).collect();
        Self {
            by_key,
            by_certificate: names.collect(),
            tokens: config.jwt.as_ref().map(|jwt| Tokens::new(jwt, plans())),
            has_keys: config.has_keys(),
            anonymous: config.anonymous,
        }
    }

    /// The consumer of the key in the request; `None` for an admitted anonymous caller.
    ///
    /// A wrong key in a header or the query is refused even where anonymous callers are admitted:
    /// its owner believes to have a plan and must learn otherwise. A path segment that is not a key
    /// is just a path. A key counts for more than a certificate, which proxies show for all of their
    /// callers.
    ///
    /// # Errors
    /// [`Rejection::Unauthorised`] for a wrong key, or none where one is required;
    /// [`Rejection::TokenExpired`].
    pub fn identify(&self, credentials: &Credentials<'_>) -> Result<Option<ConsumerId>, Rejection> {
        let identity = self.identify_at(credentials, Moment::Request)?;
        Ok(identity.consumer)
    }

    /// The same, with the key that told who calls.
    ///
    /// # Errors
    /// As [`Self::identify`].
    pub fn identity<'a>(
        &self,
        credentials: &Credentials<'a>,
    ) -> Result<CallerIdentity<'a>, Rejection> {
        self.identify_at(credentials, Moment::Request)
    }

    /// The same for a socket that is open already: its token may have expired since.
    ///
    /// # Errors
    /// As [`Self::identify`], without [`Rejection::TokenExpired`].
    pub fn identify_open(
        &self,
        credentials: &Credentials<'_>,
    ) -> Result<Option<ConsumerId>, Rejection> {
        let identity = self.identify_at(credentials, Moment::OpenSocket)?;
        Ok(identity.consumer)
    }

    fn identify_at<'a>(
        &self,
        credentials: &Credentials<'a>,
        moment: Moment,
    ) -> Result<CallerIdentity<'a>, Rejection> {
        if !self.has_keys {
            return self.nobody();
        }
        let by_key = |key, owner: Result<ConsumerId, Rejection>| {
            owner.map(|consumer| CallerIdentity {
                consumer: Some(consumer),
                key: Some(key),
            })
        };
        if let Some(shown) = credentials.explicit() {
            let owner = self.owner(shown, moment);
            return by_key(shown.text, owner.unwrap_or(Err(Rejection::Unauthorised)));
        }
        let mut segments = credentials.segments();
        let found = segments.find_map(|shown| Some((shown.text, self.owner(shown, moment)?)));
        if let Some((key, owner)) = found {
            return by_key(key, owner);
        }
        match credentials.certificate.and_then(|shown| self.named(shown)) {
            Some(consumer) => Ok(CallerIdentity {
                consumer: Some(consumer),
                key: None,
            }),
            None => self.nobody(),
        }
    }

    /// The consumer whose certificate this is.
    fn named(&self, certificate: &ClientCertificate) -> Option<ConsumerId> {
        let mut names = certificate.names();
        names
            .find_map(|name| self.by_certificate.get(name))
            .cloned()
    }

    /// The owner of a key, or of a token in its place; `None` if it is neither.
    fn owner(&self, shown: ShownKey<'_>, moment: Moment) -> Option<Result<ConsumerId, Rejection>> {
        let decoded = shown.decoded();
        let key = decoded.as_deref().unwrap_or(shown.text);
        // People who paste a key into a URL do not encode it.
        if let Some(consumer) = self.find(shown.text).or_else(|| self.find(key)) {
            return Some(Ok(consumer));
        }
        let identified = self.tokens.as_ref()?.identify(key, moment)?;
        Some(identified.map_err(|fault| match fault {
            TokenFault::Expired => Rejection::TokenExpired,
            TokenFault::Bad => Rejection::Unauthorised,
        }))
    }

    /// Whether the value of `authorization` is a token that somebody else has issued, such as the one
    /// that Jupiter gives its users: a JSON Web Token that is none of the gateway's own, valid or
    /// not, and no key of it. Everything else in `authorization` is meant for the gateway.
    pub fn is_foreign_token(&self, authorization: &[u8]) -> bool {
        let Some(token) = bearer_token(authorization).filter(|token| tokens::is_token(token))
        else {
            return false;
        };
        let own = |tokens: &Tokens| tokens.may_be_own(token);
        self.find(token).is_none() && !self.tokens.as_ref().is_some_and(own)
    }

    /// Whether callers without a key are admitted.
    pub fn admits_anonymous(&self) -> bool {
        self.anonymous
    }

    fn find(&self, key: &[u8]) -> Option<ConsumerId> {
        self.by_key.get(&KeyHash::of(key)).cloned()
    }

    fn nobody<'a>(&self) -> Result<CallerIdentity<'a>, Rejection> {
        if self.anonymous {
            Ok(CallerIdentity::default())
        } else {
            Err(Rejection::Unauthorised)
        }
    }
}

/// Who calls, and what told so. Never printed.
#[derive(Default)]
pub struct CallerIdentity<'a> {
    /// `None` for an admitted anonymous caller.
    pub consumer: Option<ConsumerId>,
    /// The key or token as it was written, without the rest of the path it may stand in; `None` where
    /// a certificate told, or nothing.
    pub key: Option<&'a [u8]>,
}

impl<'a> Credentials<'a> {
    /// The part of the request that may be meant as a key: the path, if nothing else is.
    pub fn shown_key(&self) -> Option<&'a [u8]> {
        let path = self.path.as_bytes();
        let names_something = || path.iter().any(|byte| *byte != b'/');
        self.explicit_key()
            .or_else(|| names_something().then_some(path))
    }

    /// What is compared with the keys, as it was written: the explicit key, else each segment of the
    /// path.
    pub fn shown_keys(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let explicit = self.explicit();
        let segments = explicit.is_none().then(|| self.segments());
        let shown = explicit.into_iter().chain(segments.into_iter().flatten());
        shown.map(|shown| shown.text)
    }

    /// What is meant as a key and nothing else, as it was written.
    pub fn explicit_key(&self) -> Option<&'a [u8]> {
        Some(self.explicit()?.text)
    }

    /// A field or parameter without content shows no key.
    fn explicit(&self) -> Option<ShownKey<'a>> {
        let is_something = |key: &&[u8]| !key.is_empty();
        let field = self.api_key.map(<[u8]>::trim_ascii).filter(is_something);
        let bearer = || {
            let token = self.authorization.and_then(bearer_token);
            token.filter(is_something)
        };
        let in_field = field.or_else(bearer).map(|text| ShownKey {
            text,
            is_in_url: false,
        });
        in_field.or_else(|| self.query.and_then(key_in_query).map(ShownKey::in_url))
    }

    fn segments(&self) -> impl Iterator<Item = ShownKey<'a>> + use<'a> {
        let segments = self.path.split('/').map(str::as_bytes);
        segments
            .filter(|segment| !segment.is_empty())
            .map(ShownKey::in_url)
    }
}

/// A key as a request shows it.
#[derive(Clone, Copy)]
struct ShownKey<'a> {
    text: &'a [u8],
    /// Some of its bytes may be percent-encoded.
    is_in_url: bool,
}

impl<'a> ShownKey<'a> {
    const fn in_url(text: &'a [u8]) -> Self {
        Self {
            text,
            is_in_url: true,
        }
    }

    /// What it stands for, if it is in a URL and some of it is encoded. A `+` stays one, also in a
    /// query: no key has a space.
    fn decoded(self) -> Option<Vec<u8>> {
        if !self.is_in_url || !self.text.contains(&b'%') {
            return None;
        }
        let digit = |at: usize| char::from(*self.text.get(at)?).to_digit(16);
        let (mut decoded, mut at) = (Vec::with_capacity(self.text.len()), 0);
        while let Some(byte) = self.text.get(at) {
            let pair = digit(at + 1).zip(digit(at + 2));
            let encoded = pair.filter(|_| *byte == b'%');
            let encoded = encoded.and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
            at += if encoded.is_some() { 3 } else { 1 };
            decoded.push(encoded.unwrap_or(*byte));
        }
        Some(decoded)
    }
}

fn bearer_token(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked(b"bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then_some(token.trim_ascii())
}

fn key_in_query(query: &str) -> Option<&[u8]> {
    query.split('&').find_map(|pair| {
        let (_, value) = pair.split_once('=')?;
        let is_key = is_own_key(pair) && !value.is_empty();
        is_key.then_some(value.as_bytes())
    })
}

#[cfg(test)]
mod tests;
