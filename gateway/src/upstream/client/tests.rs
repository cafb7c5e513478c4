//! Attempts against small servers that do exactly what a test needs, byte by byte.

mod faults;
mod ids;
mod kept_connections;
mod permits;
mod streams;

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::steps::MOST_ROOM;
use super::*;
use crate::config::Selection;
use crate::jsonrpc::MalformedKind;
use crate::limit::PermitRequest;
use crate::solana::{Priority, classify};
use crate::upstream::client::stream::CHUNK;
use crate::upstream::testing::{pool, settings};
use crate::upstream::{CallRequirements, Candidate, Choices, ChosenPeer, Pool};

/// A listener that counts its connections and hands each to a script.
struct Server {
    url: String,
    connections: Arc<AtomicUsize>,
}

impl Server {
    async fn start<F>(script: impl Fn(usize, TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(script(number, stream));
            }
        });
        Self { url, connections }
    }

    /// Answers every request on every connection with these bytes.
    async fn answering(response: impl Into<Vec<u8>>) -> Self {
        let response: Arc<Vec<u8>> = Arc::new(response.into());
        Self::start(move |_, mut stream| {
            let response = Arc::clone(&response);
            async move {
                while read_request(&mut stream).await.is_some() {
                    stream.write_all(&response).await.unwrap();
                }
            }
        })
        .await
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn pool(&self) -> Arc<Pool> {
        pool(vec![settings("a", &self.url)])
    }
}

/// Reads one request to its end; None if the client is gone.
async fn read_request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split("content-length: ").nth(1).unwrap();
            let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
            if body.len() >= length {
                return Some(bytes);
            }
        }
    }
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn limits() -> AttemptLimits {
    AttemptLimits {
        deadline: Instant::now() + Duration::from_secs(5),
        queue: Instant::now() + Duration::from_secs(5),
        first_byte: Duration::from_secs(4),
        progress: Duration::from_secs(1),
        answer_buffer: 64 * 1024,
        replayable: true,
        ask: PermitRequest::own(Priority::Medium),
        urgency: None,
        headers: None,
    }
}

fn candidate(pool: &Pool) -> Candidate {
    let class = classify("getSlot", None);
    let requirements = CallRequirements::of(&class, "getSlot");
    pool.candidates(requirements).next(Instant::now()).unwrap()
}

async fn call(pool: &Pool, limits: &AttemptLimits) -> Result<RpcReply, TransportFault> {
    let request = RpcRequest::new(Bytes::from_static(br#"{"id":"#), false);
    candidate(pool).attempt(&request, limits).await
}

async fn call_ok(pool: &Pool) -> String {
    text(call(pool, &limits()).await.unwrap())
}

fn text(reply: RpcReply) -> String {
    match reply.body {
        ReplyBody::Complete(answer) => {
            // Words are no answers; they come back as what was wrong.
            let words = answer.map_or_else(|bad| bad.excerpt, |answer| answer.body().clone());
            String::from_utf8(words.to_vec()).unwrap()
        }
        ReplyBody::Streaming { .. } => panic!("streamed"),
    }
}

/// Sends `size` bytes, in chunks or with their length, and counts what was taken from it.
async fn sending(size: usize, chunked: bool, sent: Arc<AtomicUsize>) -> Server {
    Server::start(move |_, mut stream| {
        let sent = Arc::clone(&sent);
        async move {
            while read_request(&mut stream).await.is_some() {
                let head = if chunked {
                    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned()
                } else {
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n")
                };
                stream.write_all(head.as_bytes()).await.unwrap();
                let block = vec![b'x'; 50_000];
                for _ in 0..size / block.len() {
                    if chunked {
                        let line = format!("{:x}\r\n", block.len());
                        stream.write_all(line.as_bytes()).await.unwrap();
                    }
                    if stream.write_all(&block).await.is_err() {
                        return;
                    }
                    sent.fetch_add(block.len(), Ordering::SeqCst);
                    if chunked {
                        stream.write_all(b"\r\n").await.unwrap();
                    }
                }
                if chunked {
                    stream.write_all(b"0\r\n\r\n").await.unwrap();
                }
            }
        }
    })
    .await
}

#[tokio::test]
async fn calls_after_each_other_share_one_connection() {
    let server = Server::answering(ok("hello")).await;
    let pool = server.pool();
    for _ in 0..10 {
        assert_eq!(call_ok(&pool).await, "hello");
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(pool.upstreams()[0].state().connections.idle(), 1);
}

#[tokio::test]
async fn the_request_goes_out_in_one_piece_and_the_hints_come_back() {
    let server = Server::start(|_, mut stream| async move {
        let mut bytes = vec![0; 4096];
        let read = stream.read(&mut bytes).await.unwrap();
        let request = String::from_utf8_lossy(&bytes[..read]);
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let id = body
            .strip_prefix("{\"id\":")
            .unwrap()
            .strip_suffix('}')
            .unwrap();
        assert!(id.parse::<u64>().is_ok(), "{body}");
        assert!(head.ends_with(&format!("\r\ncontent-length: {}", body.len())));
        let refusal =
            "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(refusal.as_bytes()).await.unwrap();
    })
    .await;
    let reply = call(&server.pool(), &limits()).await.unwrap();
    assert_eq!(reply.status, 429);
    assert_eq!(reply.hints.retry_after, Some(Duration::from_secs(7)));
    assert_eq!(text(reply), "");
}

#[tokio::test]
async fn every_framing_gives_the_same_body() {
    for (response, reusable) in [
        (ok("hello world"), true),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n".to_owned(),
            true,
        ),
        ("HTTP/1.1 100 Continue\r\n\r\n".to_owned() + &ok("hello world"), true),
        (
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 11\r\n\r\nhello world".to_owned(),
            false,
        ),
    ] {
        let server = Server::answering(response.clone()).await;
        let pool = server.pool();
        assert_eq!(call_ok(&pool).await, "hello world", "{response}");
        assert_eq!(call_ok(&pool).await, "hello world", "{response}");
        assert_eq!(server.connections() == 1, reusable, "{response}");
    }
    let server = Server::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        let response = b"HTTP/1.1 200 OK\r\n\r\nhello world";
        stream.write_all(response).await.unwrap();
    })
    .await;
    assert_eq!(call_ok(&server.pool()).await, "hello world");
}

#[tokio::test]
async fn a_name_with_a_dead_address_is_served_by_the_other() {
    let server = Server::answering(ok("hello")).await;
    let url = server.url.replace("127.0.0.1", "localhost");
    let pool = pool(vec![settings("a", &url)]);
    assert_eq!(call_ok(&pool).await, "hello");
}
