//! The odd real files: what each must give, hard-coded; skipped where the test data is not there.

use jepa3d_schemas::{Mesh, NO_INDEX, Shape, WarningKind};

use super::{Loaded, ReadOptions, read_geometry};
use crate::dataset::Dataset;
use crate::error::Result;
use crate::folder::{Folder, FolderConfig};
use crate::test_data::test_data;

/// What a file must give.
enum Expect {
    /// Vertices, triangles, warnings.
    Mesh(usize, usize, usize),
    /// Points, warnings.
    Points(usize, usize),
    /// A part of the error message.
    Refused(&'static str),
}

use Expect::{Mesh as M, Points as P, Refused as R};

/// Every file of the table, in its order.
const FILES: [(&str, Expect); 57] = [
    ("assimp/OBJ/box_UTF16BE.obj", M(8, 12, 1)),
    ("assimp/OBJ/box_longline.obj", M(8, 944, 1)),
    ("assimp/OBJ/box_without_lineending.obj", M(8, 12, 1)),
    ("assimp/OBJ/concave_polygon.obj", M(64, 64, 0)),
    ("assimp/OBJ/cube_mtllib_after_g.obj", M(8, 12, 2)),
    ("assimp/OBJ/cube_with_vertexcolors.obj", M(8, 12, 0)),
    ("assimp/OBJ/only_a_part_of_vertexcolors.obj", M(5, 3, 1)),
    ("assimp/OBJ/mtl_different_folder.obj", M(8, 12, 1)),
    (
        "assimp/OBJ/number_formats.obj",
        R(", line 11: expected three finite coordinates, found \"1e+2 2.e+1 3.1+e2\""),
    ),
    ("assimp/OBJ/point_cloud.obj", R("expected a surface to sample, found no faces (3 vertices)")),
    ("assimp/OBJ/testline.obj", R("expected a surface to sample, found no faces (8 vertices)")),
    ("assimp/OBJ/testmixed.obj", M(8, 12, 1)),
    ("assimp/OBJ/regr_3429812.obj", M(4, 4, 0)),
    (
        "assimp/invalid/malformed.obj",
        R(", line 28: expected a vertex from 1 to 8 (or -8 to -1), found vertex 0"),
    ),
    ("assimp/invalid/empty.obj", R("expected an OBJ file with vertices, found an empty file")),
    ("assimp/OFF/invalid.off", R(", line 2: expected three counts (vertices, faces, edges), found \"3 4\"")),
    (
        "assimp/invalid/OutOfMemory.off",
        R(", line 2: expected at most 52 vertices in a file of 309 bytes, found 353535235358"),
    ),
    ("assimp/PLY/cube.ply", M(8, 12, 0)),
    ("assimp/PLY/cube_binary_header_with_RN_newline.ply", M(8, 12, 0)),
    ("assimp/PLY/float-color.ply", M(3, 1, 0)),
    ("assimp/PLY/issue623.ply", R(", line 14: expected 7 values, found 6")),
    ("assimp/PLY/points.ply", P(4, 1)),
    (
        "assimp/invalid/crash-30d6d0f7c529b3b66b4131700b7a4580cd7082df.ply",
        R(", line 7: expected a property of an element, found"),
    ),
    ("assimp/invalid/empty.ply", R(", line 1: expected a first line \"ply\", found \"\"")),
    ("assimp/STL/triangle_with_empty_solid.stl", M(3, 1, 0)),
    ("assimp/STL/sphereWithHole.stl", M(855, 285, 0)),
    ("trimesh/comments.off", M(8, 12, 1)),
    ("trimesh/negative_indices.obj", M(8, 12, 0)),
    ("trimesh/nancolor.obj", M(8, 12, 1)),
    ("trimesh/notenoughindices.obj", M(3, 1, 3)),
    ("trimesh/face_in_group_name_mid_file.obj", M(5, 2, 1)),
    ("trimesh/joined_tetrahedra.obj", M(5, 8, 0)),
    ("trimesh/cube.OBJ", M(8, 12, 0)),
    ("trimesh/emptyIO/obj_points.obj", R("found no faces (8 vertices)")),
    ("trimesh/emptyIO/ply_empty_bin.ply", R("expected at least one finite point, found no points")),
    ("trimesh/emptyIO/ply_empty_header.ply", R("expected an element vertex, found none")),
    ("trimesh/empty.ply", R("expected at least one finite point, found no points")),
    ("trimesh/points_ascii_with_lists.ply", P(5, 0)),
    ("trimesh/points_emptyface.ply", P(1024, 1)),
    ("trimesh/metadata.ply", M(4, 2, 0)),
    ("trimesh/fuze_ascii.ply", M(502, 1000, 3)),
    ("trimesh/bunny.ply", M(8171, 16301, 1)),
    ("trimesh/origin_inside.STL", M(84, 28, 0)),
    ("trimesh/emptyIO/stl_empty_bin.stl", R("found no faces (0 vertices)")),
    ("trimesh/empty.stl", R("found no faces (0 vertices)")),
    ("trimesh/multibody.stl", M(96, 32, 0)),
    ("trimesh/polygonfaces.obj", M(5, 3, 2)),
    ("pcl/lamppost.pcd", P(1771, 0)),
    ("pcl/correspondence_grouping/milk.pcd", P(12575, 0)),
    ("pcl/template_alignment/object_template_0.pcd", P(1397, 0)),
    ("pcl/pairwise/capture0001.pcd", P(307_200 - 57_553, 2)),
    ("pcl/ism_test_cat.pcd", P(3400, 0)),
    ("pcn/chair.pcd", P(1193, 0)),
    ("libigl/planexy.off", M(25, 32, 0)),
    ("libigl/intersection_quads.off", M(1726, 3328, 0)),
    ("libigl/halftunnel.off", M(831, 1568, 0)),
    ("libigl/2triangles.off", M(4, 2, 0)),
];

/// The one file that stands for itself.
const STRIPS: &str = "common3d/igea.ply";

/// Area of the ring of `concave_polygon.obj`.
const RING_AREA: f64 = 0.245_496_687_2;

fn read(name: &str) -> Option<Result<Loaded>> {
    let root = test_data("odd")?;
    Some(read_geometry(&root.join(name), &ReadOptions { textures: true, root: Some(root) }))
}

fn mesh(name: &str) -> Option<Mesh> {
    match read(name)?.unwrap().shape {
        Shape::Mesh(mesh) => Some(mesh),
        Shape::Points(_) => panic!("{name}: points"),
    }
}

fn problem(name: &str, expect: &Expect) -> Option<String> {
    let found = read(name)?;
    let ok = match (expect, &found) {
        (M(vertices, triangles, warnings), Ok(Loaded { shape: Shape::Mesh(mesh), warnings: w, .. })) => {
            (mesh.positions.len(), mesh.triangles.len(), w.len()) == (*vertices, *triangles, *warnings)
        }
        (P(points, warnings), Ok(Loaded { shape: Shape::Points(cloud), warnings: w, .. })) => {
            (cloud.len(), w.len()) == (*points, *warnings)
        }
        (R(message), Err(error)) => error.to_string().contains(message) && error.to_string().contains(name),
        _ => false,
    };
    let found = found.map(|loaded| match loaded.shape {
        Shape::Mesh(m) => format!("mesh {} {} {:?}", m.positions.len(), m.triangles.len(), loaded.warnings),
        Shape::Points(p) => format!("points {} {:?}", p.len(), loaded.warnings),
    });
    (!ok).then(|| format!("{name}: {found:?}"))
}

#[test]
fn every_odd_file_behaves_as_the_table_says() {
    let problems: Vec<String> = FILES.iter().filter_map(|(name, expect)| problem(name, expect)).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn strips_become_triangles() {
    let Some(mesh) = mesh(STRIPS) else { return };
    // A closed surface of genus 0: twice the vertices less four.
    assert_eq!((mesh.positions.len(), mesh.triangles.len()), (134_345, 268_686));
}

/// Area of all triangles.
fn area(mesh: &Mesh) -> f64 {
    let area = |t: &[u32; 3]| {
        let [a, b, c] = t.map(|i| glam::DVec3::from_array(mesh.positions[i as usize]));
        (b - a).cross(c - a).length() / 2.0
    };
    mesh.triangles.iter().map(area).sum()
}

#[test]
fn the_ring_shaped_polygon_covers_its_own_area_only() {
    let Some(mesh) = mesh("assimp/OBJ/concave_polygon.obj") else { return };
    // Newell's area of the 66 corners, computed from the file's text by a separate script.
    assert!((area(&mesh) - RING_AREA).abs() < 1e-9 * RING_AREA, "{}", area(&mesh));
}

#[test]
fn attributes_of_odd_files() {
    let Some(nan) = mesh("trimesh/nancolor.obj") else { return };
    assert_eq!(nan.vertex_colors[6], [255; 3]);
    assert_eq!(nan.vertex_colors[0], [137, 254, 138]);
    let fuze = mesh("trimesh/fuze_ascii.ply").unwrap();
    assert_eq!(fuze.vertex_colors[0], [192; 3]);
    let moved = mesh("assimp/OBJ/mtl_different_folder.obj").unwrap();
    assert_eq!(moved.materials[0].diffuse, [0.141_176, 0.184_314, 0.411_765]);
    let Shape::Points(milk) = read("pcl/correspondence_grouping/milk.pcd").unwrap().unwrap().shape else {
        panic!()
    };
    assert_eq!(milk.colors.unwrap().len(), 12_575);
}

#[test]
fn shapenet_models_are_read_with_their_textures() {
    let Some(root) = test_data("shapenetcore_v2") else { return };
    let folder = Folder::open(&root, &FolderConfig::default()).unwrap();
    let (mut textures, mut warnings) = (0, Vec::new());
    for i in 0..folder.len() {
        let object = folder.get(i).unwrap();
        let Shape::Mesh(mesh) = object.shape else { panic!("points") };
        let known = |&m: &u32| m == NO_INDEX || (m as usize) < mesh.materials.len();
        assert!(mesh.triangle_materials.iter().all(known), "{}", object.id);
        textures += mesh.materials.iter().filter(|m| m.texture.is_some()).count();
        warnings.extend(object.warnings.iter().map(|w| w.kind));
    }
    // One of the 25 folders has no mesh; 89 materials name a texture; three models have normals of length zero.
    assert_eq!((folder.len(), textures, warnings), (24, 89, vec![WarningKind::NormalsUnknown; 3]));
}
