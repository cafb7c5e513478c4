//! How a socket ends.

use std::time::Duration;

use tokio::time::timeout;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};

use crate::pubsub::deflate::is_corrupt;
use crate::pubsub::socket_end::SocketEnd;

/// Summary of a socket.
#[derive(Clone, Copy, Debug)]
pub struct EndedSocket {
    pub end: SocketEnd,
    /// From the client.
    pub messages: usize,
    /// To it.
    pub notifications: usize,
    /// Of texts, to it.
    pub bytes: usize,
    /// Of the messages to it.
    pub compressed: usize,
}

/// A write within its time.
pub(super) async fn within(
    patience: Duration,
    write: impl Future<Output = Result<(), Error>>,
) -> Result<(), SocketEnd> {
    match timeout(patience, write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_gone)) => Err(SocketEnd::Client),
        Err(_elapsed) => Err(SocketEnd::Slow),
    }
}

/// What an error of the socket means.
pub(super) fn end(error: &Error) -> SocketEnd {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => SocketEnd::TooLarge,
        Error::Io(error) if is_corrupt(error) => SocketEnd::Corrupt,
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)
        | Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Io(_) => SocketEnd::Client,
        Error::Utf8(_) => SocketEnd::NotText,
        _ => SocketEnd::Malformed,
    }
}
