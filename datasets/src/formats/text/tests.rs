//! Text tables: syntax, headers and counts, names, and what is refused.

use super::*;

fn table(text: &str) -> TextTable {
    parse_table(text.as_bytes(), &Budget::default()).unwrap()
}

fn error(text: &str) -> String {
    parse_columns(text.as_bytes(), &ColumnSpec::default()).unwrap_err().to_string()
}

#[test]
fn delimiters_are_found() {
    for text in ["1 2 3\n4 5 6\n", "1,2,3\r\n4, 5 ,6", "1;2;3;\n4;5;6;\n", "1\t2\t3\n\n# c\n4\t5\t6 // d\n"] {
        let table = table(text);
        assert_eq!((table.width(), table.rows(), &table.columns[1]), (3, 2, &vec![2.0, 5.0]), "{text}");
    }
}

#[test]
fn counts_and_headers() {
    assert_eq!(table("2\n1 2 3\n4 5 6\n").rows(), 2);
    assert_eq!(table("2\n3\n4\n").rows(), 3);
    assert_eq!(error("7\n1 2 3\n"), "expected the count of the 1 rows, found 7, line 1");
    for text in ["Z,x,\"Y\",time\n3,1,2,9\n", "// z x y time\nZ x y time\n3 1 2 9\n", "\n#Z x y i\n3 1 2 9"] {
        let cloud = parse_columns(text.as_bytes(), &ColumnSpec::default()).unwrap().geometry;
        assert_eq!(cloud.positions, [[1.0, 2.0, 3.0]], "{text}");
    }
    assert_eq!(error("x,y,z\n1,2\n"), "expected 2 column names, found 3, line 1");
}

#[test]
fn columns_by_name() {
    let spec = ColumnSpec::new(&["x", "y", "z", "nx", "ny", "nz", "label", "intensity", "r", "g", "b", "_"])
        .unwrap();
    let cloud = parse_columns(b"1 2 3 0 0 1 7 0.5 255 0 1 99\n", &spec).unwrap().geometry;
    assert_eq!(cloud.normals, Some(vec![[0.0, 0.0, 1.0]]));
    assert_eq!(cloud.point_labels, Some(vec![7]));
    assert_eq!(cloud.intensity, Some(vec![0.5]));
    assert_eq!(cloud.colors, Some(vec![[255, 0, 1]]));
    let six = parse_columns(b"1 2 3 0 1 0", &ColumnSpec::default()).unwrap().geometry;
    assert_eq!(six.normals, Some(vec![[0.0, 1.0, 0.0]]));
}

#[test]
fn errors_name_the_line() {
    assert_eq!(error("1 2 3\n4 5\n"), "expected 3 numbers, found \"4 5\", line 2");
    assert_eq!(error("1 2 3\n4 5 x\n"), "expected a number, found \"x\", line 2");
    assert_eq!(error("1,2,3\n4,,6\n"), "expected a number, found \"\", line 2");
    assert_eq!(error(""), "expected rows of numbers, found none");
    assert!(error("1 2 3 4\n").ends_with("a header line or a list of column names, found 4 columns"));
    assert_eq!(error("nan 0 0\ninf 0 0\n"), "expected at least one finite point, found 2 rows, none finite");
}

#[test]
fn rows_that_are_not_finite_are_dropped_with_a_warning() {
    let parsed = parse_columns(b"1 2 3\nnan 0 0\n", &ColumnSpec::default()).unwrap();
    assert_eq!(parsed.geometry.len(), 1);
    assert_eq!(parsed.warnings, ["1 of 2 points are not finite and were dropped"]);
}

/// What a table gives: points, colours, labels, the kinds of its warnings.
fn cloud(text: &str, names: &[&str]) -> (PointCloud, Vec<WarningKind>) {
    let parsed = parse_columns(text.as_bytes(), &ColumnSpec::new(names).unwrap()).unwrap();
    (parsed.geometry, parsed.warnings.iter().map(|w| w.kind).collect())
}

const POINTS: [[f64; 3]; 2] = [[1.5, 2.5, 3.5], [4.0, 5.0, -6.25]];

#[test]
fn headers_of_many_programs() {
    for (text, warnings) in [
        ("\"Points:0\",\"Points:1\",\"Points:2\"\n1.5,2.5,3.5\n4,5,-6.25\n", 0),
        ("x [m],y [m],z [m]\n1.5,2.5,3.5\n4,5,-6.25\n", 0),
        ("x [m] y [m] z [m]\n1.5 2.5 3.5\n4 5 -6.25\n", 0),
        (",x,y,z\n0,1.5,2.5,3.5\n1,4,5,-6.25\n", 0),
        ("Unnamed: 0,x,y,z\n0,1.5,2.5,3.5\n1,4,5,-6.25\n", 0),
        ("x y z\n1 1.5 2.5 3.5\n2 4 5 -6.25\n", 1),
        ("\"x\" \"y\" \"z\"\n\"a\" 1.5 2.5 3.5\n\"b\" 4 5 -6.25\n", 1),
        ("\u{feff}X;Y;Z\n1.5;2.5;3.5\n4;5;-6.25\n", 0),
        ("X;Y;Z\n1,5;2,5;3,5\n4;5;-6,25\n", 0),
        ("sep=;\nX;Y;Z\n1,5;2,5;3,5\n4;5;-6,25\n", 0),
        ("1,5\t2,5\t3,5\n4\t5\t-6,25\n", 0),
        ("1,5 2,5 3,5\n4 5 -6,25\n", 0),
        ("\"1,5\",\"2,5\",\"3,5\"\n\"4\",\"5\",\"-6,25\"\n", 0),
        ("PointX,PointY,PointZ\n1.5,2.5,3.5\n4,5,-6.25\n", 0),
        ("z,y,x\n3.5,2.5,1.5\n-6.25,5,4\n", 0),
        ("//X,Y,Z,Scalar field\n1.5,2.5,3.5,0.5\n4,5,-6.25,0.5\n", 0),
        ("//X Y Z\n2\n1.5 2.5 3.5\n4 5 -6.25\n", 0),
        ("2\nx y z\n1.5 2.5 3.5\n4 5 -6.25\n", 0),
        ("% exported\n1.5 2.5 3.5\n4 5 -6.25\n", 0),
        ("# x y z of the scan of 2020\n1.5 2.5 3.5\n4 5 -6.25\n", 0),
        ("0,1,2\n1.5,2.5,3.5\n4,5,-6.25\n", 1),
        ("x,y,z,\n1.5,2.5,3.5,\n4,5,-6.25,\n", 0),
        ("time,X,Y,Z,what\n10:00:01.5,1.5,2.5,3.5,\"a, b\"\n10:00:02,4,5,-6.25,http://c#d\n", 0),
    ] {
        let (found, kinds) = cloud(text, &[]);
        assert_eq!(found.positions, POINTS, "{text}");
        assert_eq!((kinds.len(), found.colors, found.normals), (warnings, None, None), "{text} {kinds:?}");
    }
}

#[test]
fn columns_that_are_passed_over_may_hold_anything() {
    for text in [
        "2020-01-01 10:00:00.5,1.5,2.5,3.5,7,n/a\n2020-01-01 10:00:00.6,4,5,-6.25,8,\n",
        "t,p,q,s,u,v\n2020-01-01,1.5,2.5,3.5,7,#1\n2020-01-02,4,5,-6.25,8,\n",
        "a b 1.5 2.5 3.5 7\nc d 4 5 -6.25 8\n",
    ] {
        let names: &[&str] = if text.starts_with('a') {
            &["_", "-", "x", "y", "z", "label"]
        } else {
            &["_", "x", "y", "z", "label", "-"]
        };
        let (found, kinds) = cloud(text, names);
        assert_eq!((found.positions, found.point_labels), (POINTS.to_vec(), Some(vec![7, 8])), "{text}");
        assert_eq!(kinds, [], "{text}");
    }
    let (found, kinds) = cloud("z,y,x\n1.5,2.5,3.5\n4,5,-6.25\n", &["x", "y", "z"]);
    assert_eq!((found.positions, kinds), (POINTS.to_vec(), vec![WarningKind::ColumnsRenamed]));
}

#[test]
fn colours_labels_and_intensities_are_right_or_unknown() {
    let head =
        "\"X\",\"Y\",\"Z\",\"Intensity\",\"ReturnNumber\",\"Classification\",\"Red\",\"Green\",\"Blue\"\n";
    let las = format!("{head}1,2,3,120.000,1.000,2.000,51200.000,25600.000,12800.000\n");
    let (found, kinds) = cloud(&las, &[]);
    assert_eq!(found.colors, Some(vec![[200, 100, 50]]));
    assert_eq!((found.intensity, found.point_labels), (Some(vec![120.0]), Some(vec![2])));
    assert_eq!(kinds, [WarningKind::ColorsGuessed]);
    let (found, kinds) = cloud("//X Y Z Rf Gf Bf\n1 2 3 0.2 0.4 0.6\n", &[]);
    assert_eq!((found.colors, kinds.len()), (Some(vec![[51, 102, 153]]), 0));
    let (found, kinds) = cloud("1 2 3 200 100 50\n4 5 6 0 0 1\n", &[]);
    assert_eq!((found.colors, found.normals), (Some(vec![[200, 100, 50], [0, 0, 1]]), None));
    assert_eq!(kinds, [WarningKind::ColumnsGuessed]);
    let (found, kinds) = cloud("x,y,z,label\n1,2,3,\n4,5,6,1\n", &[]);
    assert_eq!((found.len(), found.point_labels, kinds), (2, None, vec![WarningKind::LabelsUnknown]));
    let (found, kinds) = cloud("x,y,z,label\n,,,\n4,5,6,1\n", &[]);
    assert_eq!((found.point_labels, kinds), (Some(vec![1]), vec![WarningKind::PointsNotFinite]));
}

#[test]
fn what_cannot_be_told_is_refused() {
    for (text, expected) in [
        ("lon,lat,height\n1,2,3\n", "expected columns x, y and z, found columns \"lon,lat,height\""),
        (",0,1,2\n0,1.5,2.5,3.5\n", "expected columns x, y and z, found columns \",0,1,2\""),
        ("x y z\n1.5 2.5 3.5 0\n4 5 6 1\n", "expected 4 column names, found 3, line 1"),
        (
            "2020-01-01 1 2 3\n2020-01-02 4 5 6\n",
            "expected columns x, y and z, found columns \"2020-01-01,1,2,3\"",
        ),
        ("x,y,z\n1,5,2,5,3,5\n", "expected 6 column names, found 3, line 1"),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
    for text in ["1,5, 2,5, 3,5\n", "0,05,0,12,0,33\n0,5,0,1,0,3\n", "1,1,1,2,2,2\n0,05,0,12,0,33\n"] {
        assert!(error(text).starts_with("expected a point as decimal mark between commas"), "{text}");
    }
    let few = parse_within(b"1 2 3\n4 5 6\n", &ColumnSpec::default(), &Budget::new(100)).unwrap_err();
    assert!(few.to_string().contains("run.max_object_mb"), "{few}");
}
