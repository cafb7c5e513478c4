//! A client's stream whose reader gets compressed messages uncompressed.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::inbound::{CorruptDeflate, InboundFrames};
use super::inflaters::Inflaters;

#[cfg(test)]
mod tests;

/// The stream below a client's frames. What is written to it passes unchanged.
#[derive(Debug)]
pub(in crate::pubsub) struct InflatingStream<S> {
    stream: S,
    /// `None`: what is read passes unchanged too.
    inbound: Option<Box<InboundFrames>>,
}

impl<S> InflatingStream<S> {
    /// One on which compression was not agreed.
    pub(in crate::pubsub) fn plain(stream: S) -> Self {
        Self {
            stream,
            inbound: None,
        }
    }

    /// One on which it was. `unread` has been read from it already; where a message has more than
    /// `longest` bytes, compressed, a frame of more is passed on, to be refused.
    pub(in crate::pubsub) fn agreed(
        stream: S,
        inflaters: Arc<Inflaters>,
        unread: &[u8],
        longest: usize,
    ) -> Self {
        let inbound = InboundFrames::new(inflaters, unread, longest);
        Self {
            stream,
            inbound: Some(Box::new(inbound)),
        }
    }

    /// The stream below.
    pub(in crate::pubsub) fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for InflatingStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, inbound } = self.get_mut();
        let Some(inbound) = inbound else {
            return Pin::new(stream).poll_read(cx, buf);
        };
        loop {
            let taken = inbound.take(buf.remaining());
            let taken = taken.map_err(|corrupt| io::Error::new(ErrorKind::InvalidData, corrupt))?;
            if !taken.is_empty() {
                buf.put_slice(&taken);
                return Poll::Ready(Ok(()));
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut *stream).poll_read(cx, buf))?;
            let arrived = buf.filled().get(before..).unwrap_or_default();
            if arrived.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let passed = inbound.arrive(arrived);
            buf.set_filled(before + passed);
            if passed > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for InflatingStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Whether reading failed because of what the client has compressed.
pub(in crate::pubsub) fn is_corrupt(error: &io::Error) -> bool {
    let cause = error.get_ref();
    cause.is_some_and(<dyn std::error::Error + Send + Sync>::is::<CorruptDeflate>)
}
