//! Tokens signed by an identity provider: which are accepted, and for whom.

use std::path::PathBuf;
use std::time::Duration;

use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse,
};
use jsonwebtoken::{Algorithm, DecodingKey};
use perijove_core::Secret;
use perijove_core::settings::Section;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::consumer::plan_of;
use super::{DEFAULT_PLAN, Plan};

/// Which JSON Web Tokens are accepted in place of a key.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct Jwt {
    /// File with the public keys (for HS256 and the like the secrets) as a JSON Web Key Set.
    pub jwks: PathBuf,
    /// Its content.
    #[schemars(skip)]
    pub key_set: Secret,
    /// Required issuer of tokens; by default anybody who signs with one of the keys.
    pub issuer: Option<String>,
    /// A token must be meant for one of these audiences; any if empty.
    pub audience: Vec<String>,
    /// The claim that identifies the caller.
    pub consumer_claim: String,
    /// The claim that names the plan.
    pub plan_claim: String,
    /// The plan of callers whose token names none.
    pub plan: String,
    /// How far clocks may differ.
    pub leeway: Duration,
}

/// A key that checks signatures.
#[derive(Clone)]
pub struct TokenKey {
    /// The id by which tokens refer to it.
    pub id: Option<String>,
    /// The only algorithms it may be used with: otherwise anybody who knows a public key could use
    /// it as the secret of another algorithm.
    pub algorithms: Vec<Algorithm>,
    pub key: DecodingKey,
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenKey({:?}, {:?})", self.id, self.algorithms)
    }
}

/// A key set whose keys are read one by one: those of unknown kinds do not spoil it.
#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

/// Why a key of a set is not used.
enum KeyFault {
    /// Tokens signed with it are refused; the other keys are used.
    Unusable(&'static str),
    /// The whole set is refused.
    Dangerous(&'static str),
}

/// Shorter secrets can be guessed (RFC 7518 §3.2).
const LEAST_SECRET: usize = 32;
/// Bits of an RSA key; the library checks no signatures of shorter ones (RFC 7518 §3.3).
const LEAST_RSA: usize = 2048;

impl Jwt {
    pub(super) fn read(section: &mut Section<'_>, plans: &[Plan]) -> Option<Self> {
        let written = section.has("jwt");
        section.nested("jwt", |section| {
            let jwks: Option<PathBuf> = if written {
                section.required("jwks")
            } else {
                section.optional("jwks")
            };
            let text = jwks
                .as_ref()
                .and_then(|file| section.contents("jwks", file));
            match text.as_deref().map(TokenKey::all) {
                Some(Err(fault)) => section.violation("jwks", fault),
                Some(Ok((_, left_out))) => {
                    for fault in left_out {
                        section.warn("jwks", format!("{fault}; it is left out"));
                    }
                }
                None => {}
            }
            let leeway = Duration::ZERO..=Duration::from_mins(10);
            let issuer = section.optional("issuer");
            let audience: Vec<String> = section.list_or("audience", Vec::new());
            let consumer_claim = section.or("consumer_claim", "sub".to_owned());
            let plan_claim = section.or("plan_claim", "plan".to_owned());
            let plan = plan_of(section, "plan", plans);
            let leeway = section.within("leeway", Duration::from_secs(30), leeway);
            if written && audience.is_empty() {
                section.warn(
                    "audience",
                    "is not set: tokens that were issued for other services are accepted too",
                );
            }
            let jwks = jwks?;
            Some(Self {
                jwks: section.resolve(&jwks),
                key_set: Secret::new(text.unwrap_or_default()),
                issuer,
                audience,
                consumer_claim,
                plan_claim,
                plan: plan.unwrap_or_else(|| DEFAULT_PLAN.to_owned()),
                leeway,
            })
        })
    }
}

impl TokenKey {
    /// The keys of a JSON Web Key Set that check signatures, and what is said of those left out:
    /// providers publish keys for other purposes in the same set, and keys of kinds that are not
    /// supported are to be ignored (RFC 7517 §5).
    ///
    /// # Errors
    /// What is wrong with it, without any of its content: it is no such set, has no key that can be
    /// used, or one that would be dangerous.
    pub fn all(text: &str) -> Result<(Vec<Self>, Vec<String>), String> {
        let set: KeySet = serde_json::from_str(text)
            .map_err(|error| format!("is not a JSON Web Key Set (line {})", error.line()))?;
        let (mut keys, mut left_out) = (Vec::new(), Vec::new());
        for (number, key) in set.keys.iter().enumerate() {
            let of_it = |fault: &str| format!("has a key, number {number}, that {fault}");
            match Self::of(key) {
                Ok(key) => keys.push(key),
                Err(KeyFault::Dangerous(fault)) => return Err(of_it(fault)),
                Err(KeyFault::Unusable(fault)) => left_out.push(of_it(fault)),
            }
        }
        if keys.is_empty() {
            let why = left_out.into_iter().next();
            return Err(why.unwrap_or_else(|| "has no key".to_owned()));
        }
        let named = keys.iter().enumerate();
        for (index, key) in named {
            let same = |other: &Self| other.id == key.id;
            if keys.len() > 1 && (key.id.is_none() || keys.iter().take(index).any(same)) {
                return Err("has several keys, so each needs a kid of its own".to_owned());
            }
        }
        Ok((keys, left_out))
    }

    fn of(text: &Value) -> Result<Self, KeyFault> {
        use KeyFault::Unusable;
        let jwk: Jwk = serde_json::from_value(text.clone())
            .map_err(|_error| Unusable("is of a kind that is not supported"))?;
        if matches!(&jwk.common.public_key_use, Some(purpose) if *purpose != PublicKeyUse::Signature)
        {
            return Err(Unusable("is not for signatures"));
        }
        let checks = |purpose: &KeyOperations| {
            matches!(purpose, KeyOperations::Verify | KeyOperations::Sign)
        };
        if let Some(uses) = &jwk.common.key_operations
            && !uses.iter().any(checks)
        {
            return Err(Unusable("is not for signatures"));
        }
        let usual: &[Algorithm] = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => &[
                Algorithm::RS256,
                Algorithm::RS384,
                Algorithm::RS512,
                Algorithm::PS256,
                Algorithm::PS384,
                Algorithm::PS512,
            ],
            AlgorithmParameters::EllipticCurve(key) => match key.curve {
                EllipticCurve::P256 => &[Algorithm::ES256],
                EllipticCurve::P384 => &[Algorithm::ES384],
                _ => return Err(Unusable("is of a curve that is not supported")),
            },
            AlgorithmParameters::OctetKey(_) => {
                &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512]
            }
            AlgorithmParameters::OctetKeyPair(_) => &[Algorithm::EdDSA],
        };
        let algorithms = match jwk.common.key_algorithm {
            None => usual.to_vec(),
            Some(only) => {
                let only = algorithm(only).filter(|only| usual.contains(only));
                vec![only.ok_or(Unusable("is for an algorithm that is not supported for it"))?]
            }
        };
        if let Some(fault) = weakness(&jwk.algorithm) {
            return Err(fault);
        }
        Ok(Self {
            id: jwk.common.key_id.clone(),
            algorithms,
            key: DecodingKey::from_jwk(&jwk).map_err(|_error| Unusable("cannot be used"))?,
        })
    }
}

/// Why the numbers of a key make its signatures worthless, or impossible to check.
fn weakness(key: &AlgorithmParameters) -> Option<KeyFault> {
    use KeyFault::{Dangerous, Unusable};
    use base64::Engine as _;
    let bytes = |text: &str| {
        let decoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text);
        decoded.ok()
    };
    match key {
        AlgorithmParameters::OctetKey(key) => {
            let Some(secret) = bytes(&key.value) else {
                return Some(Dangerous("is not in base64"));
            };
            if secret.len() < LEAST_SECRET {
                return Some(Dangerous("has fewer than 32 bytes and could be guessed"));
            }
            let first = secret.first();
            let is_plain = secret.iter().all(|byte| Some(byte) == first);
            is_plain.then_some(Dangerous("is one byte over and over and could be guessed"))
        }
        AlgorithmParameters::RSA(key) => {
            let (Some(modulus), Some(exponent)) = (bytes(&key.n), bytes(&key.e)) else {
                return Some(Unusable("is not in base64"));
            };
            let significant = |number: &[u8]| {
                let zeros = number.iter().take_while(|byte| **byte == 0).count();
                number.get(zeros..).unwrap_or_default().to_vec()
            };
            let (modulus, exponent) = (significant(&modulus), significant(&exponent));
            if matches!(exponent.as_slice(), [] | [1]) {
                return Some(Dangerous("has an exponent with which anybody can sign"));
            }
            let bits = modulus.first().map_or(0, |first| {
                modulus.len().saturating_mul(8) - first.leading_zeros() as usize
            });
            (bits < LEAST_RSA).then_some(Unusable("has fewer than 2048 bits"))
        }
        AlgorithmParameters::EllipticCurve(key) => {
            let coordinate = match key.curve {
                EllipticCurve::P256 => 32,
                EllipticCurve::P384 => 48,
                _ => return None,
            };
            let fits = |text: &str| bytes(text).is_some_and(|bytes| bytes.len() == coordinate);
            (!fits(&key.x) || !fits(&key.y)).then_some(Unusable("is no point of its curve"))
        }
        AlgorithmParameters::OctetKeyPair(_) => None,
    }
}

fn algorithm(named: KeyAlgorithm) -> Option<Algorithm> {
    Some(match named {
        KeyAlgorithm::HS256 => Algorithm::HS256,
        KeyAlgorithm::HS384 => Algorithm::HS384,
        KeyAlgorithm::HS512 => Algorithm::HS512,
        KeyAlgorithm::RS256 => Algorithm::RS256,
        KeyAlgorithm::RS384 => Algorithm::RS384,
        KeyAlgorithm::RS512 => Algorithm::RS512,
        KeyAlgorithm::PS256 => Algorithm::PS256,
        KeyAlgorithm::PS384 => Algorithm::PS384,
        KeyAlgorithm::PS512 => Algorithm::PS512,
        KeyAlgorithm::ES256 => Algorithm::ES256,
        KeyAlgorithm::ES384 => Algorithm::ES384,
        KeyAlgorithm::EdDSA => Algorithm::EdDSA,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    fn encoded(bytes: &[u8]) -> String {
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
    }

    #[test]
    fn keys_that_prove_nothing_are_refused() {
        let modulus = |bytes: usize| encoded(&vec![0xc5; bytes]);
        let rsa = |bytes, e| format!(r#"{{"kty":"RSA","n":"{}","e":"{e}"}}"#, modulus(bytes));
        let bytes: Vec<u8> = (0..32).collect();
        let oct =
            |bytes: &[u8], more: &str| format!(r#"{{"kty":"oct","k":"{}"{more}}}"#, encoded(bytes));
        let ec = |bytes| {
            let number = encoded(&vec![1; bytes]);
            format!(r#"{{"kty":"EC","crv":"P-256","x":"{number}","y":"{number}"}}"#)
        };
        for (key, fault) in [
            (rsa(256, "AQAB"), None),
            (
                rsa(256, "AQ"),
                Some("has an exponent with which anybody can sign"),
            ),
            (
                rsa(256, "AAAB"),
                Some("has an exponent with which anybody can sign"),
            ),
            (rsa(128, "AQAB"), Some("has fewer than 2048 bits")),
            (oct(&bytes, ""), None),
            (oct(&bytes, r#","key_ops":["verify"]"#), None),
            (
                oct(&bytes, r#","key_ops":["encrypt"]"#),
                Some("is not for signatures"),
            ),
            (oct(&[0; 32], ""), Some("is one byte over and over")),
            (oct(&[7; 64], ""), Some("is one byte over and over")),
            (oct(&[7; 31], ""), Some("has fewer than 32 bytes")),
            (ec(32), None),
            (ec(3), Some("is no point of its curve")),
        ] {
            let read = TokenKey::all(&format!(r#"{{"keys":[{key}]}}"#));
            match fault {
                None => assert!(read.is_ok(), "{key}"),
                Some(fault) => assert!(read.err().unwrap().contains(fault), "{key}"),
            }
        }
    }
}
