//! Wavefront OBJ: vertices, faces of any size, material groups; the reader behind ShapeNet.
//!
//! Read: `v` (with or without colour), `vn`, `vt`, `f` with every corner form and negative
//! indices, `usemtl`, `mtllib`, line continuation, UTF-16 with a byte order mark. Passed over:
//! groups, smoothing, points and lines. One pass over the bytes, no copy of the text; a face
//! may name vertices that come later in the file.

mod corner;
mod file;
mod finish;
mod materials;
mod placement;
mod reader;
#[cfg(test)]
mod tests;

use self::finish::finish;
use self::reader::ObjReader;
use super::ascii::{Lines, decode};
use crate::budget::Budget;
use crate::error::ParseError;

pub use self::file::ObjFile;
pub(super) use self::materials::fill_materials;

/// Reads an OBJ file; a file without faces gives a mesh without triangles.
///
/// Faces of fewer than three corners are skipped with a warning; faces with a repeated corner are
/// kept. Indices of normals and texture coordinates that name nothing are ignored with a warning.
/// Vertices without colour (or NaN) among coloured ones become white, with a warning.
///
/// # Errors
/// Fails (naming the line) if a coordinate is missing, malformed or not finite, or a face names a
/// vertex that is not there; fails if there are no vertices.
pub fn parse(bytes: &[u8]) -> Result<ObjFile, ParseError> {
    parse_within(bytes, &Budget::default())
}

/// Lines that are read between two looks at what they take.
const LINES_AT_ONCE: usize = 4096;
/// Length of a line that is looked at by itself.
const LONG_LINE: usize = 1 << 16;

/// As [`parse`], charging the mesh to `budget` as it grows.
///
/// # Errors
/// Fails as [`parse`] does, or if the budget does not suffice.
pub(super) fn parse_within(bytes: &[u8], budget: &Budget) -> Result<ObjFile, ParseError> {
    let text = decode(bytes);
    let mut reader = ObjReader::default();
    let mut lines = Lines::new(&text);
    let mut joined = Vec::new();
    let (mut charged, mut read) = (0, 0usize);
    while let Some((number, line)) = lines.next() {
        read += 1;
        if read.is_multiple_of(LINES_AT_ONCE) {
            charge_growth(&reader, &mut charged, budget)?;
        }
        if line.len() > LONG_LINE {
            // Two bytes may be a corner, and a corner a triangle.
            budget.charge_values(line.len() as u64 / 2, 36, &format!("line {number}"))?;
        }
        if is_continued(line) {
            join_continued(line, &mut lines, &mut joined);
            reader.read_line(number, &joined)?;
        } else {
            reader.read_line(number, line)?;
        }
    }
    charge_growth(&reader, &mut charged, budget)?;
    finish(reader, bytes.is_empty())
}

/// Charges what the mesh has taken since it was charged last.
fn charge_growth(reader: &ObjReader, charged: &mut u64, budget: &Budget) -> Result<(), ParseError> {
    let bytes = reader.mesh_bytes();
    budget.charge(bytes.saturating_sub(*charged), "the mesh")?;
    *charged = bytes;
    Ok(())
}

/// Whether a line ends in a backslash that continues it.
fn is_continued(line: &[u8]) -> bool {
    match line {
        // In Shift-JIS, GBK and Big5 a backslash may be the second byte of the last letter of a name.
        [b'#', ..] => false,
        [.., 0x80..=0xFF, b'\\'] => std::str::from_utf8(line).is_ok(),
        [.., b'\\'] => true,
        _ => false,
    }
}

/// The logical line that starts with `first`, which ends in a backslash.
fn join_continued(first: &[u8], lines: &mut Lines<'_>, joined: &mut Vec<u8>) {
    joined.clear();
    let mut line = first;
    while let [head @ .., b'\\'] = line {
        joined.extend_from_slice(head);
        joined.push(b' ');
        line = lines.next().map_or(&[], |(_, next)| next);
    }
    joined.extend_from_slice(line);
}
