//! Views on disk: what is written is read back, row groups keep their numbers, older files still read.

use std::fs::File;
use std::path::Path;

use jepa3d_schemas::{
    CAMERA_COLUMNS, CATALOG_FILE, Camera, CatalogRow, CatalogViews, Correspondences, Draws, Manifest,
    RowGroupEncoder, ShardWriter, View, ViewReader, WriteOptions, read_catalog, version_footer,
    write_catalog,
};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// A view of random content; some have no depth, no map, no correspondences, and no image even.
fn view(id: usize) -> View {
    let mut draws = Draws::new(5, &id.to_string(), "view");
    let has = |k: usize| !id.is_multiple_of(k);
    let count = if has(5) { 20 + draws.index(30) } else { 0 };
    let mut correspondences = Correspondences::default();
    for point in 0..count {
        correspondences.push(3 * point as u32, [0, 1, 2].map(|_| draws.normal() as f32));
    }
    let mut bytes = |n: usize| (0..n).map(|_| draws.index(256) as u8).collect::<Vec<_>>();
    View {
        sample_id: format!("object-{:03}", id / 4),
        view: (id % 4) as u16,
        name: format!("camera {id}"),
        image: if has(7) { bytes(300) } else { vec![] },
        depth: has(2).then(|| bytes(100)),
        depth_scale: if has(2) { 1e-4 } else { 0.0 },
        camera: Camera {
            width: 4,
            height: 3,
            fx: 1.0 / 3.0,
            fy: 1e9,
            cx: -0.5,
            cy: id as f64,
            camera_from_world: Camera::affine_from_rows(&std::array::from_fn(|i| i as f64 / 7.0)),
        },
        correspondences,
        pixel_point: has(3).then(|| (0..12).map(|i| if i % 2 == 0 { i } else { u32::MAX }).collect()),
    }
}

fn write(path: &Path, groups: &[&[View]]) -> jepa3d_schemas::WrittenShard {
    let encoder = RowGroupEncoder::new(WriteOptions::default());
    let mut writer = ShardWriter::create(path, WriteOptions::default(), version_footer()).expect("create");
    for views in groups {
        writer.append_even_empty(encoder.encode(views).expect("encode")).expect("append");
    }
    writer.finish().expect("finish")
}

#[test]
fn decode_of_encode_is_the_identity_for_every_mix_of_nulls() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train-00000-of-00001.parquet");
    let views: Vec<_> = (0..61).map(view).collect();
    let written = write(&path, &views.chunks(16).collect::<Vec<_>>());
    assert_eq!((written.rows, written.bytes), (61, path.metadata().unwrap().len()));
    let reader = ViewReader::open(&path).unwrap();
    let read = |group| {
        let rows = reader.read_row_group(group, &[]).unwrap();
        (0..rows.rows).map(|i| rows.view(i).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((0..reader.row_groups()).flat_map(read).collect::<Vec<_>>(), views);
    let cameras = reader.read_row_group(1, &CAMERA_COLUMNS).unwrap();
    assert_eq!(cameras.camera(2), Some(views[18].camera));
    assert!(cameras.image.is_none() && cameras.view(2).is_none());
}

#[test]
fn an_empty_row_group_keeps_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let views: Vec<_> = (0..4).map(view).collect();
    write(&path, &[&[], &views[..3], &[], &views[3..], &[]]);
    let reader = ViewReader::open(&path).unwrap();
    let rows: Vec<_> = (0..5).map(|i| reader.read_row_group(i, &[]).unwrap().rows).collect();
    assert_eq!(rows, [0, 3, 0, 1, 0]);
    assert_eq!(reader.read_row_group(3, &[]).unwrap().view(0).as_ref(), Some(&views[3]));
}

#[test]
fn a_view_that_disagrees_with_itself_is_refused_by_name() {
    let encoder = RowGroupEncoder::new(WriteOptions::default());
    let error = |change: fn(&mut View)| {
        let mut views = [view(1), view(2)];
        change(&mut views[1]);
        encoder.encode(&views).err().unwrap().to_string()
    };
    assert_eq!(
        error(|v| v.correspondences.u.truncate(1)),
        format!(
            "sample object-000 view 2: column corr_u: expected {} values, found 1",
            view(2).correspondences.len()
        )
    );
    assert_eq!(
        error(|v| v.pixel_point = Some(vec![0; 11])),
        "sample object-000 view 2: column pixel_point: expected 12 values, found 11"
    );
}

fn row(i: u32) -> CatalogRow {
    let views = CatalogViews {
        views: i,
        visible: 0.25,
        covered: 0.75,
        views_ms: 12.5,
        warnings: vec!["photo-missing: CAM_BACK: gone".to_owned(); i as usize % 2],
    };
    CatalogRow {
        id: format!("o{i}"),
        split: "train".into(),
        status: "written".into(),
        source_hash: "ab".into(),
        views: (i != 1).then_some(views),
        warnings: (0..i).map(|k| format!("texture-missing: {k}.png")).collect(),
        ..CatalogRow::default()
    }
}

#[test]
fn a_catalog_with_and_without_columns_of_views_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(CATALOG_FILE);
    let rows: Vec<_> = (0..4).map(row).collect();
    write_catalog(&path, &rows).unwrap();
    assert_eq!(read_catalog(&path).unwrap(), rows);
    // As it was written before there were warnings, and before there were views: the same without its last columns.
    let mut batches =
        ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap().build().unwrap();
    let batch = batches.next().unwrap().unwrap();
    let write = |columns: usize| {
        let old = batch.project(&(0..columns).collect::<Vec<_>>()).unwrap();
        let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), old.schema(), None).unwrap();
        writer.write(&old).unwrap();
        writer.close().unwrap();
    };
    write(batch.num_columns() - 2);
    let without = |row: CatalogRow| {
        let views = row.views.map(|views| CatalogViews { warnings: vec![], ..views });
        CatalogRow { warnings: vec![], views, ..row }
    };
    let rows: Vec<_> = rows.into_iter().map(without).collect();
    assert_eq!(read_catalog(&path).unwrap(), rows);
    write(batch.num_columns() - 6);
    let rows: Vec<_> = rows.into_iter().map(|row| CatalogRow { views: None, ..row }).collect();
    assert_eq!(read_catalog(&path).unwrap(), rows);
    // Any other number of columns is refused.
    write(batch.num_columns() - 1);
    let error = read_catalog(&path).unwrap_err().to_string();
    assert!(error.contains("catalog.parquet: columns: expected "), "{error}");
}

#[test]
fn a_manifest_from_before_there_were_views_reads() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"{
        "schema_version": 1, "tool_version": "0.1.0", "fingerprint": "f", "plan": "p", "split_hash": "s",
        "dataset": "d", "up_axis": "y", "groups": {"kind": "patches"}, "config": {}, "classes": [], "splits": {}, "shards": [],
        "shape": {"S": 4, "R": 1, "N": 4, "G": 2, "K": 2, "V": 0, "H": 0, "W": 0}
    }"#;
    std::fs::write(folder.path().join("manifest.json"), text).unwrap();
    let manifest = Manifest::read(folder.path()).unwrap();
    assert!(manifest.views.is_none());
    manifest.write(folder.path()).unwrap();
    let written = std::fs::read_to_string(folder.path().join("manifest.json")).unwrap();
    assert!(!written.contains("views"), "{written}");
}

#[test]
fn a_catalog_with_a_flipped_bit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(CATALOG_FILE);
    write_catalog(&path, &[row(1), row(2)]).unwrap();
    let good = std::fs::read(&path).unwrap();
    for bit in (0..8 * good.len()).step_by(29) {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, bad).unwrap();
        let error = read_catalog(&path).err().unwrap_or_else(|| panic!("bit {bit}")).to_string();
        assert!(error.contains("catalog.parquet: ") && error.contains("self_hash"), "bit {bit}: {error}");
    }
    std::fs::write(&path, good).unwrap();
    assert_eq!(read_catalog(&path).unwrap(), [row(1), row(2)]);
}
