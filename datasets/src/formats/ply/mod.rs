//! PLY (Stanford): any elements and properties, as text or binary of either byte order.
//!
//! Vertices are taken by property name, faces from `vertex_indices` or `vertex_index` lists with colours of their
//! own, triangle strips from `tristrips`; every other element and property is stepped over. A file
//! without faces is a cloud; its rows that are not finite are dropped with a warning.

mod body;
mod faces;
mod header;
#[cfg(test)]
mod tests;
mod vertices;

use jepa3d_schemas::{Mesh, Shape, Warning, WarningKind};

use self::body::PlyBody;
use self::faces::Faces;
use self::header::{PlyElement, PlyHeader};
use self::vertices::Vertices;
use super::ascii::quote;
use super::colors::ScaledColors;
use super::column_names::ColumnRole;
use super::parsed::Parsed;
use super::polygon::repair_fans;
use crate::budget::Budget;
use crate::error::ParseError;

/// Reads a PLY file within the default budget: a mesh if it has faces or strips, else points.
///
/// Faces of fewer than three corners are skipped with a warning. A declared but empty face
/// element is a warning, as are a texture file and anything else of a surface that is not read.
///
/// # Errors
/// Fails (naming the line or byte) if the header is malformed, a count cannot fit the file, the
/// data ends early or is no number, a face names a vertex that is not there, a mesh has a vertex
/// that is not finite, or a cloud has no finite point.
pub fn parse(bytes: &[u8]) -> Result<Parsed<Shape>, ParseError> {
    parse_within(bytes, &Budget::default())
}

/// Reads a PLY file.
///
/// # Errors
/// Fails as [`parse`] does, or if the budget does not suffice.
pub(crate) fn parse_within(bytes: &[u8], budget: &Budget) -> Result<Parsed<Shape>, ParseError> {
    let header = PlyHeader::read(bytes)?;
    let mut body = PlyBody::new(&header, bytes.len());
    let mut vertices = None;
    let mut faces = Faces::default();
    let mut warnings = Vec::new();
    for element in &header.elements {
        if element.properties.is_empty() {
            // Rows of nothing take no bytes: there is nothing to step over, however many.
            continue;
        }
        body.check_count(element)?;
        match element.name.as_str() {
            "vertex" if vertices.is_none() => vertices = Some(Vertices::read(element, &mut body, budget)?),
            "vertex" => return Err(ParseError::line(element.line, "one element vertex", "a second one")),
            "face" | "tristrips" => faces.read(element, &mut body, budget)?,
            _ => {
                warnings.extend(warn_of_element(element));
                body.skip(element)?;
            }
        }
    }
    let mut vertices = vertices.ok_or_else(|| ParseError::file("an element vertex", "none"))?;
    warnings.extend(faces.warnings());
    warnings.extend(body.warnings());
    warnings.append(&mut vertices.warnings);
    warnings.extend(header.texture_file.as_deref().map(|name| {
        let text = format!("texture file {} is not read: PLY has no rule for it", quote(name));
        Warning::new(WarningKind::TextureIgnored, text)
    }));
    let mut parsed = if faces.triangles.is_empty() {
        let Parsed { geometry, warnings } = vertices.into_cloud()?;
        Parsed { geometry: Shape::Points(geometry), warnings }
    } else {
        let Parsed { geometry, warnings } = build_mesh(&vertices, faces)?;
        Parsed { geometry: Shape::Mesh(geometry), warnings }
    };
    parsed.warnings.splice(0..0, warnings);
    Ok(parsed)
}

/// Says so if an element that is stepped over has faces of some kind.
fn warn_of_element(element: &PlyElement) -> Option<Warning> {
    let has_indices = element.properties.iter().any(|p| p.is_index_list());
    let text = format!("{} rows of element {} are not read", element.count, quote(element.name.as_bytes()));
    (has_indices && element.count > 0).then(|| Warning::new(WarningKind::PrimitivesSkipped, text))
}

fn build_mesh(vertices: &Vertices, mut faces: Faces) -> Result<Parsed<Mesh>, ParseError> {
    use ColumnRole::{X, Y, Z};
    if let Some((largest, place)) = faces.largest
        && largest as usize >= vertices.count
    {
        let expected = format!("a vertex index below {}", vertices.count);
        return Err(ParseError::new(place, expected, largest.to_string()));
    }
    if let Some(place) = vertices.first_bad {
        return Err(ParseError::new(place, "three finite coordinates", "a value that is not finite"));
    }
    let columns = &vertices.columns;
    let positions = columns
        .three([X, Y, Z])
        .ok_or_else(|| ParseError::file("vertex properties x, y and z", "not all of them"))?;
    let mut warnings = Vec::from_iter(vertices.warn_of_labels());
    let scaled = columns.colors(vertices.color_type);
    let ScaledColors { colors, warning } = scaled.unwrap_or(ScaledColors { colors: None, warning: None });
    warnings.extend(warning);
    let mut mesh = Mesh {
        positions,
        normals: columns.normals().unwrap_or_default(),
        vertex_colors: colors.unwrap_or_default(),
        triangles: std::mem::take(&mut faces.triangles),
        ..Mesh::default()
    };
    warnings.extend(repair_fans(&mut mesh, &faces.fans));
    warnings.extend(faces.color(&mut mesh));
    if !mesh.normals.is_empty() {
        mesh.normal_corners.clone_from(&mesh.triangles);
    }
    Ok(Parsed { geometry: mesh, warnings })
}
