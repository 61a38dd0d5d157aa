//! Grows small glTF files: accessors over one binary chunk, and whatever JSON a test adds.

use serde_json::{Value, json};

use super::super::*;
use crate::formats::textures::tests::png;

/// A unit square in z = 0, as two triangles.
pub(crate) const SQUARE: [[f32; 3]; 4] = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0]];

/// A file as it grows.
pub(crate) struct Builder {
    binary: Vec<u8>,
    pub(crate) json: Value,
}

impl Builder {
    /// No mesh yet; the scene shows node 0.
    pub(crate) fn new() -> Self {
        let json = json!({
            "asset": {"version": "2.0"}, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}], "accessors": [],
            "bufferViews": [], "meshes": [{"primitives": []}], "materials": [], "textures": [], "images": [],
        });
        Self { binary: Vec::new(), json }
    }

    /// Takes everything over from another file.
    pub(crate) fn copy_of(&mut self, other: &Self) {
        self.binary.clone_from(&other.binary);
        self.json = other.json.clone();
    }

    /// A buffer view of these bytes; its number.
    pub(crate) fn view(&mut self, bytes: &[u8]) -> usize {
        self.binary.resize(self.binary.len().next_multiple_of(4), 0);
        let view = json!({"buffer": 0, "byteOffset": self.binary.len(), "byteLength": bytes.len()});
        self.binary.extend(bytes);
        push(&mut self.json["bufferViews"], view)
    }

    /// An accessor over a view; its number.
    pub(crate) fn accessor(&mut self, view: usize, component: u32, count: usize, kind: &str) -> usize {
        let accessor = json!({"bufferView": view, "componentType": component, "count": count, "type": kind});
        push(&mut self.json["accessors"], accessor)
    }

    /// An accessor of floats, `kind` being that of a row of `N` of them.
    pub(crate) fn floats<const N: usize>(&mut self, rows: &[[f32; N]], kind: &str) -> usize {
        let bytes: Vec<u8> = rows.as_flattened().iter().flat_map(|x| x.to_le_bytes()).collect();
        let view = self.view(&bytes);
        self.accessor(view, 5126, rows.len(), kind)
    }

    /// An accessor of bytes, normalized or not.
    pub(crate) fn bytes<const N: usize>(
        &mut self,
        rows: &[[u8; N]],
        kind: &str,
        is_normalized: bool,
    ) -> usize {
        let view = self.view(rows.as_flattened());
        let accessor = self.accessor(view, 5121, rows.len(), kind);
        self.json["accessors"][accessor]["normalized"] = json!(is_normalized);
        accessor
    }

    /// A primitive of the unit square moved along x, with further attributes; its number in mesh 0.
    pub(crate) fn square(&mut self, x: f32, attributes: &[(&str, usize)], material: Option<usize>) -> usize {
        let position = self.floats(&SQUARE.map(|[px, y, z]| [px + x, y, z]), "VEC3");
        let indices = self.view(&[0, 1, 2, 0, 2, 3]);
        let indices = self.accessor(indices, 5121, 6, "SCALAR");
        let mut primitive = json!({"attributes": {"POSITION": position}, "indices": indices});
        for (name, accessor) in attributes {
            primitive["attributes"][name] = json!(accessor);
        }
        if let Some(material) = material {
            primitive["material"] = json!(material);
        }
        push(&mut self.json["meshes"][0]["primitives"], primitive)
    }

    /// A texture of rows of pixels; its number.
    pub(crate) fn texture(&mut self, rows: &[&[[u8; 3]]]) -> usize {
        let view = self.view(&png(rows));
        let image = push(&mut self.json["images"], json!({"bufferView": view, "mimeType": "image/png"}));
        push(&mut self.json["textures"], json!({"source": image}))
    }

    /// A material of this JSON; its number.
    pub(crate) fn material(&mut self, material: Value) -> usize {
        push(&mut self.json["materials"], material)
    }

    /// The file.
    pub(crate) fn glb(&self) -> Vec<u8> {
        let mut json = self.json.clone();
        json["buffers"] = json!([{"byteLength": self.binary.len()}]);
        let mut text = json.to_string().into_bytes();
        text.resize(text.len().next_multiple_of(4), b' ');
        let mut bytes = b"glTF\x02\0\0\0".to_vec();
        bytes.extend((28 + text.len() as u32 + self.binary.len() as u32).to_le_bytes());
        for (kind, data) in [(b"JSON", &text), (b"BIN\0", &self.binary)] {
            bytes.extend((data.len() as u32).to_le_bytes());
            bytes.extend(kind);
            bytes.extend(data);
        }
        bytes
    }

    /// What is read of it, textures included.
    pub(crate) fn read(&self) -> Parsed<Mesh> {
        self.try_read().unwrap()
    }

    /// The error of a file that is refused.
    pub(crate) fn error(&self) -> String {
        self.try_read().unwrap_err().to_string()
    }

    fn try_read(&self) -> Result<Parsed<Mesh>, ParseError> {
        read_scene(&self.glb(), true, &mut NoFiles, &Budget::default()).map_err(|fault| match fault {
            ReadFault::Parse(error) => error,
            ReadFault::Named(error) => panic!("{error}"),
        })
    }
}

/// Appends to a JSON array; the place of what was appended.
pub(crate) fn push(array: &mut Value, value: Value) -> usize {
    let array = array.as_array_mut().unwrap();
    array.push(value);
    array.len() - 1
}
