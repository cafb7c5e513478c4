//! The port after that of the RPC, on which clients of Solana look for WebSocket. It is served
//! where it is free; a gateway whose neighbour has it serves WebSocket on the port of the RPC alone.

use std::net::{SocketAddr, TcpListener};

use super::sockets::Sockets;

/// Takes the port; whether it is ours.
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
