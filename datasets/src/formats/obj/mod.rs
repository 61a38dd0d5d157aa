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
    let text = decode(bytes);
    let mut reader = ObjReader::default();
    let mut lines = Lines::new(&text);
    let mut joined = Vec::new();
    while let Some((number, line)) = lines.next() {
        if is_continued(line) {
            join_continued(line, &mut lines, &mut joined);
            reader.read_line(number, &joined)?;
        } else {
            reader.read_line(number, line)?;
        }
    }
    finish(reader, bytes.is_empty())
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
