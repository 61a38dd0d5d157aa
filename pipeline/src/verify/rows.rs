//! The invariants of one row of a points shard.

use jepa3d_schemas::{BOX_NUMBERS, Manifest, Sample, ShapeLetters, check_shapes};

use crate::config::{GroupKind, PrepareConfig};
use crate::normalize::CloudFrame;
use crate::normals::find_odd_normal;

/// Checks the invariants of one row; says the first that does not hold.
pub(super) fn check_sample(
    sample: &Sample,
    manifest: &Manifest,
    config: &PrepareConfig,
) -> Result<(), String> {
    check_shapes(sample).map_err(|e| e.to_string())?;
    let shape = &manifest.shape;
    let s = sample.len();
    let ensure = |holds: bool, what: &str, expected: String, found: String| {
        if holds { Ok(()) } else { Err(format!("{what}: expected {expected}, found {found}")) }
    };
    let count = |what: &str, expected: usize, found: usize| {
        ensure(expected == found, what, expected.to_string(), found.to_string())
    };
    ensure((shape.N..=shape.S).contains(&s), "points", format!("{} to {}", shape.N, shape.S), s.to_string())?;
    let is_finite = sample.points.iter().all(|x| x.is_finite());
    ensure(is_finite, "points", "finite coordinates".into(), "NaN or infinity".into())?;
    count("center_indices", shape.R * shape.G, sample.center_indices.len())?;
    count("patch_indices", shape.R * shape.G * shape.K, sample.patch_indices.len())?;
    let subset = if s > shape.N { shape.R * shape.N } else { 0 };
    count("subset", subset, sample.subset.as_ref().map_or(0, Vec::len))?;
    let is_scaled = sample.norm_scale.is_finite() && sample.norm_scale > 0.0;
    ensure(is_scaled, "norm_scale", "a positive length".into(), sample.norm_scale.to_string())?;
    if config.cloud.frame == CloudFrame::UnitSphere {
        let radius = points(sample).map(|p| p.iter().map(|x| x * x).sum::<f32>().sqrt()).fold(0.0, f32::max);
        ensure(radius <= 1.0 + 1e-5, "radius", "at most 1".into(), radius.to_string())?;
    }
    check_label(sample, manifest)?;
    check_boxes(sample, manifest)?;
    check_point_labels(sample, manifest)?;
    let normals = sample.normals.iter().flat_map(|normals| normals.as_chunks::<3>().0);
    if let Some(odd) = find_odd_normal(normals.copied()) {
        return Err(format!("normals: expected finite ones of length 1, found {odd:?}"));
    }
    if sample.centers.iter().flatten().any(|x| !x.is_finite()) {
        return Err("centers: expected finite numbers, found NaN or infinity".to_owned());
    }
    (0..shape.R).try_for_each(|r| check_grouping(sample, r, shape, config.groups.kind))
}

/// The label names the category.
fn check_label(sample: &Sample, manifest: &Manifest) -> Result<(), String> {
    let Some(label) = sample.label else { return Ok(()) };
    let class = usize::try_from(label).ok().and_then(|l| manifest.classes.get(l));
    match class == sample.category.as_ref() {
        true => Ok(()),
        false => {
            let found = format!("label {label}, category {:?}", sample.category);
            Err(format!("label: expected the class {class:?}, found {found}"))
        }
    }
}

/// Boxes have finite centres, positive edges, unit quaternions and a class.
fn check_boxes(sample: &Sample, manifest: &Manifest) -> Result<(), String> {
    let boxes = sample.boxes.as_deref().unwrap_or_default().chunks_exact(BOX_NUMBERS);
    for (b, &label) in boxes.zip(sample.box_labels.as_deref().unwrap_or_default()) {
        let length: f32 = b[6..].iter().map(|x| x * x).sum();
        let is_placed = b[..6].iter().all(|x| x.is_finite()) && b[3..6].iter().all(|&x| x > 0.0);
        if !is_placed || (length - 1.0).abs() > 1e-4 {
            return Err(format!(
                "boxes: expected finite numbers, positive edges, a unit rotation, found {b:?}"
            ));
        }
        let classes = manifest.box_classes.len();
        if !usize::try_from(label).is_ok_and(|label| label < classes) {
            return Err(format!("box_labels: expected 0 to below {classes}, found {label}"));
        }
    }
    Ok(())
}

/// Labels of points are negative or have a name, and are parts of the sample's class.
fn check_point_labels(sample: &Sample, manifest: &Manifest) -> Result<(), String> {
    let Some(classes) = &manifest.point_classes else { return Ok(()) };
    let class = sample.label.and_then(|label| usize::try_from(label).ok());
    let parts = class.and_then(|class| classes.parts.get(class));
    let legal = parts.map_or(0..classes.names.len(), |parts| parts.indices());
    let mut labels = sample.point_labels.iter().flatten();
    match labels.find(|&&label| usize::try_from(label).is_ok_and(|label| !legal.contains(&label))) {
        None => Ok(()),
        Some(label) => {
            Err(format!("point_labels: expected {} to below {}, found {label}", legal.start, legal.end))
        }
    }
}

fn points(sample: &Sample) -> impl Iterator<Item = [f32; 3]> + '_ {
    sample.points.as_chunks::<3>().0.iter().copied()
}

fn check_grouping(sample: &Sample, r: usize, shape: &ShapeLetters, kind: GroupKind) -> Result<(), String> {
    let (n, g, k) = (shape.N, shape.G, shape.K);
    if k == 0 {
        return Err("shape of the manifest: expected K of at least 1, found 0".to_owned());
    }
    let mut is_member = vec![sample.subset.is_none(); sample.len()];
    for &i in sample.subset.iter().flat_map(|subset| &subset[r * n..(r + 1) * n]) {
        if std::mem::replace(&mut is_member[i as usize], true) {
            return Err(format!("subset of grouping {r}: point {i} stands there twice"));
        }
    }
    let centers = &sample.center_indices[r * g..(r + 1) * g];
    let patches = &sample.patch_indices[r * g * k..(r + 1) * g * k];
    if let Some(i) = centers.iter().chain(patches).find(|&&i| !is_member[i as usize]) {
        return Err(format!("grouping {r}: point {i} is not in its subset"));
    }
    if kind == GroupKind::Voxel {
        return check_blocks(sample, r, centers, patches, shape);
    }
    let mut is_center = vec![false; sample.len()];
    for (&center, patch) in centers.iter().zip(patches.chunks_exact(k)) {
        if std::mem::replace(&mut is_center[center as usize], true) {
            return Err(format!("grouping {r}: center {center} stands there twice"));
        }
        let at = |i: u32| -> [f32; 3] { std::array::from_fn(|a| sample.points[3 * i as usize + a]) };
        let c = at(center);
        let key = |&i: &u32| {
            let [x, y, z] = at(i);
            let [x, y, z] = [x - c[0], y - c[1], z - c[2]];
            ((x * x + y * y) + z * z, i)
        };
        if !patch.is_sorted_by(|a, b| key(a) < key(b)) || key(&patch[0]).0 != 0.0 {
            return Err(format!("grouping {r}: the patch of center {center} is not by (distance, index)"));
        }
    }
    Ok(())
}

fn check_blocks(
    sample: &Sample,
    r: usize,
    centers: &[u32],
    patches: &[u32],
    shape: &ShapeLetters,
) -> Result<(), String> {
    let (g, k) = (shape.G, shape.K);
    let counts = sample.patch_counts.as_ref().ok_or("patch_counts: expected counts, found none")?;
    if sample.centers.is_none() {
        return Err("centers: expected centroids, found none".to_owned());
    }
    for ((&count, &center), patch) in counts[r * g..].iter().zip(centers).zip(patches.chunks_exact(k)) {
        let count = usize::from(count);
        if count > k {
            return Err(format!("patch_counts: expected at most {k}, found {count}"));
        }
        let repeats = (count.max(1)..k).all(|i| patch[i] == patch[i % count.max(1)]);
        if !repeats || (count == 0 && patch[0] != center) {
            return Err(format!("grouping {r}: the block of center {center} does not repeat its points"));
        }
    }
    Ok(())
}
