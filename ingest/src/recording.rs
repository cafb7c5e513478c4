//! Recorded streams: a file of records, each with its place, written once and read from the front.
//!
//! The file begins with eight bytes that name the format. Then, for each record, four bytes with
//! the length of its body and four with the CRC-32 of it, both little-endian, and the body: the
//! message `Frame` of `proto/recording.proto`. Reading holds one record at a time. A file that ends
//! within a record was being written when its writer died: the records before are complete and are
//! returned; a file that is damaged in any other way is an error.

mod error;
mod read;
mod write;

pub use error::{RecordingError, Truncated};
pub use read::RecordingReader;
pub use write::RecordingWriter;

/// The bodies of records, made from `proto/recording.proto`.
#[allow(unreachable_pub, clippy::all, clippy::pedantic, reason = "generated")]
mod wire {
    include!(concat!(env!("OUT_DIR"), "/perijove.recording.rs"));
}

/// What a recording begins with, up to the version.
const MAGIC: [u8; 7] = *b"PJSTRM\n";

/// The version of the format.
const VERSION: u8 = 1;

/// The longest body. Kafka's largest messages are far smaller; a length beyond it is damage.
const LONGEST: u32 = 256 << 20;

#[cfg(test)]
mod tests;
