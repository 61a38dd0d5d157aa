//! STL as text.

use jepa3d_schemas::{Mesh, Warning, WarningKind};

use super::binary::push_triangles;
use crate::error::ParseError;
use crate::formats::ascii::{Lines, decode, quote, take_three};
use crate::formats::parsed::Parsed;

/// A statement of the format.
enum Statement {
    Vertex,
    Facet,
    EndLoop,
    /// `endfacet`, `endsolid`.
    End,
    Color,
    Other,
}

/// The statement that a line starts with, `end facet` being `endfacet`; and what follows its first word.
fn statement_of(line: &[u8]) -> Option<(Statement, &[u8])> {
    let (word, rest) = split_word(line);
    let statement = match word.to_ascii_lowercase().as_slice() {
        b"vertex" => Statement::Vertex,
        b"facet" | b"facetnormal" => Statement::Facet,
        b"endloop" => Statement::EndLoop,
        b"endfacet" | b"endsolid" => Statement::End,
        b"color" => Statement::Color,
        b"" | b"solid" | b"outer" | b"outerloop" => Statement::Other,
        b"end" => match split_word(rest).0.to_ascii_lowercase().as_slice() {
            b"loop" => Statement::EndLoop,
            b"facet" | b"solid" => Statement::End,
            _ => return None,
        },
        _ => return None,
    };
    Some((statement, rest))
}

fn split_word(line: &[u8]) -> (&[u8], &[u8]) {
    let line = line.trim_ascii_start();
    let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    line.split_at(end)
}

/// Reads the text of one or more solids.
///
/// # Errors
/// Fails (naming the line) at an unknown statement, a facet of other than three vertices, or a coordinate that is
/// missing or not finite.
pub(super) fn parse_text(bytes: &[u8]) -> Result<Parsed<Mesh>, ParseError> {
    let text = decode(bytes);
    let mut mesh = Mesh::default();
    let mut lines = Lines::new(&text);
    let (mut in_facet, mut colors) = (0, 0usize);
    for (number, line) in lines.by_ref() {
        let (statement, rest) = statement_of(line)
            .ok_or_else(|| ParseError::line(number, "an STL statement", quote(line.trim_ascii_start())))?;
        match statement {
            Statement::Vertex => {
                let position = take_three(&mut &*rest).filter(|p| p.iter().all(|x| x.is_finite()));
                let wrong = || ParseError::line(number, "three finite coordinates", quote(rest));
                mesh.positions.push(position.ok_or_else(wrong)?);
                in_facet += 1;
            }
            Statement::EndLoop | Statement::End | Statement::Facet if in_facet != 0 && in_facet != 3 => {
                return Err(ParseError::line(number, "three vertices of a facet", in_facet.to_string()));
            }
            Statement::EndLoop | Statement::Facet => in_facet = 0,
            Statement::Color => colors += 1,
            Statement::End | Statement::Other => {}
        }
    }
    if in_facet != 0 {
        return Err(ParseError::line(lines.number(), "endloop after three vertices", "the end of the file"));
    }
    push_triangles(&mut mesh)?;
    let told = format!("{colors} color statements are not read");
    let warning = (colors > 0).then(|| Warning::new(WarningKind::AttributesUnread, told));
    Ok(Parsed { geometry: mesh, warnings: warning.into_iter().collect() })
}
