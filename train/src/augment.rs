//! Random motions of clouds, drawn once a batch or once a sample, in the order of the official recipe: scale each axis,
//! recenter and rescale, rotate, then mirror, translate and jitter (the official recipe has none of the last three).

use jepa3d_schemas::{Draws, UpAxis};
use serde::{Deserialize, Serialize};

use crate::config::out_of_range;
use crate::error::Result;

/// How often random numbers are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Per {
    /// One draw for all samples of a batch (the official recipe).
    Batch,
    /// Draws of their own for every sample.
    #[default]
    Sample,
}

/// Augmentation; by default none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// How often random numbers are drawn; jitter is drawn for every point.
    pub per: Per,
    /// Factors of each axis, drawn from this range. Changes what is near: `online` patches only.
    pub scale_axes: [f64; 2],
    /// One factor of all axes, drawn from this range.
    pub scale: [f64; 2],
    /// After scaling: mean at the origin, farthest point at distance 1. `online` patches only.
    pub normalize: bool,
    /// Largest angle about the up axis, radians; pi is the full circle.
    pub rotate_up: f64,
    /// Mirrors an axis with probability one half.
    pub mirror: [bool; 3],
    /// Largest shift along each axis.
    pub translate: f64,
    /// Standard deviation of a shift of every point of a patch.
    pub jitter: f64,
}

impl Default for Augment {
    fn default() -> Self {
        Self {
            per: Per::default(),
            scale_axes: [1.0, 1.0],
            scale: [1.0, 1.0],
            normalize: false,
            rotate_up: 0.0,
            mirror: [false; 3],
            translate: 0.0,
            jitter: 0.0,
        }
    }
}

/// One draw: `p -> matrix p + shift`, the matrix row by row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Motion {
    pub matrix: [[f32; 3]; 3],
    pub shift: [f32; 3],
}

impl Augment {
    /// Fails if a range is empty, or stored patches would no longer be what is near.
    pub(crate) fn check(&self, is_online: bool) -> Result<()> {
        for (key, [low, high]) in
            [("data.augment.scale_axes", self.scale_axes), ("data.augment.scale", self.scale)]
        {
            if !(low > 0.0 && low <= high && high.is_finite()) {
                return Err(out_of_range(key, "two ascending factors above 0", format!("[{low}, {high}]")));
            }
        }
        let is_skewed = self.scale_axes != [1.0, 1.0];
        if !is_online && (is_skewed || self.normalize) {
            let key = if is_skewed { "data.augment.scale_axes" } else { "data.augment.normalize" };
            let expected = "data.patches_from = \"online\", because it changes which points are near";
            return Err(out_of_range(key, expected, "\"shard\""));
        }
        Ok(())
    }

    /// Factors of the axes before the cloud is normalised.
    pub(crate) fn factors(&self, draws: &mut Draws) -> [f32; 3] {
        let mut factor = |[low, high]: [f64; 2]| if low < high { draws.range(low, high) } else { low };
        let axes = [(); 3].map(|()| factor(self.scale_axes));
        let all = factor(self.scale);
        axes.map(|axis| (axis * all) as f32)
    }

    /// The rigid part.
    pub(crate) fn motion(&self, up: UpAxis, draws: &mut Draws) -> Motion {
        let angle = if self.rotate_up > 0.0 { draws.range(-self.rotate_up, self.rotate_up) } else { 0.0 };
        let mut matrix = rotation(up, angle);
        for axis in 0..3 {
            if self.mirror[axis] && draws.chance(0.5) {
                matrix[axis] = matrix[axis].map(|x| -x);
            }
        }
        let mut shift = [0.0; 3];
        if self.translate > 0.0 {
            shift = shift.map(|_: f32| draws.range(-self.translate, self.translate) as f32);
        }
        Motion { matrix, shift }
    }
}

fn rotation(up: UpAxis, angle: f64) -> [[f32; 3]; 3] {
    let (s, c) = (libm::sin(angle) as f32, libm::cos(angle) as f32);
    match up {
        UpAxis::X => [[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]],
        UpAxis::Y => [[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]],
        UpAxis::Z => [[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]],
    }
}

impl Motion {
    /// The linear part of the motion.
    pub(crate) fn turn(&self, [x, y, z]: [f32; 3]) -> [f32; 3] {
        self.matrix.map(|row| row[0] * x + row[1] * y + row[2] * z)
    }

    /// Whether nothing moves.
    pub(crate) fn is_none(&self) -> bool {
        *self == Self { matrix: rotation(UpAxis::Z, 0.0), shift: [0.0; 3] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn motions_keep_distances_and_the_up_axis() {
        let augment = Augment {
            rotate_up: std::f64::consts::PI,
            mirror: [true, false, true],
            translate: 0.2,
            ..Augment::default()
        };
        for (up, axis) in [(UpAxis::Y, 1), (UpAxis::Z, 2)] {
            for seed in 0..50 {
                let motion = augment.motion(up, &mut Draws::new(seed, "s", "motion"));
                let p = [0.3, -0.7, 0.5];
                let q = motion.turn(p);
                let norm = |p: [f32; 3]| p.iter().map(|x| x * x).sum::<f32>();
                assert!((norm(p) - norm(q)).abs() < 1e-6 && (p[axis].abs() - q[axis].abs()).abs() < 1e-6);
            }
        }
        assert!(Augment::default().motion(UpAxis::Y, &mut Draws::new(1, "s", "m")).is_none());
    }

    #[test]
    fn what_changes_neighbours_needs_online_patches() {
        let skewed = Augment { scale_axes: [0.8, 1.2], ..Augment::default() };
        let error = skewed.check(false).unwrap_err().to_string();
        assert!(
            error.contains("data.augment.scale_axes: expected data.patches_from = \"online\""),
            "{error}"
        );
        skewed.check(true).unwrap();
        let empty = Augment { scale: [1.2, 0.8], ..Augment::default() };
        assert!(empty.check(true).is_err());
    }
}
