//! PLY files: encodings, elements, attributes, and what is refused or said.

use jepa3d_schemas::PointCloud;

use super::*;

const HEAD: &str =
    "ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty double z\n";
const POINTS: &str = "0 0 0\n1 0 0\n1 1 0\n0 1 0\n";

fn error(text: &str) -> String {
    parse(text.as_bytes()).unwrap_err().to_string()
}

fn mesh_of(bytes: &[u8]) -> Mesh {
    match parse(bytes).unwrap().geometry {
        Shape::Mesh(mesh) => mesh,
        Shape::Points(_) => panic!("points"),
    }
}

#[test]
fn ascii_faces_and_strips() {
    let face =
        "element face 1\nproperty uchar material\nproperty list uchar int vertex_indices\nend_header\n";
    let mesh = mesh_of(format!("{HEAD}{face}{POINTS}9 4 0 1 2 3\n").as_bytes());
    assert_eq!(mesh.triangles, [[0, 1, 2], [0, 2, 3]]);
    let strip = "element tristrips 1\nproperty list int int vertex_indices\nend_header\n";
    let mesh = mesh_of(format!("{HEAD}{strip}{POINTS}8 0 1 3 2 -1 1 2 3\n").as_bytes());
    assert_eq!(mesh.triangles, [[0, 1, 3], [3, 1, 2], [1, 2, 3]]);
}

#[test]
fn binary_of_both_orders_with_faces_before_vertices() {
    for big in [false, true] {
        let word = if big { "big" } else { "little" };
        let mut bytes = format!(
            "ply\r\nformat binary_{word}_endian 1.0\r\nelement face 1\r\nproperty list uchar ushort vertex_index\r\n\
             element junk 2\r\nproperty list char double q\r\nelement vertex 3\r\nproperty short x\r\n\
             property float y\r\nproperty double z\r\nend_header\r\n"
        )
        .into_bytes();
        let mut put = |bits: &[u8]| bytes.extend(bits.iter().rev().copied().collect::<Vec<_>>());
        let order = |bits: &[u8]| if big { bits.iter().rev().copied().collect() } else { bits.to_vec() };
        // `put` reverses, so values are given in the opposite order of the file.
        let mut value = |le: &[u8]| put(&order(le).iter().rev().copied().collect::<Vec<u8>>());
        value(&[3]);
        for index in [0u16, 1, 2] {
            value(&index.to_le_bytes());
        }
        value(&[1]);
        value(&7f64.to_le_bytes());
        value(&[0]);
        for i in 0..3i16 {
            value(&i.to_le_bytes());
            value(&(f32::from(i) * 0.5).to_le_bytes());
            value(&(-f64::from(i * i)).to_le_bytes());
        }
        let mesh = mesh_of(&bytes);
        assert_eq!(mesh.positions, [[0.0, 0.0, 0.0], [1.0, 0.5, -1.0], [2.0, 1.0, -4.0]]);
        assert_eq!(mesh.triangles, [[0, 1, 2]]);
        assert!(parse(&bytes[..bytes.len() - 1]).is_err());
    }
}

#[test]
fn errors_name_the_place() {
    let face = "element face 1\nproperty list uchar int vertex_indices\nend_header\n";
    assert_eq!(
        error(&format!("{HEAD}{face}{POINTS}3 0 1 4\n")),
        "expected a vertex index below 4, found 4, line 14"
    );
    assert_eq!(
        error(&format!("{HEAD}{face}0 0 0\n1 inf 0\n0 0 0\n0 1 0\n3 0 1 2\n")),
        "expected three finite coordinates, found a value that is not finite, line 11"
    );
    assert_eq!(
        error(&format!("{HEAD}end_header\n0 0 0\n1 0\n0 0 0\n0 0 0.00\n")),
        "expected 3 values, found 2, line 9"
    );
    assert_eq!(
        error(&format!("{HEAD}end_header\n0 0 0\n")),
        "expected at most 1 elements vertex in the rest of the file, found 4, line 3"
    );
    assert_eq!(error(""), "expected a first line \"ply\", found \"\", line 1");
    assert_eq!(error("ply\nformat ascii 1.0\nend_header\n"), "expected an element vertex, found none");
}

/// A file of vertices with properties `float x, y, z` and others, as text.
fn cloud_of(properties: &[&str], rows: &[&str]) -> (PointCloud, Vec<WarningKind>) {
    let head: String = ["float x", "float y", "float z"]
        .iter()
        .chain(properties)
        .map(|p| format!("property {p}\n"))
        .collect();
    let count = rows.len();
    let text =
        format!("ply\nformat ascii 1.0\nelement vertex {count}\n{head}end_header\n{}\n", rows.join("\n"));
    let Parsed { geometry, warnings } = parse(text.as_bytes()).unwrap();
    let Shape::Points(cloud) = geometry else { panic!("a mesh") };
    (cloud, warnings.iter().map(|w| w.kind).collect())
}

#[test]
fn colours_have_the_range_of_their_type() {
    let right = Some(vec![[200, 100, 50]]);
    for (properties, row, kinds) in [
        (["uchar red", "uchar green", "uchar blue"], "1 2 3 200 100 50", vec![]),
        (["ushort red", "ushort green", "ushort blue"], "1 2 3 51200 25600 12800", vec![]),
        (["ushort r", "ushort g", "ushort b"], "1 2 3 51400 25700 12850", vec![]),
        (["ushort red", "ushort green", "ushort blue"], "1 2 3 200 100 50", vec![WarningKind::ColorsGuessed]),
        (["int red", "int green", "int blue"], "1 2 3 200 100 50", vec![]),
        (
            ["float diffuse_red", "float diffuse_green", "float diffuse_blue"],
            "1 2 3 0.7843 0.3922 0.1961",
            vec![],
        ),
        (
            ["float red", "float green", "float blue"],
            "1 2 3 51200 25600 12800",
            vec![WarningKind::ColorsGuessed],
        ),
        (["float f_dc_0", "float f_dc_1", "float f_dc_2"], "1 2 3 1.00786 -0.38234 -1.07738", vec![]),
    ] {
        let (cloud, found) = cloud_of(&properties, &[row]);
        assert_eq!((cloud.colors, found), (right.clone(), kinds), "{properties:?}");
    }
    let (cloud, kinds) = cloud_of(&["float red", "float green", "float blue"], &["1 2 3 nan 0 0"]);
    assert_eq!((cloud.colors, kinds), (None, vec![WarningKind::ColorsUnknown]));
    let (cloud, kinds) = cloud_of(&["uchar red", "uchar green", "float x"], &["1 2 3 9 9 7"]);
    assert_eq!((cloud.positions, cloud.colors), (vec![[1.0, 2.0, 3.0]], None));
    assert_eq!(kinds, [WarningKind::ColumnsIgnored; 2]);
}

#[test]
fn labels_of_vertices_are_kept_or_said_to_be_lost() {
    let (cloud, kinds) = cloud_of(&["ushort label"], &["1 2 3 65535", "4 5 6 7"]);
    assert_eq!((cloud.point_labels, kinds), (None, vec![WarningKind::LabelsUnknown]));
    let (cloud, kinds) = cloud_of(&["float scalar_Label"], &["1 2 3 -100", "4 5 6 7", "nan 5 6 nan"]);
    assert_eq!((cloud.point_labels, kinds), (Some(vec![-100, 7]), vec![WarningKind::PointsNotFinite]));
    let text = format!(
        "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\nproperty int label\n{FACE}0 0 0 1\n1 0 0 2\n0 1 0 3\n3 0 1 2\n"
    );
    let Parsed { warnings, .. } = parse(text.as_bytes()).unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].text.starts_with("labels of vertices are not kept"));
}

const FACE: &str = "element face 1\nproperty list uchar int vertex_indices\nend_header\n";

#[test]
fn faces_have_colours_of_their_own() {
    let face = "element face 2\nproperty uchar red\nproperty list uchar int vertex_indices\nproperty uchar green\nproperty uchar blue\nend_header\n";
    let mesh = mesh_of(format!("{HEAD}{face}{POINTS}200 4 0 1 2 3 100 50\n10 3 0 1 2 20 30\n").as_bytes());
    let of_triangle =
        |t: usize| mesh.materials[mesh.triangle_materials[t] as usize].diffuse.map(|v| v * 255.0);
    assert_eq!([0, 1, 2].map(of_triangle), [[200.0, 100.0, 50.0], [200.0, 100.0, 50.0], [10.0, 20.0, 30.0]]);
    assert_eq!(mesh.materials.len(), 2);
}

#[test]
fn what_is_not_read_is_said() {
    let warnings = |text: String| parse(text.as_bytes()).unwrap().warnings;
    let textured = HEAD.replace("element", "comment TextureFile a b.png\nelement");
    assert_eq!(
        warnings(format!("{textured}end_header\n{POINTS}")),
        ["texture file \"a b.png\" is not read: PLY has no rule for it"]
    );
    assert_eq!(
        warnings(format!("{HEAD}end_header\n{POINTS}\n9 9 9\n")),
        ["lines after the last element are ignored, from line 13"]
    );
    let other = FACE.replace("face", "patch");
    assert_eq!(
        warnings(format!("{HEAD}{other}{POINTS}3 0 1 2\n")),
        ["1 rows of element \"patch\" are not read"]
    );
    assert_eq!(
        error(&format!("{HEAD}{}{POINTS}3 0 1 2\n", FACE.replace("vertex_indices", "corners"))),
        "expected a list vertex_indices in element face, found \"corners\", line 7"
    );
    assert_eq!(
        error("ply\nformat ascii 1.0\nelement vertex 0\nproperty float x\nproperty float s\nend_header\n"),
        "expected columns x, y and z, found columns \"x,s\""
    );
    let two = format!("{HEAD}{}end_header\n{POINTS}{POINTS}", &HEAD[21..]);
    assert_eq!(error(&two), "expected one element vertex, found a second one, line 7");
}

#[test]
fn the_budget_is_charged_before_rows_are_read() {
    let mut bytes = b"ply\nformat binary_little_endian 1.0\nelement vertex 1000\nproperty uchar x\nproperty uchar y\nproperty uchar z\nend_header\n".to_vec();
    bytes.extend([0; 3000]);
    let error = parse_within(&bytes, &Budget::new(9000)).unwrap_err().to_string();
    assert!(error.contains("run.max_object_mb"), "{error}");
}
