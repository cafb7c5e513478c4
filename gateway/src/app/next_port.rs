//! The port after that of the RPC, on which clients of Solana look for WebSocket. It is served
//! where it is free; a gateway whose neighbour has it serves WebSocket on the port of the RPC alone.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::sockets::Sockets;

/// How long the process on a port may take to say whose it is.
const PATIENCE: Duration = Duration::from_secs(1);

/// Takes the port, or with `upgrade` what the running process has of it; whether it is ours.
pub(super) fn take(address: SocketAddr, upgrade: bool, sockets: &mut Sockets) -> bool {
    let bind = || -> std::io::Result<TcpListener> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    match bind() {
        Ok(listener) => {
            sockets.add(address, listener);
            true
        }
        // The socket comes from there, as the others do. Another program's would not come.
        Err(_) if upgrade && is_a_gateways(address) => true,
        Err(error) => {
            tracing::warn!(
                %address,
                %error,
                "the port after that of the RPC cannot be listened on; WebSocket is served on the RPC port only"
            );
            false
        }
    }
}

/// Whether what listens there serves WebSocket only, and says so as a gateway does.
fn is_a_gateways(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<Vec<u8>> {
        let mut address = address;
        if address.ip().is_unspecified() {
            address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.take(4096).read_to_end(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().unwrap_or_default();
    let says = |text: &[u8]| memchr::memmem::find(&answer, text).is_some();
    answer.starts_with(b"HTTP/1.1 426") && says(b"x-request-id") && says(b"sec-websocket-version")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_another_program_has_is_left_to_it() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let mut sockets = Sockets::default();
        assert!(!take(address, false, &mut sockets));
        drop(taken);
        assert!(take(address, false, &mut sockets));
    }

    #[test]
    fn on_an_upgrade_only_a_gateways_port_is_taken_over() {
        for (says, ours) in [
            (
                "HTTP/1.1 426 Upgrade Required\r\nx-request-id: 1\r\nsec-websocket-version: 13\r\n\r\n",
                true,
            ),
            ("HTTP/1.1 200 OK\r\n\r\n", false),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let answering = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut head = [0; 1024];
                assert!(stream.read(&mut head).unwrap() > 0);
                stream.write_all(says.as_bytes()).unwrap();
                listener
            });
            assert_eq!(take(address, true, &mut Sockets::default()), ours, "{says}");
            drop(answering.join().unwrap());
        }
    }
}
