//! Who may use the admin port, where a token is configured or clients are asked for certificates.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::config::{Admin, KeyHash};

/// What a 401 says. Browsers ask for a password then, which is the token, whatever the user name.
pub(super) const CHALLENGE: &str = "Basic realm=\"perijove\", charset=\"UTF-8\"";

/// What a request shows of who sent it.
pub(super) struct ShownToAdmin<'a> {
    pub path: &'a str,
    pub headers: &'a HeaderMap,
    /// A valid client certificate.
    pub certificate: bool,
}

/// What a 401 says is missing.
pub(super) fn wanted(settings: &Admin, asks_for_certificate: bool) -> &'static str {
    match (settings.token.is_some(), asks_for_certificate) {
        (true, false) => "the token of `admin.token` is required\n",
        (false, _) => "a client certificate is required (`admin.tls.client_ca`)\n",
        (true, true) => "a client certificate or the token of `admin.token` is required\n",
    }
}

/// Whether a request may be answered. Health says nothing that is worth a token, and those who ask
/// for it (orchestrators, load balancers) often can show neither token nor certificate.
pub(super) fn admits(
    settings: &Admin,
    asks_for_certificate: bool,
    shown: &ShownToAdmin<'_>,
) -> bool {
    let ShownToAdmin {
        path,
        headers,
        certificate,
    } = *shown;
    let guarded = settings.token.is_some() || asks_for_certificate;
    if !guarded || matches!(path, "/health" | "/ready") || certificate {
        return true;
    }
    if settings.open_metrics && path == "/metrics" {
        return true;
    }
    let Some(token) = &settings.token else {
        return false;
    };
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
        let shown = ShownToAdmin {
            path,
            headers: &headers,
            certificate: false,
        };
        admits(settings, false, &shown)
    }

    #[test]
    fn a_certificate_admits_as_well_and_is_enough() {
        let headers = HeaderMap::new();
        let asks = |settings: &Admin, path, certificate| {
            let headers = &headers;
            let shown = ShownToAdmin {
                path,
                headers,
                certificate,
            };
            admits(settings, true, &shown)
        };
        let without = Admin::default();
        let with = Admin {
            token: Some(Secret::new(TOKEN)),
            ..Admin::default()
        };
        let open = Admin {
            open_metrics: true,
            ..Admin::default()
        };
        for settings in [&without, &with] {
            assert!(asks(settings, "/status", true));
            assert!(!asks(settings, "/status", false));
            assert!(!asks(settings, "/metrics", false));
            assert!(asks(settings, "/ready", false));
            assert!(wanted(settings, true).contains("certificate"));
        }
        assert!(asks(&open, "/metrics", false));
        assert!(!asks(&open, "/status", false));
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
