//! PLY (Stanford): any elements and properties, as text or binary of either byte order.
//!
//! Vertices are taken by property name, faces from `vertex_indices` or `vertex_index` lists,
//! triangle strips from `tristrips`; every other element and property is stepped over. A file
//! without faces is a cloud; its rows that are not finite are dropped with a warning.

mod body;
mod header;

use jepa3d_schemas::{Mesh, PointCloud, Shape, Warning, WarningKind};

use self::body::PlyBody;
use self::header::{PlyElement, PlyHeader, PlyProperty};
use super::columns::{ColorScale, ColumnRole, Columns, bytes_from_colors};
use super::parsed::Parsed;
use super::polygon::{Fan, push_fan, repair_fans};
use crate::error::{FilePlace, ParseError};

/// Reads a PLY file: a mesh if it has faces or strips, else points.
///
/// Faces of fewer than three corners are skipped with a warning. A declared but empty face
/// element is a warning. Texture coordinates and face properties are not read.
///
/// # Errors
/// Fails (naming the line or byte) if the header is malformed, a count cannot fit the file, the
/// data ends early or is no number, a face names a vertex that is not there, a mesh has a vertex
/// that is not finite, or a cloud has no finite point.
pub fn parse(bytes: &[u8]) -> Result<Parsed<Shape>, ParseError> {
    let header = PlyHeader::read(bytes)?;
    let mut body = PlyBody::new(&header, bytes.len());
    let mut vertices = None;
    let mut faces = Faces::default();
    for element in &header.elements {
        if element.properties.is_empty() {
            // Rows of nothing take no bytes: there is nothing to step over, however many.
            continue;
        }
        body.check_count(element)?;
        match element.name.as_str() {
            "vertex" => vertices = Some(Vertices::read(element, &mut body)?),
            "face" | "tristrips" => faces.read(element, &mut body)?,
            _ => body.skip(element)?,
        }
    }
    let vertices = vertices.ok_or_else(|| ParseError::file("an element vertex", "none"))?;
    let mut warnings = faces.warnings();
    warnings.extend(body.warnings());
    let mut parsed = if faces.triangles.is_empty() {
        let Parsed { geometry, warnings } = vertices.into_cloud()?;
        Parsed { geometry: Shape::Points(geometry), warnings }
    } else {
        let Parsed { geometry, warnings } = build_mesh(vertices, faces)?;
        Parsed { geometry: Shape::Mesh(geometry), warnings }
    };
    parsed.warnings.splice(0..0, warnings);
    Ok(parsed)
}

struct Vertices {
    count: usize,
    columns: Columns,
    scale: ColorScale,
    /// Where the first vertex that is not finite stands.
    first_bad: Option<FilePlace>,
}

impl Vertices {
    fn read(element: &PlyElement, body: &mut PlyBody<'_>) -> Result<Self, ParseError> {
        let roles: Vec<Option<ColumnRole>> = element.properties.iter().map(find_role).collect();
        let mut values: Vec<Vec<f64>> =
            roles.iter().map(|r| Vec::with_capacity(if r.is_some() { element.count } else { 0 })).collect();
        let mut first_bad = None;
        for _ in 0..element.count {
            let place = body.begin_row(element)?;
            let mut finite = true;
            for (i, property) in element.properties.iter().enumerate() {
                let Some(role) = roles[i] else {
                    body.skip_property(property)?;
                    continue;
                };
                let value = body.read_scalar(property.kind)?;
                finite &= value.is_finite() || !matches!(role, ColumnRole::X | ColumnRole::Y | ColumnRole::Z);
                values[i].push(value);
            }
            body.end_row();
            if !finite {
                first_bad = first_bad.or(Some(place));
            }
        }
        let red = element.properties.iter().zip(&roles).find(|(_, role)| **role == Some(ColumnRole::R));
        let scale =
            if red.is_some_and(|(p, _)| p.kind.is_float()) { ColorScale::Guess } else { ColorScale::Byte };
        let mut columns = Columns::default();
        for (role, values) in roles.into_iter().zip(values) {
            if let Some(role) = role {
                columns.push(role, values);
            }
        }
        Ok(Self { count: element.count, columns, scale, first_bad })
    }

    fn into_cloud(self) -> Result<Parsed<PointCloud>, ParseError> {
        self.columns.into_cloud(self.scale)
    }
}

fn find_role(property: &PlyProperty) -> Option<ColumnRole> {
    ColumnRole::from_name(&property.name).filter(|_| property.list_count.is_none())
}

#[derive(Default)]
struct Faces {
    triangles: Vec<[u32; 3]>,
    fans: Vec<Fan>,
    /// Largest index and where it stands; vertices may come after the faces.
    largest: Option<(u32, FilePlace)>,
    short: usize,
    declared_empty: bool,
    corners: Vec<u32>,
}

impl Faces {
    fn read(&mut self, element: &PlyElement, body: &mut PlyBody<'_>) -> Result<(), ParseError> {
        let strips = element.name == "tristrips";
        self.declared_empty |= element.count == 0;
        for _ in 0..element.count {
            let place = body.begin_row(element)?;
            for property in &element.properties {
                match property.list_count {
                    Some(count) if matches!(property.name.as_str(), "vertex_indices" | "vertex_index") => {
                        let corners = body.read_list_length(count, property.kind)?;
                        self.corners.clear();
                        for _ in 0..corners {
                            let index = body.read_scalar(property.kind)?;
                            self.push_corner(index, strips, place)?;
                        }
                        if strips { self.push_strips() } else { self.push_face() }
                    }
                    _ => body.skip_property(property)?,
                }
            }
            body.end_row();
        }
        Ok(())
    }

    /// Takes one index; in strips, -1 ends a strip and is kept as `u32::MAX`.
    fn push_corner(&mut self, index: f64, strips: bool, place: FilePlace) -> Result<(), ParseError> {
        if strips && index == -1.0 {
            self.corners.push(u32::MAX);
            return Ok(());
        }
        let corner = index as u32;
        if f64::from(corner) != index || corner == u32::MAX {
            return Err(ParseError::new(place, "vertex indices from 0", index.to_string()));
        }
        if self.largest.is_none_or(|(largest, _)| corner > largest) {
            self.largest = Some((corner, place));
        }
        self.corners.push(corner);
        Ok(())
    }

    fn push_face(&mut self) {
        let (first, corners) = (self.triangles.len(), self.corners.len());
        match corners {
            0..=2 => self.short += 1,
            3 => {}
            _ => self.fans.push(Fan { first, corners }),
        }
        push_fan(&mut self.triangles, &self.corners);
    }

    /// Strips of triangles, every second one turned; triangles with a repeated corner only steer.
    fn push_strips(&mut self) {
        for strip in self.corners.split(|&i| i == u32::MAX) {
            for (i, w) in strip.windows(3).enumerate() {
                let (a, b, c) = if i % 2 == 0 { (w[0], w[1], w[2]) } else { (w[1], w[0], w[2]) };
                if a != b && b != c && a != c {
                    self.triangles.push([a, b, c]);
                }
            }
        }
    }

    fn warnings(&self) -> Vec<Warning> {
        let short = format!("{} faces with fewer than 3 corners were skipped", self.short);
        let short = (self.short > 0).then(|| Warning::new(WarningKind::FacesSkipped, short));
        let empty = self.declared_empty && self.triangles.is_empty();
        let empty = empty
            .then(|| Warning::new(WarningKind::FacesMissing, "the face element is empty: read as points"));
        short.into_iter().chain(empty).collect()
    }
}

fn build_mesh(vertices: Vertices, faces: Faces) -> Result<Parsed<Mesh>, ParseError> {
    use ColumnRole::{B, G, Nx, Ny, Nz, R, X, Y, Z};
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
    let normals: Vec<[f32; 3]> =
        columns.three([Nx, Ny, Nz]).unwrap_or_default().iter().map(|n| n.map(|x| x as f32)).collect();
    let colors = columns.three([R, G, B]).unwrap_or_default();
    let mut mesh = Mesh {
        positions,
        normals,
        vertex_colors: bytes_from_colors(&colors, vertices.scale),
        triangles: faces.triangles,
        ..Mesh::default()
    };
    let warning = repair_fans(&mut mesh, &faces.fans);
    if !mesh.normals.is_empty() {
        mesh.normal_corners.clone_from(&mesh.triangles);
    }
    Ok(Parsed { geometry: mesh, warnings: warning.into_iter().collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty double z\n";
    const POINTS: &str = "0 0 0\n1 0 0\n1 1 0\n0 1 0\n";

    fn error(text: &str) -> String {
        parse(text.as_bytes()).unwrap_err().to_string()
    }

    fn mesh_of(bytes: &[u8]) -> Mesh {
        match parse(bytes).unwrap().geometry {
            Shape::Mesh(mesh) => mesh,
            Shape::Points(_) => panic!("points"),
        }
    }

    #[test]
    fn ascii_faces_and_strips() {
        let face =
            "element face 1\nproperty uchar material\nproperty list uchar int vertex_indices\nend_header\n";
        let mesh = mesh_of(format!("{HEAD}{face}{POINTS}9 4 0 1 2 3\n").as_bytes());
        assert_eq!(mesh.triangles, [[0, 1, 2], [0, 2, 3]]);
        let strip = "element tristrips 1\nproperty list int int vertex_indices\nend_header\n";
        let mesh = mesh_of(format!("{HEAD}{strip}{POINTS}8 0 1 3 2 -1 1 2 3\n").as_bytes());
        assert_eq!(mesh.triangles, [[0, 1, 3], [3, 1, 2], [1, 2, 3]]);
    }

    #[test]
    fn binary_of_both_orders_with_faces_before_vertices() {
        for big in [false, true] {
            let word = if big { "big" } else { "little" };
            let mut bytes = format!(
                "ply\r\nformat binary_{word}_endian 1.0\r\nelement face 1\r\nproperty list uchar ushort vertex_index\r\n\
                 element junk 2\r\nproperty list char double q\r\nelement vertex 3\r\nproperty short x\r\n\
                 property float y\r\nproperty double z\r\nend_header\r\n"
            )
            .into_bytes();
            let mut put = |bits: &[u8]| bytes.extend(bits.iter().rev().copied().collect::<Vec<_>>());
            let order = |bits: &[u8]| if big { bits.iter().rev().copied().collect() } else { bits.to_vec() };
            // `put` reverses, so values are given in the opposite order of the file.
            let mut value = |le: &[u8]| put(&order(le).iter().rev().copied().collect::<Vec<u8>>());
            value(&[3]);
            for index in [0u16, 1, 2] {
                value(&index.to_le_bytes());
            }
            value(&[1]);
            value(&7f64.to_le_bytes());
            value(&[0]);
            for i in 0..3i16 {
                value(&i.to_le_bytes());
                value(&(f32::from(i) * 0.5).to_le_bytes());
                value(&(-f64::from(i * i)).to_le_bytes());
            }
            let mesh = mesh_of(&bytes);
            assert_eq!(mesh.positions, [[0.0, 0.0, 0.0], [1.0, 0.5, -1.0], [2.0, 1.0, -4.0]]);
            assert_eq!(mesh.triangles, [[0, 1, 2]]);
            assert!(parse(&bytes[..bytes.len() - 1]).is_err());
        }
    }

    #[test]
    fn errors_name_the_place() {
        let face = "element face 1\nproperty list uchar int vertex_indices\nend_header\n";
        assert_eq!(
            error(&format!("{HEAD}{face}{POINTS}3 0 1 4\n")),
            "expected a vertex index below 4, found 4, line 14"
        );
        assert_eq!(
            error(&format!("{HEAD}{face}0 0 0\n1 inf 0\n0 0 0\n0 1 0\n3 0 1 2\n")),
            "expected three finite coordinates, found a value that is not finite, line 11"
        );
        assert_eq!(
            error(&format!("{HEAD}end_header\n0 0 0\n1 0\n0 0 0\n0 0 0.00\n")),
            "expected 3 values, found 2, line 9"
        );
        assert_eq!(
            error(&format!("{HEAD}end_header\n0 0 0\n")),
            "expected at most 1 elements vertex in the rest of the file, found 4, line 3"
        );
        assert_eq!(error(""), "expected a first line \"ply\", found \"\", line 1");
        assert_eq!(error("ply\nformat ascii 1.0\nend_header\n"), "expected an element vertex, found none");
    }
}
