//! What is written to a client: texts as frames, compressed where that was agreed and makes them
//! shorter.

use std::sync::Arc;

use bytes::Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::config::MessageCompression;
use crate::pubsub::deflate::DeflateAgreement;
use crate::pubsub::hub::Hub;
use crate::pubsub::outbox_message::OutboxMessage;
use crate::pubsub::socket_end::SocketEnd;

/// Makes the frames of one client.
pub(super) struct FrameWriter {
    hub: Arc<Hub>,
    /// What was agreed; `None`: nothing is compressed.
    agreement: Option<DeflateAgreement>,
    settings: MessageCompression,
}

/// A message as it is written.
pub(super) struct WrittenMessage {
    pub(super) frame: Message,
    /// Bytes of its text.
    pub(super) text: usize,
    pub(super) is_compressed: bool,
}

impl FrameWriter {
    pub(super) fn new(
        hub: Arc<Hub>,
        agreement: Option<DeflateAgreement>,
        settings: MessageCompression,
    ) -> Self {
        Self {
            hub,
            agreement,
            settings,
        }
    }

    /// # Errors
    /// [`SocketEnd::Malformed`] for what is not UTF-8: a text must be.
    pub(super) async fn frame(&self, item: OutboxMessage) -> Result<WrittenMessage, SocketEnd> {
        if let Some(agreement) = self.agreement
            && item.length() >= self.settings.min_bytes
            && let Some(written) = self.compressed(&item, agreement).await
        {
            return Ok(written);
        }
        // Every text is JSON that was validated, or composed here.
        let text = Utf8Bytes::try_from(item.into_text()).map_err(|_bad| SocketEnd::Malformed)?;
        Ok(WrittenMessage {
            text: text.len(),
            frame: Message::Text(text),
            is_compressed: false,
        })
    }

    async fn compressed(
        &self,
        item: &OutboxMessage,
        agreement: DeflateAgreement,
    ) -> Option<WrittenMessage> {
        let text = item.whole_length();
        if !agreement.admits(text) {
            return None;
        }
        let payload = self.payload(item).await?;
        self.hub.metrics.compression.sent(text, payload.len());
        let mut frame = Frame::message(payload, OpCode::Data(Data::Text), true);
        frame.header_mut().rsv1 = true;
        Some(WrittenMessage {
            frame: Message::Frame(frame),
            text,
            is_compressed: true,
        })
    }

    async fn payload(&self, item: &OutboxMessage) -> Option<Bytes> {
        let (compressors, level) = (&self.hub.compressors, self.settings.level);
        match item {
            OutboxMessage::Answer(text) => compressors.message(text, level).await,
            OutboxMessage::Notification { head, id } => {
                head.compressed_with_id(*id, compressors, level).await
            }
        }
    }
}
