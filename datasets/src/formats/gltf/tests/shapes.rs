//! Geometry beyond plain triangles: joints, morph targets, instances, sparse accessors, scenes, what is refused.

use serde_json::json;

use super::super::*;
use super::builder::{Builder, SQUARE, push};

/// Smallest and largest corner.
fn bounds(mesh: &Mesh) -> [[f64; 3]; 2] {
    let fold = |start: f64, pick: fn(f64, f64) -> f64| {
        std::array::from_fn(|a| mesh.positions.iter().fold(start, |x, p| pick(x, p[a])))
    };
    [fold(f64::INFINITY, f64::min), fold(f64::NEG_INFINITY, f64::max)]
}

/// A square whose vertices name joints and weights, under a node that says ten times as wide.
fn skinned(joints: &[[u8; 4]; 4], weights: &[[f32; 4]; 4]) -> Builder {
    let mut file = Builder::new();
    let joints = file.bytes(joints, "VEC4", false);
    let weights = file.floats(weights, "VEC4");
    let normal = file.floats(&[[0.0, 0.0, 1.0]; 4], "VEC3");
    file.square(0.0, &[("JOINTS_0", joints), ("WEIGHTS_0", weights), ("NORMAL", normal)], None);
    file.json["skins"] = json!([{"joints": [1, 2]}]);
    file.json["nodes"] = json!([
        {"mesh": 0, "skin": 0, "scale": [10, 1, 1]}, {"translation": [5, 0, 0], "children": [2]},
        {"translation": [0, 7, 0]},
    ]);
    file.json["scenes"] = json!([{"nodes": [0, 1]}]);
    file
}

const FIRST: [[f32; 4]; 4] = [[1.0, 0.0, 0.0, 0.0]; 4];

#[test]
fn joints_place_a_skinned_mesh_and_its_node_does_not() {
    let Parsed { geometry: mesh, warnings } = skinned(&[[0; 4]; 4], &FIRST).read();
    assert_eq!(bounds(&mesh), [[5.0, 0.0, 0.0], [6.0, 1.0, 0.0]]);
    assert_eq!((mesh.normals[0], warnings), ([0.0, 0.0, 1.0], vec![]));
    let mesh = skinned(&[[1, 0, 0, 0]; 4], &FIRST).read().geometry;
    assert_eq!(bounds(&mesh), [[5.0, 7.0, 0.0], [6.0, 8.0, 0.0]]);
    let half = [[0.5, 0.5, 0.0, 0.0]; 4];
    let mesh = skinned(&[[0, 1, 0, 0]; 4], &half).read().geometry;
    assert_eq!(bounds(&mesh), [[5.0, 3.5, 0.0], [6.0, 4.5, 0.0]]);
}

#[test]
fn bind_matrices_and_further_joints_count() {
    let mut file = skinned(&[[0; 4]; 4], &[[0.5, 0.0, 0.0, 0.0]; 4]);
    // Half a joint of the second set: together one.
    let joints = file.bytes(&[[1, 0, 0, 0]; 4], "VEC4", false);
    let weights = file.bytes(&[[128, 0, 0, 0]; 4], "VEC4", true);
    let mut inverse = [0.0; 16];
    (inverse[0], inverse[5], inverse[10], inverse[15]) = (2.0, 2.0, 2.0, 1.0);
    let mut identity = inverse;
    (identity[0], identity[5], identity[10], identity[12]) = (1.0, 1.0, 1.0, -5.0);
    let binds = file.floats(&[identity, inverse], "MAT4");
    file.json["skins"][0]["inverseBindMatrices"] = json!(binds);
    let attributes = &mut file.json["meshes"][0]["primitives"][0]["attributes"];
    (attributes["JOINTS_1"], attributes["WEIGHTS_1"]) = (json!(joints), json!(weights));
    let Parsed { geometry: mesh, warnings } = file.read();
    // The first joint moves by 5 - 5, the second doubles and moves to (5, 7): half of each.
    let expected = [[2.5, 3.5, 0.0], [4.0, 5.0, 0.0]];
    for (found, expected) in bounds(&mesh).as_flattened().iter().zip(expected.as_flattened()) {
        assert!((found - expected).abs() < 0.02, "{found} {expected}");
    }
    assert_eq!(warnings, [""; 0]);
}

#[test]
fn odd_skins_are_warnings_or_errors() {
    let Parsed { geometry, warnings } = skinned(&[[0; 4]; 4], &[[0.5, 0.0, 0.0, 0.0]; 4]).read();
    assert_eq!(bounds(&geometry), [[5.0, 0.0, 0.0], [6.0, 1.0, 0.0]]);
    assert_eq!(warnings, ["4 vertices had weights of joints that do not add up to one; scaled"]);
    let geometry = skinned(&[[0; 4]; 4], &[[0.0; 4]; 4]).read().geometry;
    assert_eq!(bounds(&geometry), [[5.0, 0.0, 0.0], [6.0, 1.0, 0.0]]);
    let error = skinned(&[[2, 0, 0, 0]; 4], &FIRST).error();
    assert!(error.starts_with("expected joints below 2, found 2 in accessor"), "{error}");
    let mut file = skinned(&[[0; 4]; 4], &FIRST);
    file.json["meshes"][0]["primitives"][0]["attributes"].as_object_mut().unwrap().remove("JOINTS_0");
    let Parsed { geometry, warnings } = file.read();
    assert_eq!(bounds(&geometry), [[0.0; 3], [10.0, 1.0, 0.0]]);
    assert_eq!(warnings, ["1 primitives of a skin name no joints; they lie where their node is"]);
    // A joint may stand in no scene, but not in no tree.
    let mut file = skinned(&[[0; 4]; 4], &FIRST);
    file.json["scenes"] = json!([{"nodes": [0]}]);
    assert_eq!(bounds(&file.read().geometry), [[5.0, 0.0, 0.0], [6.0, 1.0, 0.0]]);
    file.json["nodes"][2]["children"] = json!([1]);
    assert_eq!(file.error(), "expected joint 1 of skin 0 in a tree, found a node that is in none");
}

#[test]
fn joints_that_mirror_turn_the_triangles() {
    let mut file = skinned(&[[0; 4]; 4], &FIRST);
    file.json["nodes"][1]["scale"] = json!([-1, 1, 1]);
    let mesh = file.read().geometry;
    assert_eq!(bounds(&mesh), [[4.0, 0.0, 0.0], [5.0, 1.0, 0.0]]);
    assert_eq!(mesh.triangles, [[0, 2, 1], [0, 3, 2]]);
    assert_eq!(mesh.normals[0], [0.0, 0.0, 1.0]);
}

#[test]
fn morph_targets_count_by_the_weights_of_the_node_else_of_the_mesh() {
    let mut file = Builder::new();
    file.square(0.0, &[], None);
    let up = file.floats(&[[0.0, 0.0, 2.0]; 4], "VEC3");
    let far = file.floats(&[[8.0, 0.0, 0.0]; 4], "VEC3");
    file.json["meshes"][0]["primitives"][0]["targets"] =
        json!([{"POSITION": up}, {"POSITION": far, "TANGENT": far}]);
    assert_eq!(bounds(&file.read().geometry), [[0.0; 3], [1.0, 1.0, 0.0]]);
    file.json["meshes"][0]["weights"] = json!([0.5, 0]);
    assert_eq!(bounds(&file.read().geometry), [[0.0, 0.0, 1.0], [1.0, 1.0, 1.0]]);
    file.json["nodes"][0]["weights"] = json!([0.25, 1]);
    assert_eq!(bounds(&file.read().geometry), [[8.0, 0.0, 0.5], [9.0, 1.0, 0.5]]);
    file.json["meshes"][0]["primitives"][0]["targets"][0]["COLOR_0"] = json!(far);
    let expected = "expected morph targets of positions, normals and tangents, found one of \"COLOR_0\"";
    assert!(file.error().starts_with(expected), "{}", file.error());
}

#[test]
fn instances_are_placed_below_their_node() {
    let mut file = Builder::new();
    file.square(0.0, &[], None);
    let places = file.floats(&[[0.0, 0.0, 0.0], [3.0, 0.0, 0.0], [0.0, 0.0, 1.0]], "VEC3");
    let scales = file.floats(&[[1.0; 3], [2.0; 3], [-1.0, 1.0, 1.0]], "VEC3");
    let half = std::f32::consts::FRAC_1_SQRT_2;
    let turns = file.floats(&[[0.0, 0.0, 0.0, 1.0], [0.0, 0.0, half, half], [0.0, 0.0, 0.0, 1.0]], "VEC4");
    let attributes = json!({"TRANSLATION": places, "SCALE": scales, "ROTATION": turns, "_ID": places});
    file.json["nodes"] = json!([{"mesh": 0, "translation": [10, 0, 0], "extensions": {"EXT_mesh_gpu_instancing": {"attributes": attributes}}}]);
    file.json["extensionsRequired"] = json!(["EXT_mesh_gpu_instancing"]);
    let mesh = file.read().geometry;
    assert_eq!(mesh.positions.len(), 12);
    assert_eq!(mesh.positions[..4], SQUARE.map(|[x, y, z]| [f64::from(x) + 10.0, y.into(), z.into()]));
    // Twice as large and turned by a quarter: the corner (1, 0) lies at (0, 2).
    let turned = mesh.positions[5];
    assert!((turned[0] - 13.0).abs() < 1e-6 && (turned[1] - 2.0).abs() < 1e-6, "{turned:?}");
    assert_eq!(mesh.positions[9], [9.0, 0.0, 1.0]);
    assert_eq!(mesh.triangles[4..], [[8, 10, 9], [8, 11, 10]]);
    let scales = file.floats(&[[1.0; 3]], "VEC3");
    file.json["nodes"][0]["extensions"]["EXT_mesh_gpu_instancing"]["attributes"]["SCALE"] = json!(scales);
    assert!(file.error().starts_with("expected as many rows in each attribute of instances"));
}

#[test]
fn sparse_rows_replace_others_or_zeros() {
    let mut file = Builder::new();
    file.square(0.0, &[], None);
    let (rows, values) = (file.view(&[2, 0]), file.floats(&[[1.0, 1.0, 3.0]], "VEC3"));
    let values = file.json["accessors"][values]["bufferView"].clone();
    let sparse = |count: usize| json!({"count": count, "indices": {"bufferView": rows, "componentType": 5123}, "values": {"bufferView": values}});
    file.json["accessors"][0]["sparse"] = sparse(1);
    assert_eq!(file.read().geometry.positions[1..3], [[1.0, 0.0, 0.0], [1.0, 1.0, 3.0]]);
    let mut zeros = Builder::new();
    zeros.copy_of(&file);
    zeros.json["accessors"][0].as_object_mut().unwrap().remove("bufferView");
    assert_eq!(zeros.read().geometry.positions, [[0.0; 3], [0.0; 3], [1.0, 1.0, 3.0], [0.0; 3]]);
    zeros.json["accessors"][0]["count"] = json!(1u64 << 40);
    assert!(zeros.error().starts_with("expected at most 16777216 rows without data, found 1099511627776"));
    file.json["accessors"][0]["sparse"] = sparse(2);
    assert_eq!(file.error(), "expected sparse rows of accessor 0 inside their view, found some that are not");
    file.json["accessors"][0]["sparse"] = sparse(1);
    file.json["accessors"][0]["count"] = json!(2);
    assert_eq!(file.error(), "expected sparse rows below 2, found 2 in accessor 0");
}

#[test]
fn compressed_geometry_is_refused_by_name() {
    let mut file = Builder::new();
    file.square(0.0, &[], None);
    let draco = json!({"KHR_draco_mesh_compression": {"bufferView": 0, "attributes": {"POSITION": 0}}});
    file.json["meshes"][0]["primitives"][0]["extensions"] = draco;
    file.json["extensionsUsed"] = json!(["KHR_draco_mesh_compression"]);
    // Where the accessors have data of their own, that is read.
    assert_eq!(file.read().geometry.triangles.len(), 2);
    file.json["accessors"][0].as_object_mut().unwrap().remove("bufferView");
    let named = "found a primitive compressed by KHR_draco_mesh_compression (Draco), which is not read";
    assert_eq!(file.error(), format!("expected positions, {named}"));
    for (name, found) in [
        ("KHR_draco_mesh_compression", "\"KHR_draco_mesh_compression\" (Draco)"),
        ("EXT_meshopt_compression", "\"EXT_meshopt_compression\" (meshopt)"),
        ("ACME_shape", "\"ACME_shape\""),
    ] {
        file.json["extensionsRequired"] = json!([name]);
        assert_eq!(file.error(), format!("expected required extensions that are read here, found {found}"));
    }
    let fallback = br#"{"asset":{"version":"2.0"},"buffers":[{"byteLength":1,"extensions":{"EXT_meshopt_compression":{"fallback":true}}}]}"#;
    let error = parse(fallback).unwrap_err().to_string();
    assert!(error.contains("EXT_meshopt_compression (meshopt)"), "{error}");
}

#[test]
fn what_is_in_no_scene_is_left_out_with_a_warning() {
    let mut file = Builder::new();
    file.square(0.0, &[], None);
    file.json["nodes"] = json!([
        {"mesh": 0}, {"mesh": 0, "translation": [5, 0, 0]},
        {"mesh": 0, "extensions": {"KHR_node_visibility": {"visible": false}}, "children": [3]}, {"mesh": 0},
    ]);
    push(&mut file.json["scenes"], json!({"nodes": [1, 2]}));
    file.json["scene"] = json!(1);
    let Parsed { geometry, warnings } = file.read();
    assert_eq!(bounds(&geometry), [[5.0, 0.0, 0.0], [6.0, 1.0, 0.0]]);
    assert_eq!(
        warnings,
        ["3 of 4 nodes with a mesh are hidden or in no part of the default scene; left out"]
    );
    // Animations and cameras change nothing at rest, whatever they hold.
    file.json["animations"] = json!([{"channels": [{"target": {"path": "pointer"}}]}]);
    file.json["nodes"][1]["camera"] = json!(7);
    assert_eq!(file.read().geometry, geometry);
}

#[test]
fn strips_and_fans_and_what_is_no_triangle() {
    let mut file = Builder::new();
    for mode in [5, 6, 1] {
        let primitive = file.square(0.0, &[], None);
        let primitive = &mut file.json["meshes"][0]["primitives"][primitive];
        primitive["mode"] = json!(mode);
        primitive.as_object_mut().unwrap().remove("indices");
    }
    let Parsed { geometry, warnings } = file.read();
    assert_eq!(geometry.triangles, [[0, 1, 2], [2, 1, 3], [4, 5, 6], [4, 6, 7]]);
    assert_eq!(warnings, ["1 primitives of points or lines were skipped"]);
}
