//! Whose process this is.

use std::io;
use std::os::unix::net::UnixStream;

use nix::sys::socket::{getsockopt, sockopt};

/// The user that may do everything anyway.
pub(super) const ROOT: u32 = 0;

/// The user this process runs as: the peer credentials of a socket connected to itself.
pub(super) fn own_user() -> io::Result<u32> {
    let (own, _) = UnixStream::pair()?;
    let credentials = getsockopt(&own, sockopt::PeerCredentials)?;
    Ok(credentials.uid())
}
