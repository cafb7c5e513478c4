//! The addresses to listen on, settled before anything starts: port 0 becomes a real port, and an
//! address that is taken is an error with a name, not a panic in a background task.

use std::net::{SocketAddr, TcpListener};

use crate::config::Config;

#[derive(Clone, Debug)]
pub(super) struct Addresses {
    pub rpc: Vec<SocketAddr>,
    pub tls: Vec<SocketAddr>,
    pub admin: Option<SocketAddr>,
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("{key}: cannot listen on {address}: {source}")]
pub struct AddressError {
    key: &'static str,
    address: SocketAddr,
    source: std::io::Error,
}

impl Addresses {
    /// With `upgrade` the sockets come from the running process, so they must be in use.
    ///
    /// # Errors
    /// The first address that is not free.
    pub(super) fn settle(config: &Config, upgrade: bool) -> Result<Self, AddressError> {
        // Held until all are settled, so that two port zeros do not become the same port.
        let mut held = Vec::new();
        let mut settle = |key, address: SocketAddr| {
            if upgrade {
                return Ok(address);
            }
            let bound = TcpListener::bind(address)
                .and_then(|listener| Ok((listener.local_addr()?, listener)))
                .map_err(|source| AddressError {
                    key,
                    address,
                    source,
                })?;
            held.push(bound.1);
            Ok(bound.0)
        };
        let listen = &config.listen;
        Ok(Self {
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
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(rpc: SocketAddr) -> Config {
        let mut config = Config::default();
        config.listen.rpc = vec![rpc];
        config.admin.listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        config
    }

    #[test]
    fn port_zero_becomes_a_port() {
        let addresses =
            Addresses::settle(&config(SocketAddr::from(([127, 0, 0, 1], 0))), false).unwrap();
        assert_ne!(addresses.rpc[0].port(), 0);
        assert_ne!(Some(addresses.rpc[0]), addresses.admin);
    }

    #[test]
    fn a_taken_address_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = Addresses::settle(&config(address), false)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(&format!("listen.rpc: cannot listen on {address}")),
            "{error}"
        );
        assert!(
            Addresses::settle(&config(address), true).is_ok(),
            "an upgrade takes it over"
        );
    }
}
