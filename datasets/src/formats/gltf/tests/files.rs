//! glTF files on disk: what lies beside them, and what may not.

use std::path::Path;

use serde_json::json;

use super::super::*;
use super::builder::Builder;
use crate::error::Error;
use crate::formats::textures::tests::png;
use crate::formats::{Loaded, ReadOptions, read_geometry};

/// A triangle whose positions are in the file `uri`.
fn triangle(uri: &str) -> String {
    json!({
        "asset": {"version": "2.0"}, "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"}],
        "bufferViews": [{"buffer": 0, "byteLength": 36}], "buffers": [{"byteLength": 36, "uri": uri}],
    })
    .to_string()
}

fn read(root: &Path, name: &str, text: &[u8]) -> Result<Loaded, Error> {
    std::fs::write(root.join(name), text).unwrap();
    read_geometry(&root.join(name), &ReadOptions { textures: true, root: Some(root.to_owned()) })
}

#[test]
fn buffers_outside_the_data_folder_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    std::fs::create_dir_all(root.join("a")).unwrap();
    let positions: Vec<u8> =
        [0f32, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(dir.path().join("secret.bin"), &positions).unwrap();
    std::fs::write(root.join("b.bin"), &positions).unwrap();
    for uri in ["../b.bin", "%2e%2e%2Fb.bin", "..%5cb.bin", "..\\b.bin", "/home/x/../b.bin/../../a/../b.bin"]
    {
        let read = read(&root, "a/in.gltf", triangle(uri).as_bytes());
        if uri.starts_with('/') {
            // The last part of a foreign path is looked for beside the file alone.
            let error = read.unwrap_err().to_string();
            assert!(error.ends_with("lies outside the data folder"), "{error}");
        } else {
            read.unwrap();
        }
    }
    for uri in ["../../secret.bin", "%2e%2e/%2e%2e/secret.bin", "..\\..\\secret.bin", "x/../../../secret.bin"]
    {
        let error = read(&root, "a/out.gltf", triangle(uri).as_bytes()).unwrap_err().to_string();
        assert!(error.ends_with("lies outside the data folder"), "{error}");
        assert!(error.contains("out.gltf: expected the bytes of buffer 0, found \""), "{error}");
    }
}

#[test]
fn images_outside_the_data_folder_are_warnings() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    std::fs::create_dir_all(&root).unwrap();
    std::fs::write(dir.path().join("secret.png"), png(&[&[[1, 2, 3]]])).unwrap();
    std::fs::write(root.join("in.png"), png(&[&[[1, 2, 3]]])).unwrap();
    let mut file = Builder::new();
    file.json["images"] = json!([{"uri": "../secret.png"}, {"uri": "in.png"}]);
    file.json["textures"] = json!([{"source": 0}, {"source": 1}]);
    let uvs = file.floats(&[[0.5; 2]; 4], "VEC2");
    for texture in 0..2 {
        let material =
            file.material(json!({"pbrMetallicRoughness": {"baseColorTexture": {"index": texture}}}));
        file.square(0.0, &[("TEXCOORD_0", uvs)], Some(material));
    }
    let loaded = read(&root, "a.glb", &file.glb()).unwrap();
    assert_eq!(loaded.warnings, ["image 0 cannot be read: \"../secret.png\" lies outside the data folder"]);
    let jepa3d_schemas::Shape::Mesh(mesh) = loaded.shape else { panic!("points") };
    assert_eq!(mesh.materials[1].texture.as_ref().unwrap().rgb, [[1, 2, 3]]);
}

#[test]
fn objects_and_instances_are_charged_before_they_are_made() {
    let nodes = format!(r#"{{"asset":{{"version":"2.0"}},"nodes":[{}{{}}]}}"#, "{},".repeat(5000));
    let read = |bytes: &[u8], budget: u64| {
        let fault = read_scene(bytes, false, &mut NoFiles, &Budget::new(budget)).err();
        fault.map(|fault| fault.in_file(Path::new("a.glb")).to_string()).unwrap_or_default()
    };
    assert!(read(nodes.as_bytes(), 1 << 20).contains("for the objects of the JSON"));
    assert_eq!(read(nodes.as_bytes(), 4 << 20), "");
    let mut file = Builder::new();
    file.square(0.0, &[], None);
    let places = file.floats(&[[0.0; 3]; 1000], "VEC3");
    file.json["nodes"][0]["extensions"] =
        json!({"EXT_mesh_gpu_instancing": {"attributes": {"TRANSLATION": places}}});
    let error = read(&file.glb(), 100_000);
    assert!(error.contains("for the vertices and triangles of a mesh"), "{error}");
    assert_eq!(read(&file.glb(), 1 << 20), "");
}

#[test]
fn byte_order_marks_and_padding_change_nothing() {
    let mut file = Builder::new();
    file.square(0.0, &[], None);
    let glb = file.glb();
    let mut trailing = glb.clone();
    trailing.extend([0, 0, 0, 1, 2, 3, 4, 5, 6]);
    let plain = parse(&glb).unwrap();
    let behind = parse(&trailing).unwrap();
    assert_eq!(behind.geometry, plain.geometry);
    let told = format!("the header states {} bytes, the file has {}", glb.len(), trailing.len());
    assert_eq!(behind.warnings, [told.as_str()]);
    let text =
        triangle("data:application/octet-stream;base64,AAAAAAAAAAAAAAAAAACAPwAAAAAAAAAAAAAAAAAAgD8AAAAA");
    let marked = format!("\u{feff}{text}\0\0");
    assert_eq!(parse(marked.as_bytes()).unwrap(), parse(text.as_bytes()).unwrap());
}
