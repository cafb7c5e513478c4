//! Trades as columns of a Parquet file.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type,
};
use parquet::errors::Result;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use crate::sink::database::ExportedTrade;

/// Rows of one group.
pub(super) const GROUP: usize = 131_072;

/// The columns, in the order in which they are written below.
const SCHEMA: &str = "message trades {
    required int64 time (TIMESTAMP(MILLIS, true));
    required int64 slot;
    required int64 transaction_index;
    required int64 instruction;
    required int64 ordinal;
    required binary signature (UTF8);
    optional binary market (UTF8);
    optional binary trader (UTF8);
    optional binary program (UTF8);
    required binary base (UTF8);
    required binary quote (UTF8);
    required binary base_symbol (UTF8);
    required binary quote_symbol (UTF8);
    required int64 base_amount (INTEGER(64, false));
    required int64 quote_amount (INTEGER(64, false));
    optional int32 base_decimals;
    optional int32 quote_decimals;
    optional double price;
    optional float base_usd;
    optional float quote_usd;
    required boolean buy;
    required boolean jupiter;
    required binary protocol (UTF8);
    required binary family (UTF8);
    optional double base_multiplier;
    optional double quote_multiplier;
}";

/// A file that is being written.
pub(super) struct ParquetWriter(SerializedFileWriter<BufWriter<File>>);

impl ParquetWriter {
    pub(super) fn new(file: File) -> Result<Self> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_created_by(concat!("perijove-ingest ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let schema = Arc::new(parse_message_type(SCHEMA)?);
        let file = BufWriter::new(file);
        let writer = SerializedFileWriter::new(file, schema, Arc::new(properties))?;
        Ok(Self(writer))
    }

    /// Writes rows as a group of their own.
    pub(super) fn write(&mut self, rows: &[ExportedTrade]) -> Result<()> {
        let mut group = Group(self.0.next_row_group()?, rows);
        group.all::<Int64Type>(|row| row.time)?;
        group.all::<Int64Type>(|row| row.slot)?;
        group.all::<Int64Type>(|row| row.transaction_index)?;
        group.all::<Int64Type>(|row| row.instruction)?;
        group.all::<Int64Type>(|row| row.ordinal)?;
        group.all::<ByteArrayType>(|row| text(&row.signature))?;
        group.some::<ByteArrayType>(|row| row.market.as_ref().map(text))?;
        group.some::<ByteArrayType>(|row| row.trader.as_ref().map(text))?;
        group.some::<ByteArrayType>(|row| row.program.as_ref().map(text))?;
        group.all::<ByteArrayType>(|row| text(&row.base))?;
        group.all::<ByteArrayType>(|row| text(&row.quote))?;
        group.all::<ByteArrayType>(|row| text(&row.base_symbol))?;
        group.all::<ByteArrayType>(|row| text(&row.quote_symbol))?;
        group.all::<Int64Type>(|row| row.base_amount.cast_signed())?;
        group.all::<Int64Type>(|row| row.quote_amount.cast_signed())?;
        group.some::<Int32Type>(|row| row.base_decimals.map(i32::from))?;
        group.some::<Int32Type>(|row| row.quote_decimals.map(i32::from))?;
        group.some::<DoubleType>(|row| row.price)?;
        group.some::<FloatType>(|row| row.base_usd)?;
        group.some::<FloatType>(|row| row.quote_usd)?;
        group.all::<BoolType>(|row| row.buy)?;
        group.all::<BoolType>(|row| row.jupiter)?;
        group.all::<ByteArrayType>(|row| text(&row.protocol))?;
        group.all::<ByteArrayType>(|row| text(&row.family))?;
        group.some::<DoubleType>(|row| row.base_multiplier)?;
        group.some::<DoubleType>(|row| row.quote_multiplier)?;
        group.0.close()?;
        Ok(())
    }

    pub(super) fn end(self) -> Result<()> {
        self.0.into_inner()?.flush()?;
        Ok(())
    }
}

/// Rows, whose columns are written one after the other.
struct Group<'w, 'r>(
    SerializedRowGroupWriter<'w, BufWriter<File>>,
    &'r [ExportedTrade],
);

impl Group<'_, '_> {
    /// The next column, which every row has.
    fn all<T: DataType>(&mut self, value: impl Fn(&ExportedTrade) -> T::T) -> Result<()> {
        let values: Vec<T::T> = self.1.iter().map(value).collect();
        self.column::<T>(&values, None)
    }

    /// The next column, which not every row has.
    fn some<T: DataType>(&mut self, value: impl Fn(&ExportedTrade) -> Option<T::T>) -> Result<()> {
        let values: Vec<Option<T::T>> = self.1.iter().map(value).collect();
        let there: Vec<i16> = values.iter().map(|one| i16::from(one.is_some())).collect();
        let values: Vec<T::T> = values.into_iter().flatten().collect();
        self.column::<T>(&values, Some(&there))
    }

    fn column<T: DataType>(&mut self, values: &[T::T], there: Option<&[i16]>) -> Result<()> {
        if let Some(mut column) = self.0.next_column()? {
            column.typed::<T>().write_batch(values, there, None)?;
            column.close()?;
        }
        Ok(())
    }
}

fn text(value: &impl ToString) -> ByteArray {
    ByteArray::from(value.to_string().into_bytes())
}
