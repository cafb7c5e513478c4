//! One connection to a validator: requests in, answers out, as its faults change them on the wire.
//! Each connection is a task of its own; cutting the task cuts the connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::body::Body;
use super::counts::OpenConnection;
use super::fault::{ResetWhen, StallAfter};
use super::http::{self, Request};
use super::pubsub::socket::Socket;
use super::rpc::{Incoming, error_body};
use super::treatment::{Close, Cut, Framing, JSON, Reply, TEXT, Treatment};
use super::validator::Validator;

/// Most bytes written at once.
const PIECE: usize = 64 * 1024;
/// Pieces a slow body is sent in.
const SLOW_PIECES: u32 = 8;
/// Bytes read ahead while an answer is held back.
const READ_AHEAD: usize = 1024 * 1024;

/// A connection and what was read from it but not yet used.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    inbox: BytesMut,
    validator: Arc<Validator>,
    /// The right answer to the request before, kept only while answers are mixed up.
    last: Option<Body>,
    /// What is sent again, and when.
    late: Option<(Instant, Bytes)>,
    /// Whether it came to the port that speaks nothing but WebSocket.
    only_websocket: bool,
    open: OpenConnection,
}

/// What may follow.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Request,
    /// The connection is a WebSocket from here on.
    WebSocket,
    End,
}

impl Connection {
    pub(super) fn new(
        stream: TcpStream,
        validator: Arc<Validator>,
        open: OpenConnection,
        only_websocket: bool,
    ) -> Self {
        Self {
            stream,
            inbox: BytesMut::with_capacity(8 * 1024),
            validator,
            last: None,
            late: None,
            only_websocket,
            open,
        }
    }

    /// Serves until either side closes. What goes wrong on the wire ends the connection, as it
    /// would a node's; there is nobody to tell.
    pub(super) async fn serve(mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        loop {
            if self.inbox.is_empty() {
                let arrived = self.arrival().await?;
                if arrived > 0 && self.validator.faults().take_early_reset() {
                    return self.stream.set_zero_linger();
                }
            }
            let Some(request) = http::read_request(&mut self.stream, &mut self.inbox).await? else {
                return Ok(());
            };
            let websocket = asks_for_websocket(&request) && self.validator.offer().websocket;
            let next = if websocket {
                self.shake_hands(request).await?
            } else {
                self.exchange(request).await?
            };
            match next {
                Next::Request => {}
                Next::End => return Ok(()),
                Next::WebSocket => break,
            }
        }
        let Self {
            stream,
            inbox,
            validator,
            open,
            ..
        } = self;
        drop(open);
        let socket = Socket::new(stream, inbox.to_vec(), validator).await;
        // A socket is far larger than what else a connection does.
        Box::pin(socket.serve()).await;
        Ok(())
    }

    /// Answers the handshake of a WebSocket.
    async fn shake_hands(&mut self, request: Request) -> io::Result<Next> {
        let validator = Arc::clone(&self.validator);
        let clearing = validator.faults().clearing();
        let mut treatment = Treatment::of(&validator.faults().take_for_handshake(), "null");
        if !self.hold_back(&treatment, clearing).await? {
            return Ok(Next::End);
        }
        if let Some(reply) = treatment.instead.take() {
            return self.send(reply, treatment, true).await;
        }
        let Some(key) = request.header("sec-websocket-key") else {
            let reply = Reply::new(400, TEXT, "a WebSocket needs a key\n");
            return self.send(reply, treatment, true).await;
        };
        let accept = derive_accept_key(key.as_bytes());
        validator.upgraded(request);
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        self.stream.write_all(head.as_bytes()).await?;
        Ok(Next::WebSocket)
    }

    /// Waits for the next request, or for the peer to close: 0 then. Meanwhile what is late goes out.
    async fn arrival(&mut self) -> io::Result<usize> {
        if let Some((due, _)) = self.late {
            let mut byte = [0];
            tokio::select! {
                arrived = self.stream.peek(&mut byte) => return arrived,
                () = sleep_until(due) => self.send_late().await?,
            }
        }
        self.stream.peek(&mut [0]).await
    }

    async fn send_late(&mut self) -> io::Result<()> {
        match self.late.take() {
            Some((_, bytes)) => self.stream.write_all(&bytes).await,
            None => Ok(()),
        }
    }

    async fn exchange(&mut self, request: Request) -> io::Result<Next> {
        let validator = Arc::clone(&self.validator);
        let wants_close = request.wants_close();
        if self.only_websocket {
            let reply = Reply::new(400, TEXT, "this port speaks WebSocket\n");
            return self.send(reply, Treatment::default(), true).await;
        }
        if let Some(reply) = not_rpc(&validator, &request) {
            return self.send(reply, Treatment::default(), wants_close).await;
        }
        let probe = request.header("x-perijove-probe").is_some();
        let incoming = Incoming::parse(&request.body);
        let methods = incoming.as_ref().map(Incoming::methods).unwrap_or_default();
        let origin = request.header("origin").map(str::to_owned);
        validator.count(request, methods.clone(), probe);
        let clearing = validator.faults().clearing();
        let kinds = validator.faults().take_for_request(&methods, probe);
        let id = incoming.as_ref().map_or("null", |one| one.first_id());
        let mut treatment = Treatment::of(&kinds, id);
        if !self.hold_back(&treatment, clearing).await? {
            return Ok(Next::End);
        }
        let mut reply = treatment.instead.take().unwrap_or_else(|| {
            let body = match &incoming {
                Ok(incoming) => validator.answer(incoming, probe, treatment.widen),
                Err(failure) => {
                    let mut body = error_body(failure, "null", false);
                    body.text("\n");
                    body
                }
            };
            Reply::new(200, JSON, body)
        });
        reply.headers.extend(cors(origin, None));
        if treatment.cut == Some(Cut::Done) {
            self.stream.shutdown().await?;
            return Ok(Next::End);
        }
        let reply = self.spoilt(reply, &treatment, id);
        self.send(reply, treatment, wants_close).await
    }

    fn spoilt(&mut self, mut reply: Reply, treatment: &Treatment, id: &str) -> Reply {
        if treatment.previous
            && let Some(last) = self.last.replace(reply.body.clone())
        {
            reply.body = last;
        }
        match treatment.spoil {
            Some(how) => how.apply(reply, id),
            None => reply,
        }
    }

    /// Waits as long as the faults want; `false` when the connection is over before the answer.
    async fn hold_back(
        &mut self,
        treatment: &Treatment,
        mut clearing: watch::Receiver<()>,
    ) -> io::Result<bool> {
        let wait = if treatment.hang {
            Duration::MAX
        } else {
            treatment.delay
        };
        if !wait.is_zero() || treatment.hold || treatment.work.is_some() {
            let held = async {
                if treatment.hold {
                    // A cluster that is gone holds nothing back.
                    clearing.changed().await.unwrap_or_default();
                }
                sleep(wait).await;
                if let Some(time) = treatment.work {
                    self.validator.faults().workers().work(time).await;
                }
            };
            tokio::select! {
                () = held => {}
                () = peer_gone(&mut self.stream, &mut self.inbox) => {
                    self.validator.counts().abandoned();
                    return Ok(false);
                }
            }
        }
        if treatment.reset == Some(ResetWhen::AfterRead) {
            self.stream.set_zero_linger()?;
            return Ok(false);
        }
        if treatment.cut == Some(Cut::Unanswered) {
            self.stream.shutdown().await?;
            return Ok(false);
        }
        Ok(true)
    }

    async fn send(
        &mut self,
        mut reply: Reply,
        treatment: Treatment,
        wants_close: bool,
    ) -> io::Result<Next> {
        treatment.dress(&mut reply);
        let close = if wants_close || treatment.framing == Framing::UntilClose {
            Close::Announced
        } else {
            treatment.close
        };
        self.send_late().await?;
        let head = http::head(&reply, self.validator.index(), treatment.framing, close);
        if let Some(after) = treatment.twice {
            let mut again = BytesMut::from(head.as_bytes());
            again.extend_from_slice(&reply.body.clone().collect());
            self.late = Some((Instant::now() + after, again.freeze()));
        }
        let sent = self.write(head, reply.body, &treatment).await;
        if sent.is_err() {
            self.validator.counts().abandoned();
        }
        let whole = sent?;
        if !whole || close != Close::Keep {
            if treatment.reset != Some(ResetWhen::MidBody) {
                self.stream.shutdown().await?;
            }
            return Ok(Next::End);
        }
        Ok(Next::Request)
    }

    /// Writes head and body; `false` when a fault cut the body short.
    async fn write(
        &mut self,
        head: String,
        mut body: Body,
        treatment: &Treatment,
    ) -> io::Result<bool> {
        let cut = treatment.cut.is_some() || treatment.reset == Some(ResetWhen::MidBody);
        let mut left = match treatment.cut {
            Some(Cut::Stall(StallAfter::Head)) => 0,
            _ if cut => body.len() / 2,
            _ => body.len(),
        };
        let (piece, pause) = pace(treatment, left);
        let slow = !pause.is_zero();
        let mut out = BytesMut::from(head.as_bytes());
        if slow {
            self.stream.write_all(&out.split()).await?;
        }
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(PIECE).min(piece);
            let bytes = body.take(most);
            if bytes.is_empty() {
                break;
            }
            left -= bytes.len() as u64;
            frame(&mut out, &bytes, treatment.framing);
            if slow {
                sleep(pause).await;
            } else if out.len() < PIECE && left > 0 {
                continue;
            }
            self.stream.write_all(&out.split()).await?;
        }
        if treatment.framing == Framing::Chunked && !cut {
            out.extend_from_slice(b"0\r\n\r\n");
        }
        self.stream.write_all(&out).await?;
        if let Some(Cut::Stall(_)) = treatment.cut {
            peer_gone(&mut self.stream, &mut self.inbox).await;
            self.validator.counts().abandoned();
        }
        if treatment.reset == Some(ResetWhen::MidBody) {
            // Let the half reach the peer before the reset overtakes it.
            sleep(Duration::from_millis(20)).await;
            self.stream.set_zero_linger()?;
        }
        Ok(!cut)
    }
}

/// Most bytes of a body of this length that go out at once, and the pause before each piece.
fn pace(treatment: &Treatment, length: u64) -> (usize, Duration) {
    if !treatment.trickle.is_zero() {
        return (1, treatment.trickle);
    }
    if treatment.body_time.is_zero() {
        return (PIECE, Duration::ZERO);
    }
    let piece = usize::try_from(length / u64::from(SLOW_PIECES)).unwrap_or(PIECE) + 1;
    (piece, treatment.body_time / SLOW_PIECES)
}

fn frame(out: &mut BytesMut, bytes: &Bytes, framing: Framing) {
    if framing == Framing::Chunked {
        out.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
        out.extend_from_slice(bytes);
        out.extend_from_slice(b"\r\n");
    } else {
        out.extend_from_slice(bytes);
    }
}

/// Completes when the peer has closed; keeps what it pipelines meanwhile.
async fn peer_gone(stream: &mut TcpStream, inbox: &mut BytesMut) {
    while inbox.len() < READ_AHEAD {
        match stream.read_buf(inbox).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    std::future::pending::<()>().await;
}

fn asks_for_websocket(request: &Request) -> bool {
    let upgrade = request.header("upgrade");
    request.method == "GET" && upgrade.is_some_and(|to| to.eq_ignore_ascii_case("websocket"))
}

/// What Agave answers to requests that are no JSON-RPC.
fn not_rpc(validator: &Validator, request: &Request) -> Option<Reply> {
    match request.method.as_str() {
        "GET" if request.target.split('?').next() == Some("/health") => {
            let mut reply = Reply::new(200, TEXT, validator.health_word());
            reply
                .headers
                .extend(cors(request.header("origin").map(str::to_owned), None));
            Some(reply)
        }
        "OPTIONS" => {
            let mut reply = Reply::new(200, TEXT, "");
            reply.headers.push(("allow", "OPTIONS, POST".to_owned()));
            reply
                .headers
                .push(("accept", "application/json".to_owned()));
            let wanted = request.header("access-control-request-headers");
            reply
                .headers
                .extend(cors(request.header("origin").map(str::to_owned), wanted));
            Some(reply)
        }
        "POST" => {
            let kind = request.header("content-type").unwrap_or_default();
            let json = [
                "application/json",
                "application/json; charset=utf-8",
                "application/json;charset=utf-8",
            ];
            if json.iter().any(|one| kind.eq_ignore_ascii_case(one)) {
                return None;
            }
            Some(Reply::new(
                415,
                TEXT,
                "Supplied content type is not allowed. Content-Type: application/json is \
                 required\n",
            ))
        }
        _ => Some(Reply::new(
            405,
            TEXT,
            "Used HTTP Method is not allowed. POST or OPTIONS is required\n",
        )),
    }
}

/// The headers a browser asks for, only if it is one.
fn cors(origin: Option<String>, wanted: Option<&str>) -> Vec<(&'static str, String)> {
    let Some(origin) = origin else {
        return Vec::new();
    };
    let mut headers = vec![
        ("access-control-allow-origin", origin),
        ("access-control-allow-methods", "OPTIONS, POST".to_owned()),
        ("access-control-max-age", "86400".to_owned()),
        ("vary", "origin".to_owned()),
    ];
    if let Some(wanted) = wanted {
        headers.push(("access-control-allow-headers", wanted.to_owned()));
    }
    headers
}
