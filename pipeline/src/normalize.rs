//! Moves a raw cloud to its normalised frame: centre and scale in f64, coordinates stored as f32.
//!
//! Real clouds lie up to 1e8 units from the origin with details of one unit, so the centre is
//! subtracted before anything is rounded to f32.

use serde::{Deserialize, Serialize};

use crate::error::Rejected;

/// Which frame the stored coordinates have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CloudFrame {
    /// Mean at the origin, farthest point at distance 1 (objects).
    #[default]
    UnitSphere,
    /// Mean at the origin, units of the source.
    Centered,
    /// As in the source (scenes).
    Source,
}

/// A cloud in its normalised frame: `raw = points * scale + center`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NormalizedCloud {
    /// `[S]` normalised coordinates.
    pub points: Vec<[f32; 3]>,
    /// Raw coordinates of the normalised origin.
    pub center: [f64; 3],
    /// Raw length of one normalised unit.
    pub scale: f64,
    /// Size of the raw cloud along x, y, z.
    pub extent: [f64; 3],
    /// Whether all points coincide; their scale is then 1.
    pub is_single_point: bool,
}

/// Normalises a cloud.
///
/// # Errors
/// Rejects a cloud without points, with a coordinate that is not finite, or so large that its
/// mean or radius overflows.
pub(crate) fn normalize(raw: &[[f64; 3]], frame: CloudFrame) -> Result<NormalizedCloud, Rejected> {
    let reject = |reason: String| Err(Rejected::new("normalize", reason));
    if raw.is_empty() {
        return reject("expected points, found none".to_owned());
    }
    if let Some(i) = raw.iter().position(|p| p.iter().any(|x| !x.is_finite())) {
        return reject(format!("expected finite coordinates, found {:?} at point {i}", raw[i]));
    }
    let (low, high) = bounds(raw);
    let extent = std::array::from_fn(|a| high[a] - low[a]);
    let center = if frame == CloudFrame::Source { [0.0; 3] } else { mean(raw, low) };
    let offset = |p: &[f64; 3]| -> [f64; 3] { std::array::from_fn(|a| p[a] - center[a]) };
    let radius = raw.iter().map(|p| offset(p).iter().map(|x| x * x).sum::<f64>()).fold(0.0, f64::max).sqrt();
    let is_single_point = extent == [0.0; 3];
    let scale = if frame == CloudFrame::UnitSphere && !is_single_point { radius } else { 1.0 };
    let points: Vec<[f32; 3]> = raw.iter().map(|p| offset(p).map(|x| (x / scale) as f32)).collect();
    let is_usable = scale.is_finite() && scale > 0.0 && points.iter().flatten().all(|x| x.is_finite());
    if !is_usable {
        return reject(format!("expected coordinates that f32 can hold, found an extent of {extent:?}"));
    }
    Ok(NormalizedCloud { points, center, scale, extent, is_single_point })
}

fn bounds(raw: &[[f64; 3]]) -> ([f64; 3], [f64; 3]) {
    let mut bounds = ([f64::INFINITY; 3], [f64::NEG_INFINITY; 3]);
    for p in raw {
        for a in 0..3 {
            bounds.0[a] = bounds.0[a].min(p[a]);
            bounds.1[a] = bounds.1[a].max(p[a]);
        }
    }
    bounds
}

/// The mean, summed relative to `near`, a corner of the cloud, so that a far cloud loses nothing.
fn mean(raw: &[[f64; 3]], near: [f64; 3]) -> [f64; 3] {
    let mut sum = [0.0; 3];
    for p in raw {
        for a in 0..3 {
            sum[a] += p[a] - near[a];
        }
    }
    std::array::from_fn(|a| near[a] + sum[a] / raw.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jepa3d_schemas::Draws;

    #[test]
    fn the_unit_sphere_touches_the_farthest_point_and_raw_comes_back() {
        for seed in 0..40 {
            let mut draws = Draws::new(seed, "n", "test");
            let far = [draws.range(-4e8, 4e8), draws.range(-1e4, 1e4), 0.0];
            let size = libm::pow(10.0, draws.range(-1.0, 5.0));
            let raw: Vec<[f64; 3]> =
                (0..200).map(|_| std::array::from_fn(|a| far[a] + size * draws.normal())).collect();
            let n = normalize(&raw, CloudFrame::UnitSphere).unwrap();
            let radius = n
                .points
                .iter()
                .map(|p| p.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>())
                .fold(0.0, f64::max);
            assert!((radius.sqrt() - 1.0).abs() < 1e-6);
            for a in 0..3 {
                let mean = n.points.iter().map(|p| f64::from(p[a])).sum::<f64>() / 200.0;
                assert!(mean.abs() < 1e-6);
            }
            for (p, q) in raw.iter().zip(&n.points) {
                for a in 0..3 {
                    let back = f64::from(q[a]) * n.scale + n.center[a];
                    assert!((back - p[a]).abs() <= 1e-7 * n.scale + 1e-15 * p[a].abs() * 4.0);
                }
            }
        }
    }

    #[test]
    fn equal_points_get_scale_one_and_a_flag() {
        let n = normalize(&[[3e8, 0.1, -7.0]; 9], CloudFrame::UnitSphere).unwrap();
        assert!(n.is_single_point);
        assert_eq!((n.scale, n.points[0]), (1.0, [0.0; 3]));
    }

    #[test]
    fn the_source_frame_is_kept() {
        let n = normalize(&[[1.0, 2.0, 3.0], [5.0, 2.0, 3.0]], CloudFrame::Source).unwrap();
        assert_eq!((n.points[1], n.center, n.scale), ([5.0, 2.0, 3.0], [0.0; 3], 1.0));
        assert_eq!(n.extent, [4.0, 0.0, 0.0]);
    }

    #[test]
    fn what_is_not_finite_is_refused_by_name() {
        let reason = |raw: &[[f64; 3]]| normalize(raw, CloudFrame::UnitSphere).unwrap_err().reason;
        assert_eq!(reason(&[]), "expected points, found none");
        assert_eq!(
            reason(&[[0.0; 3], [1.0, f64::NAN, 2.0]]),
            "expected finite coordinates, found [1.0, NaN, 2.0] at point 1"
        );
        assert!(reason(&[[-1e308; 3], [1e308; 3]]).starts_with("expected coordinates that f32 can hold"));
        assert!(reason(&[[0.0; 3], [1e200; 3]]).starts_with("expected coordinates that f32 can hold"));
    }
}
