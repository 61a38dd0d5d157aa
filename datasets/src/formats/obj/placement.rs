//! Offsets and scales of textures (`map_Kd -o -s`), put into the texture coordinates of the triangles that show them.

use std::collections::BTreeMap;

use jepa3d_schemas::{Mesh, NO_INDEX};

use crate::formats::mtl::MtlTexture;

/// Gives the triangles of materials whose texture is moved texture coordinates of their own.
///
/// A coordinate of the file may be shared by materials, so moved ones are appended, once for each material that
/// uses them: at most three for each triangle.
pub(super) fn place_textures(mesh: &mut Mesh, materials: &[Option<MtlTexture>]) {
    if materials.iter().flatten().all(MtlTexture::is_in_place) {
        return;
    }
    let mut moved: BTreeMap<(u32, u32), u32> = BTreeMap::new();
    for (corners, &material) in mesh.uv_corners.iter_mut().zip(&mesh.triangle_materials) {
        let texture = materials.get(material as usize).and_then(Option::as_ref);
        let Some(texture) = texture.filter(|texture| !texture.is_in_place()) else { continue };
        for corner in corners.iter_mut().filter(|corner| **corner != NO_INDEX) {
            *corner = *moved.entry((material, *corner)).or_insert_with(|| {
                let uv = texture.place(mesh.uvs[*corner as usize]);
                mesh.uvs.push(uv);
                (mesh.uvs.len() - 1) as u32
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_coordinate_is_moved_for_each_material_alone() {
        let mut mesh = Mesh {
            uvs: vec![[0.25, 0.5], [1.0, 1.0]],
            uv_corners: vec![[0, 0, NO_INDEX], [0, 1, 0], [0, 0, 0]],
            triangle_materials: vec![0, 1, 2],
            ..Mesh::default()
        };
        let place = |offset, scale| Some(MtlTexture { offset, scale, ..MtlTexture::default() });
        let materials =
            [place([0.5, 0.0], [1.0, 1.0]), place([0.0, 0.25], [2.0, 0.5]), place([0.0; 2], [1.0; 2])];
        place_textures(&mut mesh, &materials);
        assert_eq!(mesh.uv_corners, [[2, 2, NO_INDEX], [3, 4, 3], [0, 0, 0]]);
        assert_eq!(mesh.uvs[2..], [[0.75, 0.5], [0.5, 0.5], [2.0, 0.75]]);
        let untouched = mesh.clone();
        place_textures(&mut mesh, &[place([0.0; 2], [1.0; 2]), None, None]);
        assert_eq!(mesh, untouched);
    }
}
