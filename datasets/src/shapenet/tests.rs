//! ShapeNet on real models and on small trees of every layout.

use std::path::Path;

use jepa3d_schemas::Shape;

use super::config::Unlisted;
use super::*;
use crate::dataset::Dataset;
use crate::test_data::test_data;

const OBJ: &str = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n";

fn put(root: &Path, file: &str, text: impl AsRef<[u8]>) {
    let path = root.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn ids(set: &ShapeNet) -> Vec<(String, String)> {
    (0..set.len()).map(|i| (set.id(i).to_owned(), set.split(i).to_owned())).collect()
}

/// A minimal npy of one point, `f4 [1,3]`.
fn npy(point: [f32; 3]) -> Vec<u8> {
    let mut header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3), }".to_vec();
    header.resize(128 - 10 - 1, b' ');
    header.push(b'\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header);
    bytes.extend(point.iter().flat_map(|x| x.to_le_bytes()));
    bytes
}

#[test]
fn real_v2_models_with_their_split() {
    let Some(root) = test_data("shapenetcore_v2") else { return };
    let set = ShapeNet::open(&root, &ShapeNetConfig::default()).unwrap();
    assert_eq!(
        (set.notes()[0].as_str(), set.len()),
        ("layout: core-v2 (<synset>/<model>/models/model_normalized.obj)", 25)
    );
    let notes = set.notes();
    assert_eq!(notes[1], "objects: 25 (train 19, val 4, test 2)");
    assert_eq!(notes[2], "50 of 75 listed models were left out: nothing of their synset is here");
    let mut failed = Vec::new();
    for i in 0..set.len() {
        match set.get(i) {
            Ok(object) => {
                assert_eq!((object.label, object.category.as_deref()), (Some(13), Some("camera")));
                let Shape::Mesh(mesh) = object.shape else { panic!("{} is no mesh", object.id) };
                let side = |k: usize| {
                    let x = || mesh.positions.iter().map(|p| p[k]);
                    x().fold(f64::MIN, f64::max) - x().fold(f64::MAX, f64::min)
                };
                let diagonal = (0..3).map(|k| side(k).powi(2)).sum::<f64>().sqrt();
                assert!((diagonal - 1.0).abs() < 0.01, "{} has the diagonal {diagonal}", object.id);
            }
            Err(error) => failed.push(error.to_string()),
        }
    }
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(failed[0].contains("6d036fd1c70e5a5849493d905c02fa86/models/model_normalized.obj: missing"));
    assert!(failed[0].contains("all.csv, line "), "{}", failed[0]);
}

#[test]
fn v1_without_lists_is_all_train() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "02691156/0a1/model.obj", OBJ);
    put(dir.path(), "02691156/00a-b-c/model.obj", OBJ);
    put(dir.path(), "02834778/b/model.obj", OBJ);
    let set = ShapeNet::open(dir.path(), &ShapeNetConfig::default()).unwrap();
    assert_eq!(set.notes()[0], "layout: core-v1 (<synset>/<model>/model.obj)");
    let train = |id: &str| (id.to_owned(), "train".to_owned());
    assert_eq!(ids(&set), [train("02691156/00a-b-c"), train("02691156/0a1")]);
    assert_eq!(
        set.notes()[2..],
        [
            "no split lists were found: every model is in train",
            "1 models are of synsets outside the 55 of ShapeNetCore v2 and were left out"
        ]
    );
    assert_eq!(set.get(0).unwrap().category.as_deref(), Some("airplane"));
}

#[test]
fn csv_rows_meet_folders() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    for model in ["001", "002", "zzz"] {
        put(root, &format!("03001627/{model}/models/model_normalized.obj"), OBJ);
    }
    let csv = "\u{feff}id,synsetId,subSynsetId,modelId,split\r\n0,03001627,x,001,test\r\n1,03001627,x,002,val\n\
               2,03001627,x,gone,train\n3,02691156,x,absent,train\n1,03001627,x,002,val\n";
    put(root, "all.csv", csv);
    let set = ShapeNet::open(root, &ShapeNetConfig::default()).unwrap();
    let splits: Vec<_> = ids(&set).into_iter().map(|(id, split)| format!("{id} {split}")).collect();
    assert_eq!(splits, ["03001627/001 test", "03001627/002 val", "03001627/gone train"]);
    let error = set.get(2).unwrap_err();
    assert!(matches!(&error, Error::Missing { .. }) && error.to_string().ends_with("all.csv, line 4 names"));
    let config =
        ShapeNetConfig { unlisted: Unlisted::Train, synsets: vec!["chair".into()], ..Default::default() };
    let all = ShapeNet::open(root, &config).unwrap();
    assert_eq!(all.len(), 4);
    assert!(all.notes().contains(&"1 models on disk are in no list and were put into train".to_owned()));
}

#[test]
fn clouds_split_at_the_first_dash() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    for name in ["04379243-00f-1-2.npy", "02691156-01.npy", "02691156-02.npy"] {
        put(root, &format!("shapenet_pc/{name}"), npy([1.0, 2.0, 3.0]));
    }
    put(
        root,
        "ShapeNet-55/train.txt",
        "04379243-00f-1-2.npy\n02691156-02.npy\n02691156-03.npy\n02828884-1.npy\n",
    );
    put(root, "ShapeNet-55/test.txt", "02691156-01.npy\n\n");
    let set = ShapeNet::open(root, &ShapeNetConfig::default()).unwrap();
    let splits: Vec<_> = ids(&set).into_iter().map(|(id, split)| format!("{id} {split}")).collect();
    assert_eq!(
        splits,
        ["02691156/01 test", "02691156/02 train", "02691156/03 train", "04379243/00f-1-2 train"]
    );
    let object = set.get(3).unwrap();
    assert_eq!((object.label, object.category.as_deref()), (Some(49), Some("table")));
    assert!(matches!(object.shape, Shape::Points(c) if c.positions == [[1.0, 2.0, 3.0]]));
    assert_eq!(set.source(3), "shapenet_pc/04379243-00f-1-2.npy");
    assert!(set.get(2).unwrap_err().to_string().contains("train.txt, line 3 names"));
    assert!(set.notes().last().unwrap().contains("train 41952, test 10518; here: train 3, test 1"));
}

#[test]
fn bad_lists_and_settings_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let open = |config: &ShapeNetConfig| ShapeNet::open(root, config).err().unwrap().to_string();
    assert!(open(&ShapeNetConfig::default()).contains("missing: expected ShapeNetCore models"));
    put(root, "03001627/1/models/model_normalized.obj", OBJ);
    for (csv, expected) in [
        ("id,modelId,split\n", "all.csv, line 1: expected a header with synsetId, modelId and split"),
        ("synsetId,modelId,split\n03001627,1\n", "line 2: expected 3 fields"),
        ("synsetId,modelId,split\n03001627,1,dev\n", "line 2: expected train, val or test, found \"dev\""),
        ("synsetId,modelId,split\n3001627,1,val\n", "line 2: expected a synset of eight digits"),
        ("synsetId,modelId,split\n03001627,../1,val\n", "line 2: expected a model id"),
        ("synsetId,modelId,split\n03001627,1,val\n03001627,1,test\n", "expected object \"03001627/1\" once"),
    ] {
        put(root, "all.csv", csv);
        let error = open(&ShapeNetConfig::default());
        assert!(error.contains(expected), "{error}");
    }
    put(root, "all.csv", [0xff, 0xfe, 0x00]);
    assert!(open(&ShapeNetConfig::default()).contains("all.csv, byte 0: expected UTF-8 text"));
    let named = ShapeNetConfig { split_csv: Some("v2.csv".into()), ..Default::default() };
    assert!(open(&named).contains("v2.csv: missing"));
    let odd = ShapeNetConfig { synsets: vec!["spoon".into()], ..Default::default() };
    assert_eq!(
        open(&odd),
        "dataset.synsets: expected synsets or class names of ShapeNetCore v2, found \"spoon\""
    );
}

#[test]
fn broken_lists_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    put(root, "03001627/1/models/model_normalized.obj", OBJ);
    let csv = b"id,synsetId,subSynsetId,modelId,split\n0,03001627,x,1,test\n1,03001627,\"x\",u-2,val\n";
    let mut opened = 0;
    for round in 0..300 {
        let mut draws = jepa3d_schemas::Draws::new(round, "csv", "mutations");
        let mut broken = csv.to_vec();
        for _ in 0..draws.index(3) {
            let at = draws.index(broken.len());
            broken[at] = draws.bits() as u8;
        }
        if draws.chance(0.3) {
            broken.truncate(draws.index(broken.len()));
        }
        put(root, "all.csv", &broken);
        opened += usize::from(ShapeNet::open(root, &ShapeNetConfig::default()).is_ok());
    }
    assert!(opened > 30 && opened < 290, "{opened} of 300");
}
