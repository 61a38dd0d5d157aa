//! STL: triangle soup, as text or binary; told apart by what is there, not by the word `solid` alone.
//!
//! Facet normals are not read: they repeat or contradict the corners. Colours in the attribute words of binary files
//! are read where the file says that they are some. Several solids in a file become one mesh. Corners are not merged.

mod binary;
mod facet_colors;
#[cfg(test)]
mod tests;
mod text;

use jepa3d_schemas::Mesh;

use self::binary::{HEADER, find_facets, parse_binary};
use self::text::parse_text;
use super::ascii::{Lines, decode, quote};
use super::parsed::Parsed;
use crate::error::ParseError;

/// Bytes of a text that are looked at to tell it from a binary file.
const LOOKED_AT: usize = 4096;

/// Reads an STL file; one without facets gives a mesh without triangles.
///
/// # Errors
/// Fails (naming the line or byte) if the file is neither kind, is cut off, states another number of facets than it
/// holds, or has a coordinate that is missing or not finite.
pub fn parse(bytes: &[u8]) -> Result<Parsed<Mesh>, ParseError> {
    // Binary headers may start with `solid`, and texts may be as long as a binary file would be.
    if is_text(bytes) {
        return parse_text(bytes);
    }
    if bytes.len() < HEADER {
        let found = if bytes.is_empty() { "an empty file".into() } else { quote(bytes) };
        return Err(ParseError::file("an STL file (solid ..., or a binary header of 84 bytes)", found));
    }
    parse_binary(bytes, &find_facets(bytes)?)
}

/// Whether a file is a text: it starts with `solid` or `facet`, and holds no zero bytes (which every binary file has in
/// its count) or goes on with a statement on its next line.
fn is_text(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(LOOKED_AT)];
    if start.starts_with(&[0xFE, 0xFF]) || start.starts_with(&[0xFF, 0xFE]) {
        return true;
    }
    let text = decode(start);
    let first_word = |line: &[u8]| {
        let line = line.trim_ascii_start();
        let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
        line[..end].to_ascii_lowercase()
    };
    let mut words = Lines::new(&text).map(|(_, line)| first_word(line)).filter(|word| !word.is_empty());
    let says_text = words.next().is_some_and(|word| matches!(word.as_slice(), b"solid" | b"facet"));
    // Of a binary file, the rest of the "line" is the header and what follows it.
    let goes_on =
        |word: Vec<u8>| matches!(word.as_slice(), b"facet" | b"outer" | b"endsolid" | b"color" | b"solid");
    says_text && (!start.contains(&0) || words.next().is_some_and(goes_on))
}
