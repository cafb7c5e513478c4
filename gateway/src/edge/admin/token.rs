//! Who may use the admin port, where a token is configured.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::config::{Admin, KeyHash};

/// What a 401 says. Browsers ask for a password then, which is the token, whatever the user name.
pub(super) const CHALLENGE: &str = "Basic realm=\"perijove\", charset=\"UTF-8\"";

/// Whether a request for `path` may be answered. Health says nothing that is worth a token, and
/// those who ask for it (orchestrators, load balancers) often cannot send one.
pub(super) fn admits(settings: &Admin, path: &str, headers: &HeaderMap) -> bool {
    let Some(token) = &settings.token else {
        return true;
    };
    if matches!(path, "/health" | "/ready") || (settings.open_metrics && path == "/metrics") {
        return true;
    }
    let mut shown = headers.get_all(AUTHORIZATION).iter();
    let (Some(shown), None) = (shown.next(), shown.next()) else {
        return false;
    };
    token_of(shown.as_bytes()).is_some_and(|shown| is_same(&shown, token.expose().as_bytes()))
}

/// The token of `Bearer`, or the password of `Basic`.
fn token_of(authorization: &[u8]) -> Option<Vec<u8>> {
    let space = authorization.iter().position(|byte| *byte == b' ')?;
    let (scheme, rest) = authorization.split_at_checked(space)?;
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(rest.to_vec());
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let decoded = STANDARD.decode(rest).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    decoded.get(colon + 1..).map(<[u8]>::to_vec)
}

/// Hashes are compared, and all of them, so that the time tells nothing of the token or its length.
fn is_same(shown: &[u8], token: &[u8]) -> bool {
    let (shown, token) = (KeyHash::of(shown).0, KeyHash::of(token).0);
    let differences = shown.iter().zip(token).map(|(one, other)| one ^ other);
    std::hint::black_box(differences.fold(0, |all, one| all | one)) == 0
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use perijove_core::Secret;

    use super::*;

    const TOKEN: &str = "correct-horse-battery";

    fn admitted(settings: &Admin, path: &str, shown: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in shown {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        admits(settings, path, &headers)
    }

    #[test]
    fn without_a_token_everybody_is_admitted() {
        assert!(admitted(&Admin::default(), "/status", &[]));
    }

    #[test]
    fn with_one_only_those_who_show_it_once() {
        let settings = Admin {
            token: Some(Secret::new(TOKEN)),
            ..Admin::default()
        };
        let basic = |login: &str| format!("Basic {}", STANDARD.encode(login));
        let bearer = format!("Bearer {TOKEN}");
        let password = basic(&format!("anybody:{TOKEN}"));
        for good in [&bearer, &format!("bearer  {TOKEN}"), &password] {
            assert!(admitted(&settings, "/status", &[good]), "{good}");
        }
        let longer = format!("{bearer}s");
        let user = basic(&format!("{TOKEN}:"));
        let bare = basic(TOKEN);
        let other = format!("Digest {TOKEN}");
        for bad in [
            [].as_slice(),
            &[""],
            &["Bearer"],
            &["Bearer "],
            &[TOKEN],
            &["Bearer correct-horse-batter"],
            &[&longer],
            &[&other],
            &[&user],
            &[&bare],
            &["Basic !!!"],
            &[&bearer, &bearer],
        ] {
            for path in [
                "/",
                "/status",
                "/metrics",
                "/-/reload",
                "/health/",
                "/nothing",
            ] {
                assert!(!admitted(&settings, path, bad), "{path} {bad:?}");
            }
            assert!(admitted(&settings, "/health", bad) && admitted(&settings, "/ready", bad));
        }
    }

    #[test]
    fn metrics_can_be_left_open() {
        let settings = Admin {
            token: Some(Secret::new(TOKEN)),
            open_metrics: true,
            ..Admin::default()
        };
        assert!(admitted(&settings, "/metrics", &[]));
        assert!(!admitted(&settings, "/status", &[]));
    }
}
