//! A stream that fails when too much arrives without a complete answer: the client library buffers
//! what it reads until an answer is complete, and an answer announces its own length.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that may arrive without a complete answer. Well above what all lookups in flight can
/// request while their callers are busy, well below what would hurt.
const MOST: usize = 64 * 1024 * 1024;

/// Bytes received since the last complete answer. Clones share the count.
#[derive(Clone, Debug, Default)]
pub(in crate::cache::remote) struct UnansweredBytes(Arc<AtomicUsize>);

impl UnansweredBytes {
    /// A complete answer was received.
    pub(in crate::cache::remote) fn answered(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn add(&self, bytes: usize) -> io::Result<()> {
        let before = self.0.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > MOST {
            // Of a kind that the library treats as the end of the connection.
            let error = io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the answer is longer than the read limit",
            );
            return Err(error);
        }
        Ok(())
    }
}

/// A stream whose reading side is limited.
#[derive(Debug)]
pub(super) struct ReadLimit<S> {
    stream: S,
    unanswered: UnansweredBytes,
}

impl<S> ReadLimit<S> {
    pub(super) fn new(stream: S, unanswered: UnansweredBytes) -> Self {
        Self { stream, unanswered }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadLimit<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Poll::Ready(Ok(())) = read {
            self.unanswered.add(buffer.filled().len() - before)?;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadLimit<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, repeat};

    use super::*;

    #[tokio::test]
    async fn what_is_answered_may_go_on_for_ever() {
        let unanswered = UnansweredBytes::default();
        let mut stream = ReadLimit::new(repeat(b'x'), unanswered.clone());
        let mut page = vec![0; 1024 * 1024];
        for _ in 0..200 {
            stream.read_exact(&mut page).await.unwrap();
            unanswered.answered();
        }
    }

    #[tokio::test]
    async fn what_is_not_answered_ends() {
        let mut stream = ReadLimit::new(repeat(b'x'), UnansweredBytes::default());
        let mut page = vec![0; 1024 * 1024];
        let mut read = 0;
        let error = loop {
            match stream.read_exact(&mut page).await {
                Ok(bytes) => read += bytes,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        assert_eq!(read, MOST);
    }

    #[tokio::test]
    async fn writing_goes_through() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut stream = ReadLimit::new(near, UnansweredBytes::default());
        stream.write_all(b"PING").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut text = String::new();
        far.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "PING");
    }
}
