//! The command `generate`.

use std::fs::File;
use std::io::BufWriter;

use crate::app::console::{complain, say};
use crate::app::progress::{ProgressOutput, ProgressReport};
use crate::cli::{Exit, GenerateArgs};
use crate::generator::{Generator, Plan, SLOT_MILLIS};
use crate::record::UnixMillis;
use crate::recording::{RecordingError, RecordingWriter};

/// Messages between two looks at how far it is.
const LOOK: u64 = 256;

/// Writes a recording of made-up trades that ends about now.
pub(super) fn generate(what: &GenerateArgs, now: UnixMillis) -> Exit {
    let file = what.file.display();
    match write(what, now) {
        Ok(()) => {
            say(&format!("{} messages are in {file}", what.messages));
            Exit::Done
        }
        Err(error) => {
            complain(&format!("cannot write {file}: {error}"));
            Exit::Failed
        }
    }
}

fn write(what: &GenerateArgs, now: UnixMillis) -> Result<(), RecordingError> {
    let plan = Plan {
        seed: what.seed,
        ..Plan::default()
    };
    let end = what.until.map_or(now, UnixMillis::from_seconds);
    let blocks = i64::from(what.messages.div_ceil(plan.messages_per_block));
    let plan = Plan {
        start: UnixMillis(end.0.saturating_sub(blocks * SLOT_MILLIS)),
        ..plan
    };
    let mut writer = RecordingWriter::new(BufWriter::new(File::create(&what.file)?))?;
    let progress = ProgressReport::new(
        "generate",
        "messages",
        what.messages.into(),
        ProgressOutput::Plain,
    );
    for (record, count) in Generator::new(plan).take(what.messages as usize).zip(1..) {
        writer.write(&record)?;
        if count % LOOK == 0 {
            progress.at(count, count);
        }
    }
    progress.end();
    writer.finish()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::RecordingReader;

    #[test]
    fn a_recording_is_written_that_ends_when_it_should() {
        let directory = tempfile::tempdir().unwrap();
        let what = GenerateArgs {
            file: directory.path().join("trades.rec"),
            messages: 20,
            seed: 3,
            until: Some(1_760_000_000),
        };
        assert_eq!(generate(&what, UnixMillis(0)), Exit::Done);
        let reader = RecordingReader::new(File::open(&what.file).unwrap()).unwrap();
        let times: Vec<_> = reader
            .map(|record| record.unwrap().timestamp.unwrap())
            .collect();
        assert_eq!(times.len(), 20);
        let end = UnixMillis(1_760_000_000_000);
        assert!(times.is_sorted() && times[19] < end && times[19].0 > end.0 - 2 * SLOT_MILLIS);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_a_failure() {
        let what = GenerateArgs {
            file: "/nowhere/at/all".into(),
            messages: 1,
            seed: 1,
            until: None,
        };
        assert_eq!(generate(&what, UnixMillis(0)), Exit::Failed);
    }
}
