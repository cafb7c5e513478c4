//! How a socket is closed.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::pubsub::deflate::InflatingStream;
use crate::pubsub::socket_end::SocketEnd;

/// Time limit for closing a socket.
pub(super) const FAREWELL: Duration = Duration::from_secs(3);

/// Sends the close frame, and reads until the client has received it.
pub(super) async fn farewell<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<InflatingStream<S>>,
    end: SocketEnd,
) {
    let closing = async {
        let Some((code, reason)) = end.code() else {
            // Tungstenite has the reply to the client's close frame ready.
            socket.flush().await.ok()?;
            while let Some(Ok(_unheard)) = socket.next().await {}
            return Some(());
        };
        let reason = Utf8Bytes::from_static(reason);
        let frame = CloseFrame { code, reason };
        socket.close(Some(frame)).await.ok()?;
        // It ends in this direction at once: as long as a client waits for that, web3.js 1.x
        // repeats what fails without a pause, and hears of nothing any more. In the other
        // direction it does not, or what the client sends meanwhile would fail, too.
        let stream = socket.get_mut().get_mut();
        stream.shutdown().await.ok()?;
        tokio::io::copy(stream, &mut tokio::io::sink()).await.ok()?;
        Some(())
    };
    drop(timeout(FAREWELL, closing).await);
}
