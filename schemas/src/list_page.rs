//! List columns from pages as [`crate::list_chunk`] writes them, without a level for every value.
//!
//! Levels are read as runs: a row is a run or two, whatever its length, and the values of a page are
//! joined from their byte streams straight into the column. Pages of any other form (bit-packed
//! levels, other encodings, rows across pages) are left to the general reader.

use parquet::basic::Encoding;
use parquet::column::page::{Page, PageReader};
use parquet::errors::Result;

use crate::column::ListColumn;

/// A physical type whose values are stored as byte streams.
pub(crate) trait Streamed: Copy {
    /// Bytes of a value.
    const BYTES: usize;

    /// Appends the values whose byte `k` is stream `k` of `streams`, each of `count` bytes.
    fn join(streams: &[u8], count: usize, out: &mut Vec<Self>);
}

macro_rules! streamed {
    ($($native:ty: $($k:literal $byte:ident),*;)*) => {$(
        impl Streamed for $native {
            const BYTES: usize = size_of::<$native>();

            fn join(streams: &[u8], count: usize, out: &mut Vec<Self>) {
                $(let $byte = &streams[$k * count..][..count];)*
                out.extend((0..count).map(|i| <$native>::from_le_bytes([$($byte[i]),*])));
            }
        }
    )*};
}

streamed! {
    i32: 0 a, 1 b, 2 c, 3 d;
    f32: 0 a, 1 b, 2 c, 3 d;
    f64: 0 a, 1 b, 2 c, 3 d, 4 e, 5 f, 6 g, 7 h;
}

/// Decodes all pages of a column whose elements have the definition level `most`; `None` if one is of
/// another form than ours. `bound` values are made room for.
///
/// # Errors
/// Fails if a page cannot be read or decompressed.
pub(crate) fn decode_pages<T: Streamed>(
    pages: &mut dyn PageReader,
    most: u8,
    bound: usize,
) -> Result<Option<ListColumn<T>>> {
    let mut column = ListColumn { values: Vec::with_capacity(bound), ends: Vec::new(), valid: Vec::new() };
    while let Some(page) = pages.get_next_page()? {
        let Page::DataPage { buf, num_values, encoding: Encoding::BYTE_STREAM_SPLIT, .. } = page else {
            return Ok(None);
        };
        if decode_page(&buf, num_values as usize, most, &mut column).is_none() {
            return Ok(None);
        }
    }
    Ok(Some(column))
}

fn decode_page<T: Streamed>(page: &[u8], levels: usize, most: u8, column: &mut ListColumn<T>) -> Option<()> {
    let (repetition, rest) = split_levels(page)?;
    let (definition, streams) = split_levels(rest)?;
    let lengths = row_lengths(&runs(repetition, levels)?)?;
    let mut definition = runs(definition, levels)?.into_iter();
    let (mut level, mut left, mut count) = (0, 0, 0);
    let before = column.values.len();
    for length in lengths {
        if left == 0 {
            (level, left) = definition.next()?;
        }
        // A row is all elements, or one entry that says null or empty.
        if left < length || (level < most && length > 1) {
            return None;
        }
        left -= length;
        count += if level == most { length } else { 0 };
        column.ends.push(before + count);
        column.valid.push(level + 1 >= most);
    }
    if streams.len() != count * T::BYTES {
        return None;
    }
    T::join(streams, count, &mut column.values);
    Some(())
}

/// The levels at the start of `bytes`, their length in four bytes before them, and what follows.
fn split_levels(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

/// Runs (level, count) of `total` levels below 256, neighbours of one level joined; `None` if some are bit-packed.
fn runs(mut bytes: &[u8], total: usize) -> Option<Vec<(u8, usize)>> {
    let (mut runs, mut sum) = (Vec::<(u8, usize)>::new(), 0usize);
    while !bytes.is_empty() {
        let header = read_varint(&mut bytes)?;
        let (&level, rest) = bytes.split_first()?;
        let count = usize::try_from(header >> 1).ok()?;
        if header & 1 == 1 || count == 0 {
            return None;
        }
        bytes = rest;
        sum = sum.checked_add(count)?;
        match runs.last_mut() {
            Some((last, sum)) if *last == level => *sum += count,
            _ => runs.push((level, count)),
        }
    }
    (sum == total).then_some(runs)
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..35).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Levels of each row: 0 begins one, 1 goes on with it; `None` if the first row began on an earlier page.
fn row_lengths(runs: &[(u8, usize)]) -> Option<Vec<usize>> {
    let mut lengths = Vec::new();
    for &(level, count) in runs {
        match level {
            0 => lengths.resize(lengths.len() + count, 1),
            1 => *lengths.last_mut()? += count,
            _ => return None,
        }
    }
    Some(lengths)
}
