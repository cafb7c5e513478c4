//! The host of a request, as a Host field or a target names it (RFC 9110 §7.2, RFC 3986 §3.2).

use std::net::Ipv6Addr;

/// Whether this is a name or an address, with or without a port; an empty one is, too.
pub fn is_host(host: &[u8]) -> bool {
    let (is_named, after) = if let Some(rest) = host.strip_prefix(b"[") {
        let end = memchr::memchr(b']', rest).unwrap_or(rest.len());
        let (address, after) = rest.split_at(end);
        let Some(after) = after.strip_prefix(b"]") else {
            return false;
        };
        (is_ipv6(address), after)
    } else {
        let end = memchr::memchr(b':', host).unwrap_or(host.len());
        let (name, after) = host.split_at(end);
        (is_name(name), after)
    };
    is_named && (after.is_empty() || after.strip_prefix(b":").is_some_and(is_port))
}

fn is_ipv6(address: &[u8]) -> bool {
    let text = std::str::from_utf8(address);
    text.is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

/// Letters, digits and signs that stand for themselves, and bytes that are percent-encoded. No
/// comma, although RFC 3986 has it: some servers make one field of two hosts with it.
fn is_name(mut name: &[u8]) -> bool {
    while let Some((byte, rest)) = name.split_first() {
        name = match (byte, rest) {
            (b'%', [high, low, rest @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                rest
            }
            (byte, rest) if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=".contains(byte) => {
                rest
            }
            _ => return false,
        };
    }
    true
}

fn is_port(digits: &[u8]) -> bool {
    let text = std::str::from_utf8(digits).unwrap_or("-");
    digits.iter().all(u8::is_ascii_digit) && (text.is_empty() || text.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_and_addresses_with_or_without_a_port() {
        for good in [
            "",
            "a",
            "RPC.example.",
            "a_b-c~d.example:8899",
            "10.0.0.1:80",
            "a:",
            "a:65535",
            "[::1]",
            "[2001:db8::1]:8899",
            "caf%c3%a9.example",
        ] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in [
            "a:x",
            "a:-1",
            "a:+1",
            "a:65536",
            "a:99999",
            "a:80:80",
            "::1",
            "[::1",
            "[::1]x",
            "[::1]:x",
            "[zz]",
            "[]",
            "[10.0.0.1]",
            "%zz",
            "%4",
            "a b",
            "a,b",
            "a, b",
            "a/b",
            "user@a",
            "a\\b",
            "caf\u{e9}",
        ] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }
}
