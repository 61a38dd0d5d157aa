//! Takes an OBJ file line by line into the tables of a mesh.

use std::collections::BTreeMap;

use jepa3d_schemas::{Material, Mesh, NO_INDEX};

use super::corner::{resolve_index, take_corner};
use crate::error::ParseError;
use crate::formats::ascii::{fields, quote, skip_blanks, take_number, take_three, without_comment};
use crate::formats::polygon::Fan;

/// Colour of a vertex without one in a file where others have one.
pub(super) const MISSING_COLOR: [f64; 3] = [f64::NAN; 3];

/// Things of one kind that were passed over: how many, and the line of the first.
#[derive(Clone, Copy, Default)]
pub(super) struct SkippedLines {
    pub(super) count: usize,
    pub(super) first_line: usize,
}

impl SkippedLines {
    fn add(&mut self, line: usize) {
        if self.count == 0 {
            self.first_line = line;
        }
        self.count += 1;
    }
}

/// A vertex that a face names before the file gives it.
pub(super) struct ForwardVertex {
    pub(super) line: usize,
    pub(super) vertex: u32,
}

/// What the lines so far have given.
#[derive(Default)]
pub(super) struct ObjReader {
    pub(super) mesh: Mesh,
    /// Colours of the first vertices; shorter than the positions until a colour comes.
    pub(super) colors: Vec<[f64; 3]>,
    pub(super) libraries: Vec<Vec<u8>>,
    pub(super) material_names: Vec<Vec<u8>>,
    material_numbers: BTreeMap<Vec<u8>, u32>,
    material: Option<u32>,
    pub(super) fans: Vec<Fan>,
    /// Corners of the face being read: vertex, texture coordinate, normal.
    corners: Vec<[u32; 3]>,
    pub(super) forward: Vec<ForwardVertex>,
    /// Faces of fewer than three corners.
    pub(super) short_faces: SkippedLines,
    /// Lines with unknown keywords.
    pub(super) unknown: SkippedLines,
}

impl ObjReader {
    /// Bytes of the tables so far.
    pub(super) fn mesh_bytes(&self) -> u64 {
        let mesh = &self.mesh;
        let doubles = mesh.positions.as_flattened().len() + self.colors.as_flattened().len();
        let corners = [&mesh.triangles, &mesh.normal_corners, &mesh.uv_corners];
        let singles = corners.iter().map(|table| table.as_flattened().len()).sum::<usize>()
            + mesh.normals.as_flattened().len()
            + mesh.uvs.as_flattened().len()
            + mesh.triangle_materials.len();
        (8 * doubles + 4 * singles) as u64
    }

    /// Takes one logical line.
    ///
    /// # Errors
    /// Fails if a number is missing, malformed or (of a vertex) not finite, or a face corner has no legal form.
    #[inline]
    pub(super) fn read_line(&mut self, number: usize, line: &[u8]) -> Result<(), ParseError> {
        match *line {
            [b'v', b' ' | b'\t', ref rest @ ..] => self.read_vertex(number, rest),
            [b'f', b' ' | b'\t', ref rest @ ..] => self.read_face(number, rest),
            [b'v', b'n', b' ' | b'\t', ref rest @ ..] => self.read_normal(number, rest),
            [b'v', b't', b' ' | b'\t', ref rest @ ..] => self.read_uv(number, rest),
            [] | [b'#', ..] => Ok(()),
            [b' ' | b'\t', ..] => self.read_line(number, line.trim_ascii_start()),
            _ => self.read_statement(number, line),
        }
    }

    #[inline]
    fn read_vertex(&mut self, line: usize, text: &[u8]) -> Result<(), ParseError> {
        let mut rest = text;
        let position = take_three(&mut rest).filter(|p| p.iter().all(|x| x.is_finite()));
        let position =
            position.ok_or_else(|| ParseError::line(line, "three finite coordinates", quote(text)))?;
        self.mesh.positions.push(position);
        if rest.is_empty() { Ok(()) } else { self.read_vertex_extras(line, text, rest) }
    }

    /// What follows x y z: nothing, w, r g b, or r g b a.
    fn read_vertex_extras(&mut self, line: usize, text: &[u8], rest: &[u8]) -> Result<(), ParseError> {
        let mut rest = without_comment(rest);
        let mut extras = [0.0; 4];
        let mut count = 0;
        while count < extras.len()
            && let Some(value) = take_number(&mut rest)
        {
            extras[count] = value;
            count += 1;
        }
        skip_blanks(&mut rest);
        if !rest.is_empty() || count == 2 {
            return Err(ParseError::line(line, "x y z, x y z w, x y z r g b or x y z r g b a", quote(text)));
        }
        if count >= 3 {
            self.colors.resize(self.mesh.positions.len() - 1, MISSING_COLOR);
            self.colors.push([extras[0], extras[1], extras[2]]);
        }
        Ok(())
    }

    #[inline]
    fn read_normal(&mut self, line: usize, text: &[u8]) -> Result<(), ParseError> {
        let normal = take_three(&mut &*text);
        let normal =
            normal.ok_or_else(|| ParseError::line(line, "three numbers of a normal", quote(text)))?;
        self.mesh.normals.push(normal.map(|x| x as f32));
        Ok(())
    }

    #[inline]
    fn read_uv(&mut self, line: usize, text: &[u8]) -> Result<(), ParseError> {
        let mut rest = text;
        let u = take_number(&mut rest);
        let u = u.ok_or_else(|| ParseError::line(line, "a texture coordinate", quote(text)))?;
        let v = take_number(&mut rest).unwrap_or(0.0);
        self.mesh.uvs.push([u as f32, v as f32]);
        Ok(())
    }

    fn read_face(&mut self, line: usize, text: &[u8]) -> Result<(), ParseError> {
        self.read_corners(line, text)?;
        let n = self.corners.len();
        if n < 3 {
            self.short_faces.add(line);
            return Ok(());
        }
        let first = self.mesh.triangles.len();
        if n > 3 {
            self.fans.push(Fan { first, corners: n });
        }
        let tables = [&mut self.mesh.triangles, &mut self.mesh.uv_corners, &mut self.mesh.normal_corners];
        for (which, table) in tables.into_iter().enumerate() {
            let any = self.corners.iter().any(|c| c[which] != NO_INDEX);
            if !any && table.is_empty() {
                continue;
            }
            table.resize(first, [NO_INDEX; 3]);
            let c = |i: usize| self.corners[i][which];
            table.extend((2..n).map(|i| [c(0), c(i - 1), c(i)]));
        }
        self.mark_material(first);
        Ok(())
    }

    /// Gives the triangles from `first` on the current material.
    fn mark_material(&mut self, first: usize) {
        let marks = &mut self.mesh.triangle_materials;
        if let Some(material) = self.material {
            marks.resize(first, NO_INDEX);
            marks.resize(self.mesh.triangles.len(), material);
        }
    }

    #[inline]
    fn read_corners(&mut self, line: usize, text: &[u8]) -> Result<(), ParseError> {
        self.corners.clear();
        let mut rest = text;
        loop {
            skip_blanks(&mut rest);
            if rest.is_empty() || rest[0] == b'#' {
                return Ok(());
            }
            let at = rest;
            let corner = take_corner(&mut rest).ok_or_else(|| {
                ParseError::line(line, "a face corner v, v/vt, v//vn or v/vt/vn", quote(at))
            })?;
            let count = self.mesh.positions.len();
            let vertex = resolve_index(corner[0], count).ok_or_else(|| {
                ParseError::line(line, vertex_range(count), format!("vertex {}", corner[0]))
            })?;
            if vertex as usize >= count {
                self.forward.push(ForwardVertex { line, vertex });
            }
            let uv = resolve_index(corner[1], self.mesh.uvs.len()).unwrap_or(NO_INDEX);
            let normal = resolve_index(corner[2], self.mesh.normals.len()).unwrap_or(NO_INDEX);
            self.corners.push([vertex, uv, normal]);
        }
    }

    /// Every line that is neither vertex data nor a face.
    fn read_statement(&mut self, number: usize, line: &[u8]) -> Result<(), ParseError> {
        let keyword = fields(line).next().unwrap_or(line);
        let rest = line[keyword.len()..].trim_ascii();
        match keyword {
            b"v" | b"f" | b"vn" | b"vt" => {
                return Err(ParseError::line(number, "numbers after the keyword", quote(line)));
            }
            b"usemtl" => self.use_material(rest),
            b"mtllib" => self.libraries.push(rest.to_vec()),
            b"o" | b"g" | b"s" | b"l" | b"p" | b"vp" | b"mg" | b"lod" => {}
            b"bevel" | b"c_interp" | b"d_interp" | b"shadow_obj" | b"trace_obj" => {}
            _ => self.unknown.add(number),
        }
        Ok(())
    }

    fn use_material(&mut self, name: &[u8]) {
        let next = self.mesh.materials.len() as u32;
        let number = *self.material_numbers.entry(name.to_vec()).or_insert(next);
        if number == next {
            self.material_names.push(name.to_vec());
            let name = String::from_utf8_lossy(name).into_owned();
            self.mesh.materials.push(Material { name, diffuse: [1.0; 3], texture: None });
        }
        self.material = Some(number);
    }
}

/// The legal vertex indices of a file with `count` vertices.
pub(super) fn vertex_range(count: usize) -> String {
    format!("a vertex from 1 to {count} (or -{count} to -1)")
}
