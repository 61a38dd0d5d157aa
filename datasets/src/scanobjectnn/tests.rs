//! ScanObjectNN on files of its layout that were derived from ModelNet10.

use super::*;
use crate::dataset::Dataset;
use crate::test_data::test_data;

fn open(root: &Path, variant: ScanObjectNnVariant, remove_background: bool) -> ScanObjectNn {
    let config = ScanObjectNnConfig { variant, remove_background, point_labels: true, ..Default::default() };
    ScanObjectNn::open(root, &config).unwrap()
}

fn points(object: jepa3d_schemas::Object) -> jepa3d_schemas::PointCloud {
    let Shape::Points(cloud) = object.shape else { panic!("{} has no points", object.id) };
    cloud
}

#[test]
fn every_file_of_the_layout() {
    let Some(root) = test_data("h5/scanobjectnn_layout") else { return };
    let sources = std::fs::read_to_string(root.join("SOURCES.tsv")).unwrap();
    let rows: Vec<Vec<&str>> = sources.lines().skip(1).map(|l| l.split('\t').collect()).collect();
    for variant in [ScanObjectNnVariant::ObjBg, ScanObjectNnVariant::ObjOnly, ScanObjectNnVariant::PbT50Rs] {
        let set = open(&root, variant, false);
        assert_eq!(set.len(), 224);
        assert_eq!((set.id(0), set.id(64), set.id(223)), ("test/00000", "train/00000", "train/00159"));
        for i in (0..set.len()).step_by(3) {
            let object = set.get(i).unwrap();
            let (file, row) =
                set.source(i).split_once('#').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
            let source = rows.iter().find(|r| r[0] == file && r[1] == row).unwrap();
            assert_eq!(object.label.unwrap().to_string(), source[2], "{file} {row}");
            let cloud = points(object);
            assert_eq!(cloud.len(), 2048);
            assert_eq!(cloud.point_labels.as_ref().unwrap().len(), 2048);
        }
    }
}

#[test]
fn background_is_removed_by_the_mask_of_any_type() {
    let Some(root) = test_data("h5/scanobjectnn_layout") else { return };
    for (variant, kept) in [
        (ScanObjectNnVariant::ObjBg, 1024),
        (ScanObjectNnVariant::PbT50Rs, 1024),
        (ScanObjectNnVariant::ObjOnly, 2048),
    ] {
        let set = open(&root, variant, true);
        assert!(set.notes()[0].ends_with("background removed by the mask"));
        for i in [0, 63, 64, 223] {
            let cloud = points(set.get(i).unwrap());
            assert_eq!(cloud.len(), kept, "{variant:?} {i}");
            assert!(cloud.point_labels.unwrap().iter().all(|&l| l != BACKGROUND));
        }
    }
}

#[test]
fn threads_and_order_do_not_matter() {
    let Some(root) = test_data("h5/scanobjectnn_layout") else { return };
    let set = open(&root, ScanObjectNnVariant::PbT50Rs, false);
    let forward: Vec<_> = (0..set.len()).map(|i| set.get(i).unwrap()).collect();
    let other = open(&root, ScanObjectNnVariant::PbT50Rs, false);
    std::thread::scope(|scope| {
        for t in 0..4 {
            let (other, forward) = (&other, &forward);
            scope.spawn(move || {
                for i in (0..forward.len()).rev().filter(|i| i % 4 == t || i % 7 == 0) {
                    assert_eq!(other.get(i).unwrap(), forward[i]);
                }
            });
        }
    });
}

#[test]
fn notes_tell_the_variant_and_missing_files_are_named() {
    let Some(root) = test_data("h5/scanobjectnn_layout") else { return };
    assert_eq!(
        open(&root, ScanObjectNnVariant::ObjBg, false).notes(),
        [
            "variant: OBJ_BG (main_split)",
            "objects: 224 (train 160, test 64)",
            "OBJ_BG as published has train 2309, test 581: this is something else"
        ]
    );
    let config = ScanObjectNnConfig { variant: ScanObjectNnVariant::PbT25R, ..Default::default() };
    let error = ScanObjectNn::open(&root, &config).err().unwrap().to_string();
    assert!(error.contains("main_split/training_objectdataset_augmented25rot.h5: missing"), "{error}");
    assert!(error.contains("PB_T25_R in h5_files.zip"), "{error}");
}

#[test]
fn names_of_the_papers_are_the_settings() {
    let read = |text| serde_json::from_str::<ScanObjectNnConfig>(text);
    assert_eq!(read("{}").unwrap(), ScanObjectNnConfig::default());
    assert_eq!(read(r#"{"variant": "PB_T50_R"}"#).unwrap().variant, ScanObjectNnVariant::PbT50R);
    let error = read(r#"{"variant": "hardest"}"#).unwrap_err().to_string();
    assert!(error.contains("`OBJ_BG`, `OBJ_ONLY`, `PB_T25`"), "{error}");
    assert!(read(r#"{"varient": "OBJ_BG"}"#).is_err());
}
