//! A features file as foreign readers see it.

use std::process::Command;

use jepa3d_schemas::{FeatureRows, write_features};

/// Prints "reader rows first-feature last-label" for every reader that is installed.
const SCRIPT: &str = r#"
import sys
path = sys.argv[1]
def report(name, rows):
    first, last = rows[0], rows[-1]
    print(name, len(rows), list(first["features"]), first["category"], last["label"], last["sample_id"], last["split"])
try:
    import pyarrow.parquet as pq
    report("pyarrow", pq.read_table(path).to_pylist())
    print("footer", pq.read_metadata(path).metadata[b"jepa3d.pooling"].decode())
except ImportError: pass
try:
    import polars
    report("polars", polars.read_parquet(path).to_dicts())
except ImportError: pass
try:
    import duckdb
    relation = duckdb.sql(f"select * from '{path}'")
    report("duckdb", [dict(zip(relation.columns, row)) for row in relation.fetchall()])
except ImportError: pass
"#;

#[test]
fn foreign_readers_see_numbers_under_the_documented_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("features.parquet");
    let rows = FeatureRows {
        ids: vec!["chair/1".into(), "bed/2".into()],
        splits: vec!["train".into(), "test".into()],
        categories: vec![None, Some("bed".into())],
        labels: vec![None, Some(4)],
        width: 2,
        values: vec![0.5, -1.25, 3.0, 4.0],
    };
    write_features(&path, &rows, vec![("jepa3d.pooling".into(), "max+mean".into())]).unwrap();
    let Ok(done) = Command::new("python3").args(["-c", SCRIPT]).arg(&path).output() else {
        println!("skipped: no python3");
        return;
    };
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let out = String::from_utf8_lossy(&done.stdout);
    if out.is_empty() {
        println!("skipped: none of pyarrow, polars, duckdb is installed");
    }
    for line in out.lines().filter(|line| !line.starts_with("footer")) {
        let (_, seen) = line.split_once(' ').unwrap();
        assert_eq!(seen, "2 [0.5, -1.25] None 4 bed/2 test", "{line}");
    }
    assert!(!out.contains("pyarrow") || out.contains("footer max+mean"), "{out}");
}
