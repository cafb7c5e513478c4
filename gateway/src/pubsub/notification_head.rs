//! A notification without its subscription's id, which comes last: its subscribers share the bytes, and
//! what they become when they are compressed.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use smallvec::SmallVec;
use tokio::sync::OnceCell;

use super::backlog::{BacklogCharge, BacklogTotal};
use super::deflate::{Compressors, completed};
use super::shown_slot::ShownSlot;

/// A notification up to the id. Its bytes count once among those that wait for clients, until its last
/// owner drops it.
#[derive(Debug)]
pub(super) struct NotificationHead {
    text: Bytes,
    shows: Option<ShownSlot>,
    /// `None` if it does not get shorter.
    compressed: OnceCell<Option<(Bytes, BacklogCharge)>>,
    charge: BacklogCharge,
}

impl NotificationHead {
    /// One that shows nothing of the chain.
    #[cfg(test)]
    pub(super) fn new(text: Bytes, total: &Arc<BacklogTotal>) -> Arc<Self> {
        Self::showing(text, None, total)
    }

    pub(super) fn showing(
        text: Bytes,
        shows: Option<ShownSlot>,
        total: &Arc<BacklogTotal>,
    ) -> Arc<Self> {
        Arc::new(Self {
            charge: total.charge(text.len()),
            text,
            shows,
            compressed: OnceCell::new(),
        })
    }

    pub(super) fn text(&self) -> &Bytes {
        &self.text
    }

    /// What it shows of the chain.
    pub(super) fn shows(&self) -> Option<ShownSlot> {
        self.shows
    }

    /// Of the whole text.
    pub(super) fn length_with_id(&self, id: u64) -> usize {
        self.text.len() + rest(id).len()
    }

    /// The whole text.
    pub(super) fn with_id(&self, id: u64) -> Bytes {
        let rest = rest(id);
        let mut text = BytesMut::with_capacity(self.text.len() + rest.len());
        text.put_slice(&self.text);
        text.put_slice(&rest);
        text.freeze()
    }

    /// The whole text as the payload of a compressed message; `None` if it does not get shorter.
    pub(super) async fn compressed_with_id(
        &self,
        id: u64,
        compressors: &Compressors,
        level: u32,
    ) -> Option<Bytes> {
        let head = self.compressed(compressors, level).await?;
        Some(completed(head, &rest(id)))
    }

    /// Compressed by whoever is first, for all, at the level of the first.
    async fn compressed(&self, compressors: &Compressors, level: u32) -> Option<&Bytes> {
        let compressed = self.compressed.get_or_init(|| async {
            let bytes = compressors.beginning(&self.text, level).await?;
            let charge = self.charge.another(bytes.len());
            Some((bytes, charge))
        });
        compressed.await.as_ref().map(|(bytes, _)| bytes)
    }
}

/// What follows a head.
fn rest(id: u64) -> SmallVec<[u8; 24]> {
    let mut rest = SmallVec::new();
    rest.extend_from_slice(itoa::Buffer::new().format(id).as_bytes());
    rest.extend_from_slice(b"}}");
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_compressed_once_and_counts_once() {
        let total = BacklogTotal::new(usize::MAX);
        let text = Bytes::from(b"words and words, ".repeat(100));
        let head = NotificationHead::new(text.clone(), &total);
        assert_eq!(total.bytes(), text.len());
        let compressors = Compressors::new(1);
        let first = head.compressed(&compressors, 1).await.unwrap().clone();
        let second = head.compressed(&compressors, 9).await.unwrap();
        assert_eq!(first.as_ptr(), second.as_ptr(), "the same bytes");
        assert_eq!(total.bytes(), text.len() + first.len());
        drop(Arc::clone(&head));
        assert_eq!(
            total.bytes(),
            text.len() + first.len(),
            "others have it still"
        );
        drop(head);
        assert_eq!(total.bytes(), 0);
    }
}
