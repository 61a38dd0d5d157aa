//! The container of a glTF file: chunks of a GLB, or text; with byte order marks, padding and what else lies around it.

use std::borrow::Cow;

use jepa3d_schemas::{Warning, WarningKind};

use crate::error::{FilePlace, ParseError};
use crate::formats::ascii::{decode, quote};

/// What a file holds.
pub(super) struct Container<'a> {
    /// JSON in UTF-8 without a byte order mark.
    pub(super) text: Cow<'a, [u8]>,
    /// The binary chunk of a GLB.
    pub(super) binary: Option<&'a [u8]>,
    pub(super) warnings: Vec<Warning>,
}

/// Opens a `.glb`, or a `.gltf`, which is JSON alone.
///
/// # Errors
/// Fails if a GLB is of another version than 2, does not start with a JSON chunk, or is cut off.
pub(super) fn open_container(bytes: &[u8]) -> Result<Container<'_>, ParseError> {
    if !bytes.starts_with(b"glTF") {
        return Ok(Container { text: json_text(bytes), binary: None, warnings: Vec::new() });
    }
    let version = u32_at(bytes, 4)?;
    if version != 2 {
        return Err(ParseError::new(FilePlace::Byte(4), "GLB version 2", version.to_string()));
    }
    let length = u32_at(bytes, 8)? as usize;
    let json = read_chunk(bytes, 12)?;
    if json.kind != b"JSON" {
        return Err(ParseError::new(FilePlace::Byte(16), "a first chunk JSON", quote(json.kind)));
    }
    // Chunks of kinds that nobody knows may follow, and junk that is none.
    let (mut at, mut binary) = (json.next, None);
    while binary.is_none() && at + 8 <= bytes.len() {
        match read_chunk(bytes, at) {
            Ok(chunk) => {
                binary = (chunk.kind == b"BIN\0").then_some(chunk.data);
                at = chunk.next;
            }
            Err(error) if &bytes[at + 4..at + 8] == b"BIN\0" => return Err(error),
            Err(_) => break,
        }
    }
    Ok(Container { text: json_text(json.data), binary, warnings: warn_of_length(length, bytes.len()) })
}

/// A warning if the header states another length than the file has.
fn warn_of_length(stated: usize, length: usize) -> Vec<Warning> {
    if stated == length {
        return Vec::new();
    }
    let told = format!("the header states {stated} bytes, the file has {length}");
    vec![Warning::new(WarningKind::LengthDiffers, told)]
}

/// The JSON in a text: without byte order mark, trailing zeros and blanks.
fn json_text(bytes: &[u8]) -> Cow<'_, [u8]> {
    let is_padding = |b: &u8| *b == 0 || b.is_ascii_whitespace();
    // The zeros of UTF-16 are no padding; a file that is not UTF-8 goes through the decoder first.
    match bytes {
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => Cow::Owned(decode(bytes).into_owned()),
        _ => {
            let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
            let end = text.iter().rposition(|b| !is_padding(b)).map_or(0, |last| last + 1);
            Cow::Borrowed(&text[..end])
        }
    }
}

/// A chunk of a GLB.
struct Chunk<'a> {
    kind: &'a [u8],
    data: &'a [u8],
    /// Where the next one starts.
    next: usize,
}

fn read_chunk(bytes: &[u8], at: usize) -> Result<Chunk<'_>, ParseError> {
    let length = u32_at(bytes, at)? as usize;
    // The kind has to be there too, even for a chunk of no bytes.
    u32_at(bytes, at + 4)?;
    let body = &bytes[at + 8..];
    let data = body.get(..length).ok_or_else(|| {
        let expected = format!("a chunk of {length} bytes");
        ParseError::new(FilePlace::Byte(at as u64), expected, format!("{}", body.len()))
    })?;
    Ok(Chunk { kind: &bytes[at + 4..at + 8], data, next: at + 8 + length })
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, ParseError> {
    let four = bytes.get(at..).and_then(|rest| rest.first_chunk());
    let four = four
        .ok_or_else(|| ParseError::new(FilePlace::Byte(at as u64), "4 bytes more", "the end of the file"))?;
    Ok(u32::from_le_bytes(*four))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A GLB of these chunks; `length` stands in its header.
    fn glb(length: usize, chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let mut bytes = b"glTF\x02\0\0\0".to_vec();
        bytes.extend((length as u32).to_le_bytes());
        for (kind, data) in chunks {
            bytes.extend((data.len() as u32).to_le_bytes());
            bytes.extend(*kind);
            bytes.extend(*data);
        }
        bytes
    }

    #[test]
    fn chunks_are_bounded() {
        let error = |bytes: &[u8]| open_container(bytes).err().unwrap().to_string();
        assert_eq!(error(b"glTF\x01\0\0\0"), "expected GLB version 2, found 1, byte 4");
        assert_eq!(
            error(b"glTF\x02\0\0\0\0\0\0\0\xff\xff\xff\xffJSON"),
            "expected a chunk of 4294967295 bytes, found 0, byte 12"
        );
        let cut = b"glTF\x02\0\0\0\0\0\0\0\0\0\0\0JS";
        assert_eq!(error(cut), "expected 4 bytes more, found the end of the file, byte 16");
        assert_eq!(error(b"glTF"), "expected 4 bytes more, found the end of the file, byte 4");
        let mut short = glb(36, &[(b"JSON", b"{}  "), (b"BIN\0", &[1, 2, 3, 4])]);
        short.truncate(34);
        assert_eq!(error(&short), "expected a chunk of 4 bytes, found 2, byte 24");
    }

    #[test]
    fn padding_marks_and_what_lies_behind_are_taken_off() {
        for text in [&b"{}  "[..], b"{}\0\0", b"\xEF\xBB\xBF{} ", b"{}\r\n"] {
            let file = glb(28, &[(b"JSON", text), (b"BIN\0", &[])]);
            let container = open_container(&file).unwrap();
            assert_eq!((&*container.text, container.binary), (&b"{}"[..], Some(&[][..])), "{text:?}");
        }
        for text in [&b"{}"[..], b"\xEF\xBB\xBF{}", b"\xFF\xFE{\0}\0", b"{}\0\0"] {
            assert_eq!(&*open_container(text).unwrap().text, b"{}", "{text:?}");
        }
    }

    #[test]
    fn stated_lengths_and_chunks_of_other_kinds() {
        let chunks: [(&[u8; 4], &[u8]); 3] = [(b"JSON", b"{}  "), (b"XYZW", &[7; 4]), (b"BIN\0", &[1; 4])];
        let plain = glb(48, &chunks);
        assert_eq!(plain.len(), 48);
        for (extra, length, warned) in
            [(&b""[..], 48, None), (&[0; 4], 52, None), (&[9; 9], 48, Some(57)), (&[9; 9], 0, Some(57))]
        {
            let mut file = glb(length, &chunks);
            file.extend(extra);
            let container = open_container(&file).unwrap();
            assert_eq!(container.binary, Some(&[1; 4][..]), "{length}");
            let told = warned.map(|n| format!("the header states {length} bytes, the file has {n}"));
            assert_eq!(container.warnings, told.as_deref().as_slice(), "{length}");
        }
        // No binary chunk, and junk that is none.
        let mut file = glb(24, &[(b"JSON", b"{}  ")]);
        file.extend([0xFF; 30]);
        assert_eq!(open_container(&file).unwrap().binary, None);
    }
}
