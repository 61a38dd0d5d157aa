//! The heart: one raw object becomes one prepared sample.
//!
//! Every random draw comes from (run seed, object id, purpose), so a sample does not depend on
//! the order of work, on threads, or on the other objects.

use std::borrow::Cow;
use std::time::Instant;

use jepa3d_schemas::{BoxLabel, CatalogRow, Draws, Object, PointCloud, Sample, Shape, Warning, WarningKind};

use crate::config::{PrepareConfig, TooFew};
use crate::error::Rejected;
use crate::group::{CloudGroupings, GroupScratch, group};
use crate::normalize::{NormalizedCloud, normalize};
use crate::normals::find_odd_normal;
use crate::quarantine::QuarantineRow;
use crate::surface::sample_surface;

/// Status in the catalog of an object that became a sample.
pub(crate) const WRITTEN: &str = "written";

/// What ends the reason of an object with too few points: the two ways to keep it.
const TOO_FEW_RULE: &str = "cloud.too_few = \"repeat\" repeats points, groups.points lowers the need";

/// A raw object, and what is known of it besides.
pub(crate) struct RawObject<'a> {
    pub object: &'a Object,
    /// Name of its dataset.
    pub dataset: &'a str,
    /// Path of its main file relative to the raw folder.
    pub source: &'a str,
    /// Split it belongs to.
    pub split: &'a str,
    /// Milliseconds that reading it took.
    pub read_ms: f64,
}

/// A sample and what the catalog says of its object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PreparedSample {
    /// The row of a shard.
    pub sample: Sample,
    /// The row of the catalog, with what was odd but did not stop the object.
    pub catalog: CatalogRow,
}

/// Samples, normalises and groups one object.
///
/// # Errors
/// Rejects an object without a usable surface or without enough finite points; the rejection
/// names the stage, what was expected and what was found.
pub(crate) fn prepare(
    raw: &RawObject<'_>,
    config: &PrepareConfig,
    scratch: &mut GroupScratch,
) -> Result<PreparedSample, Rejected> {
    let object = raw.object;
    let mut warnings = object.warnings.clone();
    let start = Instant::now();
    let cloud = drop_odd_normals(choose_cloud(object, config)?, &mut warnings);
    let normalized = normalize(&cloud.positions, config.cloud.frame)?;
    if normalized.is_single_point {
        warnings.push(Warning::new(WarningKind::SinglePoint, "all points coincide: scale 1"));
    }
    let sample_ms = milliseconds_since(start);
    let start = Instant::now();
    let draws = |purpose: &str| Draws::new(config.run.seed, &object.id, purpose);
    let groupings = group(&normalized.points, &config.groups, &draws, scratch)?;
    let group_ms = milliseconds_since(start);
    let warnings = warnings.iter().map(ToString::to_string).collect();
    let catalog = CatalogRow { warnings, ..catalog_row(raw, &normalized, sample_ms, group_ms) };
    let sample = assemble(raw, cloud, normalized, groupings, config);
    Ok(PreparedSample { sample, catalog })
}

fn milliseconds_since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

/// The cloud to store, in raw units: sampled from a mesh, or subsampled from points.
fn choose_cloud<'a>(object: &'a Object, config: &PrepareConfig) -> Result<Cow<'a, PointCloud>, Rejected> {
    let (seed, count) = (config.run.seed, config.cloud.points);
    match &object.shape {
        Shape::Mesh(mesh) => {
            sample_surface(mesh, count, &mut Draws::new(seed, &object.id, "surface")).map(Cow::Owned)
        }
        Shape::Points(cloud) if cloud.len() > count => {
            let chosen = Draws::new(seed, &object.id, "subsample").distinct_sorted(cloud.len(), count);
            Ok(Cow::Owned(cloud.select(&chosen)))
        }
        Shape::Points(cloud) => fill(cloud, config.groups.points, config.cloud.too_few),
    }
}

/// A cloud of at least `needed` points, by the rule for clouds with fewer.
fn fill(cloud: &PointCloud, needed: usize, too_few: TooFew) -> Result<Cow<'_, PointCloud>, Rejected> {
    let found = cloud.len();
    if found >= needed {
        return Ok(Cow::Borrowed(cloud));
    }
    if found == 0 {
        return Err(Rejected::new("sample", format!("expected at least {needed} points, found none")));
    }
    if too_few == TooFew::Reject {
        let reason = format!("expected at least {needed} points, found {found} ({TOO_FEW_RULE})");
        return Err(Rejected::new("sample", reason));
    }
    let repeated: Vec<u32> = (0..needed).map(|i| (i % found) as u32).collect();
    Ok(Cow::Owned(cloud.select(&repeated)))
}

/// Whether an object was quarantined for too few points, all of which [`TooFew::Repeat`] would have kept.
pub(crate) fn has_too_few(row: &QuarantineRow) -> bool {
    row.stage == "sample" && row.error.ends_with(&format!("({TOO_FEW_RULE})"))
}

/// A cloud without its normals if one of them is no direction, which is then a warning.
fn drop_odd_normals<'a>(cloud: Cow<'a, PointCloud>, warnings: &mut Vec<Warning>) -> Cow<'a, PointCloud> {
    let Some(odd) = cloud.normals.as_ref().and_then(|normals| find_odd_normal(normals.iter().copied()))
    else {
        return cloud;
    };
    let text = format!("normals are not kept: expected finite ones of length 1, found {odd:?}");
    warnings.push(Warning::new(WarningKind::NormalsUnknown, text));
    Cow::Owned(PointCloud { normals: None, ..cloud.into_owned() })
}

fn catalog_row(
    raw: &RawObject<'_>,
    normalized: &NormalizedCloud,
    sample_ms: f64,
    group_ms: f64,
) -> CatalogRow {
    let object = raw.object;
    let (source_points, source_triangles) = match &object.shape {
        Shape::Mesh(mesh) => (mesh.positions.len(), mesh.triangles.len()),
        Shape::Points(points) => (points.len(), 0),
    };
    CatalogRow {
        id: object.id.clone(),
        category: object.category.clone(),
        label: object.label,
        split: raw.split.to_owned(),
        status: WRITTEN.to_owned(),
        source_points: source_points as u32,
        source_triangles: source_triangles as u32,
        points: normalized.points.len() as u32,
        extent: normalized.extent,
        norm_scale: normalized.scale,
        read_ms: raw.read_ms,
        sample_ms,
        group_ms,
        source_hash: object.source_hash.clone(),
        // Those of a task join the catalog when all of its shards are merged.
        views: None,
        warnings: Vec::new(),
    }
}

/// The boxes of an object in the frame of its cloud; absent where there are none.
fn box_numbers(boxes: &[BoxLabel], frame: &NormalizedCloud) -> Option<Vec<f32>> {
    let numbers = |b: &BoxLabel| {
        let center = [0, 1, 2].map(|i| (b.center[i] - frame.center[i]) / frame.scale);
        let size = b.size.map(|x| x / frame.scale);
        center.into_iter().chain(size).chain(b.rotation).map(|x| x as f32)
    };
    (!boxes.is_empty()).then(|| boxes.iter().flat_map(numbers).collect())
}

fn box_labels(boxes: &[BoxLabel]) -> Option<Vec<i16>> {
    (!boxes.is_empty()).then(|| boxes.iter().map(|b| b.label).collect())
}

/// A cloud of which the raw positions have served their purpose: those of one stored whole are never copied.
fn take_attributes(cloud: Cow<'_, PointCloud>) -> PointCloud {
    match cloud {
        Cow::Owned(cloud) => cloud,
        Cow::Borrowed(cloud) => PointCloud {
            positions: Vec::new(),
            normals: cloud.normals.clone(),
            colors: cloud.colors.clone(),
            intensity: cloud.intensity.clone(),
            point_labels: cloud.point_labels.clone(),
        },
    }
}

fn assemble(
    raw: &RawObject<'_>,
    cloud: Cow<'_, PointCloud>,
    normalized: NormalizedCloud,
    groupings: CloudGroupings,
    config: &PrepareConfig,
) -> Sample {
    let object = raw.object;
    let cloud = take_attributes(cloud);
    Sample {
        sample_id: object.id.clone(),
        dataset: raw.dataset.to_owned(),
        category: object.category.clone(),
        label: object.label,
        boxes: box_numbers(&object.boxes, &normalized),
        box_labels: box_labels(&object.boxes),
        points: normalized.points.into_flattened(),
        normals: cloud.normals.filter(|_| config.cloud.normals).map(Vec::into_flattened),
        colors: cloud.colors.filter(|_| config.cloud.colors).map(Vec::into_flattened),
        intensity: cloud.intensity,
        point_labels: cloud.point_labels,
        subset: groupings.subset,
        center_indices: groupings.center_indices,
        patch_indices: groupings.patch_indices,
        patch_counts: groupings.patch_counts,
        centers: groupings.centers,
        norm_center: normalized.center,
        norm_scale: normalized.scale,
        source: raw.source.to_owned(),
        source_hash: object.source_hash.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(points: usize) -> Object {
        let mut draws = Draws::new(0, "object", "test");
        let positions = (0..points).map(|_| std::array::from_fn(|_| draws.normal())).collect();
        let cloud = PointCloud {
            intensity: Some((0..points).map(|i| i as f32).collect()),
            ..PointCloud::from_positions(positions)
        };
        Object::new("object", Shape::Points(cloud))
    }

    fn config(sets: &[&str]) -> PrepareConfig {
        let base = ["cloud.points=200", "groups.points=100", "groups.centers=8", "groups.neighbors=6"];
        let sets: Vec<_> = base.iter().chain(sets).map(|s| (*s).to_owned()).collect();
        PrepareConfig::load(None, &sets).unwrap()
    }

    fn run(object: &Object, config: &PrepareConfig) -> Result<Sample, Rejected> {
        let raw = RawObject { object, dataset: "d", source: "s", split: "train", read_ms: 0.0 };
        prepare(&raw, config, &mut GroupScratch::default()).map(|p| p.sample)
    }

    #[test]
    fn a_large_cloud_is_subsampled_a_small_one_stored_whole() {
        let sample = run(&object(500), &config(&[])).unwrap();
        assert_eq!((sample.len(), sample.subset.as_ref().map(Vec::len)), (200, Some(400)));
        assert_eq!((sample.center_indices.len(), sample.patch_indices.len()), (4 * 8, 4 * 8 * 6));
        let intensity = sample.intensity.unwrap();
        assert!(intensity.windows(2).all(|w| w[0] < w[1]), "attributes follow the chosen points");
        assert_eq!(run(&object(150), &config(&[])).unwrap().len(), 150);
        assert_eq!(run(&object(100), &config(&[])).unwrap().subset, None);
    }

    #[test]
    fn too_few_points_are_rejected_or_repeated_as_asked() {
        let rejected = run(&object(99), &config(&[])).unwrap_err().to_string();
        assert!(rejected.starts_with("sample: expected at least 100 points, found 99"), "{rejected}");
        let sample = run(&object(40), &config(&["cloud.too_few=repeat"])).unwrap();
        assert_eq!(sample.len(), 100);
        assert_eq!(sample.points[..9], sample.points[40 * 3..40 * 3 + 9]);
        assert!(run(&object(0), &config(&["cloud.too_few=repeat"])).is_err());
    }

    #[test]
    fn a_sample_depends_on_seed_and_id_alone() {
        let (a, b) = (run(&object(500), &config(&[])), run(&object(500), &config(&[])));
        assert_eq!(a, b);
        assert_ne!(a, run(&object(500), &config(&["run.seed=1"])));
    }
}
