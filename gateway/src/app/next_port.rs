//! The port above the RPC port, on which Solana clients look for WebSocket. If another process has
//! it, the gateway serves WebSocket on the RPC port only.

use std::net::{SocketAddr, TcpListener};

use super::sockets::Sockets;

/// Binds the port; returns whether that succeeded.
pub(super) fn take(address: SocketAddr, sockets: &mut Sockets) -> bool {
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
        Err(error) => {
            tracing::warn!(
                %address,
                %error,
                "cannot listen on the WebSocket port (RPC port + 1); serving WebSocket on the RPC port only"
            );
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_another_program_has_is_left_to_it() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let mut sockets = Sockets::default();
        assert!(!take(address, &mut sockets));
        drop(taken);
        assert!(take(address, &mut sockets));
    }
}
