//! What brings an answer to its client: Pingora's HTTP/2 session ([`super::paced_http2`]), or the bare
//! HTTP/1 connection ([`super::http1::wire`]).

use bytes::Bytes;
use smallvec::SmallVec;

use super::reply_head::ReplyHead;
use super::write_pace::WriteFault;

/// Body bytes sent, before compression.
pub(super) type Sent = usize;

/// A body in consecutive pieces.
pub(super) type BodyPieces = SmallVec<[Bytes; 4]>;

/// The client side of one exchange, as far as answers need it.
pub(super) trait ResponseWriter: Send {
    /// Sends an answer whose body is known.
    fn whole(
        &mut self,
        lines: &ReplyHead<'_>,
        body: BodyPieces,
    ) -> impl Future<Output = Result<(), WriteFault>> + Send;

    /// Whether the client has requested the head only. What is pushed is left out then.
    fn is_bodyless(&self) -> bool;

    /// Begins an answer of unknown length.
    fn begin(
        &mut self,
        lines: &ReplyHead<'_>,
    ) -> impl Future<Output = Result<(), WriteFault>> + Send;

    /// Sends a piece that is not empty.
    fn push(&mut self, chunk: Bytes) -> impl Future<Output = Result<(), WriteFault>> + Send;

    /// Ends the answer.
    fn end(&mut self) -> impl Future<Output = Result<(), WriteFault>> + Send;
}

impl<W: ResponseWriter> ResponseWriter for &mut W {
    async fn whole(&mut self, lines: &ReplyHead<'_>, body: BodyPieces) -> Result<(), WriteFault> {
        W::whole(self, lines, body).await
    }

    fn is_bodyless(&self) -> bool {
        W::is_bodyless(self)
    }

    async fn begin(&mut self, lines: &ReplyHead<'_>) -> Result<(), WriteFault> {
        W::begin(self, lines).await
    }

    async fn push(&mut self, chunk: Bytes) -> Result<(), WriteFault> {
        W::push(self, chunk).await
    }

    async fn end(&mut self) -> Result<(), WriteFault> {
        W::end(self).await
    }
}
