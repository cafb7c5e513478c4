//! Client addresses behind proxies: what trusted proxies say in `x-forwarded-for`.
//!
//! Each proxy appends the address it was called from. So the list is read from its end, and the
//! first entry that is not a trusted proxy is the caller; entries before it may be forged.

use std::net::{IpAddr, SocketAddr};

use super::fields::ForwardedFor;
use crate::config::Network;

/// More proxies in a row than any deployment has.
const MOST_HOPS: usize = 16;

/// The caller behind the other end of a connection.
pub(super) fn caller(
    peer: Option<IpAddr>,
    forwarded_for: &ForwardedFor<'_>,
    trusted: &[Network],
) -> Option<IpAddr> {
    let peer = peer?;
    if trusted.is_empty() {
        return Some(peer);
    }
    let mut caller = peer;
    // Empty elements of a list are ignored (RFC 9110 §5.6.1.2).
    let hops = forwarded_for.hops();
    let mut hops = hops
        .filter(|hop| !hop.trim_ascii().is_empty())
        .take(MOST_HOPS);
    while is_among(trusted, caller) {
        match hops.next().and_then(address) {
            Some(before) => caller = before,
            None => break,
        }
    }
    Some(caller)
}

/// Whether a list contains an address.
pub(super) fn is_among(networks: &[Network], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(address))
}

/// One entry: an address, perhaps with a port.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?;
    let with_port = || Some(text.parse::<SocketAddr>().ok()?.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let address: Option<IpAddr> = text.parse().ok();
    let address = address.or_else(with_port).or_else(bracketed)?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use perijove_core::settings::Setting;

    use super::super::fields::RequestFields;
    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn called(peer: &str, lines: &[&str]) -> String {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|text| Network::from_text(text).unwrap());
        let fields = lines.iter();
        let fields = fields.map(|line| (&b"X-Forwarded-For"[..], line.as_bytes()));
        let fields = RequestFields::of(fields);
        let peer = peer.parse().unwrap();
        caller(Some(peer), &fields.forwarded_for, &trusted)
            .unwrap()
            .to_string()
    }

    #[test]
    fn the_rightmost_hop_that_is_not_trusted_is_the_caller() {
        for (lines, caller) in [
            (&["192.0.2.1"][..], "192.0.2.1"),
            (&["192.0.2.1, 10.0.0.9"], "192.0.2.1"),
            (&["6.6.6.6, 192.0.2.1 , 10.0.0.9"], "192.0.2.1"),
            (&["6.6.6.6", "192.0.2.1", "10.0.0.9"], "192.0.2.1"),
            (&["192.0.2.1:4711"], "192.0.2.1"),
            (&["[2001:db8::1]:4711"], "2001:db8::1"),
            (&["[2001:db8::1]"], "2001:db8::1"),
            (&["::ffff:192.0.2.1"], "192.0.2.1"),
            (&["192.0.2.1, fd00::1"], "192.0.2.1"),
            (&["10.0.0.8, 10.0.0.9"], "10.0.0.8"),
            (&["192.0.2.1,"], "192.0.2.1"),
            (&["192.0.2.1, , 10.0.0.9 ,,", ""], "192.0.2.1"),
            (
                &["6.6.6.6", "192.0.2.1", "10.0.0.5", "10.0.0.4", "10.0.0.3"],
                "192.0.2.1",
            ),
        ] {
            assert_eq!(called(PROXY, lines), caller, "{lines:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_ends_the_search_with_the_last_that_could() {
        for (lines, caller) in [
            (&[][..], PROXY),
            (&[""], PROXY),
            (&["unknown"], PROXY),
            (&["192.0.2.1, unknown"], PROXY),
            (&["192.0.2.1, x, 10.0.0.9"], "10.0.0.9"),
            (&["192.0.2.1\u{ff}"], PROXY),
        ] {
            assert_eq!(called(PROXY, lines), caller, "{lines:?}");
        }
        let many = ["10.0.0.2"; 100].join(",");
        assert_eq!(called(PROXY, &[&format!("6.6.6.6,{many}")]), "10.0.0.2");
    }

    #[test]
    fn whoever_is_not_trusted_is_not_believed() {
        assert_eq!(called("192.0.2.9", &["10.0.0.1"]), "192.0.2.9");
        assert_eq!(called("2001:db8::9", &["127.0.0.1"]), "2001:db8::9");
        assert_eq!(called("::ffff:10.0.0.3", &["192.0.2.1"]), "192.0.2.1");
        let nobody = caller("10.0.0.1".parse().ok(), &ForwardedFor::default(), &[]);
        assert_eq!(nobody, "10.0.0.1".parse().ok());
    }
}
