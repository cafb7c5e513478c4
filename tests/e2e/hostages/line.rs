//! A connection of a hostile client over each way there is: HTTP/1 and HTTP/2, in clear and over
//! TLS, byte by byte.

use std::time::Duration;

use perijove_tests::client::call;
use perijove_tests::client::raw::post;
use perijove_tests::gateway::{Gateway, GatewayConfig, loopback};
use perijove_tests::sandbox::Sandbox;
use perijove_tests::tls::Identity;
use perijove_tests::wait::{PATIENCE, until};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::scene::equals;

/// How a client may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Http1,
    Http2,
    TlsHttp1,
    TlsHttp2,
}

pub const ALL: [Way; 4] = [Way::Http1, Way::Http2, Way::TlsHttp1, Way::TlsHttp2];

/// Of HTTP/2: as much as there can be.
pub const WIDE: u32 = 0x7fff_ffff;

impl Way {
    pub fn is_http2(self) -> bool {
        matches!(self, Self::Http2 | Self::TlsHttp2)
    }

    fn is_tls(self) -> bool {
        matches!(self, Self::TlsHttp1 | Self::TlsHttp2)
    }
}

/// A gateway that listens in clear and over TLS, with one upstream behind it.
pub struct Stage {
    pub cluster: Sandbox,
    pub gateway: Gateway,
    identity: Identity,
}

impl Stage {
    pub async fn with(change: impl FnOnce(GatewayConfig) -> GatewayConfig) -> Self {
        let (cluster, identity, config) = Self::prepared(change).await;
        let gateway = Gateway::start(config).await;
        Self {
            cluster,
            gateway,
            identity,
        }
    }

    pub async fn with_descriptors(soft: usize, hard: usize) -> Self {
        let (cluster, identity, config) = Self::prepared(|config| config).await;
        let gateway = Gateway::start_with_descriptors(config, soft, hard).await;
        Self {
            cluster,
            gateway,
            identity,
        }
    }

    async fn prepared(
        change: impl FnOnce(GatewayConfig) -> GatewayConfig,
    ) -> (Sandbox, Identity, GatewayConfig) {
        let cluster = Sandbox::start(1).await.unwrap();
        let identity = Identity::of("localhost");
        let listener = json!([{
            "address": loopback(),
            "certificate": identity.certificate_file().display().to_string(),
            "key": identity.key_file().display().to_string(),
        }]);
        // Nothing ends by itself that is not what the test is about.
        let config = equals(&cluster)
            .set("listen.tls", listener)
            .set("listen.keepalive", "10m")
            .set("limits.body_timeout", "10m")
            .set("limits.head_timeout", "10m")
            .set("limits.write_timeout", "10m")
            .set("shutdown.grace", "10m")
            .set("shutdown.linger", "1s");
        (cluster, identity, change(config))
    }

    /// A TCP connection on which nothing has been said.
    pub async fn tcp(&self, way: Way) -> TcpStream {
        let address = if way.is_tls() {
            self.gateway.tls_address()
        } else {
            self.gateway.address()
        };
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// A connection after its TLS handshake, if it has one.
    pub async fn open(&self, way: Way) -> Line {
        let tcp = self.tcp(way).await;
        let io: Box<dyn Io> = if way.is_tls() {
            let protocol = if way.is_http2() { "h2" } else { "http/1.1" };
            let connector = self.identity.connector(&[protocol]);
            let name = "localhost".try_into().unwrap();
            Box::new(connector.connect(name, tcp).await.unwrap())
        } else {
            Box::new(tcp)
        };
        Line {
            io,
            way,
            next_stream: 1,
        }
    }

    /// A connection on which requests can be made; with HTTP/2 the client takes `window` bytes of
    /// each answer.
    pub async fn begin(&self, way: Way, window: u32) -> Line {
        let mut line = self.open(way).await;
        if way.is_http2() {
            line.send(beginning(window)).await;
        }
        line
    }

    /// A connection with so many answers under way as no socket takes.
    pub async fn greedy(&self, way: Way, window: u32) -> Line {
        let mut line = self.begin(way, window).await;
        for _ in 0..80 {
            line.ask(&pad()).await;
        }
        line
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "counters and sizes of a test are small"
    )]
    pub async fn count(&self, name: &str, labels: &[(&str, &str)]) -> i64 {
        self.metric(name, labels).await as i64
    }

    pub async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.gateway.metrics().await.sum(name, labels)
    }

    /// Waits until a metric is what it should be.
    pub async fn until(&self, name: &str, labels: &[(&str, &str)], is: impl Fn(f64) -> bool) {
        let what = format!(
            "{name}{labels:?} to be right; now {}",
            self.metric(name, labels).await
        );
        until(&what, || async {
            is(self.metric(name, labels).await).then_some(())
        })
        .await;
    }

    /// Waits until nothing waits for a slow client any more, and no request is in progress.
    pub async fn until_free(&self) {
        self.until("perijove_http_unsent_bytes", &[], |bytes| bytes == 0.0)
            .await;
        self.until("perijove_http_in_flight", &[], |requests| requests == 0.0)
            .await;
    }

    /// A new client is served.
    pub async fn serves(&self) {
        let client = perijove_tests::client::builder().build().unwrap();
        let request = client
            .post(self.gateway.url())
            .header("content-type", "application/json")
            .body(call("sandboxEcho", &json!([7])));
        let reply = self.gateway.send(request).await;
        assert_eq!(reply.result(), json!([7]));
    }

    /// Log lines with this text.
    pub fn told(&self, text: &str) -> Vec<String> {
        let log = self.gateway.process.log();
        log.into_iter().filter(|line| line.contains(text)).collect()
    }
}

/// A call with a whole answer as large as there is one.
pub fn pad() -> String {
    call("sandboxPad", &json!([{ "bytes": 250_000 }]))
}

/// What a connection is to its client.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A client's end of a connection.
pub struct Line {
    io: Box<dyn Io>,
    way: Way,
    next_stream: u32,
}

impl Line {
    /// Sends bytes; a peer that has closed already is noticed when reading.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = self.io.write_all(bytes.as_ref()).await;
        if sent.is_ok() {
            self.io.flush().await.unwrap_or_default();
        }
    }

    /// Posts a call.
    pub async fn ask(&mut self, body: &str) {
        let request = if self.way.is_http2() {
            let stream = self.next_stream;
            self.next_stream += 2;
            let mut request = head(stream, body.len());
            request.extend(frame(DATA, END_STREAM, stream, body.as_bytes()));
            request
        } else {
            post(body, "").into_bytes()
        };
        self.send(request).await;
    }

    /// Posts the beginning of a call that would be longer.
    pub async fn ask_in_part(&mut self, part: &str, length: usize) {
        if self.way.is_http2() {
            let stream = self.next_stream;
            self.next_stream += 2;
            self.send(head(stream, length)).await;
            for piece in part.as_bytes().chunks(16_384) {
                self.send(frame(DATA, 0, stream, piece)).await;
            }
        } else {
            let lines = format!(
                "POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
            );
            self.send(lines + part).await;
        }
    }

    /// Sends a head with this much in it: over HTTP/2 a complete one whose body does not come, over
    /// HTTP/1 one that lacks its end.
    pub async fn only_head(&mut self, padding: usize) {
        if self.way.is_http2() {
            let stream = self.next_stream;
            self.next_stream += 2;
            self.send(padded_head(stream, padding)).await;
        } else {
            let padding = "x".repeat(padding);
            let lines = format!("POST / HTTP/1.1\r\nhost: a\r\nx-padding: {padding}\r\n");
            self.send(lines).await;
        }
    }

    /// Takes a byte of each answer, again and again until the connection is closed.
    pub async fn trickle(mut self) {
        loop {
            sleep(Duration::from_millis(20)).await;
            if self.way.is_http2() {
                let streams = (1..self.next_stream).step_by(2);
                let grants =
                    streams.flat_map(|stream| frame(WINDOW_UPDATE, 0, stream, &[0, 0, 0, 1]));
                let grants: Vec<u8> = grants.collect();
                if self.io.write_all(&grants).await.is_err() {
                    return;
                }
            } else if !matches!(self.io.read(&mut [0]).await, Ok(1)) {
                return;
            }
        }
    }

    /// The bare connection.
    pub fn into_io(self) -> Box<dyn Io> {
        self.io
    }

    /// Reads until the gateway closes the connection.
    pub async fn closed(mut self) -> Vec<u8> {
        let mut read = Vec::new();
        let end = timeout(PATIENCE, self.io.read_to_end(&mut read)).await;
        // A reset is an end, too.
        drop(end.expect("the end of the connection"));
        read
    }

    /// Reads until something with this in it has come.
    pub async fn reads(&mut self, text: &str) {
        self.reads_at_pace(text, Duration::ZERO).await;
    }

    /// The same, with a pause after each 64 KiB.
    pub async fn reads_at_pace(&mut self, text: &str, pause: Duration) {
        let mut last = Vec::new();
        let mut piece = 0;
        while !String::from_utf8_lossy(&last).contains(text) {
            let mut buffer = vec![0; 16 * 1024];
            let read = timeout(PATIENCE, self.io.read(&mut buffer)).await;
            let read = read.unwrap_or_else(|_| panic!("{text:?} does not come"));
            let read = read.unwrap();
            assert!(
                read > 0,
                "closed after {:?}",
                String::from_utf8_lossy(&last)
            );
            // It may come in two pieces.
            let kept = last.len().min(text.len());
            last.drain(..last.len() - kept);
            last.extend(&buffer[..read]);
            piece += read;
            if piece >= 64 * 1024 {
                piece = 0;
                sleep(pause).await;
            }
        }
    }
}

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// How a connection of HTTP/2 begins whose client takes this much of each answer.
pub fn beginning(window: u32) -> Vec<u8> {
    let mut settings = vec![0, 4];
    settings.extend(window.to_be_bytes());
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &settings));
    // The connection's own window is as wide as can be.
    bytes.extend(frame(WINDOW_UPDATE, 0, 0, &(WIDE - 65_535).to_be_bytes()));
    bytes
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The head of a call.
fn head(stream: u32, length: usize) -> Vec<u8> {
    let mut block = call_fields();
    block.extend(field("content-length", &length.to_string()));
    frame(HEADERS, END_HEADERS, stream, &block)
}

/// The head of a call with so many bytes that nobody needs, in several frames.
fn padded_head(stream: u32, padding: usize) -> Vec<u8> {
    let mut block = call_fields();
    for at in 0..padding / 100 {
        block.extend(field(&format!("x-{at}"), &"x".repeat(100)));
    }
    let mut bytes = Vec::new();
    let mut pieces = block.chunks(16_384).peekable();
    while let Some(piece) = pieces.next() {
        let kind = if bytes.is_empty() {
            HEADERS
        } else {
            CONTINUATION
        };
        let flags = if pieces.peek().is_none() {
            END_HEADERS
        } else {
            0
        };
        bytes.extend(frame(kind, flags, stream, piece));
    }
    bytes
}

fn call_fields() -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "localhost"),
        ("content-type", "application/json"),
    ];
    fields.map(|(name, value)| field(name, value)).concat()
}

/// A field that is spelled out and not remembered (RFC 7541 §6.2.2).
fn field(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        bytes.push(u8::try_from(text.len()).unwrap());
        bytes.extend(text.as_bytes());
    }
    bytes
}
