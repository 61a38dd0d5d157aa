//! npy files: types, orders, named fields, and what is refused.

use jepa3d_schemas::WarningKind;

use super::*;

/// An npy file of version 1.
pub(crate) fn file(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let header = format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// The values of a plain array of C order.
pub(crate) fn values(bytes: &[u8]) -> Vec<f64> {
    let array = NpyArray::read(bytes).unwrap();
    let scalar = array.header.fields[0].scalar.unwrap();
    scalar.read_strided(array.data, scalar.size, usize::MAX)
}

#[test]
fn orders_and_types() {
    let points = |fortran, data: &[f32]| {
        parse(&file("'<f4'", fortran, "(2, 3)", &floats(data))).unwrap().geometry.positions
    };
    let right = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
    assert_eq!(points(false, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), right);
    assert_eq!(points(true, &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]), right);
    let leading = file("'<f4'", true, "(1, 1, 2, 3)", &floats(&[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]));
    assert_eq!(parse(&leading).unwrap().geometry.positions, right);
    assert_eq!(values(&file("'>i2'", false, "(2,)", &[0, 1, 255, 255])), [1.0, -1.0]);
    assert_eq!(values(&file("'|u1'", false, "()", &[7])), [7.0]);
}

#[test]
fn six_columns_are_normals_or_colours_by_their_values_and_type() {
    let read = |descr: &str, data: &[u8]| {
        let Parsed { geometry, warnings } = parse(&file(descr, false, "(1, 6)", data)).unwrap();
        (geometry.normals, geometry.colors, warnings.iter().map(|w| w.kind).collect::<Vec<_>>())
    };
    let normals = read("'<f4'", &floats(&[1.0, 2.0, 3.0, 0.0, -0.6, 0.8]));
    assert_eq!(normals, (Some(vec![[0.0, -0.6, 0.8]]), None, vec![]));
    let guessed = (None, Some(vec![[51, 102, 153]]), vec![WarningKind::ColumnsGuessed]);
    assert_eq!(read("'<f4'", &floats(&[1.0, 2.0, 3.0, 0.2, 0.4, 0.6])), guessed);
    assert_eq!(read("'|u1'", &[1, 2, 3, 51, 102, 153]), guessed);
    let words: Vec<u8> =
        [1u16, 2, 3, 51 * 256, 102 * 256, 153 * 256].iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(read("'<u2'", &words), guessed);
}

#[test]
fn named_fields_are_columns() {
    let mut data = Vec::new();
    for i in 0..2u8 {
        data.extend([9; 4]);
        data.extend(floats(&[1.0, 2.0, f32::from(i)]));
        data.extend([200, 100, 50, 255]);
        data.extend((300i32 + i32::from(i)).to_be_bytes());
        data.extend(0.5f64.to_le_bytes());
    }
    let descr = "[('t', '|S4'), ('xyz', '<f4', (3,)), ('rgba', '|u1', 4), ('label', '>i4'), ('I', '<f8')]";
    let Parsed { geometry, warnings } = parse(&file(descr, false, "(2,)", &data)).unwrap();
    assert_eq!(geometry.positions, [[1.0, 2.0, 0.0], [1.0, 2.0, 1.0]]);
    assert_eq!(geometry.colors, Some(vec![[200, 100, 50]; 2]));
    assert_eq!(geometry.point_labels, Some(vec![300, 301]));
    assert_eq!((geometry.intensity, warnings.len()), (Some(vec![0.5; 2]), 0));
    let error = |descr: &str, bytes: usize| {
        parse(&file(descr, false, "(1,)", &vec![0; bytes])).unwrap_err().to_string()
    };
    let text = "expected columns x, y and z, found columns \"a,b\"";
    assert_eq!(error("[('a', '<f4'), ('b', '<f4')]", 8), text);
    assert!(error("[('a', [('b', '<f4')])]", 4).starts_with("expected fields of numbers"));
    assert!(
        error("[('x', '<U2'), ('y', '<f4'), ('z', '<f4')]", 16).starts_with("expected columns x, y and z")
    );
}

#[test]
fn the_budget_is_charged_before_values_are_read() {
    let bytes = file("'|u1'", false, "(1000, 3)", &[0; 3000]);
    let error = parse_within(&bytes, &ColumnSpec::default(), &Budget::new(9000)).err().unwrap().to_string();
    assert!(error.contains("run.max_object_mb"), "{error}");
}

#[test]
fn clouds() {
    let cloud = parse(&file("'<f4'", false, "(1, 2, 3)", &floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))).unwrap();
    assert_eq!(cloud.geometry.positions, [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
    let error = parse(&file("'<f4'", false, "(6,)", &floats(&[0.0; 6]))).unwrap_err();
    assert_eq!(error.to_string(), "expected an array [N,C] of points, found shape [6]");
}

#[test]
fn bad_files_are_errors() {
    let error = |bytes: &[u8]| parse(bytes).unwrap_err().to_string();
    assert_eq!(
        error(&file("'<f4'", false, "(1000000000000, 3)", &[])),
        "expected data of shape [1000000000000, 3] (4 bytes a value), found 0 bytes"
    );
    assert!(error(&file("'<f4'", false, "(18446744073709551615, 3)", &[])).ends_with("found 0 bytes"));
    assert_eq!(
        error(&file("'|O'", false, "(1,)", &[])),
        "expected values of type f2, f4, f8, i1-i8, u1-u8 or b1, found \"'|O'\""
    );
    assert!(error(b"PK").starts_with("expected an npy magic"));
    assert!(error(&file("'<f4'", false, "(1", &[])).starts_with("expected an npy header"));
}
