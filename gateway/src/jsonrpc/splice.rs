//! Replaces the id of an answer that streams by, in constant memory. Chooses between watching the
//! end, scanning, and letting pass; [`super::answer`] knows what a complete answer looks like.

use bytes::Bytes;

use super::{
    Id, MalformedAnswer, MalformedKind, RequestId,
    answer::HEAD_ID_LAST,
    id_seeker::{AppendedBytes, IdSeeker},
    tail,
};

/// Bytes held back at the end of the usual shape: the id, with room for white space and for members
/// that some servers put after it.
const WINDOW: usize = 256;

/// White space held back because it may be the end; more is passed on unchanged.
const MAX_SPACE: usize = 1024;

/// Replaces the id in one answer that arrives in chunks, and checks that it was that of the
/// request.
///
/// Chunks pass unchanged, as slices; only the window at the end is copied. An answer that begins
/// like Agave's is not parsed: its id must be in the last 256 bytes. Any other answer is scanned up
/// to its id and passes from there on.
#[derive(Debug)]
pub struct Splicer {
    id: Bytes,
    asked: RequestId,
    mode: SpliceMode,
}

#[derive(Debug)]
enum SpliceMode {
    /// Too few bytes yet to tell the shape.
    Start(Vec<u8>),
    /// The usual shape: the id is in the last bytes, which are held back.
    Window(Vec<u8>),
    /// Another shape: looking for the id.
    Seek(IdSeeker),
    /// The id is replaced. White space is held back, since it may be the end.
    Pass { space: Vec<u8>, last: u8 },
    /// Not a JSON-RPC answer; nothing more is sent.
    Broken(MalformedAnswer),
}

impl Splicer {
    /// For the answer to the request `asked`, made for the call with `id`.
    pub fn new(id: &Id, asked: RequestId) -> Self {
        Self {
            id: id.to_bytes(),
            asked,
            mode: SpliceMode::Start(Vec::new()),
        }
    }

    /// Takes the next chunk of the upstream's body and appends to `out` what can be sent.
    pub fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) {
        if chunk.is_empty() {
            return;
        }
        match &mut self.mode {
            SpliceMode::Start(begun) => {
                let chunk = if begun.is_empty() {
                    chunk
                } else {
                    begun.extend_from_slice(&chunk);
                    Bytes::from(std::mem::take(begun))
                };
                self.start(&chunk, out);
            }
            SpliceMode::Window(held) => hold_back(held, &chunk, out),
            SpliceMode::Seek(_) => self.seek(&chunk, out),
            SpliceMode::Pass { space, last } => pass(space, last, &chunk, out),
            SpliceMode::Broken(_) => {}
        }
    }

    /// Takes the end of the upstream's body and appends to `out` what was held back.
    ///
    /// # Errors
    /// What was passed on is not a complete JSON-RPC answer to this request. The client must not
    /// take it for one: disconnect it.
    pub fn finish(self, out: &mut Vec<Bytes>) -> Result<(), MalformedAnswer> {
        match self.mode {
            SpliceMode::Pass { last: b'}', .. } => Ok(()),
            SpliceMode::Window(held) => tail::splice(&Bytes::from(held), &self.id, self.asked, out),
            SpliceMode::Broken(malformed) => Err(malformed),
            SpliceMode::Start(begun) if begun.trim_ascii().is_empty() => Err(MalformedAnswer {
                kind: MalformedKind::Empty,
                excerpt: Bytes::new(),
            }),
            SpliceMode::Start(begun) => Err(MalformedAnswer {
                kind: MalformedKind::NotJson,
                excerpt: Bytes::from(begun),
            }),
            SpliceMode::Seek(_) | SpliceMode::Pass { .. } => Err(MalformedAnswer {
                kind: MalformedKind::NotJson,
                excerpt: Bytes::new(),
            }),
        }
    }

    /// Chooses the mode by the first bytes.
    fn start(&mut self, chunk: &Bytes, out: &mut Vec<Bytes>) {
        if chunk.starts_with(HEAD_ID_LAST) {
            let mut held = Vec::with_capacity(2 * WINDOW);
            hold_back(&mut held, chunk, out);
            self.mode = SpliceMode::Window(held);
        } else if HEAD_ID_LAST.starts_with(chunk) {
            self.mode = SpliceMode::Start(chunk.to_vec());
        } else {
            self.mode = SpliceMode::Seek(IdSeeker::default());
            self.seek(chunk, out);
        }
    }

    fn seek(&mut self, chunk: &Bytes, out: &mut Vec<Bytes>) {
        let SpliceMode::Seek(seeker) = &mut self.mode else {
            return;
        };
        let Ok(found) = seeker.push(chunk) else {
            self.mode = SpliceMode::Broken(MalformedAnswer::new(MalformedKind::NotAnAnswer, chunk));
            return;
        };
        send(chunk.slice(..found.keep), out);
        if found.write == AppendedBytes::Id {
            send(self.id.clone(), out);
        }
        if let Some(from) = found.rest {
            if !seeker.found(self.asked) {
                self.mode = SpliceMode::Broken(MalformedAnswer::new(MalformedKind::WrongId, chunk));
                return;
            }
            let (mut space, mut last) = (Vec::new(), 0);
            pass(&mut space, &mut last, &chunk.slice(from..), out);
            self.mode = SpliceMode::Pass { space, last };
        }
    }
}

fn send(piece: Bytes, out: &mut Vec<Bytes>) {
    if !piece.is_empty() {
        out.push(piece);
    }
}

/// Keeps the last [`WINDOW`] bytes in `held` and sends what came before them.
fn hold_back(held: &mut Vec<u8>, chunk: &Bytes, out: &mut Vec<Bytes>) {
    if chunk.len() >= WINDOW {
        send(Bytes::copy_from_slice(held), out);
        held.clear();
        let kept = chunk.len() - WINDOW;
        send(chunk.slice(..kept), out);
        held.extend_from_slice(&chunk.slice(kept..));
    } else {
        held.extend_from_slice(chunk);
        let surplus = held.len().saturating_sub(WINDOW);
        if surplus > 0 {
            send(held.drain(..surplus).collect(), out);
        }
    }
}

/// Sends a chunk but for the white space at its end.
fn pass(space: &mut Vec<u8>, last: &mut u8, chunk: &Bytes, out: &mut Vec<Bytes>) {
    let text = chunk.trim_ascii_end();
    if let Some(end) = text.last() {
        *last = *end;
        send(Bytes::from(std::mem::take(space)), out);
        send(chunk.slice(..text.len()), out);
    }
    space.extend_from_slice(&chunk.slice(text.len()..));
    if space.len() > MAX_SPACE {
        send(Bytes::from(std::mem::take(space)), out);
    }
}

#[cfg(test)]
mod tests;
