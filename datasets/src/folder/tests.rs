//! Folders of files as a dataset: layouts, ids, settings, links, and real folders.

use jepa3d_schemas::Shape;

use super::*;
use crate::test_data::test_data;

const TRIANGLE: &str = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n";

fn tree(files: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in files {
        let path = dir.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, TRIANGLE).unwrap();
    }
    dir
}

/// (id, split, class) of every object.
fn listed(dir: &tempfile::TempDir) -> Vec<(String, String, Option<String>)> {
    let folder = Folder::open(dir.path(), &FolderConfig::default()).unwrap();
    let class = |i: usize| folder.objects[i].label.map(|label| folder.classes()[label].clone());
    (0..folder.len()).map(|i| (folder.id(i).into(), folder.split(i).into(), class(i))).collect()
}

fn row(id: &str, split: &str, class: Option<&str>) -> (String, String, Option<String>) {
    (id.into(), split.into(), class.map(Into::into))
}

#[test]
fn layouts() {
    let dir = tree(&["b.obj", "a.obj", ".hidden.obj", "notes.txt", "a.mtl"]);
    assert_eq!(listed(&dir), [row("a", "train", None), row("b", "train", None)]);
    let dir = tree(&["cup/x.obj", "car/deep/y.obj", "car/.git/z.obj"]);
    assert_eq!(listed(&dir), [row("car/deep/y", "train", Some("car")), row("cup/x", "train", Some("cup"))]);
    let dir = tree(&["cup/train/x.obj", "cup/Test/y.obj", "car/valid/z.obj"]);
    assert_eq!(
        listed(&dir),
        [
            row("car/valid/z", "val", Some("car")),
            row("cup/Test/y", "test", Some("cup")),
            row("cup/train/x", "train", Some("cup"))
        ]
    );
    let dir = tree(&["train/cup/x.obj", "test/cup/y.obj"]);
    assert_eq!(
        listed(&dir),
        [row("test/cup/y", "test", Some("cup")), row("train/cup/x", "train", Some("cup"))]
    );
    let dir = tree(&["train/x.obj", "plane/y.obj"]);
    assert_eq!(
        listed(&dir),
        [row("plane/y", "train", Some("plane")), row("train/x", "train", Some("train"))]
    );
}

/// (id, what is unclear) of the objects of which something is.
fn doubts(dir: &tempfile::TempDir) -> Vec<(String, String)> {
    let folder = Folder::open(dir.path(), &FolderConfig::default()).unwrap();
    let warning = |i: usize| {
        let object = folder.get(i).unwrap();
        let [warning] = &object.warnings[..] else { return None };
        assert_eq!(warning.kind, jepa3d_schemas::WarningKind::SplitUnclear);
        Some((object.id, warning.text.clone()))
    };
    (0..folder.len()).filter_map(warning).collect()
}

#[test]
fn folders_of_splits_may_have_others_beside_them() {
    let dir = tree(&[
        "Train/cup/x.obj",
        "TEST/cup/y.obj",
        "TEST/car/y.obj",
        "unlabeled/z.obj",
        "unlabeled/cup/z.obj",
    ]);
    let rows = [
        row("TEST/car/y", "test", Some("car")),
        row("TEST/cup/y", "test", Some("cup")),
        row("Train/cup/x", "train", Some("cup")),
        row("unlabeled/cup/z", "train", None),
        row("unlabeled/z", "train", None),
    ];
    assert_eq!(listed(&dir), rows);
    let folder = Folder::open(dir.path(), &FolderConfig::default()).unwrap();
    assert_eq!(folder.classes(), ["car", "cup"]);
    assert_eq!(folder.notes()[1], "2 files lie in folders called unlabeled: split train, no class");
    assert_eq!(doubts(&dir), []);

    let dir = tree(&["train/cup/x.obj", "eval/cup/y.obj", "extra/z.obj", "extra/car/z.obj"]);
    let rows = [
        row("eval/cup/y", "val", Some("cup")),
        row("extra/car/z", "train", Some("car")),
        row("extra/z", "train", None),
        row("train/cup/x", "train", Some("cup")),
    ];
    assert_eq!(listed(&dir), rows);
    let text = "the folder \"extra\" lies beside those of splits and names none: train";
    assert_eq!(doubts(&dir), ["extra/car/z", "extra/z"].map(|id| (id.to_owned(), text.to_owned())));

    let dir = tree(&["cup/train/x.obj", "cup/unlabelled/y.obj", "car/test/z.obj", "car/old/z.obj"]);
    let rows = [
        row("car/old/z", "train", Some("car")),
        row("car/test/z", "test", Some("car")),
        row("cup/train/x", "train", Some("cup")),
        row("cup/unlabelled/y", "train", None),
    ];
    assert_eq!(listed(&dir), rows);
    assert_eq!(doubts(&dir).len(), 1);
}

#[test]
fn names_that_may_mean_a_split_are_said() {
    let dir = tree(&["test/x.obj", "plane/y.obj"]);
    assert_eq!(listed(&dir)[1], row("test/x", "train", Some("test")));
    let text = "the folder \"test\", which could mean a split, is the class";
    assert_eq!(doubts(&dir), [("test/x".to_owned(), text.to_owned())]);
    let dir = tree(&["train/test/x.obj", "val/cup/y.obj"]);
    assert_eq!(listed(&dir)[0], row("train/test/x", "train", Some("test")));
    assert_eq!(doubts(&dir), [("train/test/x".to_owned(), text.to_owned())]);
    let dir = tree(&["cup/test/x.obj", "car/old/y.obj"]);
    assert_eq!(listed(&dir)[1], row("cup/test/x", "train", Some("cup")));
    let text = "the folder \"test\", which could mean a split, is a part of the id";
    assert_eq!(doubts(&dir), [("cup/test/x".to_owned(), text.to_owned())]);
}

#[test]
fn a_folder_around_all_others_is_no_class() {
    let dir = tree(&["data/train/cup/x.obj", "data/train/car/x.obj", "data/test/cup/y.obj"]);
    let splits: Vec<_> = listed(&dir).into_iter().map(|(_, split, class)| (split, class.unwrap())).collect();
    let expected = [("test", "cup"), ("train", "car"), ("train", "cup")];
    assert_eq!(splits, expected.map(|(split, class)| (split.to_owned(), class.to_owned())));
    let dir = tree(&["data/cup/train/x.obj", "data/car/test/x.obj"]);
    assert_eq!(
        listed(&dir),
        [row("data/car/test/x", "test", Some("car")), row("data/cup/train/x", "train", Some("cup"))]
    );
    // Recordings of one class do not recur.
    let dir = tree(&["car/train/drive1/x.obj", "car/test/drive2/x.obj"]);
    assert_eq!(listed(&dir)[0], row("car/test/drive2/x", "test", Some("car")));
}

#[cfg(unix)]
#[test]
fn names_that_are_no_text_stay_apart_and_are_read() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let names: [&[u8]; 8] =
        [b"\xba\xec", b"\xc0\xb6", b"cafe\xcc\x81", b"caf\xc3\xa9", b"new\nline", b"a#1", b"a\\b", b"x.v2"];
    for (i, name) in names.into_iter().enumerate() {
        for class in [&b"cup"[..], b"\xff"] {
            let folder = dir.path().join(std::ffi::OsStr::from_bytes(class));
            std::fs::create_dir_all(&folder).unwrap();
            let file = folder.join(std::ffi::OsStr::from_bytes(&[name, b".obj"].concat()));
            std::fs::write(file, format!("v {i} 0 0\nv 1 0 7\nv 0 1 0\nf 1 2 3\n")).unwrap();
        }
    }
    let folder = Folder::open(dir.path(), &FolderConfig::default()).unwrap();
    assert_eq!((folder.len(), folder.classes()), (16, &["\\xFF".to_owned(), "cup".to_owned()][..]));
    let mut found = Vec::new();
    for i in 0..folder.len() {
        let Shape::Mesh(mesh) = folder.get(i).unwrap().shape else { panic!("points") };
        found.push((folder.id(i).to_owned(), mesh.positions[0][0]));
    }
    for (name, x) in
        [("cup/\\xBA\\xEC", 0.0), ("cup/\\xC0\\xB6", 1.0), ("cup/caf\u{e9}", 3.0), ("cup/new\nline", 4.0)]
    {
        assert!(found.contains(&(name.to_owned(), x)), "{name:?}: {found:?}");
    }
    let ids: std::collections::BTreeSet<_> = found.iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), 16);
    assert_eq!(folder.source(0), "\\xFF/\\xBA\\xEC.obj");
}

#[cfg(target_os = "linux")]
#[test]
fn pipes_devices_and_barred_folders_are_objects_that_fail() {
    let dir = tree(&["cup/x.obj"]);
    assert!(
        std::process::Command::new("mkfifo").arg(dir.path().join("cup/pipe.obj")).status().unwrap().success()
    );
    std::os::unix::fs::symlink("/dev/zero", dir.path().join("cup/zero.obj")).unwrap();
    std::os::unix::fs::symlink("loop.obj", dir.path().join("cup/loop.obj")).unwrap();
    // Nobody can read a folder whose path is too long for the system.
    let deep = |start: &str| (0..10).fold(dir.path().join(start), |path, _| path.join("d".repeat(250)));
    std::fs::create_dir_all(deep("far")).unwrap();
    std::fs::create_dir_all(deep("lower")).unwrap();
    std::fs::rename(dir.path().join("lower"), deep("far").join("lower")).unwrap();
    let folder = Folder::open(dir.path(), &FolderConfig::default()).unwrap();
    let errors: Vec<String> =
        (0..folder.len()).filter_map(|i| folder.get(i).err()).map(|e| e.to_string()).collect();
    let ends = [
        "(os error 40)",
        "expected a regular file, found a named pipe",
        "expected a regular file, found a device",
        "(os error 36)",
    ];
    assert_eq!((errors.len(), folder.len()), (ends.len(), 5));
    for (error, end) in errors.iter().zip(ends) {
        assert!(error.ends_with(end), "{error}");
    }
    assert!(folder.id(4).starts_with("far/ddd") && folder.id(4).ends_with("d/"), "{}", folder.id(4));
    assert_eq!(folder.classes(), ["cup", "far"]);
    assert_eq!(folder.notes()[1], "1 folders cannot be read; each is listed as one object, which fails");
}

#[test]
fn ids_keep_extensions_only_to_stay_apart() {
    let dir = tree(&["a.obj", "a.off", "b.v2.obj"]);
    let ids: Vec<String> = listed(&dir).into_iter().map(|r| r.0).collect();
    assert_eq!(ids, ["a.obj", "a.off", "b.v2"]);
    let dir = tree(&["a.obj", "a.off", "a.obj.off"]);
    let ids: Vec<String> = listed(&dir).into_iter().map(|r| r.0).collect();
    assert_eq!(ids, ["a.obj", "a.obj.off", "a.off"]);
}

#[test]
fn settings_are_checked() {
    let dir = tree(&["a.obj", "b.txt"]);
    let open = |config: &str| {
        let config: FolderConfig = serde_json::from_str(config).unwrap();
        Folder::open(dir.path(), &config)
    };
    let error = |config: &str| open(config).unwrap_err().to_string();
    assert_eq!(open(r#"{"extensions": [".TXT", "obj"]}"#).unwrap().len(), 2);
    assert_eq!(open(r#"{"pattern": "*a"}"#).unwrap().len(), 1);
    assert_eq!(error(r#"{"split": "dev"}"#), "dataset.split: expected train, val or test, found \"dev\"");
    assert!(error(r#"{"extensions": ["exe"]}"#).ends_with("found \"exe\""));
    assert!(error(r#"{"columns": ["x", "y"]}"#).ends_with("found \"x,y\" (no column \"z\")"));
    let none = error(r#"{"extensions": ["ply", "off"]}"#);
    assert!(none.starts_with(&dir.path().display().to_string()), "{none}");
    assert!(none.ends_with("missing: expected at least one file with an extension ply, off"), "{none}");
    assert!(serde_json::from_str::<FolderConfig>(r#"{"splits": "train"}"#).is_err());
    let gone = Folder::open(&dir.path().join("gone"), &FolderConfig::default()).unwrap_err().to_string();
    assert!(gone.contains("gone: cannot read"), "{gone}");
}

#[test]
fn velodyne_files_are_read_when_asked_for() {
    let dir = tree(&["car/a.obj"]);
    let scan: Vec<u8> =
        [1.0f32, 2.0, 3.0, 0.5, 4.0, 5.0, 6.0, 0.25].iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(dir.path().join("car/000001.bin"), scan).unwrap();
    assert_eq!(listed(&dir).len(), 1);
    let config: FolderConfig = serde_json::from_str(r#"{"extensions": ["bin"], "up_axis": "z"}"#).unwrap();
    let folder = Folder::open(dir.path(), &config).unwrap();
    let object = folder.get(0).unwrap();
    assert_eq!((object.id.as_str(), object.warnings.len()), ("car/000001", 0));
    let Shape::Points(points) = object.shape else { panic!("a mesh") };
    assert_eq!((points.positions[1], points.intensity), ([4.0, 5.0, 6.0], Some(vec![0.5, 0.25])));
}

#[test]
fn columns_of_lidar_tables_are_named() {
    let dir = tree(&[]);
    std::fs::write(dir.path().join("a.csv"), "2020-01-01 10:00:00.5,7,1.5,2.5,3.5,80,n/a\n").unwrap();
    let names = r#"["_", "_", "x", "y", "z", "intensity", "-"]"#;
    let config = format!(r#"{{"extensions": ["csv"], "columns": {names}}}"#);
    let folder = Folder::open(dir.path(), &serde_json::from_str(&config).unwrap()).unwrap();
    let Shape::Points(points) = folder.get(0).unwrap().shape else { panic!("a mesh") };
    assert_eq!((points.positions, points.intensity), (vec![[1.5, 2.5, 3.5]], Some(vec![80.0])));
}

#[cfg(unix)]
#[test]
fn links_in_circles_are_listed_once() {
    let dir = tree(&["cup/x.obj"]);
    std::os::unix::fs::symlink(dir.path(), dir.path().join("cup/loop")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("cup"), dir.path().join("also")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("gone"), dir.path().join("cup/y.obj")).unwrap();
    let folder = Folder::open(dir.path(), &FolderConfig::default()).unwrap();
    let ids: Vec<&str> = (0..folder.len()).map(|i| folder.id(i)).collect();
    assert_eq!(ids, ["also/x", "also/y"]);
    assert!(folder.get(1).is_err());
    assert_eq!(folder.notes()[1], "2 folders are reached a second time through links; listed once");
}

#[test]
fn modelnet10_as_a_folder() {
    let Some(root) = test_data("modelnet10") else { return };
    let folder = Folder::open(&root, &FolderConfig::default()).unwrap();
    assert_eq!((folder.len(), folder.classes().len()), (3991, 10));
    assert_eq!(folder.notes(), ["files: 3991 pcd; classes: 10; splits: train 3991"]);
    let object = folder.get(0).unwrap();
    assert_eq!(object.id, "bathtub/train/bathtub_0001");
    assert_eq!((object.category.as_deref(), object.label), (Some("bathtub"), Some(0)));
    let Shape::Points(points) = object.shape else { panic!("a mesh") };
    assert_eq!(points.len(), 1024);
    assert_eq!(folder.source(0), "bathtub/train/bathtub_0001.pcd");
}

#[test]
fn every_mesh_of_a_real_folder_is_read() {
    let Some(root) = test_data("shapedb") else { return };
    let folder = Folder::open(&root, &FolderConfig::default()).unwrap();
    assert_eq!(folder.len(), 500);
    for i in 0..folder.len() {
        let object = folder.get(i).unwrap();
        assert!(matches!(object.shape, Shape::Mesh(_)), "{}", object.id);
    }
}
