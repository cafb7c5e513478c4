//! Protects requests to the admin port that change something against pages of other sites:
//! cross-site posts, and host names that were made to resolve to this port (DNS rebinding).

use std::net::IpAddr;

use http::header::{HOST, HeaderName, ORIGIN};
use http::{HeaderMap, Uri};

/// Browsers state here where a request comes from; other clients do not send it.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ForeignOrigin {
    #[error("exactly one Host header is required")]
    NoHost,
    #[error("this Host is not known; add it to admin.hosts, or use an IP address or localhost")]
    Host,
    #[error("requests from pages of other sites are refused")]
    Origin,
}

/// Checks headers that a page cannot forge. `names` are accepted besides IP addresses and
/// `localhost`.
pub(super) fn look_at(headers: &HeaderMap, names: &[String]) -> Result<(), ForeignOrigin> {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(ForeignOrigin::NoHost);
    };
    let host = host.to_str().map_err(|_not_text| ForeignOrigin::Host)?;
    if !is_known(host, names) {
        return Err(ForeignOrigin::Host);
    }
    for origin in headers.get_all(ORIGIN) {
        let is_own = origin.to_str().is_ok_and(|origin| is_origin(origin, host));
        if !is_own {
            return Err(ForeignOrigin::Origin);
        }
    }
    let sites = headers.get_all(FETCH_SITE);
    if sites
        .iter()
        .all(|site| site == "same-origin" || site == "none")
    {
        Ok(())
    } else {
        Err(ForeignOrigin::Origin)
    }
}

/// Nobody else can make an IP address or `localhost` resolve to this port.
fn is_known(host: &str, names: &[String]) -> bool {
    let Ok(authority) = host.parse::<http::uri::Authority>() else {
        return false;
    };
    if authority.as_str().contains('@') {
        return false;
    }
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    address.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

fn is_origin(origin: &str, host: &str) -> bool {
    let Ok(uri) = origin.parse::<Uri>() else {
        return false;
    };
    let scheme = uri.scheme_str();
    matches!(scheme, Some("http" | "https"))
        && uri
            .authority()
            .is_some_and(|authority| authority.as_str().eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(fields: &[(&'static str, &str)]) -> Result<(), ForeignOrigin> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        look_at(&headers, &["admin.example.internal".to_owned()])
    }

    #[test]
    fn addresses_and_known_names_may_and_other_names_may_not() {
        for host in [
            "127.0.0.1:9090",
            "10.0.3.7",
            "[::1]:9090",
            "localhost:9090",
            "LOCALHOST",
            "admin.example.internal:9090",
        ] {
            assert_eq!(verdict(&[("host", host)]), Ok(()), "{host}");
        }
        for host in [
            "evil.example:9090",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "user@127.0.0.1",
            "",
            "a b",
        ] {
            assert_eq!(
                verdict(&[("host", host)]),
                Err(ForeignOrigin::Host),
                "{host}"
            );
        }
        assert_eq!(verdict(&[]), Err(ForeignOrigin::NoHost));
        let twice = [("host", "127.0.0.1"), ("host", "127.0.0.1")];
        assert_eq!(verdict(&twice), Err(ForeignOrigin::NoHost));
    }

    #[test]
    fn pages_of_other_sites_may_not() {
        let host = ("host", "127.0.0.1:9090");
        let own = [host, ("origin", "http://127.0.0.1:9090")];
        assert_eq!(verdict(&own), Ok(()));
        for origin in [
            "https://evil.example",
            "http://127.0.0.1:8080",
            "http://127.0.0.1",
            "null",
            "",
            "file://127.0.0.1:9090",
        ] {
            let said = verdict(&[host, ("origin", origin)]);
            assert_eq!(said, Err(ForeignOrigin::Origin), "{origin}");
        }
        for (site, expected) in [
            ("same-origin", Ok(())),
            ("none", Ok(())),
            ("cross-site", Err(ForeignOrigin::Origin)),
            ("same-site", Err(ForeignOrigin::Origin)),
        ] {
            assert_eq!(verdict(&[host, ("sec-fetch-site", site)]), expected);
        }
    }
}
