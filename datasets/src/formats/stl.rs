//! STL: triangle soup, as text or binary; told apart by the size, not by the word `solid`.
//!
//! Facet normals and attribute bytes are not read: they repeat or contradict the corners.
//! Several solids in a file become one mesh. Corners are not merged.

use jepa3d_schemas::{Mesh, Warning, WarningKind};

use super::ascii::{Lines, decode, quote, take_three};
use super::parsed::Parsed;
use crate::error::{FilePlace, ParseError};

/// Bytes before the first triangle of a binary file, and of each triangle.
const HEADER: usize = 84;
const FACET: usize = 50;

/// Reads an STL file; one without facets gives a mesh without triangles.
///
/// # Errors
/// Fails (naming the line or byte) if the file is neither kind, is cut off, or has a coordinate
/// that is missing or not finite.
pub fn parse(bytes: &[u8]) -> Result<Parsed<Mesh>, ParseError> {
    let count = bytes.get(80..HEADER).and_then(|b| b.first_chunk()).map(|b| u32::from_le_bytes(*b) as usize);
    let binary_size = count.and_then(|n| n.checked_mul(FACET)).and_then(|n| n.checked_add(HEADER));
    let text = bytes.trim_ascii_start();
    let says_solid = text.get(..5).is_some_and(|word| word.eq_ignore_ascii_case(b"solid"));
    match (count, binary_size) {
        (Some(count), Some(size)) if size == bytes.len() || (size < bytes.len() && !says_solid) => {
            parse_binary(bytes, count)
        }
        _ if says_solid || bytes.starts_with(&[0xFE, 0xFF]) || bytes.starts_with(&[0xFF, 0xFE]) => {
            parse_text(bytes)
        }
        (Some(count), _) => {
            let expected = format!(
                "at most {} facets in a file of {} bytes",
                (bytes.len() - HEADER) / FACET,
                bytes.len()
            );
            Err(ParseError::new(FilePlace::Byte(80), expected, count.to_string()))
        }
        _ => {
            let found = if bytes.is_empty() { "an empty file".into() } else { quote(bytes) };
            Err(ParseError::file("an STL file (solid ..., or a binary header of 84 bytes)", found))
        }
    }
}

fn parse_binary(bytes: &[u8], count: usize) -> Result<Parsed<Mesh>, ParseError> {
    let mut mesh = Mesh { positions: Vec::with_capacity(3 * count), ..Mesh::default() };
    let body = &bytes[HEADER..HEADER + FACET * count];
    for (i, facet) in body.chunks_exact(FACET).enumerate() {
        for corner in facet[12..48].chunks_exact(12) {
            let value = |k: usize| {
                f64::from(f32::from_le_bytes([corner[k], corner[k + 1], corner[k + 2], corner[k + 3]]))
            };
            let position = [value(0), value(4), value(8)];
            if !position.iter().all(|x| x.is_finite()) {
                let place = FilePlace::Byte((HEADER + FACET * i) as u64);
                return Err(ParseError::new(place, "three finite coordinates", format!("{position:?}")));
            }
            mesh.positions.push(position);
        }
    }
    push_triangles(&mut mesh)?;
    let extra = bytes.len() - HEADER - body.len();
    let warning = (extra > 0).then(|| {
        Warning::new(WarningKind::BytesIgnored, format!("{extra} bytes after the last facet are ignored"))
    });
    Ok(Parsed { geometry: mesh, warnings: warning.into_iter().collect() })
}

fn parse_text(bytes: &[u8]) -> Result<Parsed<Mesh>, ParseError> {
    let text = decode(bytes);
    let mut mesh = Mesh::default();
    let mut lines = Lines::new(&text);
    let mut in_facet = 0;
    for (number, line) in lines.by_ref() {
        let line = line.trim_ascii_start();
        let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
        let (word, rest) = line.split_at(end);
        match word.to_ascii_lowercase().as_slice() {
            b"vertex" => {
                let position = take_three(&mut &*rest).filter(|p| p.iter().all(|x| x.is_finite()));
                mesh.positions.push(
                    position
                        .ok_or_else(|| ParseError::line(number, "three finite coordinates", quote(rest)))?,
                );
                in_facet += 1;
            }
            b"endloop" | b"endfacet" | b"facet" | b"endsolid" if in_facet != 0 && in_facet != 3 => {
                return Err(ParseError::line(number, "three vertices of a facet", in_facet.to_string()));
            }
            b"endloop" | b"facet" => in_facet = 0,
            b"" | b"solid" | b"endsolid" | b"outer" | b"endfacet" | b"color" => {}
            _ => return Err(ParseError::line(number, "an STL statement", quote(line))),
        }
    }
    if in_facet != 0 {
        return Err(ParseError::line(lines.number(), "endloop after three vertices", "the end of the file"));
    }
    push_triangles(&mut mesh)?;
    Ok(Parsed { geometry: mesh, warnings: Vec::new() })
}

/// One triangle for each three positions.
fn push_triangles(mesh: &mut Mesh) -> Result<(), ParseError> {
    let count = u32::try_from(mesh.positions.len())
        .map_err(|_| ParseError::file("fewer than 2^32 corners", mesh.positions.len().to_string()))?;
    mesh.triangles = (0..count / 3).map(|i| [3 * i, 3 * i + 1, 3 * i + 2]).collect();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(header: &[u8], facets: &[[f32; 9]]) -> Vec<u8> {
        let mut bytes = header.to_vec();
        bytes.resize(80, 0);
        bytes.extend((facets.len() as u32).to_le_bytes());
        for facet in facets {
            bytes.extend([0; 12]);
            bytes.extend(facet.iter().flat_map(|v| v.to_le_bytes()));
            bytes.extend([0; 2]);
        }
        bytes
    }

    const FACET_VALUES: [f32; 9] = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.5];

    #[test]
    fn binary_and_text_agree() {
        let text = "SOLID x\n facet normal 0 0 1\n  outer loop\n   vertex 0 0 0\n   vertex 1 0 0\n   vertex 0 1 0.5\n  \
                    endloop\n endfacet\nendsolid x\n";
        let from_text = parse(text.as_bytes()).unwrap();
        for header in ["", "solid but binary"] {
            assert_eq!(parse(&binary(header.as_bytes(), &[FACET_VALUES])).unwrap(), from_text);
        }
        assert_eq!(from_text.geometry.triangles, [[0, 1, 2]]);
        assert_eq!(parse(&text.replace('\n', "\r").into_bytes()).unwrap(), from_text);
    }

    #[test]
    fn bad_files_are_errors() {
        let error = |bytes: &[u8]| parse(bytes).unwrap_err().to_string();
        let mut file = binary(b"", &[FACET_VALUES; 2]);
        assert_eq!(
            error(&file[..file.len() - 1]),
            "expected at most 1 facets in a file of 183 bytes, found 2, byte 80"
        );
        file.push(0);
        assert_eq!(parse(&file).unwrap().warnings, ["1 bytes after the last facet are ignored"]);
        assert!(error(&binary(b"", &[[f32::NAN; 9]])).ends_with("[NaN, NaN, NaN], byte 84"));
        assert_eq!(
            error(b"solid\nfacet\nvertex 1 2\n"),
            "expected three finite coordinates, found \" 1 2\", line 3"
        );
        assert_eq!(
            error(b"solid\nvertex 1 2 3\n"),
            "expected endloop after three vertices, found the end of the file, line 2"
        );
        assert_eq!(
            error(b"solid\nvertex 1 2 3\nendloop"),
            "expected three vertices of a facet, found 1, line 3"
        );
        assert!(error(b"").ends_with("found an empty file"));
    }
}
