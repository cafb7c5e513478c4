//! The command `export`: whole files, or none and why.

use std::fs::File;
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, RowAccessor};
use perijove_ingest::generator::Generator;
use perijove_ingest::project::Trade;
use perijove_ingest::record::{Record, UnixMillis};
use perijove_ingest::recording::RecordingWriter;
use tempfile::TempDir;

use crate::messages::{Ledger, plan};
use crate::program::{Said, command};

/// A folder with a database of these records.
async fn stored(records: &[Record]) -> TempDir {
    let folder = TempDir::new().unwrap();
    let recording = File::create(folder.path().join("trades.rec")).unwrap();
    let mut writer = RecordingWriter::new(recording).unwrap();
    for record in records {
        writer.write(record).unwrap();
    }
    writer.finish().unwrap();
    command(folder.path(), &["replay", "trades.rec"])
        .await
        .well();
    folder
}

async fn export(folder: &Path, words: &[&str]) -> Said {
    command(folder, &[&["export", "out.parquet"], words].concat()).await
}

fn is_clean(folder: &Path) -> bool {
    !folder.join("out.parquet").exists() && !folder.join("out.parquet.part").exists()
}

#[tokio::test]
async fn every_trade_is_in_the_file_as_it_was() {
    let records: Vec<Record> = Generator::new(plan(41)).take(200).collect();
    let folder = stored(&records).await;
    let said = export(folder.path(), &["--from", "2h"]).await.well();
    let mut trades: Vec<Trade> = Ledger::of(records).all();
    trades.sort_by_key(|trade| (trade.position(), trade.origin.signature));
    trades.dedup_by_key(|trade| (trade.position(), trade.origin.signature));
    let count = trades.len();
    assert!(
        said.contains(&format!("{count} trades are in out.parquet")),
        "{said}"
    );

    let file = File::open(folder.path().join("out.parquet")).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    assert_eq!(reader.metadata().file_metadata().num_rows() as usize, count);
    for (row, trade) in reader.get_row_iter(None).unwrap().zip(&trades) {
        let row = row.unwrap();
        let (base, quote) = (trade.base(), trade.quote());
        assert_eq!(row.get_long(1).unwrap(), trade.origin.slot.0.cast_signed());
        assert_eq!(
            *row.get_string(5).unwrap(),
            trade.origin.signature.to_string()
        );
        assert_eq!(*row.get_string(9).unwrap(), trade.pair.base.to_string());
        assert_eq!(row.get_ulong(13).unwrap(), base.amount.raw);
        assert_eq!(row.get_ulong(14).unwrap(), quote.amount.raw);
        let fields: Vec<&Field> = row.get_column_iter().map(|(_, field)| field).collect();
        let market = match fields[6] {
            Field::Str(text) => Some(text.clone()),
            Field::Null => None,
            other => panic!("{other:?}"),
        };
        assert_eq!(market, trade.market.map(|market| market.to_string()));
        let price = match fields[17] {
            Field::Double(price) => Some(*price),
            Field::Null => None,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            price,
            trade.price.map(|price| price.to_string().parse().unwrap())
        );
        match fields[0] {
            Field::TimestampMillis(time) => assert_eq!(UnixMillis(*time), trade.origin.time()),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn only_what_is_between_the_times_is_exported() {
    let records: Vec<Record> = Generator::new(plan(42)).take(400).collect();
    let times: Vec<i64> = records.iter().map(|one| one.timestamp.unwrap().0).collect();
    let middle = times[times.len() / 2];
    let folder = stored(&records).await;
    let since = std::time::Duration::from_millis(middle.unsigned_abs());
    let middle = humantime::format_rfc3339_millis(std::time::UNIX_EPOCH + since).to_string();
    let count = async |words: &[&str]| -> usize {
        let said = export(folder.path(), words).await.well();
        said.split(' ').next().unwrap().parse().unwrap()
    };
    let all = count(&["--from", "2h"]).await;
    let before = count(&["--from", "2h", "--to", &middle]).await;
    let after = count(&["--from", &middle, "--format", "parquet"]).await;
    assert!(before > 0 && after > 0);
    assert_eq!(before + after, all);
}

#[tokio::test]
async fn what_cannot_be_exported_is_said_and_leaves_no_file() {
    let records: Vec<Record> = Generator::new(plan(43)).take(20).collect();
    let folder = stored(&records).await;
    for (words, told) in [
        (
            &["--from", "2025-01-02", "--to", "2025-01-01T08:00:00Z"][..],
            "--from 2025-01-02T00:00:00.000Z is not before --to 2025-01-01T08:00:00.000Z",
        ),
        (
            &["--from", "2020-01-01", "--to", "2020-01-02"],
            "the newest trade is from",
        ),
        (&["--from", "1h", "-c", "nofile.yaml"], "nofile.yaml"),
    ] {
        let said = export(folder.path(), words).await;
        assert_ne!(said.code, 0, "{}", said.out);
        assert!(said.error.contains(told), "{words:?}: {}", said.error);
        assert!(is_clean(folder.path()), "{words:?}");
    }
    let nowhere = ["export", "no/such/folder/x.parquet", "--from", "2h"];
    let said = command(folder.path(), &nowhere).await;
    assert_eq!(said.code, 1);
    assert!(
        said.error
            .contains("cannot write no/such/folder/x.parquet.part"),
        "{}",
        said.error
    );
    let empty = TempDir::new().unwrap();
    let said = export(empty.path(), &["--from", "2h"]).await;
    assert_eq!(said.code, 1);
    assert!(
        said.error.contains("there is no database"),
        "{}",
        said.error
    );
    assert!(is_clean(empty.path()));
}
