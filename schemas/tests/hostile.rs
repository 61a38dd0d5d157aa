//! Damaged Parquet files of every kind, whether or not a hash would have told: an error that names the file, never a
//! panic, and never memory without bound.

#![allow(clippy::unwrap_used, reason = "helpers beside the tests unwrap as they do")]

use std::path::Path;

use jepa3d_schemas::{
    Camera, CatalogRow, CatalogViews, Correspondences, Draws, FeatureRows, RowGroupEncoder, Sample,
    ShardReader, ShardWriter, TableRow, TeacherReader, TeacherRow, View, ViewReader, WriteOptions,
    read_catalog, read_features, version_footer, write_catalog, write_features,
};

/// Writes rows in row groups of two.
fn write_shard<R: TableRow>(path: &Path, rows: &[R]) {
    let options = WriteOptions::default();
    let encoder = RowGroupEncoder::new(options);
    let mut writer = ShardWriter::create(path, options, version_footer()).unwrap();
    for group in rows.chunks(2) {
        writer.append(encoder.encode(group).unwrap()).unwrap();
    }
    writer.finish().unwrap();
}

fn sample(id: usize) -> Sample {
    let mut draws = Draws::new(1, &id.to_string(), "hostile");
    let mut floats = |n: usize| (0..n).map(|_| draws.normal() as f32).collect::<Vec<_>>();
    Sample {
        sample_id: format!("object-{id}"),
        dataset: "hostile".into(),
        category: id.is_multiple_of(2).then(|| "chair".to_owned()),
        label: id.is_multiple_of(2).then_some(0),
        points: floats(60),
        normals: id.is_multiple_of(3).then(|| floats(60)),
        colors: Some((0..60).collect()),
        center_indices: (0..8).collect(),
        patch_indices: (0..32).map(|i| i % 20).collect(),
        patch_counts: Some(vec![4; 8]),
        norm_scale: 1.0,
        source: format!("{id}.off"),
        source_hash: "00".into(),
        ..Sample::default()
    }
}

fn view(id: usize) -> View {
    let mut correspondences = Correspondences::default();
    (0..9).for_each(|point| correspondences.push(point, [1.0, 2.0, 3.0]));
    View {
        sample_id: format!("object-{id}"),
        view: 0,
        name: "camera".into(),
        image: vec![7; 50],
        depth: Some(vec![3; 20]),
        depth_scale: 0.1,
        camera: Camera {
            width: 3,
            height: 3,
            fx: 1.0,
            fy: 1.0,
            cx: 1.5,
            cy: 1.5,
            camera_from_world: Camera::affine_from_rows(&std::array::from_fn(|i| i as f64)),
        },
        correspondences,
        pixel_point: Some(vec![1; 9]),
    }
}

fn teacher_row(id: usize) -> TeacherRow {
    TeacherRow {
        sample_id: format!("object-{id}"),
        view: 0,
        embedding: vec![0.5; 12],
        valid: true,
        pose: [0.25; 8],
        histogram: [0.0; 48],
    }
}

fn write_catalog_file(path: &Path) {
    let row = |i: u32| CatalogRow {
        id: format!("object-{i}"),
        category: i.is_multiple_of(2).then(|| "chair".to_owned()),
        split: "train".into(),
        status: "written".into(),
        views: i.is_multiple_of(3).then(|| CatalogViews { views: 3, ..CatalogViews::default() }),
        warnings: vec!["texture-missing: a.png".into(); i as usize % 3],
        ..CatalogRow::default()
    };
    write_catalog(path, &(0..20).map(row).collect::<Vec<_>>()).unwrap();
}

fn write_features_file(path: &Path) {
    let rows = FeatureRows {
        ids: (0..20).map(|i| format!("s{i}")).collect(),
        splits: vec!["train".into(); 20],
        categories: vec![Some("chair".into()); 20],
        labels: vec![None; 20],
        width: 3,
        values: (0..60u8).map(f32::from).collect(),
    };
    write_features(path, &rows, vec![]).unwrap();
}

/// Writes a file.
type Writer = fn(&Path);

/// Reads everything of a file, as its readers would; whether it was refused.
type Reader = fn(&Path) -> Result<(), jepa3d_schemas::Error>;

fn read_points(path: &Path) -> Result<(), jepa3d_schemas::Error> {
    let reader = ShardReader::open(path)?;
    reader.column_bytes();
    for group in 0..reader.row_groups().min(10) {
        let rows = reader.read_row_group(group, &[])?;
        (0..rows.rows).for_each(|row| drop((rows.sample(row), rows.cloud(row))));
    }
    Ok(())
}

fn read_views(path: &Path) -> Result<(), jepa3d_schemas::Error> {
    let reader = ViewReader::open(path)?;
    for group in 0..reader.row_groups().min(10) {
        let rows = reader.read_row_group(group, &[])?;
        (0..rows.rows).for_each(|row| drop(rows.view(row)));
    }
    Ok(())
}

fn read_teachers(path: &Path) -> Result<(), jepa3d_schemas::Error> {
    let reader = TeacherReader::open(path)?;
    for group in 0..reader.row_groups().min(10) {
        let rows = reader.read_row_group(group, &[])?;
        (0..rows.rows).for_each(|row| drop(rows.row(row)));
    }
    Ok(())
}

/// Every kind of Parquet file that is read back: its name, how it is written and read.
fn kinds() -> [(&'static str, Writer, Reader); 5] {
    [
        ("points.parquet", |path| write_shard(path, &(0..6).map(sample).collect::<Vec<_>>()), read_points),
        ("views.parquet", |path| write_shard(path, &(0..4).map(view).collect::<Vec<_>>()), read_views),
        (
            "teachers.parquet",
            |path| write_shard(path, &(0..4).map(teacher_row).collect::<Vec<_>>()),
            read_teachers,
        ),
        ("catalog.parquet", write_catalog_file, |path| read_catalog(path).map(drop)),
        ("features.parquet", write_features_file, |path| read_features(path).map(drop)),
    ]
}

/// Damages `bytes` in one of the ways in which disks and people do; more than half of the time in the footer.
fn mutate(bytes: &mut Vec<u8>, draws: &mut Draws) {
    let footer = bytes.len().saturating_sub(8 + footer_length(bytes));
    for _ in 0..1 + draws.index(3) {
        let start = if draws.chance(0.6) { footer } else { 0 };
        let at = start + draws.index(bytes.len() - start);
        match draws.index(6) {
            0 | 1 => bytes[at] ^= 1 << draws.index(8),
            2 => bytes[at] = draws.index(256) as u8,
            3 => bytes[at] = [0x00, 0x7F, 0x80, 0xFF, 0xFC, 0x19][draws.index(6)],
            4 => {
                let end = (at + 1 + draws.index(5)).min(bytes.len());
                bytes[at..end].fill([0xFF, 0x80, 0x00][draws.index(3)]);
            }
            _ => {
                let (from, length) = (draws.index(bytes.len()), 1 + draws.index(40));
                let piece = bytes[from..(from + length).min(bytes.len())].to_vec();
                let end = (at + piece.len()).min(bytes.len());
                bytes[at..end].copy_from_slice(&piece[..end - at]);
            }
        }
    }
    if draws.chance(0.05) {
        bytes.truncate(1 + draws.index(bytes.len()));
    }
}

fn footer_length(bytes: &[u8]) -> usize {
    bytes
        .len()
        .checked_sub(8)
        .map_or(0, |at| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize)
}

/// Puts the right hash into a file that carries one, so that the decoder sees what was done to it.
fn hash_again(bytes: &mut [u8]) {
    let marker = b"jepa3d.self_hash\x18\x40";
    let Some(at) = bytes.windows(marker.len()).rposition(|here| here == marker) else { return };
    let place = at + marker.len()..at + marker.len() + 64;
    if place.end <= bytes.len() {
        bytes[place.clone()].fill(b'0');
        let hash = blake3::hash(bytes).to_hex();
        bytes[place].copy_from_slice(hash.as_bytes());
    }
}

/// Reads `rounds` damaged files of every kind; panics with the seed of the first that makes a reader panic.
fn read_damaged(rounds: usize) {
    let folder = tempfile::tempdir().unwrap();
    for (name, write, read) in kinds() {
        let path = folder.path().join(name);
        write(&path);
        read(&path).unwrap_or_else(|e| panic!("undamaged: {e}"));
        let good = std::fs::read(&path).unwrap();
        let mut refused = 0;
        for round in 0..rounds {
            let mut bytes = good.clone();
            mutate(&mut bytes, &mut Draws::new(7, &format!("{name} {round}"), "damage"));
            hash_again(&mut bytes);
            std::fs::write(&path, &bytes).unwrap();
            let read = std::panic::catch_unwind(|| read(&path));
            let read = read.unwrap_or_else(|_| panic!("{name}, round {round}: a reader panicked"));
            if let Err(error) = read {
                assert!(error.to_string().contains(name), "round {round}: no file in {error}");
                refused += 1;
            }
        }
        eprintln!("{name}: {refused} of {rounds} damaged files refused, the others read");
        assert!(2 * refused > rounds, "{name}: damage hits what matters");
    }
}

#[test]
fn hostile_parquet_is_refused_by_name() {
    read_damaged(300);
}

#[test]
#[ignore = "long: make test-hostile"]
fn hostile_parquet_twelve_thousand_times() {
    read_damaged(2400);
}

#[cfg(unix)]
#[test]
fn hostile_devices_are_no_files() {
    for read in kinds().map(|(_, _, read)| read) {
        let error = read(Path::new("/dev/zero")).unwrap_err().to_string();
        assert_eq!(error, "/dev/zero: expected a regular file, found a device");
    }
}
