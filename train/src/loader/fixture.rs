//! Small prepared datasets with real groupings, for the tests of the loader.

use std::collections::BTreeMap;
use std::path::Path;

use jepa3d_grouping::{CellEdge, Cloud, voxel_blocks};
use jepa3d_schemas::{
    Draws, Manifest, RowGroupEncoder, SCHEMA_VERSION, SCHEMA_VERSION_KEY, Sample, ShapeLetters, ShardEntry,
    ShardWriter, SplitCounts, Table, UpAxis, WriteOptions, file_hash,
};

/// Letters of the fixture: clouds of 40 or 41 points, grouped by subsets of 24.
pub(crate) const SHAPE: ShapeLetters = ShapeLetters { S: 41, R: 3, N: 24, G: 6, K: 5, V: 0, H: 0, W: 0 };

/// A cloud of seeded points and its groupings.
fn sample(id: &str, label: i32) -> Sample {
    let mut draws = Draws::new(0, id, "fixture");
    let count = SHAPE.S - draws.index(2);
    let points: Vec<[f32; 3]> = (0..count).map(|_| [(); 3].map(|()| draws.range(-1.0, 1.0) as f32)).collect();
    let mut sample = Sample {
        sample_id: id.into(),
        dataset: "fixture".into(),
        category: Some("cube".into()),
        label: Some(label),
        normals: Some(points.as_flattened().to_vec()),
        points: points.as_flattened().to_vec(),
        subset: Some(vec![]),
        norm_scale: 1.0,
        source: format!("{id}.obj"),
        source_hash: "0".into(),
        ..Sample::default()
    };
    for _ in 0..SHAPE.R {
        let subset = draws.distinct_sorted(count, SHAPE.N);
        let part: Vec<[f32; 3]> = subset.iter().map(|&i| points[i as usize]).collect();
        let mut cloud = Cloud::new(&part).unwrap();
        let centers = cloud.farthest_points(SHAPE.G, draws.index(SHAPE.N) as u32).unwrap();
        let patches = cloud.nearest(&centers, SHAPE.K).unwrap();
        sample.center_indices.extend(centers.iter().map(|&i| subset[i as usize]));
        sample.patch_indices.extend(patches.iter().map(|&i| subset[i as usize]));
        sample.subset.as_mut().unwrap().extend(subset);
    }
    sample
}

/// Makes the groupings voxel blocks.
fn with_blocks(mut sample: Sample) -> Sample {
    let points = sample.points.as_chunks::<3>().0.to_vec();
    let (mut centers, mut counts) = (Vec::new(), Vec::new());
    sample.center_indices.clear();
    sample.patch_indices.clear();
    for subset in sample.subset.as_ref().unwrap().chunks_exact(SHAPE.N) {
        let part: Vec<[f32; 3]> = subset.iter().map(|&i| points[i as usize]).collect();
        let blocks = voxel_blocks(&part, SHAPE.G, SHAPE.K, CellEdge::Auto).unwrap();
        let in_cloud = |i: &u32| subset[*i as usize];
        sample.center_indices.extend(blocks.center_indices.iter().map(in_cloud));
        sample.patch_indices.extend(blocks.patch_indices.iter().map(in_cloud));
        centers.extend(blocks.centers.into_iter().flatten());
        counts.extend(blocks.counts);
    }
    (sample.patch_counts, sample.centers) = (Some(counts), Some(centers));
    sample
}

fn without_label(sample: Sample) -> Sample {
    Sample { label: None, category: None, ..sample }
}

/// Writes a dataset with one shard for each of `shards`, (split, rows), in row groups of `group` rows.
/// Ids ascend over all shards: `s000`, `s001`, ..; those of a split `blocks` hold voxel blocks,
/// those of a split `unlabelled` no labels.
pub(crate) fn write(folder: &Path, shards: &[(&str, usize)], group: usize) {
    std::fs::create_dir_all(folder.join("points")).unwrap();
    let (mut entries, mut splits, mut next) = (Vec::new(), BTreeMap::<String, SplitCounts>::new(), 0);
    for (number, &(split, rows)) in shards.iter().enumerate() {
        let samples: Vec<Sample> =
            (next..next + rows).map(|i| sample(&format!("s{i:03}"), i as i32 % 4)).collect();
        let samples: Vec<Sample> =
            if split == "blocks" { samples.into_iter().map(with_blocks).collect() } else { samples };
        let samples: Vec<Sample> = match split {
            "unlabelled" => samples.into_iter().map(without_label).collect(),
            _ => samples,
        };
        next += rows;
        let file = format!("points/{split}-{number:05}-of-{:05}.parquet", shards.len());
        let encoder = RowGroupEncoder::new(Table::Points, WriteOptions::default());
        let metadata = vec![(SCHEMA_VERSION_KEY.to_owned(), SCHEMA_VERSION.to_string())];
        let mut out =
            ShardWriter::create(&folder.join(&file), Table::Points, WriteOptions::default(), metadata)
                .unwrap();
        samples.chunks(group).for_each(|part| out.append(encoder.encode(part).unwrap()).unwrap());
        let written = out.finish().unwrap();
        let (bytes, hash) = (written.bytes, written.hash);
        entries.push(ShardEntry { file, split: split.into(), rows, bytes, hash });
        splits.entry(split.into()).or_default().written += rows;
    }
    let mut manifest = manifest(entries, splits);
    if manifest.splits.contains_key("blocks") {
        manifest.config = serde_json::json!({"groups": {"kind": "voxel"}});
    }
    manifest.write(folder).unwrap();
}

fn manifest(shards: Vec<ShardEntry>, splits: BTreeMap<String, SplitCounts>) -> Manifest {
    Manifest {
        schema_version: SCHEMA_VERSION,
        tool_version: "0.1.0".into(),
        fingerprint: "f1".into(),
        plan: "p1".into(),
        split_hash: "s1".into(),
        dataset: "fixture".into(),
        up_axis: UpAxis::Z,
        config: serde_json::json!({}),
        shape: SHAPE,
        classes: ["a", "b", "c", "d"].map(str::to_owned).to_vec(),
        box_classes: vec![],
        splits,
        shards,
        views: None,
    }
}

/// Writes the manifest anew with the sizes and hashes that the shards have now.
pub(super) fn accept(folder: &Path) {
    let mut manifest = Manifest::read(folder).unwrap();
    for shard in &mut manifest.shards {
        (shard.bytes, shard.hash) = file_hash(&folder.join(&shard.file)).unwrap();
    }
    manifest.write(folder).unwrap();
}
