//! The reader of recordings: no panic, an end, and what was read is written as it stood.

#![no_main]

use libfuzzer_sys::fuzz_target;
use perijove_fuzz::record::Record;
use perijove_fuzz::recording::{RecordingReader, RecordingWriter};

fuzz_target!(|file: &[u8]| {
    let Ok(reader) = RecordingReader::new(file) else {
        return;
    };
    let records: Vec<Record> = reader.map_while(Result::ok).collect();
    let mut writer = RecordingWriter::new(Vec::new()).expect("memory takes everything");
    for record in &records {
        writer.write(record).expect("memory takes everything");
    }
    let written = writer.finish().expect("memory takes everything");
    let again: Vec<Record> = RecordingReader::new(written.as_slice())
        .expect("a recording")
        .map(|record| record.expect("whole"))
        .collect();
    assert_eq!(records, again);
});
