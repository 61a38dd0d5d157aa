//! Shards on disk: what is written is read back, equal samples give equal bytes, broken files are refused.

use std::path::Path;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use jepa3d_schemas::{
    Draws, Error, RowGroupEncoder, SCHEMA_VERSION_KEY, Sample, ShardReader, ShardWriter, WriteOptions,
    version_footer,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

fn sample(id: usize) -> Sample {
    let mut draws = Draws::new(3, &id.to_string(), "test");
    let s = 40 + draws.index(30);
    let mut floats = |n: usize| (0..n).map(|_| draws.normal() as f32).collect::<Vec<_>>();
    let (points, normals, intensity, centers) = (floats(3 * s), floats(3 * s), floats(s), floats(2 * 4 * 3));
    let has = |k: usize| !id.is_multiple_of(k);
    let mut indices = |n: usize| (0..n).map(|_| draws.index(s) as u32).collect::<Vec<_>>();
    Sample {
        sample_id: format!("object-{id}"),
        dataset: "test".into(),
        category: has(4).then(|| format!("class {}", id % 3)),
        label: has(4).then_some(id as i32 % 3),
        points,
        normals: has(2).then_some(normals),
        colors: has(3).then(|| (0..3 * s).map(|i| (i * 7 % 256) as u8).collect()),
        intensity: has(5).then_some(intensity),
        point_labels: has(3).then(|| (0..s).map(|i| i as i16 - 20).collect()),
        subset: has(2).then(|| indices(20)),
        center_indices: indices(8),
        patch_indices: indices(64),
        patch_counts: has(2).then(|| vec![5; 8]),
        centers: has(2).then_some(centers),
        boxes: has(3).then(|| (0..20).map(|i| i as f32).collect()),
        box_labels: has(3).then(|| vec![4, -1]),
        norm_center: [1e9, -2.5, id as f64],
        norm_scale: 0.1 + id as f64,
        source: format!("a/{id}.off"),
        source_hash: "00".into(),
    }
}

fn write(path: &Path, samples: &[Sample], group: usize) -> jepa3d_schemas::WrittenShard {
    let encoder = RowGroupEncoder::new(WriteOptions::default());
    let mut writer = ShardWriter::create(path, WriteOptions::default(), version_footer()).expect("create");
    for chunk in samples.chunks(group) {
        writer.append(encoder.encode(chunk).expect("encode")).expect("append");
    }
    writer.finish().expect("finish")
}

#[test]
fn decode_of_encode_is_the_identity_for_every_mix_of_nulls() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train-00000-of-00001.parquet");
    let samples: Vec<_> = (0..61).map(sample).collect();
    let written = write(&path, &samples, 16);
    assert_eq!(written.rows, 61);
    assert_eq!(written.bytes, std::fs::metadata(&path).unwrap().len());
    let hash = blake3::hash(&std::fs::read(&path).unwrap()).to_hex().to_string();
    assert_eq!(written.hash, hash);
    let reader = ShardReader::open(&path).unwrap();
    assert_eq!((reader.rows(), reader.row_groups()), (61, 4));
    let mut read = Vec::new();
    for g in 0..reader.row_groups() {
        let group = reader.read_row_group(g, &[]).unwrap();
        read.extend((0..group.rows).map(|i| group.sample(i).unwrap()));
    }
    assert_eq!(read, samples);
}

#[test]
fn rows_of_any_length_fill_pages_that_arrow_reads_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    // 12 bytes a point: pages of many rows, of one, and one row beyond the size of a page.
    let samples: Vec<Sample> = [9_000, 3, 0, 40_000, 120_000, 0, 20_000, 30_000]
        .iter()
        .enumerate()
        .map(|(id, &points)| Sample {
            sample_id: id.to_string(),
            points: (0..3 * points).map(|i| (i * 37 % 1_000_003) as f32).collect(),
            normals: (id % 3 > 0).then(|| (0..3 * points).map(|i| i as f32).collect()),
            ..Sample::default()
        })
        .collect();
    write(&path, &samples, samples.len());
    let group = ShardReader::open(&path).unwrap().read_row_group(0, &["points", "normals"]).unwrap();
    let (points, normals) = (group.points.unwrap(), group.normals.unwrap());
    let file = std::fs::File::open(&path).unwrap();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().with_batch_size(samples.len());
    let batch = builder.build().unwrap().next().unwrap().unwrap();
    for (row, sample) in samples.iter().enumerate() {
        assert_eq!(points.row(row), Some(sample.points.as_slice()), "row {row}");
        assert_eq!(normals.row(row), sample.normals.as_deref(), "row {row}");
        for (name, expected) in [("points", Some(&sample.points)), ("normals", sample.normals.as_ref())] {
            let lists = batch.column_by_name(name).unwrap().as_list::<i32>();
            let found = lists.is_valid(row).then(|| lists.value(row));
            let found = found.as_ref().map(|values| values.as_primitive::<Float32Type>().values().to_vec());
            assert_eq!(found.as_ref(), expected, "{name}, row {row}");
        }
    }
}

#[test]
fn only_the_columns_asked_for_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    write(&path, &[sample(1), sample(2)], 2);
    let group = ShardReader::open(&path).unwrap().read_row_group(0, &["points", "label"]).unwrap();
    assert_eq!(group.points.unwrap().row(1), Some(sample(2).points.as_slice()));
    assert_eq!(group.label, Some(vec![sample(1).label, sample(2).label]));
    assert!(group.sample_id.is_none() && group.patch_indices.is_none());
}

#[test]
fn an_empty_shard_and_an_empty_column_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    assert_eq!(write(&path, &[], 4).rows, 0);
    assert_eq!(ShardReader::open(&path).unwrap().row_groups(), 0);
    let empty = Sample { sample_id: "none".into(), ..Sample::default() };
    write(&path, &[empty.clone(), sample(1), empty.clone()], 4);
    let group = ShardReader::open(&path).unwrap().read_row_group(0, &[]).unwrap();
    assert_eq!(group.sample(0).unwrap(), empty);
    assert_eq!(group.sample(1).unwrap(), sample(1));
    assert_eq!(group.sample(2).unwrap(), empty);
}

#[test]
fn a_writer_that_is_dropped_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    drop(ShardWriter::<Sample>::create(&path, WriteOptions::default(), vec![]).unwrap());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_foreign_version_says_both_versions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let metadata = vec![(SCHEMA_VERSION_KEY.to_owned(), "7".to_owned())];
    ShardWriter::<Sample>::create(&path, WriteOptions::default(), metadata).unwrap().finish().unwrap();
    let error = ShardReader::open(&path).err().unwrap().to_string();
    assert!(error.ends_with("jepa3d.schema_version: expected 1, found 7"), "{error}");
}

#[test]
fn every_truncation_is_an_error_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    write(&path, &[sample(1)], 1);
    let whole = std::fs::read(&path).unwrap();
    for length in (0..whole.len()).step_by(97) {
        std::fs::write(&path, &whole[..length]).unwrap();
        let error = ShardReader::open(&path).err().expect("a truncated file is refused");
        assert!(matches!(error, Error::Parquet { .. }), "{error}");
        assert!(error.to_string().contains("a.parquet"));
    }
}

#[test]
fn the_catalog_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(jepa3d_schemas::CATALOG_FILE);
    let rows: Vec<_> = (0..5)
        .map(|i| jepa3d_schemas::CatalogRow {
            id: format!("o{i}"),
            category: (i % 2 == 0).then(|| "chair".to_owned()),
            label: (i % 2 == 0).then_some(i),
            split: "train".into(),
            status: "written".into(),
            source_points: 7,
            extent: [1.0, 2.0, f64::from(i)],
            group_ms: 0.25,
            source_hash: "ab".into(),
            ..Default::default()
        })
        .collect();
    jepa3d_schemas::write_catalog(&path, &rows).unwrap();
    assert_eq!(jepa3d_schemas::read_catalog(&path).unwrap(), rows);
}
