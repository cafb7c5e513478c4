//! Writing a recording.

use std::io::Write;

use bytes::BytesMut;
use prost::Message as _;

use crate::record::Record;
use crate::recording::error::RecordingError;
use crate::recording::wire::Frame;
use crate::recording::{LONGEST, MAGIC, VERSION};

/// Writes records into a new recording. The caller provides buffering.
#[derive(Debug)]
pub struct RecordingWriter<W> {
    sink: W,
    body: BytesMut,
}

impl<W: Write> RecordingWriter<W> {
    /// Begins a recording.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn new(mut sink: W) -> Result<Self, RecordingError> {
        sink.write_all(&MAGIC)?;
        sink.write_all(&[VERSION])?;
        Ok(Self {
            sink,
            body: BytesMut::new(),
        })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// It cannot be written, or is too large.
    pub fn write(&mut self, record: &Record) -> Result<(), RecordingError> {
        let frame = Frame {
            topic: record.place.topic.as_ref().to_owned(),
            partition: record.place.partition,
            offset: record.place.offset,
            timestamp: record.timestamp.map(|time| time.0),
            key: record.key.clone(),
            payload: record.payload.clone(),
        };
        let size = frame.encoded_len();
        let length = u32::try_from(size).ok().filter(|length| *length <= LONGEST);
        let length = length.ok_or(RecordingError::TooLarge(size))?;
        self.body.clear();
        self.body.reserve(size);
        frame.encode_raw(&mut self.body);
        self.sink.write_all(&length.to_le_bytes())?;
        let checksum = crc32fast::hash(&self.body);
        self.sink.write_all(&checksum.to_le_bytes())?;
        self.sink.write_all(&self.body)?;
        Ok(())
    }

    /// Hands everything to the system and gives the file back.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(mut self) -> Result<W, RecordingError> {
        self.sink.flush()?;
        Ok(self.sink)
    }
}
