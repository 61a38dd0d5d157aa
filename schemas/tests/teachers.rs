//! Caches of embeddings on disk: what is written is read back, and other facts are named.

#![allow(clippy::unwrap_used, reason = "helpers beside the tests unwrap as they do")]

use std::path::Path;

use jepa3d_schemas::{
    Draws, RowGroupEncoder, ShardWriter, TeacherFacts, TeacherManifest, TeacherReader, TeacherRow,
    WriteOptions,
};

fn row(id: usize, width: usize) -> TeacherRow {
    let mut draws = Draws::new(5, &id.to_string(), "teacher");
    let mut real = || draws.normal() as f32;
    TeacherRow {
        sample_id: format!("object-{:03}", id / 4),
        view: (id % 4) as u16,
        embedding: (0..width).map(|_| real()).collect(),
        valid: !id.is_multiple_of(3),
        pose: std::array::from_fn(|_| real()),
        histogram: std::array::from_fn(|_| real()),
    }
}

fn facts() -> TeacherFacts {
    TeacherFacts {
        kind: "hog".into(),
        weights: "0a".into(),
        preprocessing: "none".into(),
        pooling: "pyramid".into(),
        width: 5,
        dtype: "f32".into(),
        fingerprint: "f0".into(),
        views_plan: "b1".into(),
    }
}

fn write(path: &Path, groups: &[&[TeacherRow]]) {
    let encoder = RowGroupEncoder::new(WriteOptions::default());
    let mut writer = ShardWriter::create(path, WriteOptions::default(), facts().footer()).unwrap();
    for rows in groups {
        writer.append_even_empty(encoder.encode(rows).unwrap()).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn decode_of_encode_is_the_identity_and_empty_row_groups_keep_their_number() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train-00000-of-00001.parquet");
    let rows: Vec<_> = (0..23).map(|id| row(id, 5)).collect();
    write(&path, &[&rows[..7], &[], &rows[7..]]);
    let reader = TeacherReader::open(&path).unwrap();
    assert_eq!((reader.row_groups(), reader.rows_of(1), reader.rows()), (3, 0, 23));
    let read = |group| {
        let group = reader.read_row_group(group, &[]).unwrap();
        (0..group.rows).map(|i| group.row(i).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((0..3).flat_map(read).collect::<Vec<_>>(), rows);
    let keys = reader.read_row_group(0, &["sample_id", "view"]).unwrap();
    assert!(keys.embedding.is_none() && keys.row(0).is_none());
}

#[test]
fn embeddings_of_two_lengths_are_refused_by_name() {
    let encoder = RowGroupEncoder::new(WriteOptions::default());
    let error = encoder.encode(&[row(0, 5), row(1, 4)]).map(|_| ()).unwrap_err();
    let text = "sample object-000 view 1: column embedding: expected 5 values, found 4";
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_fact_that_differs_is_named_with_both_values() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    write(&path, &[&[row(0, 5)]]);
    let footer = TeacherReader::open(&path).unwrap().metadata().clone();
    facts().check_footer(&path, &footer).unwrap();
    let other = TeacherFacts { views_plan: "c2".into(), ..facts() };
    let text = format!("{}: jepa3d.views_plan: expected c2, found b1", path.display());
    assert_eq!(other.check_footer(&path, &footer).unwrap_err().to_string(), text);
}

#[test]
fn manifests_round_trip() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(TeacherManifest::find(folder.path(), "hog").unwrap(), None);
    std::fs::create_dir_all(folder.path().join("teachers/hog")).unwrap();
    let manifest = TeacherManifest::new(facts(), 3, vec![]);
    manifest.write(folder.path(), "hog").unwrap();
    assert_eq!(TeacherManifest::find(folder.path(), "hog").unwrap(), Some(manifest));
    let file = TeacherManifest::shard_beside("hog", "views/train-00000-of-00002.parquet");
    assert_eq!(file, "teachers/hog/train-00000-of-00002.parquet");
}
