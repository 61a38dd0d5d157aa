//! OFF: counts, vertices, polygons, one a line; as ModelNet, Princeton and libigl write it.
//!
//! Read: `OFF`, `COFF` (vertex colours), `NOFF` (vertex normals), counts on the header's line
//! (even glued to it, as in many ModelNet files), comments, blank lines. A warning: colours after face indices and
//! numbers after the position that the header does not announce. Refused by name: binary, 4D and n-dimensional variants.

use jepa3d_schemas::{Mesh, Warning, WarningKind};

use super::ascii::{Lines, decode, fields, integer, number, quote, take_three};
use super::colors::{ColorType, bytes_from_colors};
use super::parsed::Parsed;
use super::polygon::{Fan, push_fan, repair_fans, warn_of_short_faces};
use crate::error::ParseError;

/// What follows the position on a vertex line.
#[derive(Clone, Copy, PartialEq)]
enum OffVariant {
    Plain,
    Color,
    Normal,
}

/// Reads an OFF file.
///
/// Faces of fewer than three corners are skipped with a warning; faces with a repeated corner are kept.
///
/// # Errors
/// Fails (naming the line) if the header is not OFF, a count is missing or cannot fit the file,
/// a coordinate is missing or not finite, or a face names a vertex that is not there.
pub fn parse(bytes: &[u8]) -> Result<Parsed<Mesh>, ParseError> {
    let text = decode(bytes);
    let mut lines = Lines::new(&text);
    let header = read_header(&mut lines, text.len())?;
    let mut mesh = Mesh { positions: Vec::with_capacity(header.vertices), ..Mesh::default() };
    let mut warnings = read_vertices(&mut lines, &header, &mut mesh)?;
    warnings.extend(read_faces(&mut lines, header.faces, &mut mesh)?);
    if mesh.normals.len() == mesh.positions.len() && !mesh.normals.is_empty() {
        mesh.normal_corners.clone_from(&mesh.triangles);
    }
    if let Some((line, found)) = lines.next_content() {
        let text = format!("text after the last face is ignored, from line {line}: {}", quote(found));
        warnings.push(Warning::new(WarningKind::BytesIgnored, text));
    }
    Ok(Parsed { geometry: mesh, warnings })
}

/// What the header says; both counts can fit the file.
struct OffHeader {
    variant: OffVariant,
    vertices: usize,
    faces: usize,
}

fn read_header(lines: &mut Lines<'_>, size: usize) -> Result<OffHeader, ParseError> {
    let Some((line, first)) = lines.next_content() else {
        return Err(ParseError::file("an OFF header", "an empty file"));
    };
    let wrong = || ParseError::line(line, "a header OFF, COFF or NOFF", quote(first));
    let (variant, rest) = match first {
        [b'O', b'F', b'F', rest @ ..] => (OffVariant::Plain, rest),
        [b'C', b'O', b'F', b'F', rest @ ..] => (OffVariant::Color, rest),
        [b'N', b'O', b'F', b'F', rest @ ..] => (OffVariant::Normal, rest),
        _ => return Err(wrong()),
    };
    let rest = rest.trim_ascii();
    if rest.starts_with(b"BINARY") {
        return Err(wrong());
    }
    let (line, counts) = if rest.is_empty() {
        lines
            .next_content()
            .ok_or_else(|| ParseError::line(line, "a line of counts", "the end of the file"))?
    } else {
        (line, rest)
    };
    let numbers: Option<Vec<usize>> = fields(counts).map(integer).collect();
    let Some(&[vertices, faces, _edges]) = numbers.as_deref() else {
        return Err(ParseError::line(line, "three counts (vertices, faces, edges)", quote(counts)));
    };
    // "0 0 0\n" is the shortest vertex line, "0\n" the shortest face line.
    for (count, what, shortest) in [(vertices, "vertices", 6), (faces, "faces", 2)] {
        if count > size / shortest + 1 {
            let expected = format!("at most {} {what} in a file of {size} bytes", size / shortest + 1);
            return Err(ParseError::line(line, expected, count.to_string()));
        }
    }
    Ok(OffHeader { variant, vertices, faces })
}

fn read_vertices(
    lines: &mut Lines<'_>,
    header: &OffHeader,
    mesh: &mut Mesh,
) -> Result<Vec<Warning>, ParseError> {
    let (count, variant) = (header.vertices, header.variant);
    let (mut colors, mut with_more) = (Vec::new(), 0);
    for done in 0..count {
        let (line, text) =
            lines.next_content().ok_or_else(|| too_few_lines(lines, count, done, "vertices"))?;
        let mut rest = text;
        let position = take_three(&mut rest)
            .filter(|p| p.iter().all(|x| x.is_finite()))
            .ok_or_else(|| ParseError::line(line, "three finite coordinates", quote(text)))?;
        mesh.positions.push(position);
        if variant == OffVariant::Plain {
            with_more += usize::from(!rest.is_empty());
            continue;
        }
        let more = take_three(&mut rest)
            .ok_or_else(|| ParseError::line(line, "three coordinates and three numbers more", quote(text)))?;
        match variant {
            OffVariant::Normal => mesh.normals.push(more.map(|x| x as f32)),
            _ => colors.push(more),
        }
    }
    let scaled = bytes_from_colors(&colors, ColorType::Float);
    mesh.vertex_colors = scaled.colors.unwrap_or_default();
    let more = warn_of_attributes(with_more, "vertices have numbers after their position; not read");
    Ok(scaled.warning.into_iter().chain(more).collect())
}

/// A warning about attributes that `count` elements have.
fn warn_of_attributes(count: usize, what: &str) -> Option<Warning> {
    (count > 0).then(|| Warning::new(WarningKind::AttributesUnread, format!("{count} {what}")))
}

fn read_faces(lines: &mut Lines<'_>, count: usize, mesh: &mut Mesh) -> Result<Vec<Warning>, ParseError> {
    let mut warnings = Vec::new();
    let (mut fans, mut corners) = (Vec::new(), Vec::new());
    let (mut short, mut first_short, mut with_more) = (0, 0, 0);
    for done in 0..count {
        let (line, text) = lines.next_content().ok_or_else(|| too_few_lines(lines, count, done, "faces"))?;
        with_more += usize::from(read_corners(line, text, mesh.positions.len(), &mut corners)?);
        if corners.len() < 3 {
            first_short = if short == 0 { line } else { first_short };
            short += 1;
        }
        if corners.len() > 3 {
            fans.push(Fan { first: mesh.triangles.len(), corners: corners.len() });
        }
        push_fan(&mut mesh.triangles, &corners);
    }
    warnings.extend(repair_fans(mesh, &fans));
    if short > 0 {
        warnings.push(warn_of_short_faces(short, first_short));
    }
    warnings.extend(warn_of_attributes(with_more, "faces have colours after their corners; not read"));
    Ok(warnings)
}

/// Reads the corners of a face; whether more follows them.
fn read_corners(
    line: usize,
    text: &[u8],
    vertices: usize,
    corners: &mut Vec<u32>,
) -> Result<bool, ParseError> {
    corners.clear();
    let mut numbers = fields(text);
    let count: Option<usize> = numbers.next().and_then(integer);
    let count = count.ok_or_else(|| ParseError::line(line, "a number of corners", quote(text)))?;
    for done in 0..count {
        let Some(field) = numbers.next() else {
            return Err(ParseError::line(
                line,
                format!("{count} corners"),
                format!("{done} in {}", quote(text)),
            ));
        };
        // Some writers print indices as floats ("3.0"); whole ones are taken.
        let index = integer(field)
            .or_else(|| number(field).filter(|v| v.fract() == 0.0 && *v >= 0.0).map(|v| v as u32));
        match index {
            Some(index) if (index as usize) < vertices => corners.push(index),
            _ => {
                return Err(ParseError::line(line, format!("a vertex index below {vertices}"), quote(field)));
            }
        }
    }
    Ok(numbers.next().is_some())
}

fn too_few_lines(lines: &Lines<'_>, count: usize, done: usize, what: &str) -> ParseError {
    ParseError::line(lines.number(), format!("{count} {what}"), format!("the end of the file after {done}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQUARE: &str = "0 0 0\n1 0 0\n1 1 0\n0 1 0\n4 0 1 2 3\n";

    fn error(text: &str) -> String {
        parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn counts_may_be_glued_to_the_header() {
        for head in ["OFF\n4 1 0\n", "OFF 4 1 4\n", "OFF4 1 0\n", "# c\nOFF # d\n\n4 1 0 # e\n"] {
            let mesh = parse(format!("{head}{SQUARE}").as_bytes()).unwrap().geometry;
            assert_eq!((mesh.positions.len(), mesh.triangles.len()), (4, 2), "{head}");
        }
    }

    #[test]
    fn colours_and_normals_are_read_by_variant() {
        let colored = "COFF\n3 1 0\n0 0 0 255 0 0 255\n1 0 0 0 255 0 255\n0 1 0 0 0 255 255\n3 0 1 2\n";
        let mesh = parse(colored.as_bytes()).unwrap().geometry;
        assert_eq!(mesh.vertex_colors, [[255, 0, 0], [0, 255, 0], [0, 0, 255]]);
        let normals = "NOFF\n3 1 0\n0 0 0 0 0 1\n1 0 0 0 0 1\n0 1 0 0 0 1\n3 0 1 2\n";
        let mesh = parse(normals.as_bytes()).unwrap().geometry;
        assert_eq!(mesh.normals, [[0.0, 0.0, 1.0]; 3]);
        assert_eq!(mesh.normal_corners, [[0, 1, 2]]);
    }

    #[test]
    fn errors_name_the_line() {
        assert_eq!(error(""), "expected an OFF header, found an empty file");
        assert_eq!(
            error("OFF BINARY\n"),
            "expected a header OFF, COFF or NOFF, found \"OFF BINARY\", line 1"
        );
        assert_eq!(error("4OFF\n1 0 0\n"), "expected a header OFF, COFF or NOFF, found \"4OFF\", line 1");
        assert_eq!(
            error("OFF\n3 4\n"),
            "expected three counts (vertices, faces, edges), found \"3 4\", line 2"
        );
        assert_eq!(
            error("OFF\n353535235358 6 0\n0 0 0\n"),
            "expected at most 5 vertices in a file of 27 bytes, found 353535235358, line 2"
        );
        assert_eq!(
            error("OFF\n1 0 0\n0 nan 0\n"),
            "expected three finite coordinates, found \"0 nan 0\", line 3"
        );
        assert_eq!(
            error("OFF\n2 0 0\n0 0 0\n"),
            "expected 2 vertices, found the end of the file after 1, line 3"
        );
        assert_eq!(
            error("OFF\n1 1 0\n0 0 0\n3 0 0 1\n"),
            "expected a vertex index below 1, found \"1\", line 4"
        );
        assert_eq!(error("OFF\n1 1 0\n0 0 0\n3 0 0\n"), "expected 3 corners, found 2 in \"3 0 0\", line 4");
    }

    #[test]
    fn what_is_not_read_is_a_warning() {
        let parsed = parse(b"OFF\n3 1 0\n0 0 0 255 0 0\n1 0 0\n0 1 0\n3 0 1 2 255 0 0\n").unwrap();
        assert!(parsed.geometry.vertex_colors.is_empty());
        let told = [
            "1 vertices have numbers after their position; not read",
            "1 faces have colours after their corners; not read",
        ];
        assert_eq!(parsed.warnings, told);
    }

    #[test]
    fn short_faces_are_skipped_with_a_warning() {
        let parsed = parse(b"OFF\n3 2 0\n0 0 0\n1 0 0\n0 1 0\n2 0 1\n3 0 1 2\n").unwrap();
        assert_eq!(parsed.geometry.triangles, [[0, 1, 2]]);
        assert_eq!(parsed.warnings, ["1 faces with fewer than 3 corners were skipped, first on line 6"]);
    }
}
