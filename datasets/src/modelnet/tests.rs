//! ModelNet on the real training clouds, on derived HDF5 files and on small trees of every layout.

use std::path::Path;

use super::config::ModelNetSet;
use super::*;
use crate::dataset::Dataset;
use crate::test_data::test_data;

const OFF: &str = "OFF3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n";

fn put(root: &Path, file: &str, text: &str) {
    let path = root.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn ids(set: &ModelNet) -> Vec<String> {
    (0..set.len()).map(|i| format!("{} {} {}", set.id(i), set.split(i), set.source(i))).collect()
}

#[test]
fn real_clouds_of_modelnet10() {
    let Some(root) = test_data("modelnet10") else { return };
    let set = ModelNet::open(&root, &ModelNetConfig::default()).unwrap();
    assert_eq!((set.len(), set.layout, set.up_axis()), (3991, ModelNetLayout::Pcd, UpAxis::Z));
    assert_eq!(set.notes()[1..], ["objects: 3991 (train 3991)", "classes: the 10 of ModelNet10"]);
    assert!((1..set.len()).all(|i| set.id(i - 1) < set.id(i)));
    for i in (0..set.len()).step_by(400) {
        let object = set.get(i).unwrap();
        assert!(matches!(&object.shape, Shape::Points(c) if c.len() == 1024));
        assert!(object.id.starts_with(object.category.as_deref().unwrap()));
    }
    let stand = (0..set.len()).find(|&i| set.id(i) == "night_stand/night_stand_0007").unwrap();
    assert_eq!(set.get(stand).unwrap().label, Some(6));
}

#[test]
fn rows_of_hdf5_files() {
    let Some(root) = test_data("h5/modelnet40_ply_hdf5_2048") else { return };
    let set = ModelNet::open(&root, &ModelNetConfig::default()).unwrap();
    assert_eq!((set.len(), set.layout, set.up_axis()), (140, ModelNetLayout::H5, UpAxis::Y));
    assert_eq!(set.notes()[2], "classes: the 40 of ModelNet40");
    assert_eq!((set.id(100), set.source(100).as_str()), ("train1/00000", "ply_data_train1.h5#0"));
    // SOURCES.tsv names the class of each row, counted over both files.
    let sources = std::fs::read_to_string(root.join("SOURCES.tsv")).unwrap();
    let mut checked = 0;
    for (i, line) in sources.lines().skip(1).enumerate() {
        let object = set.get(i).unwrap();
        let class = object.category.unwrap();
        assert!(line.contains(&class), "{line}: {class}");
        let Shape::Points(cloud) = object.shape else { panic!() };
        let radius = cloud.positions.iter().map(|p| p.iter().map(|x| x * x).sum::<f64>()).fold(0.0, f64::max);
        assert!(cloud.len() == 2048 && radius < 1.1 && cloud.normals.is_none());
        checked += 1;
    }
    assert_eq!(checked, 140);
}

#[test]
fn off_tree() {
    let dir = tempfile::tempdir().unwrap();
    for file in ["night_stand/train/night_stand_0001.off", "bed/test/bed_0002.OFF", "bed/train/bed_0001.off"]
    {
        put(dir.path(), &format!("ModelNet10/{file}"), OFF);
    }
    put(dir.path(), "ModelNet10/bed/train/notes.txt", "x");
    put(dir.path(), "ModelNet10/bed/train/.DS_Store", "x");
    put(dir.path(), "ModelNet10/bed/train/sofa_0009.off", OFF);
    let set = ModelNet::open(dir.path(), &ModelNetConfig::default()).unwrap();
    assert_eq!(
        ids(&set),
        [
            "bed/bed_0001 train ModelNet10/bed/train/bed_0001.off",
            "bed/bed_0002 test ModelNet10/bed/test/bed_0002.OFF",
            "bed/sofa_0009 train ModelNet10/bed/train/sofa_0009.off",
            "night_stand/night_stand_0001 train ModelNet10/night_stand/train/night_stand_0001.off"
        ]
    );
    assert_eq!(
        set.notes()[2..],
        [
            "classes: 2, which are neither the 10 of ModelNet10 nor the 40 of ModelNet40",
            "1 files that are no .off were passed over",
            "1 files are not named after their class folder; the folder decides"
        ]
    );
    assert_eq!(set.up_axis(), UpAxis::Z);
    let object = set.get(3).unwrap();
    assert_eq!((object.label, object.category.as_deref()), (Some(1), Some("night_stand")));
    assert!(matches!(object.shape, Shape::Mesh(m) if m.triangles.len() == 1));
}

#[test]
fn normal_resampled_lists() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    put(root, "modelnet40_shape_names.txt", "bed\nglass_box\n");
    put(root, "modelnet40_train.txt", "glass_box_0002\nbed_0001\nbed_0001\nbed_0007\n");
    put(root, "modelnet40_test.txt", "bed_0003\r\n");
    put(root, "modelnet10_train.txt", "bed_0001\n");
    put(root, "modelnet10_shape_names.txt", "bed\n");
    put(root, "glass_box/glass_box_0002.txt", "1,2,3,0,1,0\n4,5,6,1,0,0\n");
    let set = ModelNet::open(root, &ModelNetConfig::default()).unwrap();
    assert_eq!((set.layout, set.up_axis()), (ModelNetLayout::NormalResampled, UpAxis::Y));
    assert_eq!(
        ids(&set),
        [
            "bed/bed_0001 train bed/bed_0001.txt",
            "bed/bed_0003 test bed/bed_0003.txt",
            "bed/bed_0007 train bed/bed_0007.txt",
            "glass_box/glass_box_0002 train glass_box/glass_box_0002.txt"
        ]
    );
    let object = set.get(3).unwrap();
    assert_eq!(object.label, Some(1));
    assert!(
        matches!(object.shape, Shape::Points(c) if c.normals == Some(vec![[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]))
    );
    let error = set.get(2).unwrap_err().to_string();
    assert!(error.contains("bed_0007.txt: missing") && error.ends_with("modelnet40_train.txt, line 4 names"));
    let ten = ModelNetConfig { set: ModelNetSet::Ten, up_axis: Some(UpAxis::Z), ..Default::default() };
    let ten = ModelNet::open(root, &ten).unwrap();
    assert_eq!((ten.len(), ten.up_axis()), (1, UpAxis::Z));
    put(root, "modelnet40_test.txt", "bed_0001\n");
    let error = ModelNet::open(root, &ModelNetConfig::default()).err().unwrap().to_string();
    assert!(error.contains("expected object \"bed/bed_0001\" once"), "{error}");
    put(root, "modelnet40_test.txt", "sofa_0001\n");
    let error = ModelNet::open(root, &ModelNetConfig::default()).err().unwrap().to_string();
    assert!(error.contains("modelnet40_test.txt, line 1: expected <class>_<number>"), "{error}");
}

#[test]
fn what_is_missing_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let open = |layout| {
        let config = ModelNetConfig { layout, ..Default::default() };
        ModelNet::open(dir.path(), &config).err().unwrap().to_string()
    };
    assert!(open(ModelNetLayout::Auto).contains("missing: expected ModelNet as"));
    assert!(open(ModelNetLayout::H5).contains("shape_names.txt: missing"));
    assert!(open(ModelNetLayout::NormalResampled).contains("modelnet40_shape_names.txt: missing"));
    put(dir.path(), "shape_names.txt", "bed\n");
    assert!(open(ModelNetLayout::H5).contains("ply_data_train0.h5: missing"));
    put(dir.path(), "ply_data_train0.h5", "no hdf5");
    assert!(open(ModelNetLayout::Auto).contains("ply_data_train0.h5: expected an HDF5 file"));
    let absent = ModelNet::open(&dir.path().join("x"), &ModelNetConfig::default()).err().unwrap();
    assert!(absent.to_string().ends_with("x: missing: expected the folder of ModelNet"));
}
