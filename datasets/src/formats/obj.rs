//! Wavefront OBJ: vertices, faces of any size, material groups; the reader behind ShapeNet.
//!
//! Read: `v` (with or without colour), `vn`, `vt`, `f` with every corner form and negative
//! indices, `usemtl`, `mtllib`, line continuation, UTF-16 with a byte order mark. Passed over:
//! groups, smoothing, points and lines. One pass over the bytes, no copy of the text; a face
//! may name vertices that come later in the file.

use std::collections::BTreeMap;

use jepa3d_schemas::{Material, Mesh, NO_INDEX};

use super::ascii::{Lines, decode, fields, quote, skip_blanks, take_number, take_three, without_comment};
use super::columns::{ColorScale, bytes_from_colors};
use super::polygon::{Fan, repair_fans};
use crate::error::{ParseError, Place};

/// An OBJ file: its mesh, and the material files it names (not read here).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObjFile {
    /// The mesh. `materials` has one entry for each `usemtl` name in order of appearance, with
    /// the default colour; [`super::read_geometry`] fills them from the material files.
    pub mesh: Mesh,
    /// The rest of each `mtllib` line: one file name, or several separated by blanks.
    pub material_libraries: Vec<String>,
    /// What was odd, one sentence each.
    pub warnings: Vec<String>,
}

/// Colour of a material until its file is read.
pub(crate) const DEFAULT_DIFFUSE: [f32; 3] = [0.8; 3];

/// Colour of a vertex without one in a file where others have one.
const MISSING_COLOR: [f64; 3] = [f64::NAN; 3];

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
    let mut reader = Reader::default();
    let mut lines = Lines::new(&text);
    let mut joined = Vec::new();
    while let Some((number, line)) = lines.next() {
        if line.last() == Some(&b'\\') && line.first() != Some(&b'#') {
            join_continued(line, &mut lines, &mut joined);
            reader.read_line(number, &joined)?;
        } else {
            reader.read_line(number, line)?;
        }
    }
    reader.finish(bytes.is_empty())
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

/// Things of one kind that were passed over: how many, and the line of the first.
#[derive(Clone, Copy, Default)]
struct Skipped {
    count: usize,
    first_line: usize,
}

impl Skipped {
    fn add(&mut self, line: usize) {
        if self.count == 0 {
            self.first_line = line;
        }
        self.count += 1;
    }
}

#[derive(Default)]
struct Reader {
    mesh: Mesh,
    /// Colours of the first vertices; shorter than the positions until a colour comes.
    colors: Vec<[f64; 3]>,
    libraries: Vec<String>,
    material_numbers: BTreeMap<Vec<u8>, u32>,
    material: Option<u32>,
    fans: Vec<Fan>,
    /// Corners of the face being read: vertex, texture coordinate, normal.
    corners: Vec<[u32; 3]>,
    /// Vertices named before they were given.
    forward: Vec<(usize, u32)>,
    short_faces: Skipped,
    unknown: Skipped,
}

impl Reader {
    #[inline]
    fn read_line(&mut self, number: usize, line: &[u8]) -> Result<(), ParseError> {
        match *line {
            [b'v', b' ' | b'\t', ref rest @ ..] => self.vertex(number, rest),
            [b'f', b' ' | b'\t', ref rest @ ..] => self.face(number, rest),
            [b'v', b'n', b' ' | b'\t', ref rest @ ..] => self.normal(number, rest),
            [b'v', b't', b' ' | b'\t', ref rest @ ..] => self.uv(number, rest),
            [] | [b'#', ..] => Ok(()),
            [b' ' | b'\t', ..] => self.read_line(number, line.trim_ascii_start()),
            _ => self.statement(number, line),
        }
    }

    #[inline]
    fn vertex(&mut self, line: usize, text: &[u8]) -> Result<(), ParseError> {
        let mut rest = text;
        let position = take_three(&mut rest).filter(|p| p.iter().all(|x| x.is_finite()));
        let position =
            position.ok_or_else(|| ParseError::line(line, "three finite coordinates", quote(text)))?;
        self.mesh.positions.push(position);
        if rest.is_empty() { Ok(()) } else { self.vertex_extras(line, text, rest) }
    }

    /// What follows x y z: nothing, w, r g b, or r g b a.
    fn vertex_extras(&mut self, line: usize, text: &[u8], rest: &[u8]) -> Result<(), ParseError> {
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
    fn normal(&mut self, line: usize, text: &[u8]) -> Result<(), ParseError> {
        let normal = take_three(&mut &*text);
        let normal =
            normal.ok_or_else(|| ParseError::line(line, "three numbers of a normal", quote(text)))?;
        self.mesh.normals.push(normal.map(|x| x as f32));
        Ok(())
    }

    #[inline]
    fn uv(&mut self, line: usize, text: &[u8]) -> Result<(), ParseError> {
        let mut rest = text;
        let u = take_number(&mut rest);
        let u = u.ok_or_else(|| ParseError::line(line, "a texture coordinate", quote(text)))?;
        let v = take_number(&mut rest).unwrap_or(0.0);
        self.mesh.uvs.push([u as f32, v as f32]);
        Ok(())
    }

    fn face(&mut self, line: usize, text: &[u8]) -> Result<(), ParseError> {
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
            let vertex = resolve(corner[0], count).ok_or_else(|| {
                ParseError::line(line, vertex_range(count), format!("vertex {}", corner[0]))
            })?;
            if vertex as usize >= count {
                self.forward.push((line, vertex));
            }
            let uv = resolve(corner[1], self.mesh.uvs.len()).unwrap_or(NO_INDEX);
            let normal = resolve(corner[2], self.mesh.normals.len()).unwrap_or(NO_INDEX);
            self.corners.push([vertex, uv, normal]);
        }
    }

    /// Every line that is neither vertex data nor a face.
    fn statement(&mut self, number: usize, line: &[u8]) -> Result<(), ParseError> {
        let keyword = fields(line).next().unwrap_or(line);
        let rest = line[keyword.len()..].trim_ascii();
        match keyword {
            b"v" | b"f" | b"vn" | b"vt" => {
                return Err(ParseError::line(number, "numbers after the keyword", quote(line)));
            }
            b"usemtl" => self.use_material(rest),
            b"mtllib" => self.libraries.push(String::from_utf8_lossy(rest).into_owned()),
            b"o" | b"g" | b"s" | b"l" | b"p" | b"vp" | b"mg" | b"usemap" | b"maplib" | b"lod" => {}
            b"bevel" | b"c_interp" | b"d_interp" | b"shadow_obj" | b"trace_obj" => {}
            _ => self.unknown.add(number),
        }
        Ok(())
    }

    fn use_material(&mut self, name: &[u8]) {
        let next = self.mesh.materials.len() as u32;
        let number = *self.material_numbers.entry(name.to_vec()).or_insert(next);
        if number == next {
            let name = String::from_utf8_lossy(name).into_owned();
            self.mesh.materials.push(Material { name, diffuse: DEFAULT_DIFFUSE, texture: None });
        }
        self.material = Some(number);
    }

    fn finish(mut self, empty: bool) -> Result<ObjFile, ParseError> {
        let count = self.mesh.positions.len();
        if count == 0 {
            let found = if empty { "an empty file" } else { "no vertices" };
            return Err(ParseError::new(Place::File, "an OBJ file with vertices", found));
        }
        if let Some((line, vertex)) = self.forward.iter().find(|(_, vertex)| *vertex as usize >= count) {
            let found = format!("vertex {}", u64::from(*vertex) + 1);
            return Err(ParseError::line(*line, vertex_range(count), found));
        }
        let mut warnings = Vec::new();
        self.finish_tables(&mut warnings);
        self.finish_colors(&mut warnings);
        warnings.extend(repair_fans(&mut self.mesh, &self.fans));
        if self.short_faces.count > 0 {
            warnings.push(super::short_faces(self.short_faces.count, self.short_faces.first_line));
        }
        if self.unknown.count > 0 {
            let Skipped { count, first_line } = self.unknown;
            warnings.push(format!(
                "{count} lines with unknown keywords were skipped, first on line {first_line}"
            ));
        }
        Ok(ObjFile { mesh: self.mesh, material_libraries: self.libraries, warnings })
    }

    /// Pads the corner tables and takes out indices that name no (finite) attribute.
    fn finish_tables(&mut self, warnings: &mut Vec<String>) {
        let mesh = &mut self.mesh;
        let triangles = mesh.triangles.len();
        if !mesh.triangle_materials.is_empty() {
            mesh.triangle_materials.resize(triangles, NO_INDEX);
        }
        let finite_normals: Vec<bool> =
            mesh.normals.iter().map(|n| n.iter().all(|x| x.is_finite())).collect();
        let finite_uvs: Vec<bool> = mesh.uvs.iter().map(|uv| uv.iter().all(|x| x.is_finite())).collect();
        for (table, finite, what) in [
            (&mut mesh.normal_corners, finite_normals, "normals"),
            (&mut mesh.uv_corners, finite_uvs, "texture coordinates"),
        ] {
            let mut cleared = 0usize;
            for index in table.iter_mut().flatten().filter(|index| **index != NO_INDEX) {
                if finite.get(*index as usize) != Some(&true) {
                    *index = NO_INDEX;
                    cleared += 1;
                }
            }
            if cleared > 0 {
                warnings
                    .push(format!("{cleared} corners name {what} that are not there or not finite; ignored"));
            }
            if table.iter().flatten().all(|&i| i == NO_INDEX) {
                table.clear();
            } else {
                table.resize(triangles, [NO_INDEX; 3]);
            }
        }
    }

    fn finish_colors(&mut self, warnings: &mut Vec<String>) {
        if self.colors.is_empty() {
            return;
        }
        let count = self.mesh.positions.len();
        self.colors.resize(count, MISSING_COLOR);
        let missing = |c: &[f64; 3]| c.iter().any(|x| !x.is_finite());
        let mut bytes = bytes_from_colors(&self.colors, ColorScale::Guess);
        let mut white = 0usize;
        for (byte, color) in bytes.iter_mut().zip(&self.colors) {
            if missing(color) {
                *byte = [255; 3];
                white += 1;
            }
        }
        if white > 0 {
            warnings.push(format!("{white} of {count} vertices have no colour; they are white"));
        }
        self.mesh.vertex_colors = bytes;
    }
}

fn vertex_range(count: usize) -> String {
    format!("a vertex from 1 to {count} (or -{count} to -1)")
}

/// Index from 0 of an OBJ index (from 1, or negative from the end); it may lie beyond `count`.
#[inline]
fn resolve(index: i64, count: usize) -> Option<u32> {
    let from_zero =
        if index > 0 { index - 1 } else { index.checked_add(count as i64).filter(|_| index < 0)? };
    u32::try_from(from_zero).ok().filter(|&i| i != NO_INDEX)
}

/// Takes `v`, `v/vt`, `v//vn`, `v/vt/vn` (fields may be empty) off the front; absent ones are 0.
#[inline]
fn take_corner(rest: &mut &[u8]) -> Option<[i64; 3]> {
    let mut corner = [take_integer(rest)?, 0, 0];
    for slot in &mut corner[1..] {
        let [b'/', tail @ ..] = *rest else { break };
        *rest = tail;
        if matches!(rest.first(), Some(b'-' | b'+' | b'0'..=b'9')) {
            *slot = take_integer(rest)?;
        }
    }
    matches!(rest.first(), None | Some(b' ' | b'\t' | b'\r' | b'#')).then_some(corner)
}

#[inline]
fn take_integer(rest: &mut &[u8]) -> Option<i64> {
    let (negative, mut at) = match rest.first()? {
        b'-' => (true, 1),
        b'+' => (false, 1),
        _ => (false, 0),
    };
    let (start, mut value) = (at, 0i64);
    while let Some(digit @ b'0'..=b'9') = rest.get(at) {
        // Saturating keeps an absurd index out of range instead of wrapping it into it.
        value = value.saturating_mul(10).saturating_add(i64::from(digit - b'0'));
        at += 1;
    }
    if at == start {
        return None;
    }
    *rest = &rest[at..];
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQUARE: &str = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n";

    fn read(faces: &str) -> ObjFile {
        parse(format!("{SQUARE}{faces}").as_bytes()).unwrap()
    }

    fn error(faces: &str) -> String {
        parse(format!("{SQUARE}{faces}").as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn corner_forms() {
        let vt_vn = "vt 0 0\nvt 1 0\nvt 1 1\nvn 0 0 1\nvn 1 0 0\n";
        for (face, uv, normal) in [
            ("f 1 2 3\n", None, None),
            ("f 1/1 2/2 3/3\n", Some([0, 1, 2]), None),
            ("f 1//1 2//1 3//2\n", None, Some([0, 0, 1])),
            ("f 1/3/2 2/2/2 3/1/1 # c\n", Some([2, 1, 0]), Some([1, 1, 0])),
            ("f -4/-3/-2 -3/-2/-1 -2/-1/-1\n", Some([0, 1, 2]), Some([0, 1, 1])),
            ("f 1// 2// 3//\n", None, None),
            ("f 1/ \\\n2/ 3/\n", None, None),
        ] {
            let mesh = read(&format!("{vt_vn}{face}")).mesh;
            assert_eq!(mesh.triangles, [[0, 1, 2]], "{face}");
            assert_eq!(mesh.uv_corners.first().copied(), uv, "{face}");
            assert_eq!(mesh.normal_corners.first().copied(), normal, "{face}");
        }
    }

    #[test]
    fn tables_are_padded_where_only_some_faces_have_attributes() {
        let file = read("f 1 2 3\nvn 0 0 1\nusemtl red\nf 1//1 2//1 3//1 4//1\nf 1 2 3\n");
        let none = [NO_INDEX; 3];
        assert_eq!(file.mesh.normal_corners, [none, [0; 3], [0; 3], none]);
        assert_eq!(file.mesh.triangle_materials, [NO_INDEX, 0, 0, 0]);
        assert_eq!(file.mesh.materials[0].name, "red");
    }

    #[test]
    fn indices_out_of_range_are_errors_with_their_line() {
        let range = "expected a vertex from 1 to 4 (or -4 to -1)";
        assert_eq!(error("f 1 2 5\n"), format!("{range}, found vertex 5, line 5"));
        assert_eq!(error("f 0 2 3\n"), format!("{range}, found vertex 0, line 5"));
        assert_eq!(error("\nf 1 2 -5\n"), format!("{range}, found vertex -5, line 6"));
        assert_eq!(
            error("f 1 2 99999999999999999999\n"),
            format!("{range}, found vertex 9223372036854775807, line 5")
        );
        assert_eq!(
            error("f 1 2 x\n"),
            "expected a face corner v, v/vt, v//vn or v/vt/vn, found \"x\", line 5"
        );
        assert_eq!(error("v 1 nan 0\n"), "expected three finite coordinates, found \"1 nan 0\", line 5");
        assert_eq!(error("v 1 2\n"), "expected three finite coordinates, found \"1 2\", line 5");
    }

    #[test]
    fn a_face_may_name_a_later_vertex() {
        assert_eq!(read("f 1 2 5\nv 9 9 9\n").mesh.triangles, [[0, 1, 4]]);
    }

    #[test]
    fn dangling_attributes_and_short_faces_are_warnings() {
        let file = read("f 1/7 2 3\nf 1 2\nf 1//1 2//2 3//1\nvn 0 0 1\n");
        assert_eq!(file.mesh.triangles, [[0, 1, 2]; 2]);
        assert_eq!(file.warnings.len(), 3);
        assert_eq!(file.warnings[0], "1 corners name normals that are not there or not finite; ignored");
        assert_eq!(file.warnings[2], "1 faces with fewer than 3 corners were skipped, first on line 6");
        assert_eq!(file.mesh.normal_corners, [[NO_INDEX; 3], [0, NO_INDEX, 0]]);
    }

    #[test]
    fn vertex_colours() {
        let file = parse(b"v 0 0 0 1 0 0.5\nv 1 0 0\nv 0 1 0 nan 0 0\nf 1 2 3\n").unwrap();
        assert_eq!(file.mesh.vertex_colors, [[255, 0, 128], [255; 3], [255; 3]]);
        assert_eq!(file.warnings, ["2 of 3 vertices have no colour; they are white"]);
        assert!(parse(b"v 0 0 0 1\nf 1 1 1\n").unwrap().mesh.vertex_colors.is_empty());
    }

    #[test]
    fn empty_files_are_errors() {
        assert_eq!(
            parse(b"").unwrap_err().to_string(),
            "expected an OBJ file with vertices, found an empty file"
        );
        assert_eq!(
            parse(b"# x\n").unwrap_err().to_string(),
            "expected an OBJ file with vertices, found no vertices"
        );
    }
}
