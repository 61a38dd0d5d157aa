//! glTF 2.0 and GLB: the triangles of the scene's nodes, placed by their transforms.
//!
//! The `gltf` crate reads the JSON; buffers are read here with bounds, since its own accessor
//! reader panics on false offsets. Read: base colour (factor, texture, vertex colours), texture
//! coordinates, normals. Refused by name: sparse accessors, required extensions (Draco,
//! meshopt). Skins and morph targets are not applied. y is up, units are metres.

use std::sync::Arc;

use glam::{DMat3, DMat4, DQuat, DVec3};
use gltf::json;
use gltf::json::mesh::{Mode, Primitive, Semantic};
use gltf::json::validation::Checked;
use jepa3d_schemas::{Material, Mesh, NO_INDEX, Texture};

use super::Parsed;
use super::companions::decode_texture;
use super::gltf_buffers::{Buffers, Resolve, bytes_of_uri, split_glb};
use crate::error::{ParseError, Place};

/// Most vertices and triangles that instancing may expand a file to.
const MAX_EXPANDED: usize = 1 << 24;

/// Most pixels of all textures: a file may name one large image many times.
const MAX_PIXELS: usize = 1 << 28;

/// Required extensions that change nothing here.
const HARMLESS: [&str; 2] = ["KHR_materials_unlit", "KHR_mesh_quantization"];

/// Reads a glTF or GLB file that needs no other file, without textures.
///
/// # Errors
/// As [`parse_with`]; fails if a buffer is in another file.
pub fn parse(bytes: &[u8]) -> Result<Parsed<Mesh>, ParseError> {
    parse_with(bytes, false, &mut |_| None)
}

/// Reads a glTF or GLB file; `resolve` gives the bytes of other files by their relative name.
///
/// Points and lines are skipped with a warning. Linear colours are converted to sRGB.
///
/// # Errors
/// Fails if the JSON is malformed, an extension is required, a buffer is missing or shorter than
/// its accessors, an index names no vertex, a position is not finite, nodes form a cycle, or
/// instancing expands to more than 2^24 vertices or triangles.
pub fn parse_with(
    bytes: &[u8],
    textures: bool,
    resolve: &mut Resolve<'_>,
) -> Result<Parsed<Mesh>, ParseError> {
    let (text, binary) = split_glb(bytes)?;
    let root: json::Root =
        json::deserialize::from_slice(text).map_err(|e| error("glTF JSON", e.to_string()))?;
    if let Some(name) = root.extensions_required.iter().find(|name| !HARMLESS.contains(&name.as_str())) {
        return Err(error("no required extension", format!("{name:?}")));
    }
    let buffers = Buffers::load(&root, binary, resolve)?;
    let mut scene = Scene { buffers: &buffers, mesh: Mesh::default(), colored: false, skipped: 0 };
    for (mesh, transform) in placed_meshes(&root)? {
        for primitive in &mesh.primitives {
            scene.push_primitive(primitive, transform)?;
        }
    }
    let mut warnings = Vec::new();
    if scene.skipped > 0 {
        warnings.push(format!("{} primitives of points or lines were skipped", scene.skipped));
    }
    let mut mesh = scene.finish();
    read_materials(&buffers, &mut mesh, &mut warnings, textures.then_some(resolve));
    Ok(Parsed { geometry: mesh, warnings })
}

fn error(expected: impl Into<String>, found: impl Into<String>) -> ParseError {
    ParseError::new(Place::File, expected, found)
}

/// Every mesh of the default scene (else of all root nodes) with its `world_from_mesh`.
fn placed_meshes(root: &json::Root) -> Result<Vec<(&json::Mesh, DMat4)>, ParseError> {
    let mut stack: Vec<(usize, DMat4)> =
        roots(root).into_iter().rev().map(|i| (i, DMat4::IDENTITY)).collect();
    let mut visited = vec![false; root.nodes.len()];
    let mut placed = Vec::new();
    while let Some((index, parent)) = stack.pop() {
        let missing = || error(format!("node {index}"), format!("{} nodes", root.nodes.len()));
        let node = root.nodes.get(index).ok_or_else(missing)?;
        if std::mem::replace(&mut visited[index], true) {
            return Err(error("nodes that form a tree", format!("node {index} twice")));
        }
        let transform = parent * local_transform(node);
        if let Some(mesh) = node.mesh {
            let missing = || error(format!("mesh {}", mesh.value()), format!("{} meshes", root.meshes.len()));
            placed.push((root.meshes.get(mesh.value()).ok_or_else(missing)?, transform));
        }
        let children = node.children.iter().flatten().rev();
        stack.extend(children.map(|child| (child.value(), transform)));
    }
    Ok(placed)
}

fn roots(root: &json::Root) -> Vec<usize> {
    let scene = root.scene.map_or(0, |scene| scene.value());
    if let Some(scene) = root.scenes.get(scene) {
        return scene.nodes.iter().map(json::Index::value).collect();
    }
    let mut is_child = vec![false; root.nodes.len()];
    for child in root.nodes.iter().flat_map(|node| node.children.iter().flatten()) {
        if let Some(slot) = is_child.get_mut(child.value()) {
            *slot = true;
        }
    }
    (0..root.nodes.len()).filter(|&i| !is_child[i]).collect()
}

fn local_transform(node: &json::Node) -> DMat4 {
    if let Some(matrix) = node.matrix {
        return DMat4::from_cols_array(&matrix.map(f64::from));
    }
    let [x, y, z, w] = node.rotation.map_or([0.0, 0.0, 0.0, 1.0], |q| q.0.map(f64::from));
    let scale = DVec3::from_array(node.scale.map_or([1.0; 3], |s| s.map(f64::from)));
    let translation = DVec3::from_array(node.translation.map_or([0.0; 3], |t| t.map(f64::from)));
    DMat4::from_scale_rotation_translation(scale, DQuat::from_xyzw(x, y, z, w).normalize(), translation)
}

struct Scene<'a> {
    buffers: &'a Buffers<'a>,
    mesh: Mesh,
    colored: bool,
    /// Primitives of points or lines.
    skipped: usize,
}

impl Scene<'_> {
    fn attribute(&self, primitive: &Primitive, semantic: Semantic) -> Option<usize> {
        primitive.attributes.get(&Checked::Valid(semantic)).map(json::Index::value)
    }

    fn push_primitive(&mut self, primitive: &Primitive, transform: DMat4) -> Result<(), ParseError> {
        let mode = match primitive.mode {
            Checked::Valid(mode @ (Mode::Triangles | Mode::TriangleStrip | Mode::TriangleFan)) => mode,
            _ => {
                self.skipped += 1;
                return Ok(());
            }
        };
        let Some(accessor) = self.attribute(primitive, Semantic::Positions) else {
            return Err(error("an attribute POSITION", "a primitive without one"));
        };
        let first = self.mesh.positions.len();
        self.push_positions(accessor, transform)?;
        let count = self.mesh.positions.len() - first;
        let flip = transform.determinant() < 0.0;
        let first_triangle = self.mesh.triangles.len();
        for [a, b, c] in self.local_triangles(primitive, mode, count)? {
            let corners = if flip { [a, c, b] } else { [a, b, c] };
            self.mesh.triangles.push(corners.map(|i| i + first as u32));
        }
        self.check_size()?;
        self.push_normals(primitive, first, first_triangle, transform)?;
        self.push_uvs(primitive, first, first_triangle)?;
        self.push_colors(primitive, first)?;
        let material = primitive.material.map_or(NO_INDEX, |m| m.value() as u32);
        let material =
            if (material as usize) < self.buffers.root.materials.len() { material } else { NO_INDEX };
        self.mesh.triangle_materials.resize(self.mesh.triangles.len(), material);
        Ok(())
    }

    fn check_size(&self) -> Result<(), ParseError> {
        let largest = self.mesh.positions.len().max(self.mesh.triangles.len());
        if largest <= MAX_EXPANDED {
            return Ok(());
        }
        Err(error(format!("at most {MAX_EXPANDED} vertices and triangles"), largest.to_string()))
    }

    fn push_positions(&mut self, accessor: usize, transform: DMat4) -> Result<(), ParseError> {
        let rows = self.buffers.accessor(accessor)?.rows::<3>();
        let rows = rows.ok_or_else(|| error("positions of three numbers", format!("accessor {accessor}")))?;
        for row in rows {
            let position = transform.transform_point3(DVec3::from_array(row));
            if !position.is_finite() {
                return Err(error("finite positions", format!("{row:?} in accessor {accessor}")));
            }
            self.mesh.positions.push(position.to_array());
        }
        self.check_size()
    }

    /// Triangles in the vertex numbers of the primitive.
    fn local_triangles(
        &self,
        primitive: &Primitive,
        mode: Mode,
        count: usize,
    ) -> Result<Vec<[u32; 3]>, ParseError> {
        let indices: Vec<u32> = match primitive.indices {
            None => (0..count as u32).collect(),
            Some(accessor) => {
                let values = self.buffers.accessor(accessor.value())?.values;
                if let Some(bad) =
                    values.iter().find(|&&v| !(v >= 0.0 && v < count as f64 && v.fract() == 0.0))
                {
                    let found = format!("{bad} in accessor {}", accessor.value());
                    return Err(error(format!("vertex indices below {count}"), found));
                }
                values.into_iter().map(|v| v as u32).collect()
            }
        };
        Ok(match mode {
            Mode::TriangleStrip => {
                let turned = |(i, w): (usize, &[u32])| {
                    if i % 2 == 0 { [w[0], w[1], w[2]] } else { [w[1], w[0], w[2]] }
                };
                indices.windows(3).enumerate().map(turned).collect()
            }
            Mode::TriangleFan => indices.windows(2).skip(1).map(|w| [indices[0], w[0], w[1]]).collect(),
            _ => indices.as_chunks::<3>().0.to_vec(),
        })
    }

    /// Normals by the cofactors of the transform: the direction of the inverse transpose, without dividing.
    fn push_normals(
        &mut self,
        primitive: &Primitive,
        first: usize,
        first_triangle: usize,
        transform: DMat4,
    ) -> Result<(), ParseError> {
        let Some(accessor) = self.attribute(primitive, Semantic::Normals) else { return Ok(()) };
        let m = DMat3::from_mat4(transform);
        let sign = if m.determinant() < 0.0 { -1.0 } else { 1.0 };
        let cofactors = DMat3::from_cols(
            m.y_axis.cross(m.z_axis) * sign,
            m.z_axis.cross(m.x_axis) * sign,
            m.x_axis.cross(m.y_axis) * sign,
        );
        let rows = self.vertex_rows::<3>(accessor, first)?;
        let shift = self.mesh.normals.len() as u32;
        let normals = rows.into_iter().map(|n| (cofactors * DVec3::from_array(n)).normalize_or_zero());
        self.mesh.normals.extend(normals.map(|n| n.to_array().map(|x| x as f32)));
        let mesh = &mut self.mesh;
        push_corners(&mut mesh.normal_corners, &mesh.triangles, first_triangle, shift, first as u32);
        Ok(())
    }

    fn push_uvs(
        &mut self,
        primitive: &Primitive,
        first: usize,
        first_triangle: usize,
    ) -> Result<(), ParseError> {
        let texture = primitive.material.and_then(|m| self.buffers.root.materials.get(m.value()));
        let texture = texture.and_then(|m| m.pbr_metallic_roughness.base_color_texture.as_ref());
        let set = texture.map_or(0, |t| t.tex_coord);
        let Some(accessor) = self.attribute(primitive, Semantic::TexCoords(set)) else { return Ok(()) };
        let rows = self.vertex_rows::<2>(accessor, first)?;
        let shift = self.mesh.uvs.len() as u32;
        // glTF counts v from the top, the mesh from the bottom.
        self.mesh.uvs.extend(rows.into_iter().map(|[u, v]| [u as f32, (1.0 - v) as f32]));
        let mesh = &mut self.mesh;
        push_corners(&mut mesh.uv_corners, &mesh.triangles, first_triangle, shift, first as u32);
        Ok(())
    }

    /// Vertex colours; primitives without them count as white, which is what the format says.
    fn push_colors(&mut self, primitive: &Primitive, first: usize) -> Result<(), ParseError> {
        self.mesh.vertex_colors.resize(first, [255; 3]);
        if let Some(accessor) = self.attribute(primitive, Semantic::Colors(0)) {
            self.colored = true;
            let rows = self.vertex_rows::<3>(accessor, first)?;
            self.mesh
                .vertex_colors
                .extend(rows.into_iter().map(|c| c.map(|v| (srgb(v) * 255.0).round() as u8)));
        }
        self.mesh.vertex_colors.resize(self.mesh.positions.len(), [255; 3]);
        Ok(())
    }

    /// Rows of an attribute, one for each vertex from `first` on.
    fn vertex_rows<const N: usize>(
        &self,
        accessor: usize,
        first: usize,
    ) -> Result<Vec<[f64; N]>, ParseError> {
        let count = self.mesh.positions.len() - first;
        let rows = self.buffers.accessor(accessor)?.rows::<N>();
        let wrong = || error(format!("{count} rows of {N} numbers"), format!("accessor {accessor}"));
        rows.filter(|rows| rows.len() == count).ok_or_else(wrong)
    }

    fn finish(self) -> Mesh {
        let mut mesh = self.mesh;
        let triangles = mesh.triangles.len();
        for table in [&mut mesh.normal_corners, &mut mesh.uv_corners] {
            if !table.is_empty() {
                table.resize(triangles, [NO_INDEX; 3]);
            }
        }
        if !self.colored {
            mesh.vertex_colors.clear();
        }
        mesh
    }
}

/// Fills a corner table from `first_triangle` on: vertex `first + i` uses entry `shift + i`.
fn push_corners(
    table: &mut Vec<[u32; 3]>,
    triangles: &[[u32; 3]],
    first_triangle: usize,
    shift: u32,
    first: u32,
) {
    table.resize(first_triangle, [NO_INDEX; 3]);
    table.extend(triangles[first_triangle..].iter().map(|t| t.map(|i| i - first + shift)));
}

/// sRGB value of a linear one, both from 0 to 1.
fn srgb(linear: f64) -> f64 {
    let c = linear.clamp(0.0, 1.0);
    if c <= 0.003_130_8 { 12.92 * c } else { 1.055 * libm::pow(c, 1.0 / 2.4) - 0.055 }
}

/// Every material of the file in its order; textures only with `resolve`.
fn read_materials(
    buffers: &Buffers<'_>,
    mesh: &mut Mesh,
    warnings: &mut Vec<String>,
    mut resolve: Option<&mut Resolve<'_>>,
) {
    if mesh.triangle_materials.iter().all(|&m| m == NO_INDEX) {
        mesh.triangle_materials.clear();
        return;
    }
    let mut decoded: Vec<(usize, Option<Arc<Texture>>)> = Vec::new();
    let mut pixels_left = MAX_PIXELS;
    for (number, material) in buffers.root.materials.iter().enumerate() {
        let pbr = &material.pbr_metallic_roughness;
        let [r, g, b, _] = pbr.base_color_factor.0;
        let name = material.name.clone().unwrap_or_else(|| format!("material {number}"));
        let image = pbr.base_color_texture.as_ref().and_then(|t| buffers.root.textures.get(t.index.value()));
        let image = image.map(|texture| texture.source.value());
        let mut texture = None;
        if let (Some(image), Some(resolve)) = (image, resolve.as_deref_mut()) {
            let known = decoded.iter().find(|(i, _)| *i == image).map(|(_, texture)| texture.clone());
            texture = known.unwrap_or_else(|| {
                let result = read_image(buffers, image, resolve).and_then(|texture| {
                    let left = pixels_left.checked_sub(texture.rgb.len());
                    pixels_left = left.ok_or_else(|| format!("more than {MAX_PIXELS} pixels in one file"))?;
                    Ok(texture)
                });
                let result = result.map_err(|e| warnings.push(format!("image {image} cannot be read: {e}")));
                decoded.push((image, result.ok().map(Arc::new)));
                decoded.last().and_then(|(_, texture)| texture.clone())
            });
        }
        let diffuse = [r, g, b].map(|c| srgb(f64::from(c)) as f32);
        mesh.materials.push(Material { name, diffuse, texture });
    }
}

fn read_image(buffers: &Buffers<'_>, index: usize, resolve: &mut Resolve<'_>) -> Result<Texture, String> {
    let image = buffers.root.images.get(index).ok_or("no such image")?;
    match (&image.buffer_view, &image.uri) {
        (Some(view), _) => decode_texture(buffers.view(view.value()).map_err(|e| e.to_string())?),
        (None, Some(uri)) => decode_texture(&bytes_of_uri(uri, resolve).ok_or("the file is missing")?),
        (None, None) => Err("it has neither data nor a file".into()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A GLB of one triangle (three positions, then u16 indices 0 1 2 and two bytes of padding).
    pub(crate) fn glb(nodes: &str, accessor: &str) -> Vec<u8> {
        let json = format!(
            r#"{{"asset":{{"version":"2.0"}},"scene":0,"scenes":[{{"nodes":[0]}}],"nodes":{nodes},
            "meshes":[{{"primitives":[{{"attributes":{{"POSITION":0}},"indices":1,"material":0}}]}}],
            "materials":[{{"pbrMetallicRoughness":{{"baseColorFactor":[1,0.5,0,1]}}}}],
            "accessors":[{accessor},{{"bufferView":1,"componentType":5123,"count":3,"type":"SCALAR"}}],
            "bufferViews":[{{"buffer":0,"byteLength":36}},{{"buffer":0,"byteOffset":36,"byteLength":6}}],
            "buffers":[{{"byteLength":44}}]}}"#
        );
        let mut binary: Vec<u8> =
            [0f32, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        binary.extend([0, 0, 1, 0, 2, 0, 0, 0]);
        let mut bytes = b"glTF\x02\0\0\0\0\0\0\0".to_vec();
        for (kind, data) in [(b"JSON", json.as_bytes()), (b"BIN\0", &binary)] {
            bytes.extend((data.len() as u32).to_le_bytes());
            bytes.extend(kind);
            bytes.extend(data);
        }
        bytes
    }

    pub(crate) const POSITIONS: &str =
        r#"{"bufferView":0,"componentType":5126,"count":3,"type":"VEC3","min":[0,0,0],"max":[1,1,0]}"#;

    fn error_of(nodes: &str, accessor: &str) -> String {
        parse(&glb(nodes, accessor)).unwrap_err().to_string()
    }

    #[test]
    fn nodes_place_and_mirror_meshes() {
        let nodes = r#"[{"children":[1,2],"translation":[10,0,0]},{"mesh":0,"scale":[2,2,2]},{"mesh":0,"scale":[-1,1,1]}]"#;
        let mesh = parse(&glb(nodes, POSITIONS)).unwrap().geometry;
        assert_eq!(mesh.positions[..3], [[10.0, 0.0, 0.0], [12.0, 0.0, 0.0], [10.0, 2.0, 0.0]]);
        assert_eq!(mesh.positions[3..], [[10.0, 0.0, 0.0], [9.0, 0.0, 0.0], [10.0, 1.0, 0.0]]);
        assert_eq!(mesh.triangles, [[0, 1, 2], [3, 5, 4]]);
        assert_eq!(mesh.triangle_materials, [0, 0]);
        let [r, g, b] = mesh.materials[0].diffuse;
        assert!(r == 1.0 && (g - 0.735_357).abs() < 1e-5 && b == 0.0, "{g}");
    }

    #[test]
    fn bad_files_are_errors() {
        let node = r#"[{"mesh":0}]"#;
        assert_eq!(
            error_of(r#"[{"children":[0]}]"#, POSITIONS),
            "expected nodes that form a tree, found node 0 twice"
        );
        assert_eq!(error_of(r#"[{"mesh":7}]"#, POSITIONS), "expected mesh 7, found 1 meshes");
        let outside = POSITIONS.replace("\"count\":3", "\"count\":4");
        assert_eq!(
            error_of(node, &outside),
            "expected accessor 0 inside its buffer view, found one that is not"
        );
        let huge = POSITIONS.replace("\"count\":3", "\"count\":18446744073709551615");
        assert_eq!(
            error_of(node, &huge),
            "expected accessor 0 inside its buffer view, found one that is not"
        );
        let short = POSITIONS.replace("\"count\":3", "\"count\":2");
        assert_eq!(error_of(node, &short), "expected vertex indices below 2, found 2 in accessor 1");
        assert!(parse(b"{").unwrap_err().to_string().starts_with("expected glTF JSON, found EOF"));
    }

    #[test]
    fn buffers_come_from_files_and_data_uris() {
        let text = |uri: &str| {
            format!(
                r#"{{"asset":{{"version":"2.0"}},"nodes":[{{"mesh":0}}],
                "meshes":[{{"primitives":[{{"attributes":{{"POSITION":0}},"mode":5}}]}}],
                "accessors":[{{"bufferView":0,"componentType":5120,"count":4,"type":"VEC3","normalized":true}}],
                "bufferViews":[{{"buffer":0,"byteLength":16,"byteStride":4}}],"buffers":[{{"byteLength":16,"uri":"{uri}"}}]}}"#
            )
        };
        let data = vec![0, 0, 0, 0, 127, 0, 0, 0, 0, 127, 0, 0, 127, 127, 129, 0];
        let read = parse_with(text("a%20b.bin").as_bytes(), false, &mut |name| {
            (name == "a b.bin").then(|| data.clone())
        });
        let mesh = read.unwrap().geometry;
        assert_eq!(mesh.positions[3], [1.0, 1.0, -1.0]);
        assert_eq!(mesh.triangles, [[0, 1, 2], [2, 1, 3]]);
        let embedded = parse(text("data:;base64,AAAAAH8AAAAAfwAAf3+BAA==").as_bytes()).unwrap().geometry;
        assert_eq!(embedded, mesh);
        assert_eq!(
            parse(text("gone.bin").as_bytes()).unwrap_err().to_string(),
            "expected the bytes of buffer 0, found \"gone.bin\""
        );
    }
}
