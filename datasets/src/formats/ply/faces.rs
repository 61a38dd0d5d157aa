//! The elements `face` and `tristrips`: triangles, and a colour for each face.

use std::collections::BTreeMap;
use std::ops::Range;

use jepa3d_schemas::{Material, Mesh, NO_INDEX, Warning, WarningKind};

use super::body::PlyBody;
use super::header::{PlyElement, PlyProperty};
use crate::budget::Budget;
use crate::error::{FilePlace, ParseError};
use crate::formats::ascii::quote;
use crate::formats::colors::{ColorType, bytes_from_colors};
use crate::formats::column_names::ColumnRole;
use crate::formats::polygon::{Fan, push_fan};

/// Bytes of a corner and the triangle that it may become.
const CORNER_BYTES: u64 = 16;

/// Bytes that are charged at once.
const CHARGE_BYTES: u64 = 1 << 20;

/// The surfaces of a file, while it is read.
#[derive(Default)]
pub(super) struct Faces {
    pub(super) triangles: Vec<[u32; 3]>,
    pub(super) fans: Vec<Fan>,
    /// Largest index and where it stands; vertices may come after the faces.
    pub(super) largest: Option<(u32, FilePlace)>,
    short: usize,
    declared_empty: bool,
    corners: Vec<u32>,
    colors: FaceColors,
    /// Bytes that were not charged yet.
    uncharged: u64,
}

/// Colours of faces, each with its triangles.
#[derive(Default)]
struct FaceColors {
    rows: Vec<[f64; 3]>,
    triangles: Vec<Range<usize>>,
    color_type: Option<ColorType>,
}

/// What a property of a face is for.
#[derive(Clone, Copy)]
enum FaceUse {
    Corners,
    /// Red, green or blue, by number.
    Channel(usize),
    PassOver,
}

impl FaceUse {
    fn find(property: &PlyProperty, has_colors: bool) -> Self {
        if property.is_index_list() {
            return Self::Corners;
        }
        match channel(property) {
            Some(channel) if has_colors => Self::Channel(channel),
            _ => Self::PassOver,
        }
    }
}

/// Red, green or blue, by number.
fn channel(property: &PlyProperty) -> Option<usize> {
    let role = ColumnRole::from_name(&property.name).filter(|_| property.list_count.is_none());
    [ColumnRole::R, ColumnRole::G, ColumnRole::B].iter().position(|of| role == Some(*of))
}

impl Faces {
    /// Reads all rows of an element.
    ///
    /// # Errors
    /// Fails (naming the line or byte) if it has no list of vertex indices, a row ends early or is no number, an
    /// index is none, or the budget does not suffice.
    pub(super) fn read(
        &mut self,
        element: &PlyElement,
        body: &mut PlyBody<'_>,
        budget: &Budget,
    ) -> Result<(), ParseError> {
        let strips = element.name == "tristrips";
        self.declared_empty |= element.count == 0;
        let channels: Vec<usize> = element.properties.iter().filter_map(channel).collect();
        let has_colors = !strips && (0..3).all(|c| channels.contains(&c));
        let uses: Vec<FaceUse> = element.properties.iter().map(|p| FaceUse::find(p, has_colors)).collect();
        if element.count > 0 && !uses.iter().any(|of| matches!(of, FaceUse::Corners)) {
            let names: Vec<&str> = element.properties.iter().map(|p| p.name.as_str()).collect();
            let expected = format!("a list vertex_indices in element {}", element.name);
            return Err(ParseError::line(element.line, expected, quote(names.join(",").as_bytes())));
        }
        if has_colors {
            let red = element.properties.iter().find(|p| channel(p) == Some(0));
            self.colors.color_type = red.map(|property| property.kind.color_type());
        }
        for _ in 0..element.count {
            let place = body.begin_row(element)?;
            let mut color = [0.0; 3];
            let first = self.triangles.len();
            for (property, of) in element.properties.iter().zip(&uses) {
                match of {
                    FaceUse::Corners => self.read_corners(property, body, strips, place, budget)?,
                    FaceUse::Channel(channel) => color[*channel] = body.read_scalar(property.kind)?,
                    FaceUse::PassOver => body.skip_property(property)?,
                }
            }
            if has_colors && self.triangles.len() > first {
                self.colors.triangles.push(first..self.triangles.len());
                self.colors.rows.push(color);
            }
            body.end_row();
        }
        Ok(())
    }

    fn read_corners(
        &mut self,
        property: &PlyProperty,
        body: &mut PlyBody<'_>,
        strips: bool,
        place: FilePlace,
        budget: &Budget,
    ) -> Result<(), ParseError> {
        let Some(count) = property.list_count else { return Ok(()) };
        let corners = body.read_list_length(count, property.kind)?;
        self.uncharged += CORNER_BYTES * corners as u64;
        if self.uncharged >= CHARGE_BYTES {
            budget.charge(std::mem::take(&mut self.uncharged), "faces")?;
        }
        self.corners.clear();
        for _ in 0..corners {
            let index = body.read_scalar(property.kind)?;
            self.push_corner(index, strips, place)?;
        }
        if strips {
            self.push_strips()
        } else {
            self.push_face()
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

    /// Gives the triangles of a mesh the colours of their faces, as materials, where its vertices have none.
    pub(super) fn color(&self, mesh: &mut Mesh) -> Option<Warning> {
        let of = self.colors.color_type?;
        if !mesh.vertex_colors.is_empty() {
            let text = "faces and vertices have colours; those of the vertices are read";
            return Some(Warning::new(WarningKind::ColumnsIgnored, text));
        }
        let scaled = bytes_from_colors(&self.colors.rows, of);
        let colors = scaled.colors.unwrap_or_default();
        let distinct: BTreeMap<[u8; 3], u32> = colors.iter().map(|color| (*color, 0)).collect();
        let numbers: BTreeMap<[u8; 3], u32> = distinct.into_keys().zip(0..).collect();
        for (color, triangles) in colors.iter().zip(&self.colors.triangles) {
            mesh.triangle_materials.resize(triangles.start, NO_INDEX);
            mesh.triangle_materials.resize(triangles.end, numbers[color]);
        }
        if !colors.is_empty() {
            mesh.triangle_materials.resize(mesh.triangles.len(), NO_INDEX);
        }
        mesh.materials.extend(numbers.into_keys().map(|color| Material {
            name: format!("face colour {} {} {}", color[0], color[1], color[2]),
            diffuse: color.map(|v| f32::from(v) / 255.0),
            texture: None,
        }));
        scaled.warning
    }

    /// What was odd about the faces.
    pub(super) fn warnings(&self) -> Vec<Warning> {
        let short = format!("{} faces with fewer than 3 corners were skipped", self.short);
        let short = (self.short > 0).then(|| Warning::new(WarningKind::FacesSkipped, short));
        let empty = self.declared_empty && self.triangles.is_empty();
        let empty = empty
            .then(|| Warning::new(WarningKind::FacesMissing, "the face element is empty: read as points"));
        short.into_iter().chain(empty).collect()
    }
}
