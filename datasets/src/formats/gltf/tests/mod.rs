//! glTF from text and bytes in memory: transforms, buffers from anywhere, errors.

mod builder;
mod colors;
mod files;
mod shapes;

use std::sync::Arc;

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

/// Knows one file.
struct OneFile(&'static [u8], Vec<u8>);

impl Resolver for OneFile {
    fn resolve(&mut self, name: &[u8]) -> Result<Companion, ReadFault> {
        let bytes = (name == self.0).then(|| Arc::new(self.1.clone()));
        Ok(bytes.map_or(Unread::new("is missing").into(), Companion::Read))
    }
}

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
    assert_eq!(error_of(node, &outside), "expected accessor 0 inside its buffer view, found one that is not");
    let huge = POSITIONS.replace("\"count\":3", "\"count\":18446744073709551615");
    assert_eq!(error_of(node, &huge), "expected accessor 0 inside its buffer view, found one that is not");
    let short = POSITIONS.replace("\"count\":3", "\"count\":2");
    assert_eq!(error_of(node, &short), "expected vertex indices below 2, found 2 in accessor 1");
    assert!(parse(b"{").unwrap_err().to_string().starts_with("expected glTF JSON, found EOF"));
    let old = parse(br#"{"asset":{"version":"1.0"},"meshes":{}}"#).unwrap_err().to_string();
    assert_eq!(old, "expected glTF version 2, found version \"1.0\"");
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
    let mut file = OneFile(b"a b.bin", data.clone());
    let read = read_scene(text("a%20b.bin").as_bytes(), false, &mut file, &Budget::default());
    let mesh = read.unwrap().geometry;
    assert_eq!(mesh.positions[3], [1.0, 1.0, -1.0]);
    assert_eq!(mesh.triangles, [[0, 1, 2], [2, 1, 3]]);
    let embedded = parse(text("data:;base64,AAAAAH8AAAAAfwAAf3+BAA==").as_bytes()).unwrap().geometry;
    assert_eq!(embedded, mesh);
    assert_eq!(
        parse(text("gone.bin").as_bytes()).unwrap_err().to_string(),
        "expected the bytes of buffer 0, found \"gone.bin\" is in another file"
    );
}
