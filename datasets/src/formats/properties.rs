//! Properties of the parsers: what is written is read back bit for bit, and no bytes make one panic.

use std::path::Path;

use jepa3d_schemas::{Mesh, Shape};
use proptest::prelude::*;

use super::{ColumnSpec, gltf, mtl, npy, npz, obj, off, pcd, ply, stl, text, velodyne};
use crate::budget::Budget;

/// Finite coordinates of any size, spelled so that they read back as the same bits.
fn coordinate() -> impl Strategy<Value = f64> {
    prop_oneof![-10.0..10.0, any::<f64>().prop_filter("finite", |v| v.is_finite())]
}

/// Some vertices and triangles between them.
fn mesh() -> impl Strategy<Value = Mesh> {
    let positions = proptest::collection::vec(proptest::array::uniform3(coordinate()), 3..20);
    positions.prop_flat_map(|positions| {
        let index = 0..positions.len() as u32;
        let triangles = proptest::collection::vec(proptest::array::uniform3(index), 1..30);
        triangles.prop_map(move |triangles| Mesh {
            positions: positions.clone(),
            triangles,
            ..Mesh::default()
        })
    })
}

/// The same mesh with coordinates that f32 can hold.
fn rounded(mesh: &Mesh) -> Mesh {
    let round = |p: &[f64; 3]| p.map(|x| f64::from((x as f32).clamp(f32::MIN, f32::MAX)));
    Mesh { positions: mesh.positions.iter().map(round).collect(), ..mesh.clone() }
}

fn rows(mesh: &Mesh, start: &str) -> String {
    mesh.positions.iter().map(|[x, y, z]| format!("{start}{x} {y:e} {z}\n")).collect()
}

fn faces(mesh: &Mesh, start: &str, base: u32) -> String {
    let face = |[a, b, c]: &[u32; 3]| format!("{start}{} {} {}\n", a + base, b + base, c + base);
    mesh.triangles.iter().map(face).collect()
}

fn ply_bytes(mesh: &Mesh, big: bool) -> Vec<u8> {
    let word = if big { "big" } else { "little" };
    let (n, t) = (mesh.positions.len(), mesh.triangles.len());
    let xyz = "property double x\nproperty double y\nproperty double z\n";
    let mut bytes = format!(
        "ply\nformat binary_{word}_endian 1.0\nelement vertex {n}\n{xyz}element face {t}\nproperty list uchar uint vertex_indices\nend_header\n"
    )
    .into_bytes();
    for x in mesh.positions.iter().flatten() {
        bytes.extend(if big { x.to_be_bytes() } else { x.to_le_bytes() });
    }
    for triangle in &mesh.triangles {
        bytes.push(3);
        for i in triangle {
            bytes.extend(if big { i.to_be_bytes() } else { i.to_le_bytes() });
        }
    }
    bytes
}

fn stl_bytes(mesh: &Mesh) -> Vec<u8> {
    let mut bytes = vec![0; 80];
    bytes.extend((mesh.triangles.len() as u32).to_le_bytes());
    for triangle in &mesh.triangles {
        bytes.extend([0; 12]);
        for x in triangle.iter().flat_map(|&i| mesh.positions[i as usize]) {
            bytes.extend((x as f32).to_le_bytes());
        }
        bytes.extend([0; 2]);
    }
    bytes
}

fn pcd_bytes(positions: &[[f64; 3]], data: &str) -> Vec<u8> {
    let n = positions.len();
    let mut bytes = format!(
        "VERSION 0.7\nFIELDS x y z\nSIZE 8 8 8\nTYPE F F F\nCOUNT 1 1 1\nWIDTH {n}\nHEIGHT 1\nPOINTS {n}\nDATA {data}\n"
    )
    .into_bytes();
    if data == "binary" {
        bytes.extend(positions.iter().flatten().flat_map(|x| x.to_le_bytes()));
        return bytes;
    }
    let columns: Vec<u8> =
        (0..3).flat_map(|c| positions.iter().flat_map(move |p| p[c].to_le_bytes())).collect();
    // LZF of literals only: legal, if no shorter.
    let packed: Vec<u8> = columns
        .chunks(32)
        .flat_map(|c| std::iter::once(c.len() as u8 - 1).chain(c.iter().copied()))
        .collect();
    bytes.extend((packed.len() as u32).to_le_bytes());
    bytes.extend((columns.len() as u32).to_le_bytes());
    bytes.extend(packed);
    bytes
}

proptest! {
    #[test]
    fn obj_and_off_round_trip(mesh in mesh()) {
        let text = format!("{}{}", rows(&mesh, "v "), faces(&mesh, "f ", 1));
        prop_assert_eq!(&obj::parse(text.as_bytes()).unwrap().mesh, &mesh);
        let (n, t) = (mesh.positions.len(), mesh.triangles.len());
        let text = format!("OFF{n} {t} 0\n{}{}", rows(&mesh, ""), faces(&mesh, "3 ", 0));
        prop_assert_eq!(&off::parse(text.as_bytes()).unwrap().geometry, &mesh);
    }

    #[test]
    fn ply_and_stl_round_trip(mesh in mesh(), big: bool) {
        prop_assert_eq!(ply::parse(&ply_bytes(&mesh, big)).unwrap().geometry, Shape::Mesh(mesh.clone()));
        let mesh = rounded(&mesh);
        let read = stl::parse(&stl_bytes(&mesh)).unwrap().geometry;
        let corners: Vec<_> = mesh.triangles.iter().flatten().map(|&i| mesh.positions[i as usize]).collect();
        prop_assert_eq!(read.positions, corners);
    }

    #[test]
    fn clouds_round_trip(mesh in mesh()) {
        let points = mesh.positions;
        for data in ["binary", "binary_compressed"] {
            prop_assert_eq!(&pcd::parse(&pcd_bytes(&points, data)).unwrap().geometry.positions, &points);
        }
        let csv: String = points.iter().map(|[x, y, z]| format!("{x},{y},{z:e}\n")).collect();
        let read = text::parse_columns(csv.as_bytes(), &ColumnSpec::default()).unwrap();
        prop_assert_eq!(&read.geometry.positions, &points);
        let data: Vec<u8> = points.iter().flatten().flat_map(|x| x.to_be_bytes()).collect();
        let file = npy::tests::file("'>f8'", false, &format!("({}, 3)", points.len()), &data);
        prop_assert_eq!(&npy::parse(&file).unwrap().geometry.positions, &points);
        let file = npz::tests::archive(&[("points", file)]);
        prop_assert_eq!(&npz::parse(&file).unwrap().geometry.positions, &points);
    }

    /// Arbitrary bytes behind each format's first bytes.
    #[test]
    fn no_bytes_make_a_parser_panic(tail in proptest::collection::vec(any::<u8>(), 0..400), which in 0usize..12) {
        let heads: [&[u8]; 12] = [
            b"", b"OFF\n3 1 0\n", b"ply\nformat ascii 1.0\n", b"solid ", b"\x93NUMPY\x01\x00", b"PK\x03\x04",
            b"glTF\x02\0\0\0", b"v 0 0 0\nf ", b"FIELDS x y z\nDATA binary", b"\xff\xfe", b"newmtl a\n", b"{\"asset\":",
        ];
        let bytes = [heads[which], &tail].concat();
        let _ = (obj::parse(&bytes), off::parse(&bytes), ply::parse(&bytes), stl::parse(&bytes));
        let _ = (pcd::parse(&bytes), npy::parse(&bytes), npz::parse(&bytes), mtl::parse(&bytes));
        let _ = (gltf::parse(&bytes), text::parse_columns(&bytes, &ColumnSpec::default()));
        let _ = velodyne::parse_within(&bytes, Path::new("a.bin"), &ColumnSpec::default(), &Budget::default());
    }

    /// Tables of fields that other programs write, in any order.
    #[test]
    fn no_fields_make_a_table_panic(fields in proptest::collection::vec(0usize..24, 0..60), named in 0usize..3) {
        const FIELDS: [&str; 24] = [
            "1 ", "2,", "3;", "\t", "\n", "\"", "x,", "y,", "z\n", "x y z\n", "//X Y Z\n", "# ", "nan ", "0,1,2\n", "1,5 ", "05,",
            "label", "[m] ", "-", "r,g,b\n", "1e400 ", "2\n", "% ", "http://a#b,",
        ];
        let text: String = fields.iter().map(|&f| FIELDS[f]).collect();
        let names: [&[&str]; 3] = [&[], &["x", "y", "z"], &["_", "x", "y", "z", "label"]];
        let _ = text::parse_columns(text.as_bytes(), &ColumnSpec::new(names[named]).unwrap());
    }

    /// Lines of legal words in any order reach deeper than bytes do.
    #[test]
    fn no_words_make_a_parser_panic(words in proptest::collection::vec(0usize..24, 0..120)) {
        const WORDS: [&str; 24] = [
            "v ", "vn ", "vt ", "f ", "1 ", "-1 ", "2/1 ", "3//2 ", "0 ", "1e300 ", "nan ", "\n", "\\\n", "#", "usemtl a",
            "OFF ", "\n3 ", "4 ", "ply\n", "solid\n", "vertex ", "endloop\n", "facet\n", "99999999999 ",
        ];
        let text: String = words.iter().map(|&w| WORDS[w]).collect();
        let _ = (obj::parse(text.as_bytes()), off::parse(text.as_bytes()), ply::parse(text.as_bytes()));
        let _ = (stl::parse(text.as_bytes()), text::parse_table(text.as_bytes(), &Budget::default()));
    }
}
