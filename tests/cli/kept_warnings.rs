//! What is odd about a source is kept: in the catalog, in reports, in statistics, and through a resumed run.

use jepa3d_schemas::{CATALOG_FILE, read_catalog};

use super::harness::{cloud, jepa3d, prepare_folder, text, write};

#[test]
fn warnings_are_kept_and_counted_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("data"), dir.path().join("out"));
    let triangles = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\nf 1 2 4\n";
    for i in 0..7 {
        write(&data.join(format!("odd/{i}.obj")), format!("mtllib gone.mtl\n{triangles}"));
    }
    write(&data.join("plain/a.obj"), triangles);
    // Half of it first: what is kept of finished shards counts in the end.
    prepare_folder(&data, &out, &["--task", "0"]).expect(0);
    let run = prepare_folder(&data, &out, &["--json"]).expect(0);
    let json = run.json();
    assert_eq!(json["warnings"]["material-missing"]["objects"], 7, "{json}");
    assert_eq!(json["warnings"]["material-missing"]["example"], "odd/0");
    assert!(json["warnings"].as_object().unwrap().len() == 1, "{json}");
    assert!(json["notes"].as_array().unwrap().iter().any(|note| note.as_str().unwrap().contains("8 obj")));
    let line = "warning: material-missing: 7 objects, for example odd/0: ";
    assert!(run.stderr.contains(line), "{}", run.stderr);
    let catalog = read_catalog(&out.join(CATALOG_FILE)).unwrap();
    for row in &catalog {
        let is_odd = row.id.starts_with("odd/");
        assert_eq!(row.warnings.iter().any(|text| text.starts_with("material-missing: ")), is_odd, "{row:?}");
    }
    let stats = jepa3d(&["stats", text(&out)]).expect(0).stdout;
    assert!(stats.contains("warnings\n  material-missing: 7 objects\n    odd/0: "), "{stats}");
    assert!(stats.contains("note: files: 8 obj"), "{stats}");
    let stats = jepa3d(&["stats", text(&out), "--json"]).expect(0).json();
    assert_eq!(stats["warnings"], json["warnings"]);
    // A set that is complete already says the same.
    assert_eq!(prepare_folder(&data, &out, &["--json"]).expect(0).json()["warnings"], json["warnings"]);
}

#[test]
fn clouds_with_too_few_points_are_counted_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("data"), dir.path().join("out"));
    for i in 0..5 {
        write(&data.join(format!("{i}.xyz")), cloud(if i < 3 { 20 } else { 200 }, i));
    }
    let run = prepare_folder(&data, &out, &[]).expect(1);
    let line = "3 of 5 objects have fewer than groups.points = 128 points: \
                cloud.too_few = \"repeat\" keeps them (real lidar needs it)\n";
    assert_eq!(run.stderr.matches(line).count(), 1, "{}", run.stderr);
    let kept = dir.path().join("kept");
    let run = prepare_folder(&data, &kept, &["--set", "cloud.too_few=repeat"]).expect(0);
    assert!(!run.stderr.contains("too_few"), "{}", run.stderr);
}
