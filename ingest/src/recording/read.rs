//! Reading a recording, record by record.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;

use crate::record::{Place, Record, UnixMillis};
use crate::recording::error::{RecordingError, Truncated};
use crate::recording::wire::Frame;
use crate::recording::{LONGEST, MAGIC, VERSION};

/// Bytes before the body of a record.
const HEAD: usize = 8;

/// How much is allocated at once for a body whose length is unverified.
const STEP: u64 = 1 << 20;

/// Returns the records of a recording. It ends with the file, with the first error, or within an
/// incomplete record; see [`RecordingReader::truncated`]. The caller provides buffering.
#[derive(Debug)]
pub struct RecordingReader<R> {
    source: R,
    /// Where the next record begins.
    at: u64,
    records: u64,
    truncated: Option<Truncated>,
    ended: bool,
    /// Each topic's name once.
    topics: Vec<Arc<str>>,
}

impl<R: Read> RecordingReader<R> {
    /// Reads the head of a recording.
    ///
    /// # Errors
    /// It is none, of another version, or cannot be read.
    pub fn new(mut source: R) -> Result<Self, RecordingError> {
        let mut head = [0; MAGIC.len() + 1];
        let found = fill(&mut source, &mut head)?;
        match head.split_last() {
            Some((version, magic)) if found == head.len() && magic == MAGIC => {
                if *version != VERSION {
                    return Err(RecordingError::Version(*version));
                }
            }
            _ => return Err(RecordingError::Magic),
        }
        Ok(Self {
            source,
            at: head.len() as u64,
            records: 0,
            truncated: None,
            ended: false,
            topics: Vec::new(),
        })
    }

    /// The record that was being written when the file ended; known once the records have ended.
    pub fn truncated(&self) -> Option<Truncated> {
        self.truncated
    }

    /// None at the end, however it came.
    fn record(&mut self) -> Result<Option<Record>, RecordingError> {
        let mut head = [[0; 4]; 2];
        let found = fill(&mut self.source, head.as_flattened_mut())?;
        if found == 0 {
            return Ok(None);
        }
        if found < HEAD {
            return Ok(self.cut());
        }
        let [length, checksum] = head.map(u32::from_le_bytes);
        if length == 0 || length > LONGEST {
            return Err(self.damaged("the record's length is impossible"));
        }
        let mut body = Vec::new();
        // In steps, so that a damaged length does not take memory that is never filled.
        while (body.len() as u64) < u64::from(length) {
            let step = STEP.min(u64::from(length) - body.len() as u64);
            if self.source.by_ref().take(step).read_to_end(&mut body)? == 0 {
                return Ok(self.cut());
            }
        }
        if crc32fast::hash(&body) != checksum {
            return Err(self.damaged("the checksum does not match"));
        }
        let Ok(frame) = Frame::decode(Bytes::from(body)) else {
            return Err(self.damaged("the record cannot be decoded"));
        };
        self.at += HEAD as u64 + u64::from(length);
        self.records += 1;
        Ok(Some(Record {
            place: Place {
                topic: self.topic(frame.topic),
                partition: frame.partition,
                offset: frame.offset,
            },
            timestamp: frame.timestamp.map(UnixMillis),
            key: frame.key,
            payload: frame.payload,
        }))
    }

    fn topic(&mut self, name: String) -> Arc<str> {
        if let Some(known) = self.topics.iter().find(|known| ***known == *name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        self.topics.push(Arc::clone(&name));
        name
    }

    fn cut(&mut self) -> Option<Record> {
        self.truncated = Some(Truncated {
            at: self.at,
            records: self.records,
        });
        None
    }

    fn damaged(&self, what: &'static str) -> RecordingError {
        RecordingError::Damaged { at: self.at, what }
    }
}

impl<R: Read> Iterator for RecordingReader<R> {
    type Item = Result<Record, RecordingError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.record().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

/// Reads until the buffer is full or the file ends; how many bytes there were.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
