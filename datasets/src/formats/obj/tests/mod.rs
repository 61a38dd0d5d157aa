//! OBJ from text in memory: corner forms, padding, errors with their line, warnings.

use jepa3d_schemas::NO_INDEX;

mod materials;

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
    assert_eq!(error("f 1 2 x\n"), "expected a face corner v, v/vt, v//vn or v/vt/vn, found \"x\", line 5");
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
