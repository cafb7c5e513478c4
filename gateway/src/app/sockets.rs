//! The listening sockets of this process: bound or inherited before Pingora sees them.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::{IntoRawFd, RawFd};

use parking_lot::Mutex;
use pingora::server::ListenFds;

/// Sockets by the text of their address, under which Pingora looks them up. They stay open until
/// the process exits or Pingora closes them.
#[derive(Debug, Default)]
pub(super) struct Sockets(Mutex<Vec<(String, RawFd)>>);

impl Sockets {
    pub(super) fn add(&mut self, address: SocketAddr, listener: TcpListener) {
        let descriptor = listener.into_raw_fd();
        self.0.get_mut().push((address.to_string(), descriptor));
    }

    /// Adds a socket that another process has bound.
    pub(super) fn inherit(&mut self, address: SocketAddr, descriptor: RawFd) {
        self.0.get_mut().push((address.to_string(), descriptor));
    }

    /// All of them, by their addresses.
    pub(super) fn list(&self) -> Vec<(String, RawFd)> {
        self.0.lock().clone()
    }

    /// Lets Pingora listen on them instead of binding its own.
    pub(super) fn hand_to(&self, descriptors: &ListenFds) {
        let mut descriptors = descriptors.lock();
        for (address, descriptor) in self.0.lock().iter() {
            if descriptors.get(address).is_none() {
                descriptors.add(address.clone(), *descriptor);
            }
        }
    }
}
