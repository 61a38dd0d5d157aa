//! PCD files: colours in every form, poses, labels, and what does not fit the header.

use super::*;

/// A file of fields, types and rows of text.
fn text(fields: &str, types: &str, rows: &[&str]) -> Vec<u8> {
    let n = rows.len();
    let four = types.replace(|c: char| c.is_ascii_alphabetic(), "4");
    let head = format!("VERSION 0.7\nFIELDS {fields}\nSIZE {four}\nTYPE {types}\nWIDTH {n}\nHEIGHT 1\n");
    format!("{head}VIEWPOINT 0 0 0 1 0 0 0\nDATA ascii\n{}\n", rows.join("\n")).into_bytes()
}

/// Colours and the kinds of the warnings.
fn colors(bytes: &[u8]) -> (Option<Vec<[u8; 3]>>, Vec<WarningKind>) {
    let parsed = parse(bytes).unwrap();
    (parsed.geometry.colors, parsed.warnings.iter().map(|w| w.kind).collect())
}

const PACKED: u32 = 200 << 16 | 100 << 8 | 50;

#[test]
fn packed_colours_of_text() {
    let one = |word: &str, kind: &str| {
        colors(&text(
            "x y z rgb",
            &format!("F F F {kind}"),
            &[&format!("1 2 3 {word}"), &format!("4 5 6 {word}")],
        ))
    };
    let right = Some(vec![[200, 100, 50]; 2]);
    let opaque = 0xFF00_0000 | PACKED;
    assert_eq!(one(&format!("{:e}", f32::from_bits(PACKED)), "F"), (right.clone(), vec![]));
    assert_eq!(one(&opaque.to_string(), "U"), (right.clone(), vec![]));
    assert_eq!(one(&(opaque as i32).to_string(), "I"), (right.clone(), vec![]));
    assert_eq!(one(&(opaque as i32).to_string(), "U").0, right);
    let guessed = (right.clone(), vec![WarningKind::ColorsGuessed]);
    assert_eq!(one(&opaque.to_string(), "F"), guessed);
    assert_eq!(one(&(opaque as i32).to_string(), "F"), guessed);
    assert_eq!(one(&format!("{:e}", f32::from_bits(PACKED)), "U").0, right);
    assert_eq!(one("4.2108e+06", "F"), (Some(vec![[128, 128, 224]; 2]), vec![]));
    assert_eq!(one("0", "F"), (Some(vec![[0; 3]; 2]), vec![]));
    for (word, kind) in
        [("nan", "F"), ("-nan", "F"), ("inf", "F"), ("nan", "U"), ("4.29132e+09", "U"), ("9999999999", "U")]
    {
        assert_eq!(one(word, kind), (None, vec![WarningKind::ColorsUnknown]), "{word} {kind}");
    }
    let half = colors(&text("x y z rgb", "F F F F", &["1 2 3 nan", "4 5 6 0"]));
    assert_eq!(half, (None, vec![WarningKind::ColorsUnknown]));
    let dropped = colors(&text("x y z rgb", "F F F F", &["nan nan nan nan", "4 5 6 0"]));
    assert_eq!(dropped, (Some(vec![[0; 3]]), vec![WarningKind::PointsNotFinite]));
}

/// A binary file of points at 1, 2, ... with one field of 4 bytes behind x, y and z.
fn binary(name: &str, kind: &str, words: &[u32]) -> Vec<u8> {
    let n = words.len();
    let mut bytes = format!(
        "FIELDS x y z {name}\nSIZE 4 4 4 4\nTYPE F F F {kind}\nCOUNT 1 1 1 1\nWIDTH {n}\nHEIGHT 1\nPOINTS {n}\nDATA binary\n"
    )
    .into_bytes();
    for (i, word) in words.iter().enumerate() {
        bytes.extend([i as f32; 3].iter().flat_map(|v| v.to_le_bytes()).chain(word.to_le_bytes()));
    }
    bytes
}

#[test]
fn packed_colours_of_bytes() {
    let opaque = 0xFF00_0000 | PACKED;
    for (kind, name, word) in
        [("F", "rgb", PACKED), ("F", "rgb", opaque), ("U", "rgba", opaque), ("I", "rgb", opaque)]
    {
        assert_eq!(colors(&binary(name, kind, &[word; 2])), (Some(vec![[200, 100, 50]; 2]), vec![]));
    }
    let unknown = (None, vec![WarningKind::ColorsUnknown]);
    assert_eq!(colors(&binary("rgb", "F", &[0x7FC0_0000, opaque])), unknown);
    assert_eq!(colors(&binary("rgb", "F", &[0xFFC0_0000; 2])), unknown);
    assert_eq!(colors(&binary("rgb", "F", &[0xFFC0_0000, PACKED])), unknown);
    let red = Some(vec![[192, 0, 0], [200, 100, 50]]);
    assert_eq!(colors(&binary("rgb", "F", &[0xFFC0_0000, opaque])).0, red);
    assert_eq!(colors(&binary("rgba", "U", &[0xFFC0_0000; 2])).0, Some(vec![[192, 0, 0]; 2]));
}

#[test]
fn labels_beyond_16_bits_are_dropped_by_name() {
    let parsed = parse(&binary("label", "U", &[3 << 16 | 40, 40])).unwrap();
    assert_eq!(parsed.geometry.point_labels, None);
    let text = "1 of 2 labels are no whole numbers from -32768 to 32767, the first 196648; none are kept";
    assert_eq!(parsed.warnings, [text]);
    assert_eq!(parse(&binary("label", "U", &[7, 40])).unwrap().geometry.point_labels, Some(vec![7, 40]));
}

#[test]
fn colours_apart_have_the_range_of_their_type() {
    let head = |kind: &str, size: usize| {
        format!(
            "FIELDS x y z r g b\nSIZE 4 4 4 {size} {size} {size}\nTYPE F F F {kind} {kind} {kind}\nWIDTH 1\nHEIGHT 1\nDATA ascii\n"
        )
    };
    for (kind, size, row) in
        [("U", 1, "200 100 50"), ("U", 2, "51200 25600 12800"), ("F", 4, "0.7843 0.3922 0.1961")]
    {
        let found = colors(format!("{}1 2 3 {row}\n", head(kind, size)).as_bytes());
        assert_eq!(found, (Some(vec![[200, 100, 50]]), vec![]), "{kind} {size}");
    }
}

#[test]
fn what_is_not_honoured_is_said() {
    let parsed = |head: &str, rows: &str| {
        let text = format!("VERSION .7\n{head}\nWIDTH 1\nHEIGHT 1\nDATA ascii\n{rows}\n");
        parse(text.as_bytes()).unwrap()
    };
    let plain = "FIELDS x y z\nSIZE 4 4 4\nTYPE F F F";
    assert_eq!(parsed(&format!("{plain}\nVIEWPOINT 0 0 0 1 0 0 0"), "1 2 3").warnings.len(), 0);
    for pose in ["0 0 1.5 1 0 0 0", "0 0 0 0.7 0.7 0 0"] {
        let posed = parsed(&format!("{plain}\nVIEWPOINT {pose}"), "1 2 3");
        assert_eq!(posed.warnings[0].kind, WarningKind::ViewpointIgnored);
        assert_eq!(posed.geometry.positions, [[1.0, 2.0, 3.0]]);
    }
    assert_eq!(
        parsed(plain, "1 2 3\n4 5 6").warnings,
        ["lines after the last point are ignored, from line 9"]
    );
    let wide = "FIELDS x y z rgb _\nSIZE 4 4 4 1 1\nTYPE F F F U U\nCOUNT 1 1 1 3 2";
    assert_eq!(parsed(wide, "1 2 3 9 9 9 0 0").warnings, ["field \"rgb\" of 3 x 1 bytes is not read"]);
    let mut long = binary("label", "U", &[7, 40]);
    long.extend([1; 16]);
    assert_eq!(parse(&long).unwrap().warnings, ["16 bytes after the last point are ignored"]);
    let error = parse(&text("a b c", "F F F", &["1 2 3"])).unwrap_err().to_string();
    assert_eq!(error, "expected columns x, y and z, found columns \"a,b,c\"");
}

#[test]
fn the_budget_is_charged_before_points_are_read() {
    let error = parse_within(&binary("label", "U", &[0; 100]), &Budget::new(6000)).unwrap_err().to_string();
    assert!(error.contains("run.max_object_mb"), "{error}");
}
