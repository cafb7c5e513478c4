//! Tokens signed by an identity provider: which are accepted, and for whom.

use std::path::PathBuf;
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm};
use jsonwebtoken::{Algorithm, DecodingKey};
use perijove_core::Secret;
use perijove_core::settings::Section;
use schemars::JsonSchema;

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

/// Shorter secrets can be guessed (RFC 7518 §3.2).
const LEAST_SECRET: usize = 32;

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
            if let Some(text) = &text
                && let Err(fault) = TokenKey::all(text)
            {
                section.violation("jwks", fault);
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
    /// The keys of a JSON Web Key Set.
    ///
    /// # Errors
    /// What is wrong with it, without any of its content.
    pub fn all(text: &str) -> Result<Vec<Self>, String> {
        let set: JwkSet = serde_json::from_str(text)
            .map_err(|error| format!("is not a JSON Web Key Set (line {})", error.line()))?;
        let numbered = set.keys.iter().enumerate();
        let keys: Vec<Self> = numbered
            .map(|(number, key)| {
                Self::of(key).map_err(|fault| format!("has a key, number {number}, that {fault}"))
            })
            .collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Err("has no key".to_owned());
        }
        let named = keys.iter().enumerate();
        for (index, key) in named {
            let same = |other: &Self| other.id == key.id;
            if keys.len() > 1 && (key.id.is_none() || keys.iter().take(index).any(same)) {
                return Err("has several keys, so each needs a kid of its own".to_owned());
            }
        }
        Ok(keys)
    }

    fn of(jwk: &Jwk) -> Result<Self, &'static str> {
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
                _ => return Err("is of a curve that is not supported"),
            },
            AlgorithmParameters::OctetKey(key) => {
                use base64::Engine as _;
                let secret = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(&key.value);
                let secret = secret.map_err(|_error| "is not in base64")?;
                if secret.len() < LEAST_SECRET {
                    return Err("has fewer than 32 bytes and could be guessed");
                }
                &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512]
            }
            AlgorithmParameters::OctetKeyPair(_) => &[Algorithm::EdDSA],
        };
        let algorithms = match jwk.common.key_algorithm {
            None => usual.to_vec(),
            Some(only) => {
                let only = algorithm(only).filter(|only| usual.contains(only));
                vec![only.ok_or("is for an algorithm that is not supported for it")?]
            }
        };
        Ok(Self {
            id: jwk.common.key_id.clone(),
            algorithms,
            key: DecodingKey::from_jwk(jwk).map_err(|_error| "cannot be used")?,
        })
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
