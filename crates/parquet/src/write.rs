//! Rows to a file, in row groups of bounded size.

use std::io::{self, Write};
use std::sync::Arc;

use datapipe_core::table::Compression;
use parquet::basic::{Compression as Codec, GzipLevel, ZstdLevel};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, FloatType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};

use crate::leaf::Cell;
use crate::row::Row;
use crate::shape::Shape;

/// What the values and levels of a row group may take in memory before it is written.
const GROUP_BYTES_MAX: usize = 8 << 20;
/// What a text or bytes take beside their content.
const BYTES_OVERHEAD: usize = 64;

/// Writes one file.
pub struct Writer<W: Write + Send> {
    file: SerializedFileWriter<W>,
    columns: Vec<Column>,
    bytes: usize,
}

/// The entries of one column that wait for their row group.
#[derive(Default)]
struct Column {
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
    cells: Vec<Cell>,
}

impl<W: Write + Send> Writer<W> {
    /// Starts a file.
    pub fn new(to: W, shape: &Shape, compression: Compression, gzip_level: u32) -> io::Result<Self> {
        let codec = match compression {
            Compression::None => Codec::UNCOMPRESSED,
            Compression::Gzip => Codec::GZIP(GzipLevel::try_new(gzip_level).map_err(failed)?),
            Compression::Zstd => Codec::ZSTD(ZstdLevel::default()),
            Compression::Snappy => Codec::SNAPPY,
        };
        let properties = WriterProperties::builder()
            .set_compression(codec)
            .set_created_by(concat!("datapipe ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_offset_index_disabled(true)
            .set_dictionary_page_size_limit(256 << 10)
            .build();
        let file = SerializedFileWriter::new(to, Arc::clone(&shape.parquet), Arc::new(properties)).map_err(failed)?;
        Ok(Self { file, columns: (0..shape.columns).map(|_| Column::default()).collect(), bytes: 0 })
    }

    /// Adds a row of the writer's shape.
    pub fn add(&mut self, row: &mut Row) -> io::Result<()> {
        for entry in row.entries.drain(..) {
            let column = &mut self.columns[entry.column];
            column.definitions.push(entry.definition);
            column.repetitions.push(entry.repetition);
            self.bytes += 4;
            if let Some(cell) = entry.cell {
                self.bytes += size(&cell);
                column.cells.push(cell);
            }
        }
        if self.bytes >= GROUP_BYTES_MAX { self.end_group() } else { Ok(()) }
    }

    /// Ends the file.
    pub fn finish(mut self) -> io::Result<W> {
        if self.bytes > 0 {
            self.end_group()?;
        }
        self.file.into_inner().map_err(failed)
    }

    fn end_group(&mut self) -> io::Result<()> {
        self.bytes = 0;
        let mut group = self.file.next_row_group().map_err(failed)?;
        for column in &mut self.columns {
            let Some(mut writer) = group.next_column().map_err(failed)? else { break };
            column.write(&mut writer).map_err(failed)?;
            writer.close().map_err(failed)?;
            *column = Column::default();
        }
        group.close().map_err(failed)?;
        Ok(())
    }
}

fn size(cell: &Cell) -> usize {
    size_of::<Cell>() + if let Cell::Bytes(bytes) = cell { bytes.len() + BYTES_OVERHEAD } else { 0 }
}

fn failed(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => io::Error::other(error),
        error => io::Error::other(error.to_string()),
    }
}

impl Column {
    fn write(&mut self, writer: &mut SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        let (definitions, repetitions) = (Some(&self.definitions[..]), Some(&self.repetitions[..]));
        // A column's cells are all of one kind; without any it is the type's own empty batch.
        macro_rules! batch {
            ($kind:ident, $own:ident, $value:ty) => {{
                let values: Vec<$value> = self
                    .cells
                    .drain(..)
                    .filter_map(|cell| if let Cell::$own(value) = cell { Some(value) } else { None })
                    .collect();
                writer.typed::<$kind>().write_batch(&values, definitions, repetitions)?;
            }};
        }
        match writer.untyped() {
            ColumnWriter::BoolColumnWriter(_) => batch!(BoolType, Bool, bool),
            ColumnWriter::Int32ColumnWriter(_) => batch!(Int32Type, Int32, i32),
            ColumnWriter::Int64ColumnWriter(_) => batch!(Int64Type, Int64, i64),
            ColumnWriter::FloatColumnWriter(_) => batch!(FloatType, Float, f32),
            ColumnWriter::DoubleColumnWriter(_) => batch!(DoubleType, Double, f64),
            _ => batch!(ByteArrayType, Bytes, ByteArray),
        }
        Ok(())
    }
}
