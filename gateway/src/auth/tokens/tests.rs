//! Good tokens of each kind, and every forgery that is known of such tokens.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use perijove_core::Secret;
use serde_json::json;

use super::*;

const JWKS: &str = include_str!("../../../tests/fixtures/tokens/jwks.json");
const RSA: &str = include_str!("../../../tests/fixtures/tokens/rsa.der.base64");
const EC: &str = include_str!("../../../tests/fixtures/tokens/ec.der.base64");
const SECRET: &[u8] = b"a secret of thirty-two bytes and more";

/// Far ahead, and long ago: 2100 and 2001.
const LATER: u64 = 4_102_444_800;
const BEFORE: u64 = 1_000_000_000;

fn settings() -> Jwt {
    Jwt {
        jwks: "jwks.json".into(),
        key_set: Secret::new(JWKS.to_owned()),
        issuer: None,
        audience: Vec::new(),
        consumer_claim: "sub".to_owned(),
        plan_claim: "plan".to_owned(),
        plan: "default".to_owned(),
        leeway: Duration::ZERO,
    }
}

fn tokens_with(settings: &Jwt) -> Tokens {
    let plans = ["default", "pro"].map(str::to_owned);
    Tokens::new(settings, plans.into_iter().collect())
}

fn tokens() -> Tokens {
    tokens_with(&settings())
}

fn der(base64: &str) -> Vec<u8> {
    STANDARD.decode(base64.replace('\n', "")).unwrap()
}

fn signed(algorithm: Algorithm, kid: Option<&str>, key: &EncodingKey, claims: &Value) -> String {
    let header = Header {
        kid: kid.map(str::to_owned),
        ..Header::new(algorithm)
    };
    encode(&header, claims, key).unwrap()
}

fn by_secret(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET);
    signed(Algorithm::HS256, Some("secret"), &key, claims)
}

/// Three parts, whatever they are.
fn made_up(header: &Value, claims: &Value, signature: &[u8]) -> String {
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let (header, claims) = (header.to_string(), claims.to_string());
    [
        part(header.as_bytes()),
        part(claims.as_bytes()),
        part(signature),
    ]
    .join(".")
}

fn alice() -> Value {
    json!({ "sub": "alice", "plan": "pro", "exp": LATER })
}

fn identified(tokens: &Tokens, token: &str) -> Result<String, TokenFault> {
    let identified = tokens.identify(token.as_bytes(), Moment::Request).unwrap();
    identified.map(|consumer| consumer.to_string())
}

#[test]
fn a_token_of_each_kind_names_its_caller_and_his_plan() {
    let rsa = EncodingKey::from_rsa_der(&der(RSA));
    let ec = EncodingKey::from_ec_der(&der(EC));
    let tokens = tokens();
    for token in [
        signed(Algorithm::RS256, Some("rsa"), &rsa, &alice()),
        signed(Algorithm::RS512, Some("rsa"), &rsa, &alice()),
        signed(Algorithm::PS256, Some("rsa"), &rsa, &alice()),
        signed(Algorithm::ES256, Some("ec"), &ec, &alice()),
        by_secret(&alice()),
    ] {
        for _ in 0..2 {
            let found = identified(&tokens, &token);
            assert_eq!(found.as_deref(), Ok("token:pro:alice"), "{token}");
        }
    }
    assert_eq!(plan_of_token("token:pro:alice"), Some("pro"));
    assert_eq!(plan_of_token("token:pro:a:b"), Some("pro"));
    assert_eq!(plan_of_token("pro"), None);
}

#[test]
fn what_a_token_does_not_say_is_as_configured_and_what_it_says_must_be_there() {
    let claims = |changes: Value| {
        let mut claims = json!({ "sub": "alice", "exp": LATER });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        by_secret(&claims)
    };
    let tokens = tokens();
    for (changes, found) in [
        (json!({}), Ok("token:default:alice")),
        (json!({ "plan": null }), Ok("token:default:alice")),
        (json!({ "plan": "golden" }), Err(TokenFault::Bad)),
        (json!({ "plan": ["pro"] }), Err(TokenFault::Bad)),
        (json!({ "sub": null }), Err(TokenFault::Bad)),
        (json!({ "sub": "" }), Err(TokenFault::Bad)),
        (json!({ "sub": 7 }), Err(TokenFault::Bad)),
        (json!({ "sub": "a\nb" }), Err(TokenFault::Bad)),
        (
            json!({ "sub": "x".repeat(LONGEST_NAME + 1) }),
            Err(TokenFault::Bad),
        ),
        (json!({ "exp": null }), Err(TokenFault::Bad)),
        (json!({ "exp": BEFORE }), Err(TokenFault::Expired)),
        (json!({ "nbf": LATER }), Err(TokenFault::Bad)),
        (json!({ "aud": "somebody" }), Ok("token:default:alice")),
    ] {
        let token = claims(changes.clone());
        let expected = found.map(str::to_owned);
        assert_eq!(identified(&tokens, &token), expected, "{changes}");
    }
}

#[test]
fn issuer_and_audience_count_where_they_are_configured() {
    let settings = Jwt {
        issuer: Some("https://id.example".to_owned()),
        audience: vec!["rpc".to_owned(), "jupiter".to_owned()],
        ..settings()
    };
    let tokens = tokens_with(&settings);
    for (issuer, audience, good) in [
        (json!("https://id.example"), json!("rpc"), true),
        (json!("https://id.example"), json!(["x", "jupiter"]), true),
        (json!("https://id.example"), json!("x"), false),
        (json!("https://id.example"), json!(null), false),
        (json!("https://evil.example"), json!("rpc"), false),
        (json!(null), json!("rpc"), false),
    ] {
        let mut claims = alice();
        claims["iss"] = issuer.clone();
        claims["aud"] = audience.clone();
        let found = identified(&tokens, &by_secret(&claims));
        assert_eq!(found.is_ok(), good, "{issuer} {audience}");
    }
}

fn assert_bad(forged: Vec<String>) {
    let tokens = tokens();
    for token in forged {
        assert_eq!(identified(&tokens, &token), Err(TokenFault::Bad), "{token}");
    }
}

#[test]
fn what_checks_signatures_does_not_make_them() {
    let set: Value = serde_json::from_str(JWKS).unwrap();
    let modulus = set["keys"][0]["n"].as_str().unwrap();
    let public = [
        EncodingKey::from_secret(&URL_SAFE_NO_PAD.decode(modulus).unwrap()),
        EncodingKey::from_secret(modulus.as_bytes()),
        EncodingKey::from_secret(JWKS.as_bytes()),
        EncodingKey::from_secret(b""),
    ];
    let mut forged = Vec::new();
    for key in &public {
        for kid in [None, Some("rsa"), Some("ec"), Some("secret")] {
            for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                forged.push(signed(algorithm, kid, key, &alice()));
            }
        }
    }
    assert_bad(forged);
}

#[test]
fn no_signature_is_none() {
    let mut forged = Vec::new();
    for none in ["none", "None", "NONE", "nOnE", ""] {
        for kid in ["rsa", "secret"] {
            let header = json!({ "alg": none, "typ": "JWT", "kid": kid });
            forged.push(made_up(&header, &alice(), b""));
            forged.push(made_up(&header, &alice(), b"x"));
        }
    }
    assert_bad(forged);
}

#[test]
fn a_key_signs_in_its_own_name_and_for_its_own_algorithm_only() {
    let rsa = EncodingKey::from_rsa_der(&der(RSA));
    let own = EncodingKey::from_secret(SECRET);
    // Names that are paths, queries and addresses are looked for as they are.
    let names = [
        "rsa",
        "../../../../dev/null",
        "/dev/null",
        "secret' OR '1'='1",
        "secret\0",
        "SECRET",
        "https://evil.example/jwks.json",
        "",
    ];
    let mut forged: Vec<String> = names
        .iter()
        .map(|name| signed(Algorithm::HS256, Some(name), &own, &alice()))
        .collect();
    forged.push(signed(Algorithm::HS256, None, &own, &alice()));
    forged.push(signed(Algorithm::HS512, Some("secret"), &own, &alice()));
    forged.push(signed(Algorithm::RS256, Some("ec"), &rsa, &alice()));
    // A key that comes along, and one that is to be fetched.
    let header = json!({
        "alg": "HS256", "kid": "mine", "jku": "https://evil.example",
        "jwk": { "kty": "oct", "k": "AAAA" }
    });
    forged.push(made_up(&header, &alice(), b"x"));
    assert_bad(forged);
}

#[test]
fn nothing_of_a_good_token_can_be_changed() {
    let good = by_secret(&json!({ "sub": "bob", "exp": LATER }));
    assert!(identified(&tokens(), &good).is_ok());
    let (unsigned, signature) = good.rsplit_once('.').unwrap();
    let (header, _) = unsigned.split_once('.').unwrap();
    let claims = URL_SAFE_NO_PAD.encode(alice().to_string());
    let (cut, _) = good.split_at(good.len() - 2);
    assert_bad(vec![
        format!("{header}.{claims}.{signature}"),
        cut.to_owned(),
        format!("{unsigned}."),
    ]);
}

#[test]
fn what_does_not_look_like_a_token_is_left_to_the_keys() {
    let tokens = tokens();
    for other in ["", "a-key", "a.b", "a.b.c.d", &"x.y.z".repeat(LONGEST)] {
        assert!(
            tokens.identify(other.as_bytes(), Moment::Request).is_none(),
            "{other:.20}"
        );
    }
}

#[test]
fn a_socket_outlives_its_token_but_not_the_key_that_signed_it() {
    let tokens = tokens();
    let expired = by_secret(&json!({ "sub": "alice", "plan": "pro", "exp": BEFORE }));
    let open = |tokens: &Tokens, token: &str| {
        let identified = tokens.identify(token.as_bytes(), Moment::OpenSocket);
        identified.unwrap().map(|consumer| consumer.to_string())
    };
    assert_eq!(open(&tokens, &expired).as_deref(), Ok("token:pro:alice"));
    // What is remembered of an open socket admits no request.
    assert_eq!(identified(&tokens, &expired), Err(TokenFault::Expired));
    let mut forged = expired.into_bytes();
    let last = forged.last_mut().unwrap();
    *last = if *last == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    assert_eq!(open(&tokens, &forged), Err(TokenFault::Bad));
}

#[test]
fn keys_for_other_purposes_do_not_spoil_a_set() {
    let usable = json!({ "kty": "oct", "kid": "a", "k": URL_SAFE_NO_PAD.encode(SECRET) });
    for (other, fault) in [
        (
            json!({ "kty": "RSA", "kid": "b", "use": "enc", "alg": "RSA-OAEP", "n": "AQAB", "e": "AQAB" }),
            "not for signatures",
        ),
        (
            json!({ "kty": "RSA", "kid": "b", "alg": "RSA-OAEP-512", "n": "AQAB", "e": "AQAB" }),
            "not supported",
        ),
        (
            json!({ "kty": "EC", "kid": "b", "crv": "P-521", "x": "AA", "y": "AA" }),
            "curve",
        ),
        (json!({ "kty": "AKP", "kid": "b", "pub": "AA" }), "kind"),
        (json!("nothing like a key"), "kind"),
    ] {
        let text = json!({ "keys": [usable, other] }).to_string();
        let (keys, left_out) = TokenKey::all(&text).unwrap();
        assert_eq!(keys.len(), 1, "{text}");
        assert_eq!(left_out.len(), 1);
        assert!(left_out[0].contains(fault), "{left_out:?}");
        assert!(left_out[0].contains("number 1"), "{left_out:?}");
    }
}

#[test]
fn key_sets_that_would_be_dangerous_are_refused() {
    let key = |changes: Value| {
        let mut key = json!({
            "kty": "oct", "kid": "a", "k": URL_SAFE_NO_PAD.encode(SECRET)
        });
        for (name, value) in changes.as_object().unwrap() {
            key[name] = value.clone();
        }
        key
    };
    for (keys, fault) in [
        (vec![], "has no key"),
        (vec![key(json!({ "k": "c2hvcnQ" }))], "could be guessed"),
        (vec![key(json!({ "alg": "RS256" }))], "not supported"),
        (
            vec![key(json!({})), key(json!({}))],
            "needs a kid of its own",
        ),
        (
            vec![key(json!({})), key(json!({ "kid": null }))],
            "needs a kid of its own",
        ),
        (
            vec![json!({ "kty": "EC", "crv": "P-521", "x": "AA", "y": "AA" })],
            "curve",
        ),
    ] {
        let text = json!({ "keys": keys }).to_string();
        let refused = TokenKey::all(&text).unwrap_err();
        assert!(refused.contains(fault), "{refused}");
        assert!(!refused.contains("c2hvcnQ"));
    }
    assert!(
        TokenKey::all("{")
            .unwrap_err()
            .contains("not a JSON Web Key Set")
    );
}

#[test]
fn a_token_that_may_be_the_gateways_is_told_from_those_of_others() {
    let foreign = |kid: Option<&str>, claims: &Value| {
        let key = EncodingKey::from_secret(b"a secret that somebody else has");
        signed(Algorithm::HS256, kid, &key, claims)
    };
    let claims = json!({ "sub": "a", "exp": LATER });
    let of_issuer = json!({ "sub": "a", "iss": "us" });
    let of_other = json!({ "sub": "a", "iss": "them" });
    let issued = tokens_with(&Jwt {
        issuer: Some("us".to_owned()),
        ..settings()
    });
    for (tokens, token, own) in [
        (&tokens(), by_secret(&claims), true),
        (&tokens(), by_secret(&json!({ "exp": BEFORE })), true),
        (&tokens(), by_secret(&json!({})), true),
        // It names a key, but is not signed with it.
        (&tokens(), foreign(Some("secret"), &claims), true),
        (&tokens(), foreign(Some("theirs"), &claims), false),
        (&tokens(), foreign(None, &claims), false),
        (
            &tokens(),
            made_up(&json!({ "alg": "none" }), &claims, b""),
            true,
        ),
        (&issued, foreign(None, &of_issuer), true),
        (&issued, foreign(None, &of_other), false),
        // Whoever issued it does not say so.
        (&issued, foreign(None, &claims), true),
    ] {
        assert_eq!(tokens.may_be_own(token.as_bytes()), own, "{token}");
    }
}
