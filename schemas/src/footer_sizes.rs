//! Sizes that the footer of a Parquet file claims, checked before a decoder makes room for them.
//!
//! A list in Thrift's compact form states its length, and the decoder reserves memory for that many row groups or
//! columns: more than there are bytes left would end the process, which no boundary can catch.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use parquet::errors::ParquetError;

/// What stands at the end of a Parquet file: the length of the footer, and four letters.
const TAIL: usize = 8;

/// Structures inside structures, at most.
const DEPTH: usize = 32;

/// Checks the footer of an open file; one that has none is left to the decoder to complain about.
///
/// # Errors
/// Fails if the file cannot be read, or a size is larger than what follows it.
pub(crate) fn check_footer_of(file: &mut File) -> Result<(), ParquetError> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut tail = [0; TAIL];
    if length < TAIL as u64 {
        return Ok(());
    }
    file.seek(SeekFrom::End(-(TAIL as i64)))?;
    file.read_exact(&mut tail)?;
    let Some(footer) = footer_length(&tail).filter(|&footer| footer <= length - TAIL as u64) else {
        return Ok(());
    };
    file.seek(SeekFrom::Start(length - TAIL as u64 - footer))?;
    let mut bytes = vec![0; footer as usize];
    file.read_exact(&mut bytes)?;
    check_sizes(&bytes)
}

/// Checks the footer of a file in memory.
///
/// # Errors
/// Fails if a size is larger than what follows it.
pub(crate) fn check_footer(bytes: &[u8]) -> Result<(), ParquetError> {
    let Some((rest, tail)) = bytes.split_last_chunk::<TAIL>() else { return Ok(()) };
    let footer = footer_length(tail).and_then(|footer| rest.len().checked_sub(footer as usize));
    footer.map_or(Ok(()), |start| check_sizes(&rest[start..]))
}

fn footer_length(tail: &[u8; TAIL]) -> Option<u64> {
    let (length, letters) = tail.split_first_chunk::<4>()?;
    (letters == b"PAR1").then(|| u64::from(u32::from_le_bytes(*length)))
}

fn check_sizes(footer: &[u8]) -> Result<(), ParquetError> {
    let mut rest = footer;
    skip_struct(&mut rest, 0).ok_or_else(|| {
        ParquetError::General("the footer is damaged: a size in it is larger than what follows".to_owned())
    })
}

/// Passes over a structure; `None` if a size in it is larger than the bytes that follow.
fn skip_struct(bytes: &mut &[u8], depth: usize) -> Option<()> {
    if depth > DEPTH {
        return None;
    }
    loop {
        let header = take_byte(bytes)?;
        if header == 0 {
            return Some(());
        }
        if header >> 4 == 0 {
            take_varint(bytes)?;
        }
        // Truth values of fields stand in their header.
        if !matches!(header & 0xF, 1 | 2) {
            skip_value(bytes, header & 0xF, depth)?;
        }
    }
}

/// Passes over a value of a type: of a field, or of an element of a list.
fn skip_value(bytes: &mut &[u8], kind: u8, depth: usize) -> Option<()> {
    match kind {
        1..=3 => take_byte(bytes).map(|_| ()),
        4..=6 => take_varint(bytes).map(|_| ()),
        7 => skip_bytes(bytes, 8),
        8 => {
            let length = take_varint(bytes)?;
            skip_bytes(bytes, length)
        }
        9 | 10 => skip_list(bytes, depth),
        11 => skip_map(bytes, depth),
        12 => skip_struct(bytes, depth + 1),
        _ => None,
    }
}

fn skip_list(bytes: &mut &[u8], depth: usize) -> Option<()> {
    let header = take_byte(bytes)?;
    let count = if header >> 4 == 15 { take_varint(bytes)? } else { u64::from(header >> 4) };
    skip_values(bytes, count, &[header & 0xF], depth)
}

fn skip_map(bytes: &mut &[u8], depth: usize) -> Option<()> {
    let count = take_varint(bytes)?;
    if count == 0 {
        return Some(());
    }
    let kinds = take_byte(bytes)?;
    skip_values(bytes, count, &[kinds >> 4, kinds & 0xF], depth)
}

/// Passes over `count` elements, each of values of these types; every value takes a byte at least.
fn skip_values(bytes: &mut &[u8], count: u64, kinds: &[u8], depth: usize) -> Option<()> {
    if count > bytes.len() as u64 || depth > DEPTH {
        return None;
    }
    (0..count).try_for_each(|_| kinds.iter().try_for_each(|&kind| skip_value(bytes, kind, depth + 1)))
}

fn skip_bytes(bytes: &mut &[u8], count: u64) -> Option<()> {
    *bytes = bytes.get(usize::try_from(count).ok()?..)?;
    Some(())
}

fn take_byte(bytes: &mut &[u8]) -> Option<u8> {
    let (&byte, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(byte)
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        let byte = take_byte(bytes)?;
        value |= u64::from(byte & 0x7F).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_beyond_the_end_are_found() {
        // Field 1: i32 5; field 2: a list of two i32; end.
        let good = [0x15, 10, 0x19, 0x25, 2, 4, 0];
        assert!(check_sizes(&good).is_ok());
        // A list of 2^28 structures, and text of 2^40 bytes.
        assert!(check_sizes(&[0x19, 0xFC, 0x80, 0x80, 0x80, 0x80, 1, 0, 0]).is_err());
        assert!(check_sizes(&[0x18, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20, 0, 0]).is_err());
        assert!(check_sizes(&[0x1C; 100]).is_err(), "structures without end");
        assert!(check_footer(b"PAR1").is_ok() && check_footer(b"\xff\xff\xff\xffPAR1").is_ok());
    }
}
