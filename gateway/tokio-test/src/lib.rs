//! Stands in for `tokio-test`, of which nothing is needed.
//!
//! `pingora-core` 0.9 depends on `tokio-test` for the one type below, which only its unit tests make
//! values of. The real crate switches tokio's `test-util` on, and with it every look at the clock
//! goes through the runtime's context and a lock. The workspace puts this crate in its place, so
//! that released programs have tokio's plain clock. It goes when Pingora makes `tokio-test` a
//! development dependency.

/// Scripted streams.
pub mod io {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, Result};

    /// A scripted stream; there are none.
    #[derive(Debug)]
    pub enum Mock {}

    impl AsyncRead for Mock {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<Result<()>> {
            match *self {}
        }
    }

    impl AsyncWrite for Mock {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<Result<usize>> {
            match *self {}
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
            match *self {}
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
            match *self {}
        }
    }
}
