//! STL as binary: a header, a count, and facets of 50 bytes, or of more where their attribute words count bytes.

use jepa3d_schemas::{Mesh, Warning, WarningKind};

use super::facet_colors::color_facets;
use crate::error::{FilePlace, ParseError};
use crate::formats::parsed::Parsed;

/// Bytes before the first facet, and of each facet without a payload.
pub(super) const HEADER: usize = 84;
const FACET: usize = 50;

/// Where the facets of a file lie.
pub(super) struct Facets {
    count: usize,
    /// Start of each facet, if payloads lie between them.
    starts: Option<Vec<usize>>,
    /// Bytes after the last one.
    extra: usize,
}

/// Finds the facets of a file of at least a header.
///
/// # Errors
/// Fails if there are fewer than the header states, or if whole facets follow the last: then the count is wrong, and
/// nobody knows which facets are meant.
pub(super) fn find_facets(bytes: &[u8]) -> Result<Facets, ParseError> {
    let count = bytes[80..HEADER].first_chunk().map_or(0, |b| u32::from_le_bytes(*b) as usize);
    let room = (bytes.len() - HEADER) / FACET;
    if count > room {
        let expected = format!("at most {room} facets in a file of {} bytes", bytes.len());
        return Err(ParseError::new(FilePlace::Byte(80), expected, count.to_string()));
    }
    let extra = bytes.len() - HEADER - FACET * count;
    let starts = if extra == 0 { None } else { payload_starts(bytes, count) };
    let extra = if starts.is_some() { 0 } else { extra };
    if extra > 0 && extra % FACET == 0 {
        let expected = format!("the count of {room} facets that a file of {} bytes holds", bytes.len());
        return Err(ParseError::new(FilePlace::Byte(80), expected, count.to_string()));
    }
    Ok(Facets { count, starts, extra })
}

/// The starts of facets, each followed by as many bytes as its attribute word says; `None` unless they end with the file.
fn payload_starts(bytes: &[u8], count: usize) -> Option<Vec<usize>> {
    let mut starts = Vec::with_capacity(count);
    let mut at = HEADER;
    for _ in 0..count {
        starts.push(at);
        let word = bytes.get(at + FACET - 2..at + FACET)?;
        at += FACET + usize::from(u16::from_le_bytes([word[0], word[1]]));
    }
    (at == bytes.len()).then_some(starts)
}

/// Reads the facets of a binary file, and their colours where it says that they have some.
///
/// # Errors
/// Fails (naming the byte) at a coordinate that is not finite.
pub(super) fn parse_binary(bytes: &[u8], facets: &Facets) -> Result<Parsed<Mesh>, ParseError> {
    let mut mesh = Mesh { positions: Vec::with_capacity(3 * facets.count), ..Mesh::default() };
    let mut words = Vec::with_capacity(facets.count);
    for i in 0..facets.count {
        let start = facets.starts.as_ref().map_or(HEADER + FACET * i, |starts| starts[i]);
        let facet = &bytes[start..start + FACET];
        for corner in facet[12..48].chunks_exact(12) {
            let value = |k: usize| {
                f64::from(f32::from_le_bytes([corner[k], corner[k + 1], corner[k + 2], corner[k + 3]]))
            };
            let position = [value(0), value(4), value(8)];
            if !position.iter().all(|x| x.is_finite()) {
                let place = FilePlace::Byte(start as u64);
                return Err(ParseError::new(place, "three finite coordinates", format!("{position:?}")));
            }
            mesh.positions.push(position);
        }
        words.push(u16::from_le_bytes([facet[48], facet[49]]));
    }
    push_triangles(&mut mesh)?;
    let mut warnings = Vec::new();
    if facets.starts.is_some() {
        let told = format!(
            "{} facets carry attribute bytes that are not read",
            words.iter().filter(|w| **w > 0).count()
        );
        warnings.push(Warning::new(WarningKind::AttributesUnread, told));
    } else {
        warnings.extend(color_facets(&mut mesh, &bytes[..80], &words));
    }
    if facets.extra > 0 {
        let told = format!("{} bytes after the last facet are ignored", facets.extra);
        warnings.push(Warning::new(WarningKind::BytesIgnored, told));
    }
    Ok(Parsed { geometry: mesh, warnings })
}

/// One triangle for each three positions.
pub(super) fn push_triangles(mesh: &mut Mesh) -> Result<(), ParseError> {
    let count = u32::try_from(mesh.positions.len())
        .map_err(|_| ParseError::file("fewer than 2^32 corners", mesh.positions.len().to_string()))?;
    mesh.triangles = (0..count / 3).map(|i| [3 * i, 3 * i + 1, 3 * i + 2]).collect();
    Ok(())
}
