//! The command `export`.

mod columns;
mod windows;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use tokio::time::Duration;

use crate::app::console::{complain, say};
use crate::app::dead_letters::{Failure, reading_database};
use crate::app::progress::{ProgressOutput, ProgressReport};
use crate::cli::{Exit, ExportArgs, ExportFormat};
use crate::record::UnixMillis;
use crate::sink::database::{Database, ExportedTrade};

use columns::{GROUP, ParquetWriter};
use windows::{MOST, Windows};

/// Writes the trades between two times into a file, all of them or none.
pub(super) fn export(what: &ExportArgs, clock: UnixMillis) -> Exit {
    let from = what.from.millis(clock);
    let to = what.to.map_or(clock.0, |to| to.millis(clock));
    if from >= to {
        complain(&format!(
            "--from {} is not before --to {}",
            shown(from),
            shown(to)
        ));
        return Exit::Failed;
    }
    reading_database(&what.source, async |_, database| {
        let ExportFormat::Parquet = what.format;
        let part = Part::beside(&what.file)?;
        let rows = write(&database, &part, from, to).await?;
        if rows == 0 {
            return Err(Failure::Other(nothing(&database, from, to).await?));
        }
        part.complete(&what.file)?;
        say(&format!("{rows} trades are in {}", what.file.display()));
        Ok(Exit::Done)
    })
}

async fn write(database: &Database, part: &Part, from: i64, to: i64) -> Result<u64, Failure> {
    let mut writer = ParquetWriter::new(part.open()?).map_err(|error| part.failed(error))?;
    let total = to.abs_diff(from);
    let progress = ProgressReport::new("export", "trades", total, ProgressOutput::Plain);
    let (mut windows, mut count) = (Windows::new(from, to), 0);
    let mut waiting: Vec<ExportedTrade> = Vec::new();
    while let Some(window) = windows.next() {
        if database.has_more(&window, MOST).await? && windows.divide() {
            continue;
        }
        let rows = database.between(window.start, window.end).await?;
        windows.done(rows.len() as u64);
        count += rows.len() as u64;
        waiting.extend(rows);
        while waiting.len() >= GROUP {
            let rest = waiting.split_off(GROUP);
            writer.write(&waiting).map_err(|error| part.failed(error))?;
            waiting = rest;
        }
        progress.at(window.end.abs_diff(from), count);
    }
    if !waiting.is_empty() {
        writer.write(&waiting).map_err(|error| part.failed(error))?;
    }
    writer.end().map_err(|error| part.failed(error))?;
    progress.end();
    Ok(count)
}

/// Reports that there are no trades, and when the newest one was.
async fn nothing(database: &Database, from: i64, to: i64) -> Result<String, Failure> {
    let newest = match database.newest().await? {
        Some(time) => format!("the newest trade is from {}", shown(time)),
        None => "the database has no trades".to_owned(),
    };
    let (from, to) = (shown(from), shown(to));
    Ok(format!(
        "no trades from {from} to {to} (--from, --to); no file was written: {newest}"
    ))
}

fn shown(millis: i64) -> String {
    let since = Duration::from_millis(u64::try_from(millis).unwrap_or_default());
    humantime::format_rfc3339_millis(UNIX_EPOCH + since).to_string()
}

/// An unfinished file, beside the final one; removed unless it is completed.
struct Part(PathBuf);

impl Part {
    fn beside(file: &Path) -> Result<Self, Failure> {
        let Some(name) = file.file_name() else {
            let message = format!("{} is not the name of a file", file.display());
            return Err(Failure::Other(message));
        };
        let mut part = name.to_owned();
        part.push(".part");
        Ok(Self(file.with_file_name(part)))
    }

    fn open(&self) -> Result<File, Failure> {
        File::create(&self.0).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: impl std::fmt::Display) -> Failure {
        Failure::Other(format!("cannot write {}: {error}", self.0.display()))
    }

    fn complete(&self, file: &Path) -> Result<(), Failure> {
        let sync = || -> io::Result<()> {
            File::open(&self.0)?.sync_all()?;
            fs::rename(&self.0, file)
        };
        sync().map_err(|error| self.failed(error))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Gone already when it is complete.
        drop(fs::remove_file(&self.0));
    }
}
