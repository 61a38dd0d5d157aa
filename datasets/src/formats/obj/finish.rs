//! What is done once all lines of an OBJ file are read: late checks, padding of tables, concave faces.

use jepa3d_schemas::{Mesh, NO_INDEX, Warning, WarningKind};

use super::file::ObjFile;
use super::reader::{MISSING_COLOR, ObjReader, SkippedLines, vertex_range};
use crate::error::ParseError;
use crate::formats::colors::{ColorType, bytes_from_colors};
use crate::formats::polygon::{repair_fans, warn_of_short_faces};

/// The file that the lines make; `empty` says whether there were no bytes at all.
///
/// # Errors
/// Fails if there are no vertices, or a face names one that never came.
pub(super) fn finish(mut reader: ObjReader, empty: bool) -> Result<ObjFile, ParseError> {
    let count = reader.mesh.positions.len();
    if count == 0 {
        let found = if empty { "an empty file" } else { "no vertices" };
        return Err(ParseError::file("an OBJ file with vertices", found));
    }
    if let Some(forward) = reader.forward.iter().find(|forward| forward.vertex as usize >= count) {
        let found = format!("vertex {}", u64::from(forward.vertex) + 1);
        return Err(ParseError::line(forward.line, vertex_range(count), found));
    }
    let mut warnings = finish_tables(&mut reader.mesh);
    warnings.extend(finish_colors(&mut reader.mesh, reader.colors));
    warnings.extend(repair_fans(&mut reader.mesh, &reader.fans));
    if reader.short_faces.count > 0 {
        warnings.push(warn_of_short_faces(reader.short_faces.count, reader.short_faces.first_line));
    }
    if reader.unknown.count > 0 {
        let SkippedLines { count, first_line } = reader.unknown;
        let text = format!("{count} lines with unknown keywords were skipped, first on line {first_line}");
        warnings.push(Warning::new(WarningKind::LinesUnread, text));
    }
    Ok(ObjFile {
        mesh: reader.mesh,
        material_names: reader.material_names,
        material_libraries: reader.libraries,
        warnings,
    })
}

/// Pads the corner tables and takes out indices that name no (finite) attribute, with a warning each.
fn finish_tables(mesh: &mut Mesh) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let triangles = mesh.triangles.len();
    if !mesh.triangle_materials.is_empty() {
        mesh.triangle_materials.resize(triangles, NO_INDEX);
    }
    let finite_normals: Vec<bool> = mesh.normals.iter().map(|n| n.iter().all(|x| x.is_finite())).collect();
    let finite_uvs: Vec<bool> = mesh.uvs.iter().map(|uv| uv.iter().all(|x| x.is_finite())).collect();
    for (table, finite, what) in [
        (&mut mesh.normal_corners, finite_normals, "normals"),
        (&mut mesh.uv_corners, finite_uvs, "texture coordinates"),
    ] {
        let cleared = clear_dangling(table, &finite);
        if cleared > 0 {
            let text = format!("{cleared} corners name {what} that are not there or not finite; ignored");
            warnings.push(Warning::new(WarningKind::CornersCleared, text));
        }
        if table.iter().flatten().all(|&i| i == NO_INDEX) {
            table.clear();
        } else {
            table.resize(triangles, [NO_INDEX; 3]);
        }
    }
    warnings
}

/// Takes out the indices of attributes that are not there or not finite; returns how many.
fn clear_dangling(table: &mut [[u32; 3]], finite: &[bool]) -> usize {
    let mut cleared = 0;
    for index in table.iter_mut().flatten().filter(|index| **index != NO_INDEX) {
        if finite.get(*index as usize) != Some(&true) {
            *index = NO_INDEX;
            cleared += 1;
        }
    }
    cleared
}

/// Gives every vertex a colour if some have one; a warning if others become white, or if their range is not known.
fn finish_colors(mesh: &mut Mesh, mut colors: Vec<[f64; 3]>) -> Vec<Warning> {
    if colors.is_empty() {
        return Vec::new();
    }
    let count = mesh.positions.len();
    colors.resize(count, MISSING_COLOR);
    let is_known = |color: &&[f64; 3]| color.iter().all(|x| x.is_finite());
    let known: Vec<[f64; 3]> = colors.iter().filter(is_known).copied().collect();
    let scaled = bytes_from_colors(&known, ColorType::Float);
    let mut warnings = Vec::from_iter(scaled.warning);
    let Some(bytes) = scaled.colors else { return warnings };
    let white = count - bytes.len();
    let mut bytes = bytes.into_iter();
    let byte = |color: &[f64; 3]| if is_known(&color) { bytes.next() } else { None }.unwrap_or([255; 3]);
    mesh.vertex_colors = colors.iter().map(byte).collect();
    if white > 0 {
        let text = format!("{white} of {count} vertices have no colour; they are white");
        warnings.push(Warning::new(WarningKind::ColorsPartlyUnknown, text));
    }
    warnings
}
