//! Exact tables of a tiny dataset, datasets at the edge, and PNGs that are not blank.

use std::path::Path;

use jepa3d_schemas::{CatalogRow, Draws, Manifest, Sample};

use super::fixture::{manifest, object, sample, write_dataset, write_modelnet_like, write_tiny};
use super::sizes::spread_of;
use super::*;

/// Worked out by hand from the rows of [`write_tiny`].
const TINY: &str = "\
tiny (schema version 1, jepa3d 0.1.0)
  fingerprint  f1
  letters      S 4 stored points, R 2 x N 4 points, G 2 patches of K 2
  up axis      y
  splits       train 3, val 1 (+1 quarantined)

4 objects, 3 classes
  class  train  val  all    share  quarantined
  chair      2    1    3   75.0 %            0
  table      1    0    1   25.0 %            1
  lamp       0    0    0    0.0 %            0
  (all)      3    1    4  100.0 %            1

1 object quarantined
  read: 1 object
    e: no \\u{1b}[2J faces

sizes (extents and norm_scale in units of the source)
  size              min      p5  median   mean    p95    max
  stored points       3       3       4   3.75      4      4
  source points     100     100     100    100    100    100
  source triangles   50      50      50     50     50     50
  extent x            1    1.15    2.50    252    850  1,000
  extent y            2    2.30       5    503  1,701  2,000
  extent z            0  0.0750   0.750  0.750   1.42   1.50
  longest side        2    2.30       5    503  1,701  2,000
  norm_scale          1    1.15    2.50    252    850  1,000
  fewer than S = 4 points: 1 cloud (25.0 %)
  with triangles: 3 of 4
  smallest: a (1 x 2 x 0.500)
  largest: d (1,000 x 2,000 x 0)
  flat along z: 1 object (d)

time of one thread, 5 objects
  stage    total    share    mean      p50     p95     max
  read    1.01 s   10.0 %  201 ms  2.00 ms  801 ms  1.00 s
  sample  2.01 s   20.0 %  402 ms  4.00 ms  1.60 s  2.00 s
  group   7.04 s   70.0 %  1.41 s  14.0 ms  5.60 s  7.00 s
  all     10.1 s  100.0 %  2.01 s  20.0 ms  8.01 s  10.0 s

  slowest      all     read   sample    group
  d         10.0 s   1.00 s   2.00 s   7.00 s
  c        30.0 ms  3.00 ms  6.00 ms  21.0 ms
  b        20.0 ms  2.00 ms  4.00 ms  14.0 ms
  a        10.0 ms  1.00 ms  2.00 ms  7.00 ms
  e         500 µs   500 µs     0 µs     0 µs

points in at least one patch (8 groupings of 4 rows)
  min 50.0 %, p5 50.0 %, median 70.8 %, max 100.0 % of the points of the grouping

";

fn tables(folder: &Path) -> String {
    stats(folder).unwrap().to_string()
}

#[test]
fn tables_of_a_tiny_dataset() {
    let folder = tempfile::tempdir().unwrap();
    write_tiny(folder.path());
    let text = tables(folder.path());
    // The bytes depend on the Parquet crate; `bytes_add_up` holds them.
    assert_eq!(text.split("bytes by column").next().unwrap(), TINY);
}

#[test]
fn bytes_add_up() {
    let folder = tempfile::tempdir().unwrap();
    write_tiny(folder.path());
    let stats = stats(folder.path()).unwrap();
    let in_columns: u64 = stats.columns.iter().map(|c| c.compressed).sum();
    let in_files: u64 = stats.shards.iter().map(|s| s.bytes).sum();
    let on_disk = |file: &str| std::fs::metadata(folder.path().join("points").join(file)).unwrap().len();
    assert_eq!(in_files, on_disk("train-00000-of-00002.parquet") + on_disk("val-00001-of-00002.parquet"));
    assert!(0 < in_columns && in_columns < in_files);
    assert!(stats.columns.is_sorted_by_key(|c| std::cmp::Reverse(c.compressed)));
    let counts: Vec<_> = stats.shards.iter().map(|s| (s.split.as_str(), s.shards, s.rows)).collect();
    assert_eq!(counts, [("train", 1, 3), ("val", 1, 1)]);
}

#[test]
fn json_holds_plain_numbers() {
    let folder = tempfile::tempdir().unwrap();
    write_tiny(folder.path());
    let json = serde_json::to_value(stats(folder.path()).unwrap()).unwrap();
    assert_eq!(json["dataset"]["shape"]["S"], 4);
    assert_eq!(json["classes"][0]["category"], "chair");
    assert_eq!(json["classes"][0]["splits"]["train"], 2);
    assert_eq!(json["quarantine"][0]["examples"][0]["id"], "e");
    assert_eq!(json["sizes"]["longest_side"]["max"], 2000.0);
    assert_eq!(json["times"]["stages"][0]["total_ms"], 1006.5);
    assert_eq!(json["coverage"]["groupings"], 8);
    assert_eq!(json["warnings"], serde_json::json!({}));
    assert_eq!(json["disagreements"].as_array().unwrap().len(), 0);
}

#[test]
fn a_folder_without_manifest_says_how_to_continue() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    let expected = format!(
        "{path}: not a complete dataset: expected manifest.json, found none; \
         `jepa3d prepare CONFIG --data RAW --out {path}` starts or continues it \
         (`--finalize` if all its tasks are done)"
    );
    assert_eq!(stats(folder.path()).unwrap_err().to_string(), expected);
    assert_eq!(plots(folder.path(), &folder.path().join("plots")).unwrap_err().to_string(), expected);
    assert!(!folder.path().join("plots").exists());
}

#[test]
fn damaged_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    write_tiny(folder.path());
    let quarantine = folder.path().join("quarantine.jsonl");
    let line = std::fs::read_to_string(&quarantine).unwrap();
    std::fs::write(&quarantine, line + "{\"id\":\"e\"}\n").unwrap();
    assert_eq!(
        stats(folder.path()).unwrap_err().to_string(),
        format!(
            "{}: line 2: expected a quarantine row, found missing field `split` at line 1 column 10",
            quarantine.display()
        )
    );
    std::fs::remove_file(&quarantine).unwrap();
    assert_eq!(
        stats(folder.path()).unwrap().disagreements,
        ["lines in the quarantine: expected 1 as in the manifest, found 0; run `jepa3d verify`"]
    );
    let shard = folder.path().join("points/val-00001-of-00002.parquet");
    std::fs::remove_file(&shard).unwrap();
    let error = stats(folder.path()).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}: ", shard.display())), "{error}");
}

#[test]
fn a_dataset_without_objects_has_statistics() {
    let folder = tempfile::tempdir().unwrap();
    write_dataset(folder.path(), manifest("none"), &[], "", &[("train", vec![])]);
    let text = tables(folder.path());
    let expected = "up axis      y\n  splits       none\n\n0 objects, 0 classes\n  class  all  share\n\n\
                    no object quarantined\n\nshards\n";
    assert!(text.contains(expected), "{text}");
    assert_eq!(plots(folder.path(), &folder.path().join("plots")).unwrap(), [] as [std::path::PathBuf; 0]);
}

#[test]
fn a_dataset_with_everything_quarantined_has_statistics() {
    let folder = tempfile::tempdir().unwrap();
    let failed = |i: usize| CatalogRow {
        id: format!("{i}"),
        split: "train".into(),
        status: "read".into(),
        ..CatalogRow::default()
    };
    let catalog: Vec<CatalogRow> = (0..5).map(failed).collect();
    let line = |row: &CatalogRow| {
        format!(
            "{{\"id\":\"{}\",\"split\":\"train\",\"source\":\"\",\"stage\":\"read\",\"error\":\"empty\"}}\n",
            row.id
        )
    };
    let quarantine: String = catalog.iter().map(line).collect();
    write_dataset(folder.path(), manifest("bad"), &catalog, &quarantine, &[("train", vec![])]);
    let text = tables(folder.path());
    let expected = "splits       train 0 (+5 quarantined)\n\n0 objects, 0 classes\n\
                    \x20 class       all  share  quarantined\n  (no class)    0  0.0 %            5\n\n\
                    5 objects quarantined\n  read: 5 objects\n    0: empty\n    1: empty\n    2: empty\n    \
                    (2 more in quarantine.jsonl)\n\ntime of one thread, 5 objects\n";
    assert!(text.contains(expected), "{text}");
    let files = plots(folder.path(), &folder.path().join("plots")).unwrap();
    assert_eq!(files, [folder.path().join("plots/classes.png")]);
}

#[test]
fn a_long_class_list_is_cut_and_its_rest_summed() {
    let folder = tempfile::tempdir().unwrap();
    let row = |i: usize| object(&format!("{i}"), &format!("class {:02}", i % 75), "train", 1.0);
    let catalog: Vec<CatalogRow> = (0..100).map(row).collect();
    write_dataset(folder.path(), manifest("many"), &catalog, "", &[]);
    let text = tables(folder.path());
    let lines: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("100 objects")).collect();
    assert_eq!(lines[0], "100 objects, 75 classes");
    assert_eq!(lines[2], "  class 00       2    2    2.0 %");
    assert_eq!(lines[61], "  (16 more)     16   16   16.0 %");
    assert_eq!(lines[62], "  (all)        100  100  100.0 %");
    assert_eq!(lines[63], "");
    let out = std::env::var_os("JEPA3D_PLOTS_MANY").map_or(folder.path().join("plots"), Into::into);
    assert_eq!(plots(folder.path(), &out).unwrap()[0], out.join("classes.png"));
}

#[test]
fn spreads_agree_with_a_sorted_list() {
    let mut draws = Draws::new(0, "spread", "test");
    for n in [1, 2, 7, 1000] {
        let mut values: Vec<f64> = (0..n).map(|_| draws.range(-5.0, 5.0)).collect();
        let spread = spread_of(values.clone()).unwrap().unwrap();
        values.sort_by(f64::total_cmp);
        let quantile = |q: f64| {
            let rank = q * (n - 1) as f64;
            let (low, high) = (values[rank.floor() as usize], values[rank.ceil() as usize]);
            low + (high - low) * rank.fract()
        };
        let mean = values.iter().sum::<f64>() / n as f64;
        let pairs = [
            (spread.min, values[0]),
            (spread.p5, quantile(0.05)),
            (spread.median, quantile(0.5)),
            (spread.mean, mean),
            (spread.p95, quantile(0.95)),
            (spread.max, values[n - 1]),
        ];
        for (found, expected) in pairs {
            assert!((found - expected).abs() < 1e-12, "{n}: {found} {expected}");
        }
    }
    assert_eq!(spread_of(vec![]).unwrap(), None);
}

/// Checks size and ink of a PNG: a chart has many colours, and is mostly but not wholly white.
fn assert_is_chart(file: &Path) {
    let image = image::open(file).unwrap().to_rgb8();
    assert_eq!(image.dimensions(), (900, 600));
    let is_ink = |p: &&image::Rgb<u8>| p.0.iter().any(|&c| c < 200);
    let ink = image.pixels().filter(is_ink).count();
    assert!((4_000..400_000).contains(&ink), "{}: {ink} pixels of ink", file.display());
}

#[test]
fn plots_of_a_dataset_like_modelnet() {
    let folder = tempfile::tempdir().unwrap();
    write_modelnet_like(folder.path());
    // Set it to look at the pictures.
    let out = std::env::var_os("JEPA3D_PLOTS").map_or(folder.path().join("plots"), Into::into);
    let files = plots(folder.path(), &out).unwrap();
    let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["classes.png", "extents.png", "points.png", "times.png", "bytes.png", "coverage.png"]);
    let again = plots(folder.path(), &folder.path().join("again")).unwrap();
    for (file, again) in files.iter().zip(&again) {
        assert_is_chart(file);
        assert_eq!(std::fs::read(file).unwrap(), std::fs::read(again).unwrap());
    }
}

#[test]
fn hostile_names_and_values_are_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let values = [0.0, -1.0, 1e-250, 1e-9, 1.0, 1e199, f64::MAX, f64::INFINITY, f64::NAN];
    let row = |(i, &x): (usize, &f64)| CatalogRow {
        extent: [x, 1.0, 0.0],
        ..object(&format!("{i}"), "<a&b> $x$ \u{1b} \u{1f4a9} a class with quite a long name", "tr$ain", x)
    };
    let catalog: Vec<CatalogRow> = values.iter().enumerate().map(row).collect();
    let without_patches = Sample { center_indices: vec![], patch_indices: vec![], ..sample("0") };
    let name = manifest("a $\\frac{1}{0}$ \n");
    write_dataset(folder.path(), name, &catalog, "", &[("tr$ain", vec![without_patches])]);
    assert!(!tables(folder.path()).contains('\u{1b}'));
    let files = plots(folder.path(), &folder.path().join("plots")).unwrap();
    assert_eq!(files.len(), 5);
    files.iter().for_each(|file| assert_is_chart(file));
}

#[test]
fn an_unreadable_manifest_is_no_missing_one() {
    let folder = tempfile::tempdir().unwrap();
    let newer = Manifest { schema_version: 99, ..manifest("newer") };
    newer.write(folder.path()).unwrap();
    let error = stats(folder.path()).unwrap_err().to_string();
    assert!(error.ends_with("manifest.json: schema_version: expected 1, found 99"), "{error}");
}
