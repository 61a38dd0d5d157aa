//! List columns as Parquet column chunks, encoded from the rows of samples without Arrow between.
//!
//! Elements of our lists are never null, so the levels of a row are known from its length: two
//! runs, `0` once and `1` for the rest. Values go from the row straight to the byte streams of a
//! page (BYTE_STREAM_SPLIT), which is compressed as one piece. Pages end with a row, their
//! division depends on the rows alone, and buffers and compressor are kept from page to page.

use std::borrow::Cow;
use std::io::Write;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use zstd::bulk::Compressor;

/// Bytes of values that end a page: at half of it zstd finds 5 % less, at twice nothing more.
const PAGE_BYTES: usize = 1 << 19;

/// A number that a list column can hold: its bytes in the file.
pub trait ListElement: Copy {
    /// Bytes of the physical type; numbers of 8 and 16 bits are stored as INT32.
    const BYTES: usize;

    /// Byte `k` of the physical value, 0 the least significant.
    fn byte(self, k: usize) -> u8;
}

macro_rules! element {
    ($($native:ty, $bytes:expr, $bits:expr;)*) => {$(
        impl ListElement for $native {
            const BYTES: usize = $bytes;

            #[inline(always)]
            fn byte(self, k: usize) -> u8 {
                ($bits(self) >> (8 * k)) as u8
            }
        }
    )*};
}

element! {
    f32, 4, f32::to_bits;
    f64, 8, f64::to_bits;
    u32, 4, u32::from;
    u16, 4, u32::from;
    i16, 4, i32::from;
    u8, 4, u32::from;
}

/// Compressor and buffers, kept from chunk to chunk.
pub struct ListScratch {
    compressor: Compressor<'static>,
    page: Vec<u8>,
    compressed: Vec<u8>,
}

impl ListScratch {
    /// # Errors
    /// Fails if zstd refuses the level.
    pub(crate) fn new(zstd_level: i32) -> Result<Self> {
        let compressor = Compressor::new(zstd_level).map_err(external)?;
        Ok(Self { compressor, page: Vec::new(), compressed: Vec::new() })
    }
}

fn external(error: std::io::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

/// The rows of a list column, whatever they are lists of.
pub trait ListCells {
    /// Appends the rows to `out` as one chunk of the column that `descr` describes; returns what the footer says of it,
    /// offsets counted from its start.
    ///
    /// # Errors
    /// Fails if a page has more bytes than Parquet can say (2 GiB in one row).
    fn encode(
        &self,
        descr: &ColumnDescPtr,
        compression: Compression,
        scratch: &mut ListScratch,
        out: &mut Vec<u8>,
    ) -> Result<ColumnCloseResult>;
}

/// `None` is a null list.
impl<T: ListElement> ListCells for Vec<Option<Cow<'_, [T]>>> {
    fn encode(
        &self,
        descr: &ColumnDescPtr,
        compression: Compression,
        scratch: &mut ListScratch,
        out: &mut Vec<u8>,
    ) -> Result<ColumnCloseResult> {
        let rows: Vec<Option<&[T]>> = self.iter().map(Option::as_deref).collect();
        encode_lists(&rows, descr, compression, scratch, out)
    }
}

/// See [`ListCells::encode`].
fn encode_lists<T: ListElement>(
    rows: &[Option<&[T]>],
    descr: &ColumnDescPtr,
    compression: Compression,
    scratch: &mut ListScratch,
    out: &mut Vec<u8>,
) -> Result<ColumnCloseResult> {
    let mut sink = TrackedWrite::new(out);
    let mut writer = SerializedPageWriter::new(&mut sink);
    let (mut values, mut compressed, mut uncompressed) = (0, 0, 0);
    let mut rest = rows;
    while !rest.is_empty() {
        let (page, after) = rest.split_at(rows_of_page(rest));
        let written = writer.write_page(encode_page(page, descr, scratch)?)?;
        values += i64::from(written.num_values);
        compressed += written.compressed_size as i64;
        uncompressed += written.uncompressed_size as i64;
        rest = after;
    }
    sink.flush()?;
    let metadata = ColumnChunkMetaData::builder(descr.clone())
        .set_compression(compression)
        .set_encodings(vec![Encoding::RLE, Encoding::BYTE_STREAM_SPLIT])
        .set_num_values(values)
        .set_total_compressed_size(compressed)
        .set_total_uncompressed_size(uncompressed)
        .set_data_page_offset(0)
        .build()?;
    Ok(ColumnCloseResult {
        bytes_written: compressed as u64,
        rows_written: rows.len() as u64,
        metadata,
        bloom_filter: None,
        column_index: None,
        offset_index: None,
    })
}

/// How many of `rows` the next page takes, at least one.
fn rows_of_page<T: ListElement>(rows: &[Option<&[T]>]) -> usize {
    let mut bytes = 0;
    let fits = |row: &&Option<&[T]>| {
        bytes += row.map_or(0, |values| values.len() * T::BYTES);
        bytes <= PAGE_BYTES
    };
    rows.iter().take_while(fits).count().max(1)
}

/// A data page (version 1): repetition levels, definition levels, values; compressed as one.
fn encode_page<T: ListElement>(
    rows: &[Option<&[T]>],
    descr: &ColumnDescPtr,
    scratch: &mut ListScratch,
) -> Result<CompressedPage> {
    let ListScratch { compressor, page, compressed } = scratch;
    page.clear();
    let lengths = rows.iter().map(|row| row.map(<[T]>::len));
    push_levels(page, |out| repetition_levels(out, lengths.clone()));
    push_levels(page, |out| definition_levels(out, lengths.clone(), descr.max_def_level() as usize));
    push_streams(page, rows);
    if i32::try_from(page.len()).is_err() {
        return Err(ParquetError::General(format!("expected a row below 2 GiB, found {} bytes", page.len())));
    }
    compressed.clear();
    compressed.reserve(zstd::zstd_safe::compress_bound(page.len()));
    compressor.compress_to_buffer(page, compressed).map_err(external)?;
    let levels = lengths.map(|length| length.unwrap_or(0).max(1)).sum::<usize>();
    let data = Page::DataPage {
        buf: Bytes::copy_from_slice(compressed),
        num_values: levels as u32,
        encoding: Encoding::BYTE_STREAM_SPLIT,
        def_level_encoding: Encoding::RLE,
        rep_level_encoding: Encoding::RLE,
        statistics: None,
    };
    Ok(CompressedPage::new(data, page.len()))
}

/// Appends what `fill` writes, its length in four bytes before it.
fn push_levels(page: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = page.len();
    page.extend_from_slice(&[0; 4]);
    fill(page);
    let length = (page.len() - start - 4) as u32;
    page[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// Level 0 begins a row, level 1 goes on with it; a null or empty list takes one level all the same.
fn repetition_levels(out: &mut Vec<u8>, lengths: impl Iterator<Item = Option<usize>>) {
    for length in lengths {
        push_run(out, 0, 1);
        push_run(out, 1, length.unwrap_or(0).saturating_sub(1));
    }
}

/// `most` at an element; one less at an empty list; two less, which is 0, at a null one.
fn definition_levels(out: &mut Vec<u8>, lengths: impl Iterator<Item = Option<usize>>, most: usize) {
    let (mut level, mut run) = (0, 0);
    for length in lengths {
        let (next, more) = match length {
            None => (0, 1),
            Some(0) => (most - 1, 1),
            Some(n) => (most, n),
        };
        if next != level {
            push_run(out, level, run);
            run = 0;
        }
        level = next;
        run += more;
    }
    push_run(out, level, run);
}

/// A run of the RLE hybrid encoding: twice its length as a varint, then the level in one byte.
fn push_run(out: &mut Vec<u8>, level: usize, run: usize) {
    if run == 0 {
        return;
    }
    let mut header = run << 1;
    while header > 0x7F {
        out.push(header as u8 | 0x80);
        header >>= 7;
    }
    out.extend_from_slice(&[header as u8, level as u8]);
}

/// Byte 0 of all values, then byte 1 of all values, and so on.
fn push_streams<T: ListElement>(page: &mut Vec<u8>, rows: &[Option<&[T]>]) {
    for k in 0..T::BYTES {
        for row in rows.iter().flatten() {
            page.extend(row.iter().map(|value| value.byte(k)));
        }
    }
}

/// A chunk in memory, as a row group of a file takes it in.
pub(crate) struct StoredChunk<'a>(pub(crate) &'a [u8]);

impl Length for StoredChunk<'_> {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }
}

impl<'a> ChunkReader for StoredChunk<'a> {
    type T = &'a [u8];

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(self.0.get(start as usize..).unwrap_or_default())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let bytes = self.get_read(start)?;
        Ok(Bytes::copy_from_slice(bytes.get(..length).unwrap_or(bytes)))
    }
}
