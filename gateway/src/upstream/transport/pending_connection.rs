//! Opens a connection for all calls that wait for one, even if the call that asked for it is
//! cancelled.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use prometheus::{Histogram, IntCounter};
use tokio::time::Instant;

use crate::solana::FaultKind;
use crate::upstream::http1::connection::Http1Connections;
use crate::upstream::http2::Http2Pool;
use crate::upstream::transport::connect_settings::{ConnectSettings, NewConnection};

/// Which address a new connection goes to.
#[derive(Clone, Copy)]
pub(in crate::upstream) enum ConnectTarget {
    /// To this one, or to another if it does not answer.
    First(Option<SocketAddr>),
    Only(SocketAddr),
}

/// A connection to be opened, and the pools it may belong to.
pub(in crate::upstream) struct PendingConnection {
    pub(in crate::upstream) wire: Arc<ConnectSettings>,
    pub(in crate::upstream) target: ConnectTarget,
    pub(in crate::upstream) connections: Arc<Http1Connections>,
    pub(in crate::upstream) http2: Arc<Http2Pool>,
    pub(in crate::upstream) opened: IntCounter,
    pub(in crate::upstream) connect_time: Histogram,
}

impl PendingConnection {
    /// Begins, in a task of its own.
    pub(in crate::upstream) fn begin(self) {
        drop(tokio::spawn(async move {
            match self.run().await {
                Ok(()) => {}
                Err(kind) => self.http2.failed(kind),
            }
        }));
    }

    async fn run(&self) -> Result<(), FaultKind> {
        let wire = &self.wire;
        let mut timer = pin!(None);
        let begun = Instant::now();
        let until = begun + wire.timeouts.connect;
        let opened = match self.target {
            ConnectTarget::First(first) => wire.open(first, until, &mut timer).await?,
            ConnectTarget::Only(address) => wire.connect(address, until, &mut timer).await?,
        };
        match opened {
            NewConnection::Http2(stream, address) => {
                self.http2.adopt(stream, address, &wire.addresses).await?;
                self.http2.opened();
            }
            NewConnection::Http1(connection) => {
                self.connections.put(connection, &wire.addresses);
                self.http2.speaks_other();
            }
        }
        self.opened.inc();
        self.connect_time.observe(begun.elapsed().as_secs_f64());
        Ok(())
    }
}
