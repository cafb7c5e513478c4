//! An HTTP/2 connection: its preface, its streams, its idle time. Pingora's own loop would wait for
//! the preface without a limit, and does not know a connection's other streams.

mod frames;
pub(super) mod request_check;
mod timed_stream;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::server::Connection;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{self, H2Accept, H2Options, HttpSession};
use pingora::protocols::{Digest, Stream};
use pingora::server::ShutdownWatch;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use self::timed_stream::{FrameTimeouts, TimedStream};
use super::connections::TrackedConnection;
use super::rpc_app::RpcApp;

/// Bytes of one stream buffered before the client's connection accepts them: what exceeds this
/// waits where it is counted.
const SEND_BUFFER: usize = 128 * 1024;

/// A connection is closed after this many malformed streams.
const MALFORMED: usize = 32;

/// Time limits of a client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Http2Timeouts {
    /// For the preface, from there to the first request, and for each frame and header block.
    pub beginning: Duration,
    /// For the body of a request.
    pub body: Duration,
    /// Later, without a request in progress.
    pub idle: Duration,
}

impl Http2Timeouts {
    fn of_frames(self) -> FrameTimeouts {
        FrameTimeouts {
            head: self.beginning,
            data: self.body + self.beginning,
        }
    }
}

/// Serves a connection until its end.
pub(super) async fn serve(
    app: &Arc<RpcApp>,
    stream: Stream,
    tracked: &Arc<TrackedConnection>,
    patience: Http2Timeouts,
    shutdown: &ShutdownWatch,
) {
    let digest = Arc::new(Digest {
        ssl_digest: stream.get_ssl_digest(),
        timing_digest: stream.get_timing_digest(),
        proxy_digest: stream.get_proxy_digest(),
        socket_digest: stream.get_socket_digest(),
    });
    let late = Arc::<AtomicBool>::default();
    let timed = TimedStream::new(stream, patience.of_frames(), Arc::clone(&late));
    let Some(mut connection) = begin(app, timed, patience).await else {
        return;
    };
    let mut shutdown = shutdown.clone();
    let mut leaving = false;
    let mut malformed = 0;
    let mut idle_limit = patience.beginning;
    let streams = Arc::new(Streams::default());
    loop {
        let accepted = tokio::select! {
            biased;
            changed = shutdown.wait_for(|stopping| *stopping), if !leaving => {
                drop(changed);
                leaving = true;
                // Streams in transit are still accepted.
                connection.graceful_shutdown();
                continue;
            }
            accepted = HttpSession::from_h2_conn(&mut connection, Arc::clone(&digest)) => accepted,
            () = streams.none_for(idle_limit) => return,
        };
        match accepted {
            Ok(Some(H2Accept::Session(session))) => {
                idle_limit = patience.idle;
                answer(app, tracked, session, streams.one());
            }
            Ok(Some(H2Accept::Rejected)) => {
                app.note_malformed(tracked);
                malformed += 1;
                if malformed >= MALFORMED {
                    return;
                }
            }
            // Most connections end like this: clients just close them.
            Ok(None) | Err(_) => {
                if late.load(Ordering::Acquire) {
                    app.metrics.refused("head_timeout");
                }
                return;
            }
        }
    }
}

/// Reads the preface, within its time.
async fn begin(
    app: &RpcApp,
    stream: TimedStream,
    patience: Http2Timeouts,
) -> Option<Connection<Stream, Bytes>> {
    let beginning = server::handshake(Box::new(stream), Some(options()));
    match timeout(patience.beginning, beginning).await {
        Ok(Ok(connection)) => Some(connection),
        Ok(Err(error)) => {
            tracing::debug!(error = error.etype().as_str(), "HTTP/2 handshake failed");
            None
        }
        Err(_elapsed) => {
            app.metrics.refused("head_timeout");
            None
        }
    }
}

/// Answers one stream, as a task of its own.
fn answer(
    app: &Arc<RpcApp>,
    tracked: &Arc<TrackedConnection>,
    session: HttpSession,
    counted: StreamGuard,
) {
    let (app, tracked) = (Arc::clone(app), Arc::clone(tracked));
    tokio::spawn(async move {
        let mut session = ServerSession::new_http2(session);
        if app.exchange(&mut session, &tracked).await.is_ok() {
            drop(session.finish().await);
        }
        drop(counted);
    });
}

fn options() -> H2Options {
    let mut options = server::default_h2_options();
    options.max_send_buffer_size(SEND_BUFFER);
    options
}

/// Streams in progress.
#[derive(Debug, Default)]
struct Streams {
    count: AtomicUsize,
    none: Notify,
}

/// One of them.
struct StreamGuard(Arc<Streams>);

impl Drop for StreamGuard {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none.notify_one();
        }
    }
}

impl Streams {
    fn one(self: &Arc<Self>) -> StreamGuard {
        self.count.fetch_add(1, Ordering::AcqRel);
        StreamGuard(Arc::clone(self))
    }

    /// Resolves when there has been no stream for this long. A new stream restarts the time.
    async fn none_for(&self, idle_limit: Duration) {
        while self.count.load(Ordering::Acquire) > 0 {
            self.none.notified().await;
        }
        sleep(idle_limit).await;
    }
}
