//! The handover of the listening sockets from a running process to its successor, over a Unix
//! socket that only their user can reach. The old process keeps serving until the new one reports
//! that it listens; if that does not happen it continues as if nothing had been asked. Pingora's
//! own handover does neither, and accepts any process on its socket.
//!
//! The successor listens at `runtime.upgrade_socket`; the old process connects to it, sends the
//! descriptors with their addresses, and waits for one byte.

mod folder;
mod user;

use user::{ROOT, own_user};

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, getsockopt, recvmsg, sendmsg, sockopt,
};
use socket2::SockRef;
use tokio::time::{Instant, sleep};

use crate::config::Config;

/// Maximum number of sockets handed over at once.
const MOST: usize = 128;

/// Maximum length of all addresses together, in bytes.
const LONGEST: usize = 16 * 1024;

/// How long a successor waits for the sockets.
const WAIT: Duration = Duration::from_mins(1);

/// How long a connected process may take to send them.
const TRANSFER: Duration = Duration::from_secs(10);

/// How long a process tries to connect to its successor.
const LOOK: Duration = Duration::from_secs(10);

/// How long the successor may take from then until it listens.
const START: Duration = Duration::from_mins(1);

/// Path of the handover socket: as configured, or the default for this user.
///
/// # Errors
/// The current user cannot be determined.
pub(super) fn socket(config: &Config) -> io::Result<PathBuf> {
    match &config.runtime.upgrade_socket {
        Some(path) => Ok(path.clone()),
        None => Ok(folder::default_socket(own_user()?)),
    }
}

/// Sent by the successor when it listens.
const LISTENING: u8 = b'1';

/// Why sockets were not handed over.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    #[error("runtime.upgrade_socket: {0}")]
    Folder(#[from] folder::FolderFault),
    #[error("runtime.upgrade_socket: {path}: {source}")]
    Socket { path: PathBuf, source: io::Error },
    #[error(
        "runtime.upgrade_socket: {0} exists but is not a socket; remove it or name another path"
    )]
    InTheWay(PathBuf),
    #[error(
        "runtime.upgrade_socket: no process handed over its listening sockets at {0} within a \
         minute; send SIGQUIT to the running process, which must be configured with the same path"
    )]
    Nobody(PathBuf),
    #[error("the process at the other end runs as user {0}, not as this process's user")]
    Stranger(u32),
    #[error("the listening sockets were not received: {0}")]
    Transfer(#[source] io::Error),
    #[error("the new process did not start listening: {0}")]
    Successor(#[source] io::Error),
}

/// The sockets of the predecessor, and the connection over which to report that they are in use.
#[derive(Debug)]
pub(super) struct Inherited {
    sockets: Vec<(String, RawFd)>,
    predecessor: UnixStream,
}

impl Inherited {
    /// Waits for the running process to hand over its sockets. Blocks, since nothing runs yet.
    ///
    /// # Errors
    /// The socket's directory is not safe, or no process connected.
    pub(super) fn wait(path: &Path) -> Result<Self, UpgradeError> {
        folder::prepare(path)?;
        remove_stale(path)?;
        let failed = |source| UpgradeError::Socket {
            path: path.to_owned(),
            source,
        };
        let listener = UnixListener::bind(path).map_err(failed)?;
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(path, private).map_err(failed)?;
        // This also bounds the wait for a connection.
        SockRef::from(&listener)
            .set_read_timeout(Some(WAIT))
            .map_err(failed)?;
        tracing::info!(socket = %path.display(),
            "waiting for the listening sockets; send SIGQUIT to the old process");
        let inherited = accept(&listener, path);
        // A later process must fail to connect instead of reaching one that no longer listens.
        drop(std::fs::remove_file(path));
        inherited
    }

    /// Takes the socket of an address, if it was handed over.
    pub(super) fn take(&mut self, address: &str) -> Option<RawFd> {
        let at = self.sockets.iter().position(|(own, _)| own == address)?;
        Some(self.sockets.swap_remove(at).1)
    }

    /// Reports to the predecessor that this process listens. Sockets that were not taken are
    /// closed.
    pub(super) fn listening(mut self) {
        for (address, descriptor) in self.sockets.drain(..) {
            tracing::info!(
                address,
                "inherited socket closed: its address is no longer configured"
            );
            _ = nix::unistd::close(descriptor);
        }
        // A predecessor that has exited needs no report.
        drop(self.predecessor.write_all(&[LISTENING]));
    }

    #[cfg(test)]
    pub(super) fn of(sockets: Vec<(String, RawFd)>) -> Self {
        let (predecessor, _) = UnixStream::pair().unwrap();
        Self {
            sockets,
            predecessor,
        }
    }
}

fn remove_stale(path: &Path) -> Result<(), UpgradeError> {
    match std::fs::symlink_metadata(path) {
        Err(_) => Ok(()),
        Ok(there) if there.file_type().is_socket() => {
            std::fs::remove_file(path).map_err(|source| UpgradeError::Socket {
                path: path.to_owned(),
                source,
            })
        }
        Ok(_) => Err(UpgradeError::InTheWay(path.to_owned())),
    }
}

/// Accepts the first process of the same user.
fn accept(listener: &UnixListener, path: &Path) -> Result<Inherited, UpgradeError> {
    loop {
        let (stream, _) = listener
            .accept()
            .map_err(|_out_of_time| UpgradeError::Nobody(path.to_owned()))?;
        match check_peer(&stream) {
            Ok(()) => return receive(stream),
            Err(error) => tracing::warn!(%error, "socket handover refused"),
        }
    }
}

fn receive(stream: UnixStream) -> Result<Inherited, UpgradeError> {
    stream
        .set_read_timeout(Some(TRANSFER))
        .map_err(UpgradeError::Transfer)?;
    let mut text = vec![0; LONGEST];
    let mut control = nix::cmsg_space!([RawFd; MOST]);
    let (length, descriptors) = {
        let mut parts = [IoSliceMut::new(&mut text)];
        let message = recvmsg::<()>(
            stream.as_raw_fd(),
            &mut parts,
            Some(&mut control),
            MsgFlags::MSG_CMSG_CLOEXEC,
        )
        .map_err(|error| UpgradeError::Transfer(error.into()))?;
        let mut descriptors = Vec::new();
        let messages = message
            .cmsgs()
            .map_err(|error| UpgradeError::Transfer(error.into()))?;
        for message in messages {
            if let ControlMessageOwned::ScmRights(some) = message {
                descriptors.extend(some);
            }
        }
        (message.bytes, descriptors)
    };
    let text = text.get(..length).unwrap_or_default();
    let text = String::from_utf8_lossy(text).into_owned();
    let addresses: Vec<_> = text.split_ascii_whitespace().map(str::to_owned).collect();
    if addresses.len() != descriptors.len() || addresses.is_empty() {
        let found = format!(
            "{} addresses, {} sockets",
            addresses.len(),
            descriptors.len()
        );
        return Err(UpgradeError::Transfer(io::Error::other(found)));
    }
    Ok(Inherited {
        sockets: addresses.into_iter().zip(descriptors).collect(),
        predecessor: stream,
    })
}

/// Hands the sockets to the successor and waits until it listens.
///
/// # Errors
/// No successor waits, the directory or the other process is not safe, or the successor exited.
pub(super) async fn hand_over(
    path: &Path,
    sockets: &[(String, RawFd)],
) -> Result<(), UpgradeError> {
    folder::check(path)?;
    let stream = connect(path).await?;
    check_peer(&stream)?;
    let text: Vec<_> = sockets
        .iter()
        .map(|(address, _)| address.as_str())
        .collect();
    let descriptors: Vec<_> = sockets.iter().map(|(_, descriptor)| *descriptor).collect();
    sendmsg::<()>(
        stream.as_raw_fd(),
        &[IoSlice::new(text.join("\n").as_bytes())],
        &[ControlMessage::ScmRights(&descriptors)],
        MsgFlags::empty(),
        None,
    )
    .map_err(|error| UpgradeError::Transfer(error.into()))?;
    let answer = tokio::task::spawn_blocking(move || answer(stream)).await;
    answer
        .map_err(io::Error::other)
        .and_then(|answer| answer)
        .map_err(UpgradeError::Successor)
}

fn answer(mut stream: UnixStream) -> io::Result<()> {
    stream.set_read_timeout(Some(START))?;
    let mut byte = [0];
    stream.read_exact(&mut byte)
}

async fn connect(path: &Path) -> Result<UnixStream, UpgradeError> {
    let deadline = Instant::now() + LOOK;
    loop {
        match UnixStream::connect(path) {
            Ok(stream) => return Ok(stream),
            Err(_) if Instant::now() < deadline => sleep(Duration::from_millis(100)).await,
            Err(source) => {
                return Err(UpgradeError::Socket {
                    path: path.to_owned(),
                    source,
                });
            }
        }
    }
}

/// Only the same user is accepted, and root, who could do anything anyway.
fn check_peer(stream: &UnixStream) -> Result<(), UpgradeError> {
    let peer = getsockopt(stream, sockopt::PeerCredentials)
        .map_err(|error| UpgradeError::Transfer(error.into()))?;
    let own = own_user().map_err(UpgradeError::Transfer)?;
    if peer.uid() == own || peer.uid() == ROOT {
        Ok(())
    } else {
        Err(UpgradeError::Stranger(peer.uid()))
    }
}

#[cfg(test)]
mod tests;
