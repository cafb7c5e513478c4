//! The PROXY protocol (`HAProxy`'s, versions 1 and 2): the header in which a load balancer states
//! the client's address at the start of a connection.
//!
//! Not a byte after it is read, since that may be the beginning of TLS.

use std::io;
use std::net::IpAddr;

use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes before the length in a header of version 2.
const FIXED: usize = 16;
/// Longest line of version 1.
const LONGEST_LINE: usize = 107;

/// Reads a header. `None` if the balancer speaks for itself, as in its health checks, or does not
/// know.
///
/// # Errors
/// It is missing or malformed.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<IpAddr>> {
    let mut header = vec![0; v2::PROTOCOL_PREFIX.len()];
    stream.read_exact(&mut header).await?;
    if header == v2::PROTOCOL_PREFIX {
        binary(stream, header).await
    } else if header.starts_with(v1::PROTOCOL_PREFIX.as_bytes()) {
        line(stream, header).await
    } else {
        Err(malformed())
    }
}

async fn binary(
    stream: &mut (impl AsyncRead + Unpin),
    mut header: Vec<u8>,
) -> io::Result<Option<IpAddr>> {
    let read = header.len();
    header.resize(FIXED, 0);
    let rest = header.get_mut(read..).unwrap_or_default();
    stream.read_exact(rest).await?;
    let [.., high, low] = header[..] else {
        return Err(malformed());
    };
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    // As long as the protocol allows: further fields may hold the certificate of the client.
    header.resize(length, 0);
    let rest = header.get_mut(FIXED..).unwrap_or_default();
    stream.read_exact(rest).await?;
    let parsed = v2::Header::try_from(&header[..]).map_err(|_error| malformed())?;
    Ok(match (parsed.command, parsed.addresses) {
        (v2::Command::Proxy, v2::Addresses::IPv4(addresses)) => {
            Some(addresses.source_address.into())
        }
        (v2::Command::Proxy, v2::Addresses::IPv6(addresses)) => {
            Some(IpAddr::from(addresses.source_address).to_canonical())
        }
        _ => None,
    })
}

async fn line(
    stream: &mut (impl AsyncRead + Unpin),
    mut line: Vec<u8>,
) -> io::Result<Option<IpAddr>> {
    while !line.ends_with(b"\r\n") {
        if line.len() >= LONGEST_LINE {
            return Err(malformed());
        }
        // What follows stays where it is; the stream has a buffer of its own.
        line.push(stream.read_u8().await?);
    }
    let parsed = v1::Header::try_from(&line[..]).map_err(|_error| malformed())?;
    Ok(match parsed.addresses {
        v1::Addresses::Unknown => None,
        v1::Addresses::Tcp4(addresses) => Some(addresses.source_address.into()),
        v1::Addresses::Tcp6(addresses) => {
            Some(IpAddr::from(addresses.source_address).to_canonical())
        }
    })
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no PROXY protocol header")
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &[u8] = b"POST / HTTP/1.1\r\n";

    /// What is read of a header, with a request behind it that must be left.
    async fn read_of(header: &[u8]) -> Result<Option<String>, io::ErrorKind> {
        let bytes = [header, REQUEST].concat();
        let mut stream = &bytes[..];
        let read = read(&mut stream).await.map_err(|error| error.kind())?;
        assert_eq!(stream, REQUEST, "{header:?}");
        Ok(read.map(|address| address.to_string()))
    }

    fn version_2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [
            v2::PROTOCOL_PREFIX,
            &[0x20 | command, family],
            &length,
            addresses,
        ]
        .concat()
    }

    #[tokio::test]
    async fn both_versions_tell_the_address_and_leave_what_comes_behind() {
        let four = [192, 0, 2, 1, 10, 0, 0, 1, 0, 80, 0, 81];
        let with_a_field = [&four[..], &[0x04, 0, 1, 7]].concat();
        // As long as can be: the certificate of the client perhaps.
        let field = [&[0x20, 0xff, 0xf0][..], &vec![7; 0xfff0]].concat();
        let with_much = [&four[..], &field].concat();
        let mut six = [0; 36];
        six[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        six[15] = 1;
        for (header, address) in [
            (
                b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 8899\r\n".to_vec(),
                Some("192.0.2.1"),
            ),
            (
                b"PROXY TCP6 2001:db8::1 fd00::1 4711 8899\r\n".to_vec(),
                Some("2001:db8::1"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), None),
            (version_2(1, 0x11, &four), Some("192.0.2.1")),
            (version_2(1, 0x11, &with_a_field), Some("192.0.2.1")),
            (version_2(1, 0x11, &with_much), Some("192.0.2.1")),
            (version_2(1, 0x21, &six), Some("2001:db8::1")),
            (version_2(0, 0x00, &[]), None),
            (version_2(0, 0x11, &four), None),
            (version_2(1, 0x00, &[]), None),
        ] {
            let read = read_of(&header).await;
            assert_eq!(read, Ok(address.map(str::to_owned)), "{header:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_such_header_is_refused() {
        let long = [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat();
        for header in [
            &b""[..],
            b"PROXY TCP4 192.0.2.1\r\n",
            b"PROXY TCP4 2001:db8::1 fd00::1 1 2\r\n",
            b"PROXY TCP4 192.0.2.256 10.0.0.1 1 2\r\n",
            b"PROXY  TCP4 192.0.2.1 10.0.0.1 1 2\r\n",
            &long,
            &version_2(1, 0x11, &[1, 2, 3]),
            &version_2(7, 0x11, &[192, 0, 2, 1, 10, 0, 0, 1, 0, 80, 0, 81]),
            b"\r\n\r\n\0\r\nQUIT",
        ] {
            assert!(read_of(header).await.is_err(), "{header:?}");
        }
    }
}
