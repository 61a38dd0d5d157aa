//! ShapeNetPart on real clouds in both layouts and on small trees.

use std::path::Path;

use super::*;
use crate::dataset::Dataset;
use crate::test_data::test_data;

fn put(root: &Path, file: &str, text: &str) {
    let path = root.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn points(set: &ShapeNetPart, index: usize) -> jepa3d_schemas::PointCloud {
    let Shape::Points(cloud) = set.get(index).unwrap().shape else { panic!() };
    cloud
}

#[test]
fn both_layouts_give_the_same_clouds() {
    let Some(root) = test_data("shapenetpart") else { return };
    let config = ShapeNetPartConfig::default();
    let old = ShapeNetPart::open(&root, &config).unwrap();
    let new = ShapeNetPart::open(&root.join("txt_layout_no_normals"), &config).unwrap();
    assert_eq!((old.layout, new.layout), (ShapeNetPartLayout::PtsSeg, ShapeNetPartLayout::Txt));
    assert_eq!((old.len(), new.len()), (16, 16));
    assert_eq!(new.notes()[1], "objects: 16 (train 12, val 2, test 2)");
    assert_eq!(old.notes()[1], "objects: 16 (train 16)");
    for i in 0..16 {
        assert_eq!(old.id(i), new.id(i));
        let (a, b) = (points(&old, i), points(&new, i));
        assert!(a.positions == b.positions && a.point_labels == b.point_labels && b.normals.is_none());
        let object = new.get(i).unwrap();
        // One shape a category, ids ascend with the synset: the class number is the index.
        assert_eq!(object.label, Some(i as i32));
        assert_eq!(object.warnings, [format!("of {0} normals {0} zero; none are kept", a.len()).as_str()]);
        let range = new.categories.parts[i].clone();
        assert!(a.point_labels.unwrap().iter().all(|l| range.contains(l)));
    }
    assert_eq!(new.classes()[9], "Laptop");
}

#[test]
fn labels_normals_and_missing_clouds() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    put(root, CATEGORY_LIST, "Table\t04379243\nBag 02773838\nMug 03797390\n");
    put(
        root,
        "train_test_split/shuffled_train_file_list.json",
        r#"["shape_data/02773838/0a", "shape_data/02773838/gone",
        "shape_data/03797390/x", "shape_data/02773838/0a"]"#,
    );
    put(root, "train_test_split/shuffled_test_file_list.json", r#"["shape_data/04379243/u-1-2"]"#);
    put(root, "02773838/0a.txt", "1 2 3 0 1 0 4.000000\n1 2 4 0 0 0 5.000000\n");
    put(root, "04379243/u-1-2.txt", "1 2 3 0 1 0 46\n");
    let set = ShapeNetPart::open(root, &ShapeNetPartConfig::default()).unwrap();
    let ids: Vec<_> = (0..set.len()).map(|i| format!("{} {}", set.id(i), set.split(i))).collect();
    assert_eq!(ids, ["02773838/0a train", "02773838/gone train", "04379243/u-1-2 test"]);
    assert_eq!(
        set.notes()[2..],
        [
            "1 names are listed more than once and were kept once",
            "train_test_split/shuffled_val_file_list.json is not there: no val split from lists",
            "1 listed clouds were left out: nothing of their synset is here"
        ]
    );
    let object = set.get(0).unwrap();
    assert_eq!((object.label, object.category.as_deref()), (Some(1), Some("Bag")));
    assert_eq!(object.warnings, ["of 2 normals 1 zero; none are kept"]);
    assert_eq!(points(&set, 0).point_labels, Some(vec![4, 5]));
    let error = set.get(1).unwrap_err().to_string();
    assert!(
        error.contains("02773838/gone.txt: missing")
            && error.ends_with("shuffled_train_file_list.json names")
    );
    let error = set.get(2).unwrap_err().to_string();
    assert!(error.ends_with("u-1-2.txt, row 0: expected a part label from 47 to 49, found 46"), "{error}");
}

#[test]
fn points_and_labels_must_agree() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    put(root, CATEGORY_LIST, "Bag\t02773838\n");
    put(root, "02773838/points/a.pts", "1 2 3\n4 5 6\n");
    let set = || ShapeNetPart::open(root, &ShapeNetPartConfig::default()).unwrap();
    assert_eq!(set().notes()[2], "no split lists were found: every cloud is in train");
    assert!(set().get(0).unwrap_err().to_string().contains("points_label/a.seg: missing"));
    for (labels, expected) in [
        ("1\n", "a.seg: expected one label for each of 2 points, found 1"),
        ("1\n3\n", "a.seg, row 1: expected a part label from 1 to 2, found 3"),
        ("1\n0\n", "a.seg, row 1: expected a part label from 1 to 2, found 0"),
        ("1\n1.5\n", "a.seg, row 1: expected a part label from 1 to 2, found 1.5"),
        ("1 1\n2 2\n", "a.seg: expected 1 columns: one label a line, found 2"),
        ("1\nx\n", "a.seg, line 2: expected a number"),
    ] {
        put(root, "02773838/points_label/a.seg", labels);
        let error = set().get(0).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    put(root, "02773838/points_label/a.seg", "1\n2\n");
    assert_eq!(points(&set(), 0).point_labels, Some(vec![4, 5]));
}

#[test]
fn bad_lists_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let open = || ShapeNetPart::open(root, &ShapeNetPartConfig::default()).err().unwrap().to_string();
    assert!(open().contains("synsetoffset2category.txt: missing"));
    for (list, expected) in [
        ("Bag\n", "line 1: expected a category and its synset"),
        ("Bag 2773838\n", "line 1: expected a synset of the 16"),
        ("Bag 02773838\nBag 02773838\n", "line 2: expected each synset once"),
        ("\n", "line 1: expected categories"),
    ] {
        put(root, CATEGORY_LIST, list);
        assert!(open().contains(expected), "{}", open());
    }
    put(root, CATEGORY_LIST, "Bag 02773838\n");
    assert!(open().contains("02773838: missing: expected clouds"));
    put(root, "02773838/0a.txt", "1 2 3 0 1 0 4\n");
    for (list, expected) in [
        ("[\"shape_data/02773838/0a\"", "line 1: expected a JSON list of names"),
        ("[\n1]", "line 2: expected a JSON list of names"),
        ("[\"shape_data/02773838/../0a\"]", "row 0: expected shape_data/<synset>/<id> of a listed category"),
        ("[\"shape_data/02773838/0a\", \"shape_data/04379243/b\"]", "row 1: expected shape_data"),
    ] {
        put(root, "train_test_split/shuffled_train_file_list.json", list);
        assert!(open().contains(expected), "{}", open());
    }
    put(root, "train_test_split/shuffled_train_file_list.json", "[\"shape_data/02773838/0a\"]");
    put(root, "train_test_split/shuffled_test_file_list.json", "[\"shape_data/02773838/0a\"]");
    assert!(open().contains("expected object \"02773838/0a\" once"));
}

#[test]
fn broken_lists_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    put(root, CATEGORY_LIST, "Bag 02773838\n");
    put(root, "02773838/a.txt", "1 2 3 0 1 0 4\n");
    let list = br#"["shape_data/02773838/a", "shape_data/02773838/b-1"]"#;
    let mut opened = 0;
    for round in 0..300 {
        let mut draws = jepa3d_schemas::Draws::new(round, "json", "mutations");
        let mut broken = list.to_vec();
        for _ in 0..draws.index(3) {
            let at = draws.index(broken.len());
            broken[at] = draws.bits() as u8;
        }
        let file = root.join("train_test_split/shuffled_train_file_list.json");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, &broken).unwrap();
        opened += usize::from(ShapeNetPart::open(root, &ShapeNetPartConfig::default()).is_ok());
    }
    assert!(opened > 30 && opened < 290, "{opened} of 300");
}
