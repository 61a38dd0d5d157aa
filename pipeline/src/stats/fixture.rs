//! Small prepared datasets on disk, for the tests.

use std::path::Path;

use jepa3d_schemas::{
    CATALOG_FILE, CatalogRow, Manifest, RowGroupEncoder, Sample, ShapeLetters, ShardEntry, ShardWriter,
    WriteOptions, version_footer, write_catalog,
};

/// Writes a prepared dataset, the shards in row groups of 4 samples; counts and shards of the
/// manifest are filled in.
pub(super) fn write_dataset(
    folder: &Path,
    mut manifest: Manifest,
    catalog: &[CatalogRow],
    quarantine: &str,
    shards: &[(&str, Vec<Sample>)],
) {
    std::fs::create_dir_all(folder.join("points")).unwrap();
    let options = WriteOptions::default();
    let encoder = RowGroupEncoder::new(options);
    for (i, (split, samples)) in shards.iter().enumerate() {
        let file = format!("points/{split}-{i:05}-of-{:05}.parquet", shards.len());
        let mut writer = ShardWriter::create(&folder.join(&file), options, version_footer()).unwrap();
        for group in samples.chunks(4) {
            writer.append(encoder.encode(group).unwrap()).unwrap();
        }
        let written = writer.finish().unwrap();
        let split = (*split).to_owned();
        manifest.shards.push(ShardEntry {
            file,
            split,
            rows: written.rows,
            bytes: written.bytes,
            hash: written.hash,
            row_groups: written.row_groups,
        });
    }
    for row in catalog {
        let counts = manifest.splits.entry(row.split.clone()).or_default();
        let is_written = row.status == "written";
        counts.written += usize::from(is_written);
        counts.quarantined += usize::from(!is_written);
    }
    write_catalog(&folder.join(CATALOG_FILE), catalog).unwrap();
    std::fs::write(folder.join("quarantine.jsonl"), quarantine).unwrap();
    manifest.write(folder).unwrap();
}

/// A manifest without splits, classes and shards.
pub(super) fn manifest(name: &str) -> Manifest {
    let shape = ShapeLetters { S: 4, R: 2, N: 4, G: 2, K: 2, ..ShapeLetters::default() };
    Manifest { dataset: name.into(), shape, ..Manifest::example() }
}

/// A written object with a raw size and times of `scale`.
pub(super) fn object(id: &str, category: &str, split: &str, scale: f64) -> CatalogRow {
    CatalogRow {
        id: id.into(),
        category: Some(category.into()),
        label: Some(0),
        split: split.into(),
        status: "written".into(),
        source_points: 100,
        source_triangles: 50,
        points: 4,
        extent: [scale, 2.0 * scale, 0.5 * scale],
        norm_scale: scale,
        read_ms: scale,
        sample_ms: 2.0 * scale,
        group_ms: 7.0 * scale,
        source_hash: "00".into(),
        views: None,
        warnings: Vec::new(),
    }
}

pub(super) fn sample(id: &str) -> Sample {
    Sample {
        sample_id: id.into(),
        dataset: "tiny".into(),
        points: (0..12).map(|x| x as f32).collect(),
        center_indices: vec![0, 1, 2, 3],
        patch_indices: vec![0, 1, 1, 2, 2, 3, 3, 2],
        source: format!("{id}.obj"),
        source_hash: "00".into(),
        norm_scale: 1.0,
        ..Sample::default()
    }
}

/// Four written objects of two classes, a third class without any, and one that failed.
pub(super) fn write_tiny(folder: &Path) {
    let mut catalog = vec![
        object("a", "chair", "train", 1.0),
        object("b", "chair", "train", 2.0),
        object("c", "chair", "val", 3.0),
        object("d", "table", "train", 1000.0),
    ];
    catalog[2].points = 3;
    catalog[2].source_triangles = 0;
    catalog[3].extent[2] = 0.0;
    catalog.push(CatalogRow {
        id: "e".into(),
        category: Some("table".into()),
        split: "val".into(),
        status: "read".into(),
        read_ms: 0.5,
        ..CatalogRow::default()
    });
    let quarantine = "{\"id\":\"e\",\"split\":\"val\",\"source\":\"e.obj\",\"stage\":\"read\",\"error\":\"no \\u001b[2J faces\"}\n";
    let classes = ["chair", "lamp", "table"].map(str::to_owned).to_vec();
    let small = Sample {
        points: vec![0.0; 9],
        center_indices: vec![0, 1, 2, 0],
        patch_indices: vec![0, 1, 1, 0, 2, 1, 0, 1],
        ..sample("c")
    };
    let shards = [("train", vec![sample("a"), sample("b"), sample("d")]), ("val", vec![small])];
    write_dataset(folder, Manifest { classes, ..manifest("tiny") }, &catalog, quarantine, &shards);
}

/// Like ModelNet10: its class counts, raw sizes around 40, about 2 ms an object; the shards hold
/// the first few samples only.
pub(super) fn write_modelnet_like(folder: &Path) {
    let classes = [
        ("bathtub", 106),
        ("bed", 515),
        ("chair", 889),
        ("desk", 200),
        ("dresser", 200),
        ("monitor", 465),
        ("night_stand", 200),
        ("sofa", 680),
        ("table", 392),
        ("toilet", 344),
    ];
    let mut catalog = Vec::new();
    for (name, objects) in classes {
        for i in 0..objects {
            let mut draws = jepa3d_schemas::Draws::new(0, &format!("{name}_{i:04}"), "row");
            let mut bell = || 1.0 + 0.35 * (0..6).map(|_| draws.unit() - 0.5).sum::<f64>();
            let row = CatalogRow {
                source_points: (2000.0 * bell().powi(4)) as u32,
                source_triangles: 0,
                points: (1024.0 * (1.3 * bell()).min(1.0)) as u32,
                extent: [30.0 * bell(), 25.0 * bell().powi(2), 38.0 * bell()],
                read_ms: 0.2 * bell().powi(3),
                sample_ms: 0.02 * bell(),
                group_ms: 2.1 * bell().powi(2),
                ..object(
                    &format!("{name}/{name}_{i:04}"),
                    name,
                    if i % 10 == 9 { "val" } else { "train" },
                    1.0,
                )
            };
            catalog.push(row);
        }
    }
    for row in catalog.iter_mut().step_by(401) {
        row.status = "read".into();
    }
    let samples: Vec<Sample> =
        catalog.iter().filter(|r| r.split == "train").take(24).map(large_sample).collect();
    let classes = classes.iter().map(|(name, _)| (*name).to_owned()).collect();
    let shape = ShapeLetters { S: 1024, R: 4, N: 1024, G: 64, K: 32, ..ShapeLetters::default() };
    let manifest = Manifest { classes, shape, ..manifest("modelnet10") };
    write_dataset(folder, manifest, &catalog, "", &[("train", samples)]);
}

fn large_sample(row: &CatalogRow) -> Sample {
    let mut draws = jepa3d_schemas::Draws::new(0, &row.id, "sample");
    let n = row.points as usize;
    // Patches are runs along a curve, so they overlap as neighbours do.
    let starts: Vec<u32> = (0..4 * 64).map(|_| draws.index(n - 32) as u32).collect();
    Sample {
        points: (0..3 * n).map(|_| draws.range(-1.0, 1.0) as f32).collect(),
        center_indices: starts.clone(),
        patch_indices: starts.iter().flat_map(|&start| start..start + 32).collect(),
        ..sample(&row.id)
    }
}
