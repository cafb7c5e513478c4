//! The beginning of a connection: whether it speaks HTTP/2 in clear, told by its first bytes, and
//! how long a client may take to say anything at all.
//!
//! Pingora looks for the preface of HTTP/2 by waiting for its 24 bytes, for ever: a shorter request
//! would get no answer, and a connection that stays silent no end.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::{HttpServerOptions, ServerApp};
use pingora::protocols::{ALPN, Stream};
use pingora::server::ShutdownWatch;
use tokio::time::timeout;

use super::drain::Drain;
use super::express;
use super::rpc::RpcApp;

/// How every connection of HTTP/2 begins (RFC 9113 §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What stands before an [`RpcApp`].
pub struct Front {
    http1: Arc<RpcApp>,
    /// `None`: HTTP/2 is spoken over TLS only, where the handshake agrees on it.
    h2c: Option<Arc<RpcApp>>,
    drain: Arc<Drain>,
    patience: Duration,
}

impl Front {
    /// `h2c` is whether clients may speak HTTP/2 in clear; `patience` bounds the time before the
    /// first bytes of a connection in clear, and the idle time of one of HTTP/2.
    pub fn new(app: &RpcApp, h2c: bool, patience: Duration) -> Self {
        let with = |h2c| {
            let mut options = HttpServerOptions::default();
            options.h2c = h2c;
            options.h2_idle_timeout = Some(patience);
            Arc::new(RpcApp {
                options,
                ..app.clone()
            })
        };
        Self {
            http1: with(false),
            h2c: h2c.then(|| with(true)),
            drain: Arc::clone(&app.drain),
            patience,
        }
    }

    /// The app for a connection in clear; `None` when it ends or stays silent.
    async fn app(&self, stream: &mut Stream) -> Option<&Arc<RpcApp>> {
        let _waiting = self.drain.waiting();
        let mut first = [0; 3];
        let peeked = timeout(self.patience, stream.try_peek(&mut first));
        if !peeked.await.ok()?.ok()? {
            return Some(&self.http1);
        }
        let Some(h2c) = self.h2c.as_ref().filter(|_| PREFACE.starts_with(&first)) else {
            return Some(&self.http1);
        };
        // No method of HTTP/1 begins so; what is no preface after all is refused as HTTP/1.
        let mut whole = [0; PREFACE.len()];
        let peeked = timeout(self.patience, stream.try_peek(&mut whole));
        peeked.await.ok()?.ok()?;
        Some(h2c)
    }
}

#[async_trait]
impl ServerApp for Front {
    async fn process_new(
        self: &Arc<Self>,
        mut stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let app = if stream.get_ssl_digest().is_some() {
            &self.http1
        } else {
            self.app(&mut stream).await?
        };
        let http2 = app.options.h2c || matches!(stream.selected_alpn_proto(), Some(ALPN::H2));
        if http2 {
            return app.process_new(stream, shutdown).await;
        }
        express::serve(app, stream, self.patience).await;
        None
    }
}
