//! The addresses to listen on, bound before anything starts: port 0 becomes a real port, and a port
//! that cannot be bound is an error that names it instead of a panic in a background task.

use std::net::{SocketAddr, TcpListener};

use super::next_port;
use super::sockets::Sockets;
use super::upgrade::Inherited;
use crate::config::Config;

#[derive(Clone, Debug)]
pub(super) struct ListenAddresses {
    pub rpc: Vec<SocketAddr>,
    pub tls: Vec<SocketAddr>,
    /// The WebSocket-only ports: one above each port of `rpc` and `tls`.
    pub websocket: Vec<SocketAddr>,
    /// Those of them that speak TLS, each with the index of its listener in `tls`.
    pub websocket_tls: Vec<(SocketAddr, usize)>,
    pub admin: Option<SocketAddr>,
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("{key}: cannot listen on {address}: {source}")]
pub struct ListenError {
    key: &'static str,
    address: SocketAddr,
    source: std::io::Error,
}

impl ListenAddresses {
    /// Takes the sockets handed over by the running process and binds all others.
    ///
    /// # Errors
    /// The first address that cannot be listened on.
    pub(super) fn settle(
        config: &Config,
        mut inherited: Option<&mut Inherited>,
    ) -> Result<(Self, Sockets), ListenError> {
        let mut sockets = Sockets::default();
        let mut take = |address: SocketAddr| inherited.as_mut()?.take(&address.to_string());
        let mut settle = |key, address: SocketAddr| {
            if let Some(descriptor) = take(address) {
                sockets.inherit(address, descriptor);
                return Ok(address);
            }
            let mut bind = || -> std::io::Result<SocketAddr> {
                let listener = TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                let address = listener.local_addr()?;
                sockets.add(address, listener);
                Ok(address)
            };
            bind().map_err(|source| ListenError {
                key,
                address,
                source,
            })
        };
        let listen = &config.listen;
        let mut addresses = Self {
            websocket: Vec::new(),
            websocket_tls: Vec::new(),
            rpc: listen
                .rpc
                .iter()
                .map(|a| settle("listen.rpc", *a))
                .collect::<Result<_, _>>()?,
            tls: listen
                .tls
                .iter()
                .map(|listener| settle("listen.tls", listener.address))
                .collect::<Result<_, _>>()?,
            admin: config
                .admin
                .listen
                .map(|a| settle("admin.listen", a))
                .transpose()?,
        };
        if listen.next_port {
            let clear = listen.rpc.iter().map(|address| (*address, None));
            let tls = listen.tls.iter().enumerate();
            let tls = tls.map(|(place, listener)| (listener.address, Some(place)));
            for (address, of_tls) in clear.chain(tls) {
                if let Some(next) = next_port(address)
                    && !addresses.has(next)
                {
                    if let Some(descriptor) = take(next) {
                        sockets.inherit(next, descriptor);
                    } else if !next_port::take(next, &mut sockets) {
                        continue;
                    }
                    addresses.websocket.push(next);
                    let of_tls = of_tls.map(|place| (next, place));
                    addresses.websocket_tls.extend(of_tls);
                }
            }
        }
        Ok((addresses, sockets))
    }
}

impl ListenAddresses {
    fn has(&self, address: SocketAddr) -> bool {
        self.rpc
            .iter()
            .chain(&self.tls)
            .chain(&self.websocket)
            .chain(&self.admin)
            .any(|other| other.port() == address.port())
    }
}

/// The port where clients look for WebSocket if RPC is here. `None` for a port that the system
/// chose, since no client can compute it.
fn next_port(address: SocketAddr) -> Option<SocketAddr> {
    let port = address.port().checked_add(1)?;
    (address.port() != 0).then(|| SocketAddr::new(address.ip(), port))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    fn config(rpc: SocketAddr) -> Config {
        let mut config = Config::default();
        config.listen.rpc = vec![rpc];
        config.admin.listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        config
    }

    #[test]
    fn port_zero_becomes_a_port() {
        let (addresses, _sockets) =
            ListenAddresses::settle(&config(SocketAddr::from(([127, 0, 0, 1], 0))), None).unwrap();
        assert_ne!(addresses.rpc[0].port(), 0);
        assert_ne!(Some(addresses.rpc[0]), addresses.admin);
    }

    #[test]
    fn a_taken_address_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = ListenAddresses::settle(&config(address), None)
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.starts_with(&format!("listen.rpc: cannot listen on {address}")),
            "{error}"
        );
    }

    #[test]
    fn what_was_handed_over_is_taken_and_the_rest_is_bound() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let descriptor = taken.as_raw_fd();
        let mut inherited = Inherited::of(vec![(address.to_string(), descriptor)]);
        let (addresses, sockets) =
            ListenAddresses::settle(&config(address), Some(&mut inherited)).unwrap();
        assert_eq!(addresses.rpc, [address]);
        assert!(sockets.list().contains(&(address.to_string(), descriptor)));
        assert_ne!(addresses.admin.unwrap().port(), 0);
    }
}
