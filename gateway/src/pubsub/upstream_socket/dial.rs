//! Opening sockets to upstreams.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::{RETRY_AFTER, USER_AGENT};
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::dial_error::DialError;
use crate::upstream::{Duplex, Upstream, retry_after};

/// Largest message of an upstream: a block is some megabytes.
const LARGEST: usize = 128 * 1024 * 1024;
/// Read from and written to a socket at once.
const BUFFER: usize = 32 * 1024;
const NAME: &str = concat!("perijove/", env!("CARGO_PKG_VERSION"));

pub(crate) type Dialed = Result<WebSocketStream<Box<dyn Duplex>>, DialError>;

/// How sockets are opened.
pub(crate) trait SocketDialer: Send + Sync {
    /// Opens one; successive attempts cycle through the addresses that the upstream may have for
    /// it.
    fn dial<'a>(
        &'a self,
        upstream: &'a Arc<Upstream>,
        attempt: usize,
    ) -> Pin<Box<dyn Future<Output = Dialed> + Send + 'a>>;
}

/// Over the network.
#[derive(Debug)]
pub(crate) struct NetworkDialer;

impl SocketDialer for NetworkDialer {
    fn dial<'a>(
        &'a self,
        upstream: &'a Arc<Upstream>,
        attempt: usize,
    ) -> Pin<Box<dyn Future<Output = Dialed> + Send + 'a>> {
        Box::pin(async move { open(upstream, attempt).await })
    }
}

async fn open(upstream: &Upstream, attempt: usize) -> Dialed {
    let urls = upstream.ws_urls();
    let url = urls
        .get(attempt % urls.len().max(1))
        .ok_or_else(DialError::no_url)?;
    let request = url.expose().as_str().into_client_request();
    let mut request = request.map_err(|_its_text_has_the_url| DialError::no_url())?;
    request
        .headers_mut()
        .insert(USER_AGENT, http::HeaderValue::from_static(NAME));
    for (name, value) in upstream.ws_headers() {
        request.headers_mut().insert(name, value);
    }
    let stream = upstream.open_socket(url).await;
    let stream = stream.map_err(DialError::connection)?;
    shake(request, stream, upstream.unix_now()).await
}

/// Does the handshake on an open connection. `unix_now` is in seconds.
pub(crate) async fn shake(
    request: http::Request<()>,
    stream: Box<dyn Duplex>,
    unix_now: u64,
) -> Dialed {
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(0)
        .max_message_size(Some(LARGEST))
        .max_frame_size(Some(LARGEST));
    match client_async_with_config(request, stream, Some(config)).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(refusal)) => {
            let named = refusal.headers().get(RETRY_AFTER);
            let named = named.and_then(|value| retry_after(value.as_bytes(), unix_now));
            let retry_after = match refusal.status() {
                StatusCode::TOO_MANY_REQUESTS => named.or(Some(Duration::from_secs(1))),
                _ => named,
            };
            Err(DialError::status(refusal.status().as_u16(), retry_after))
        }
        // Its text may quote the URL.
        Err(_failed) => Err(DialError::handshake()),
    }
}
