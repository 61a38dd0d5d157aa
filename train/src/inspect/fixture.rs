//! A small prepared dataset with views, made by hand, for the tests.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;

use image::{ImageBuffer, ImageFormat, Luma, Rgba};
use jepa3d_schemas::{
    CATALOG_FILE, Camera, CatalogRow, Correspondences, Draws, Manifest, RowGroupEncoder, SCHEMA_VERSION,
    SCHEMA_VERSION_KEY, Sample, ShapeLetters, ShardEntry, ShardWriter, SplitCounts, Table, UpAxis, View,
    ViewsEntry, WriteOptions, WrittenShard, write_catalog,
};

/// Stored points of a sample.
pub(crate) const POINTS: usize = 48;
/// Image size of a view.
pub(crate) const SIZE: (u32, u32) = (64, 64);

/// A cloud of seeded points in the unit cube about the origin, two groupings of 4 patches of 8.
pub(crate) fn sample(id: &str) -> Sample {
    let mut draws = Draws::new(0, id, "fixture");
    Sample {
        sample_id: id.into(),
        dataset: "fixture".into(),
        category: Some("cube".into()),
        label: Some(0),
        points: (0..3 * POINTS).map(|_| draws.range(-0.5, 0.5) as f32).collect(),
        point_labels: Some((0..POINTS as i16).map(|i| i % 3 - 1).collect()),
        center_indices: (0..8).collect(),
        patch_indices: (0..64).map(|i| i % POINTS as u32).collect(),
        boxes: Some(vec![0.1, 0.2, 0.3, 0.4, 0.2, 0.6, 1.0, 0.0, 0.0, 0.0]),
        box_labels: Some(vec![1]),
        norm_scale: 1.0,
        source: format!("{id}.obj"),
        source_hash: "0".into(),
        ..Sample::default()
    }
}

/// A view of a sample from 3 units away along `-z`, turned about y by a quarter for each number;
/// every third point counts as hidden.
pub(crate) fn view(sample: &Sample, number: u16) -> View {
    let (sin, cos) = [(0.0, 1.0), (1.0, 0.0), (0.0, -1.0), (-1.0, 0.0)][usize::from(number) % 4];
    let rows = [cos, 0.0, sin, 0.0, 0.0, 1.0, 0.0, 0.0, -sin, 0.0, cos, 3.0];
    let camera = Camera {
        width: SIZE.0,
        height: SIZE.1,
        fx: 100.0,
        fy: 100.0,
        cx: 32.0,
        cy: 32.0,
        camera_from_world: Camera::affine_from_rows(&rows),
    };
    let mut correspondences = Correspondences::default();
    for (i, p) in sample.points.chunks_exact(3).enumerate().filter(|(i, _)| i % 3 > 0) {
        let seen = camera.project([0, 1, 2].map(|axis| f64::from(p[axis])));
        correspondences.push(i as u32, seen.map(|x| x as f32));
    }
    let image = ImageBuffer::from_pixel(SIZE.0, SIZE.1, Rgba([90u8, 90, 90, 255]));
    let depth = ImageBuffer::from_fn(SIZE.0, SIZE.1, |x, _| Luma([x as u16 * 100]));
    View {
        sample_id: sample.sample_id.clone(),
        view: number,
        name: format!("side {number}"),
        image: png(|out| image.write_to(out, ImageFormat::Png)),
        camera,
        depth: Some(png(|out| depth.write_to(out, ImageFormat::Png))),
        depth_scale: 0.001,
        correspondences,
        pixel_point: None,
    }
}

fn png(write: impl Fn(&mut Cursor<Vec<u8>>) -> image::ImageResult<()>) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    write(&mut out).unwrap();
    out.into_inner()
}

/// Writes `train` (a0 .. a4 in two shards) and `val` (b0) in row groups of two samples, and a
/// catalog with one quarantined object, `c0`. With `views`, sample `a1` has none, the others three.
pub(crate) fn write_dataset(folder: &Path, views: bool) {
    let shards = [("train", &["a0", "a1", "a2"][..]), ("train", &["a3", "a4"]), ("val", &["b0"])];
    std::fs::create_dir_all(folder.join("points")).unwrap();
    let (mut entries, mut view_entries, mut catalog) = (Vec::new(), Vec::new(), Vec::new());
    for (i, (split, ids)) in shards.into_iter().enumerate() {
        let name = format!("{split}-{i:05}-of-00003.parquet");
        let samples: Vec<Sample> = ids.iter().map(|id| sample(id)).collect();
        let encoder = RowGroupEncoder::new(Table::Points, WriteOptions::default());
        let mut points = writer(folder, Table::Points, &name);
        samples.chunks(2).for_each(|group| points.append(encoder.encode(group).unwrap()).unwrap());
        entries.push(entry(format!("points/{name}"), split, points));
        catalog.extend(ids.iter().map(|id| row(id, split, "written")));
        if views {
            let out = write_views(folder, &name, &samples);
            view_entries.push(entry(format!("views/{name}"), split, out));
        }
    }
    catalog.push(row("c0", "val", "read"));
    write_catalog(&folder.join(CATALOG_FILE), &catalog).unwrap();
    let counts = |written, quarantined| SplitCounts { written, quarantined };
    let splits = BTreeMap::from([("train".into(), counts(5, 0)), ("val".into(), counts(1, 1))]);
    let [v, h, w] = if views { [3, SIZE.1 as usize, SIZE.0 as usize] } else { [0; 3] };
    let shape = ShapeLetters { S: POINTS, R: 2, N: POINTS, G: 4, K: 8, V: v, H: h, W: w };
    manifest(shape, splits, [entries, view_entries]).write(folder).unwrap();
}

fn write_views(folder: &Path, name: &str, samples: &[Sample]) -> ShardWriter {
    std::fs::create_dir_all(folder.join("views")).unwrap();
    let encoder = RowGroupEncoder::new(Table::Views, WriteOptions::default());
    let mut out = writer(folder, Table::Views, name);
    for group in samples.chunks(2) {
        let with = group.iter().filter(|sample| sample.sample_id != "a1");
        let views: Vec<View> = with.flat_map(|sample| (0..3).map(|i| view(sample, i))).collect();
        out.append(encoder.encode_views(&views).unwrap()).unwrap();
    }
    out
}

fn entry(file: String, split: &str, shard: ShardWriter) -> ShardEntry {
    let WrittenShard { rows, bytes, hash } = shard.finish().unwrap();
    ShardEntry { file, split: split.into(), rows, bytes, hash }
}

fn writer(folder: &Path, table: Table, name: &str) -> ShardWriter {
    let metadata = vec![(SCHEMA_VERSION_KEY.to_owned(), SCHEMA_VERSION.to_string())];
    let path = folder.join(table.folder()).join(name);
    ShardWriter::create(&path, table, WriteOptions::default(), metadata).unwrap()
}

fn row(id: &str, split: &str, status: &str) -> CatalogRow {
    CatalogRow { id: id.into(), split: split.into(), status: status.into(), ..CatalogRow::default() }
}

fn manifest(
    shape: ShapeLetters,
    splits: BTreeMap<String, SplitCounts>,
    [shards, view_shards]: [Vec<ShardEntry>; 2],
) -> Manifest {
    let views = (shape.V > 0).then(|| ViewsEntry {
        plan: "p2".into(),
        fingerprint: "f2".into(),
        config: serde_json::json!({}),
        failures: 0,
        shards: view_shards,
    });
    Manifest {
        schema_version: SCHEMA_VERSION,
        tool_version: "0.1.0".into(),
        fingerprint: "f1".into(),
        plan: "p1".into(),
        split_hash: "s1".into(),
        dataset: "fixture".into(),
        up_axis: UpAxis::Y,
        config: serde_json::json!({"dataset": {"kind": "fixture"}}),
        shape,
        classes: vec!["cube".into()],
        box_classes: vec!["car".into(), "cone".into()],
        splits,
        shards,
        views,
    }
}
