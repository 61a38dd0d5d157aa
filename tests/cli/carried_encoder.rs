//! The encoder that the program carries, with the real binary: features of any set, by name, and out of the tool.

use jepa3d_schemas::read_features;

use super::harness::{cloud, finish, jepa3d, prepare_command, prepare_small, text, write};

#[test]
fn it_makes_features_of_any_set_without_training() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    prepare_small(&data, &[]).expect(0);
    let embed = |how: &[&str], name: &str| {
        let out = folder.path().join(name);
        let run = jepa3d(&[how, &["--data", text(&data), "--out", text(&out)]].concat());
        run.expect(0);
        read_features(&out).unwrap()
    };
    // The set holds other groups than it learned from, and another axis is up.
    let (rows, metadata) = embed(&["embed", "--model", "jepa3d-s"], "a.parquet");
    assert_eq!((rows.ids.len(), rows.width), (60, 576));
    assert!(rows.values.iter().all(|x| x.is_finite()));
    assert!(metadata["jepa3d.pooling"].starts_with("concat[mean, std] of the whole cloud"), "{metadata:?}");
    assert!(metadata["jepa3d.encoder"].starts_with("jepa3d-s after step"), "{metadata:?}");
    let (by_name, _) = embed(&["embed", "jepa3d-s"], "b.parquet");
    assert_eq!(by_name.values, rows.values);
    let file = folder.path().join("taken.safetensors");
    jepa3d(&["export", "jepa3d-s", "--half", "--to", text(&file)]).expect(0);
    assert!(std::fs::metadata(&file).unwrap().len() < 8 << 20);
    let (taken, _) = embed(&["embed", text(&file), "--regroup", "--repeat-points"], "c.parquet");
    assert_eq!(taken.values, rows.values);
    let args = ["probe", "--model", "jepa3d-s", "--data", text(&data), "--labels", "1", "--json"];
    let report = jepa3d(&args).expect(0).json();
    assert_eq!(
        (&report["experiments"][0], &report["pretrained"][0]["width"]),
        (&"jepa3d-s".into(), &576.into())
    );
    let wrong = jepa3d(&["probe", "--model", "jepa3d-x", "--data", text(&data)]).expect(2);
    assert!(wrong.stderr.contains("--model: expected jepa3d-s, found jepa3d-x"), "{}", wrong.stderr);
}

#[test]
fn it_takes_clouds_of_five_points_and_of_thousands() {
    let folder = tempfile::tempdir().unwrap();
    let (raw, data, out) =
        (folder.path().join("raw"), folder.path().join("data"), folder.path().join("f.parquet"));
    for (at, count) in [5, 6, 31, 128, 1024, 5000].into_iter().enumerate() {
        write(&raw.join(format!("a/{count}.xyz")), cloud(count, at));
    }
    let sets = [
        "dataset.kind=folder",
        "cloud.points=8192",
        "groups.points=4",
        "groups.centers=2",
        "groups.neighbors=2",
    ];
    finish(prepare_command(&data, &sets, &["--data", text(&raw)])).expect(0);
    jepa3d(&["embed", "--model", "jepa3d-s", "--data", text(&data), "--out", text(&out)]).expect(0);
    let (rows, _) = read_features(&out).unwrap();
    assert_eq!(rows.ids.len(), 6);
    assert!(rows.values.iter().all(|x| x.is_finite()));
}
