//! An upstream with one fixed answer, as quick as can be: the answer gets the id of each call, as a
//! node's does, since whoever checks it takes no other, and an account the newest slot, since an
//! answer from far behind the tip is asked for elsewhere. Calls of a gateway's probe go on to a
//! sandbox validator, whose answers tell the slot.

#![allow(
    clippy::print_stderr,
    reason = "a program of the benchmarks: what fails is said"
)]

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Parser;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What stands for the id in the answer.
const ID: &[u8] = b"\"id\":1";

/// What precedes the slot at which an account was read, and the digits a slot has.
const SLOT: &[u8] = b"\"slot\":";
const SLOT_DIGITS: usize = 9;

#[derive(Debug, Parser)]
struct Arguments {
    /// The answer, in which `"id":1` is the place of the id.
    #[arg(long)]
    answer: PathBuf,
    /// Where probes go, such as `127.0.0.1:8899`.
    #[arg(long)]
    probes: String,
    /// A file that gets a line with the port for every call.
    #[arg(long)]
    log: Option<PathBuf>,
    #[arg(required = true)]
    ports: Vec<u16>,
}

/// What all connections share.
struct Backend {
    before: Vec<u8>,
    after: Vec<u8>,
    /// Where the slot stands in `before`, if the answer was read at one.
    slot_at: Option<usize>,
    /// The newest slot that a probe was told.
    slot: AtomicU64,
    probes: String,
    log: Option<File>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let given = Arguments::parse();
    let answer = std::fs::read(&given.answer)?;
    let at = find_last(&answer, ID).ok_or(io::ErrorKind::InvalidData)?;
    let (before, rest) = answer.split_at(at + ID.len() - 1);
    let log = given.log.map(|path| {
        let mut options = OpenOptions::new();
        options.append(true).create(true).open(path)
    });
    let slot_at = find(before, b"\"context\":{").and_then(|context| {
        let rest = before.get(context..)?;
        Some(context + find(rest, SLOT)? + SLOT.len())
    });
    let backend = Arc::new(Backend {
        before: before.to_vec(),
        after: rest.get(1..).unwrap_or_default().to_vec(),
        slot_at,
        slot: AtomicU64::new(0),
        probes: given.probes,
        log: log.transpose()?,
    });
    let mut listening = tokio::task::JoinSet::new();
    for port in given.ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        listening.spawn(accept(listener, port, Arc::clone(&backend)));
    }
    while let Some(ended) = listening.join_next().await {
        ended.map_err(io::Error::other)??;
    }
    Ok(())
}

async fn accept(listener: TcpListener, port: u16, backend: Arc<Backend>) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let backend = Arc::clone(&backend);
        drop(tokio::spawn(async move {
            // A caller that goes away is no news.
            drop(serve(stream, port, &backend).await);
        }));
    }
}

async fn serve(mut stream: TcpStream, port: u16, backend: &Backend) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut input, mut output) = (Vec::with_capacity(8 * 1024), Vec::new());
    let mut probes = None;
    while let Some(length) = message(&mut stream, &mut input).await? {
        let request = input.get(..length).unwrap_or_default();
        if find(request, b"\r\nx-perijove-probe:").is_some() {
            let probes = match &mut probes {
                Some(probes) => probes,
                none => none.insert(TcpStream::connect(&backend.probes).await?),
            };
            probes.write_all(request).await?;
            output.clear();
            if message(probes, &mut output).await?.is_none() {
                return Ok(());
            }
            backend.learn_slot(&output);
        } else {
            backend.answer(request, &mut output);
            if let Some(mut log) = backend.log.as_ref() {
                writeln!(log, "{port}")?;
            }
        }
        stream.write_all(&output).await?;
        input.drain(..length);
    }
    Ok(())
}

/// Reads until a whole request or response is there, and says how long it is.
async fn message(stream: &mut TcpStream, input: &mut Vec<u8>) -> io::Result<Option<usize>> {
    loop {
        if let Some(head) = find(input, b"\r\n\r\n") {
            let length = head + 4 + content_length(input.get(..head + 2).unwrap_or_default());
            if input.len() >= length {
                return Ok(Some(length));
            }
        }
        if stream.read_buf(input).await? == 0 {
            return Ok(None);
        }
    }
}

fn content_length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let value = head.split("\r\ncontent-length:").nth(1);
    let value = value.and_then(|rest| rest.split("\r\n").next());
    value.map_or(0, |value| value.trim().parse().unwrap_or_default())
}

impl Backend {
    fn answer(&self, request: &[u8], out: &mut Vec<u8>) {
        let id = id(request);
        let length = self.before.len() + id.len() + self.after.len();
        out.clear();
        out.extend_from_slice(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: ",
        );
        out.extend_from_slice(length.to_string().as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
        let start = out.len();
        for piece in [&self.before, id, &self.after] {
            out.extend_from_slice(piece);
        }
        self.write_slot(out.get_mut(start..).unwrap_or_default());
    }

    /// Puts the newest slot, once it is known, in place of the one in the answer.
    fn write_slot(&self, answer: &mut [u8]) {
        let slot = self.slot.load(Ordering::Relaxed).to_string();
        let place = self
            .slot_at
            .and_then(|at| answer.get_mut(at..at + SLOT_DIGITS));
        if let Some(place) = place.filter(|place| place.len() == slot.len()) {
            place.copy_from_slice(slot.as_bytes());
        }
    }

    /// Remembers the highest number in the answer to a probe that is as long as a slot.
    fn learn_slot(&self, answer: &[u8]) {
        let numbers = answer.split(|byte| !byte.is_ascii_digit());
        let slots = numbers.filter(|digits| digits.len() == SLOT_DIGITS);
        let slots = slots.filter_map(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        if let Some(slot) = slots.max() {
            self.slot.fetch_max(slot, Ordering::Relaxed);
        }
    }
}

/// The id of a call: the last member that is called so, which is the call's own in all the calls
/// of the benchmarks.
fn id(request: &[u8]) -> &[u8] {
    let key = b"\"id\":";
    let rest = find_last(request, key).and_then(|at| request.get(at + key.len()..));
    let rest = rest.unwrap_or_default().trim_ascii_start();
    let end = rest.iter().position(|byte| matches!(byte, b',' | b'}'));
    rest.get(..end.unwrap_or(0))
        .filter(|id| !id.is_empty())
        .unwrap_or(b"null")
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

fn find_last(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).rposition(|window| window == what)
}
