//! Seeded changes of a cloud between the shard and the batch.
//!
//! In this order, which for scale, normalisation and rotation is that of the official recipe
//! (`method.md` 2.7): scale each axis; move to the mean and into the unit sphere; rotate about the up
//! axis; mirror; scale uniformly; translate; jitter. Rotating, mirroring, uniform scaling and
//! translating keep farthest-point order and nearest neighbours, so they may follow a stored grouping;
//! scaling axes does not, and is refused there. Jitter after a stored grouping leaves the grouping as it is.

use jepa3d_schemas::{Draws, UpAxis};
use serde::{Deserialize, Serialize};

use crate::error::{Result, out_of_range};
use crate::patch_source::PatchesFrom;

/// What shares a draw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Per {
    /// All samples of a batch, as the official recipe does.
    #[default]
    Batch,
    /// Nothing: every sample has its own.
    Sample,
}

/// `[augment]`: the default changes nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// `batch`: one draw for all samples of a batch; `sample`: one each. Jitter is always drawn for
    /// every point. Default `batch`.
    pub per: Per,
    /// Each axis is scaled by a uniform draw of this range; only with `patches_from = "online"`.
    /// Default [1, 1].
    pub scale_axes: [f64; 2],
    /// Then subtract the mean of the grouping's points and divide by their largest norm. Default false.
    pub normalize: bool,
    /// Rotate about the dataset's up axis by a uniform angle of at most this many radians. Default 0.
    pub rotate_up: f64,
    /// Mirror each marked axis with probability 1/2. Default [false, false, false].
    pub mirror: [bool; 3],
    /// Scale uniformly by a draw of this range. Default [1, 1].
    pub scale_uniform: [f64; 2],
    /// Move along each axis by a uniform draw of at most this much. Default 0.
    pub translate: f64,
    /// Standard deviation of the normal noise on every coordinate. Default 0.
    pub jitter: f64,
}

impl Default for Augment {
    fn default() -> Self {
        Self {
            per: Per::Batch,
            scale_axes: [1.0; 2],
            normalize: false,
            rotate_up: 0.0,
            mirror: [false; 3],
            scale_uniform: [1.0; 2],
            translate: 0.0,
            jitter: 0.0,
        }
    }
}

impl Augment {
    /// The official recipe of Point-JEPA (`method.md` 2.7); needs `patches_from = "online"`.
    pub fn official() -> Self {
        Self { scale_axes: [0.8, 1.2], normalize: true, rotate_up: std::f64::consts::PI, ..Self::default() }
    }

    /// Checks every value.
    ///
    /// # Errors
    /// Fails if a range is not one of positive numbers, an amount is negative or not finite, or axes
    /// are scaled after a stored grouping.
    pub fn check(&self, patches_from: PatchesFrom) -> Result<()> {
        for (key, [low, high]) in
            [("data.augment.scale_axes", self.scale_axes), ("data.augment.scale_uniform", self.scale_uniform)]
        {
            if !(low > 0.0 && low <= high && high.is_finite()) {
                return Err(out_of_range(key, "0 < low <= high", format!("[{low}, {high}]")));
            }
        }
        let amounts = [
            ("data.augment.rotate_up", self.rotate_up),
            ("data.augment.translate", self.translate),
            ("data.augment.jitter", self.jitter),
        ];
        if let Some((key, found)) = amounts.into_iter().find(|(_, x)| !(x.is_finite() && *x >= 0.0)) {
            return Err(out_of_range(key, "a finite number of at least 0", found));
        }
        if patches_from == PatchesFrom::Shard && self.scale_axes != [1.0; 2] {
            let expected = "[1, 1] with patches_from = \"shard\", because scaling axes changes which points are \
                            farthest and nearest, which stored groupings do not follow (use \"online\")";
            let found = format!("{:?}", self.scale_axes);
            return Err(out_of_range("data.augment.scale_axes", expected, found));
        }
        Ok(())
    }

    /// Checks that a teacher's embeddings of stored views are still of the changed clouds: cameras turn along, but nobody has
    /// embedded views of mirrored ones.
    ///
    /// # Errors
    /// Fails if an axis is mirrored.
    pub fn check_beside_teacher(&self) -> Result<()> {
        match self.mirror.contains(&true) {
            false => Ok(()),
            true => {
                let expected = "no axis with a teacher, who has seen no view of a mirrored cloud";
                Err(out_of_range("data.augment.mirror", expected, format!("{:?}", self.mirror)))
            }
        }
    }

    /// Whether nothing changes.
    pub(crate) fn is_identity(&self) -> bool {
        *self == Self { per: self.per, ..Self::default() }
    }

    /// Draws one change; the number of draws does not depend on the values.
    pub(crate) fn draw(&self, up: UpAxis, mut draws: Draws) -> CloudChange {
        let [low, high] = self.scale_axes;
        let scale = [(); 3].map(|()| draws.range(low, high) as f32);
        let turn = draws.range(-self.rotate_up, self.rotate_up);
        let sign = self.mirror.map(|may| if draws.chance(0.5) && may { -1.0 } else { 1.0 });
        let uniform = draws.range(self.scale_uniform[0], self.scale_uniform[1]);
        let moved = [(); 3].map(|()| draws.range(-self.translate, self.translate) as f32);
        let rotation = rotate_about(up, turn);
        let matrix = [0, 1, 2].map(|i| rotation[i].map(|x| (sign[i] * uniform * x) as f32));
        CloudChange { scale, normalize: self.normalize, turn, matrix, moved, jitter: self.jitter }
    }
}

/// The turn that lifts `from` to where `to` is: about the third axis, a quarter, so that both sets have their floors in the
/// same plane. `None` if they are the same.
pub(crate) fn turn_upright(from: UpAxis, to: UpAxis) -> Option<[[f32; 3]; 3]> {
    let (from, to) = (from.index(), to.index());
    let mut turn = [[0.0; 3]; 3];
    if from == to {
        return None;
    }
    let third = 3 - from - to;
    turn[third][third] = 1.0;
    turn[to][from] = 1.0;
    turn[from][to] = -1.0;
    Some(turn)
}

/// Rotation by `angle` about `up`, counter-clockwise seen from its tip, rows of `a_from_b`.
pub(crate) fn rotate_about(up: UpAxis, angle: f64) -> [[f64; 3]; 3] {
    let (sin, cos) = (libm::sin(angle), libm::cos(angle));
    match up {
        UpAxis::X => [[1.0, 0.0, 0.0], [0.0, cos, -sin], [0.0, sin, cos]],
        UpAxis::Y => [[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]],
        UpAxis::Z => [[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]],
    }
}

/// A drawn change: scale of the axes, normalisation, a matrix, a translation, jitter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct CloudChange {
    scale: [f32; 3],
    normalize: bool,
    /// Radians about the dataset's up axis, as they are in `matrix`.
    turn: f64,
    matrix: [[f32; 3]; 3],
    moved: [f32; 3],
    jitter: f64,
}

impl CloudChange {
    /// This change with a turn behind all of it but the jitter.
    pub(crate) fn then(mut self, turn: Option<[[f32; 3]; 3]>) -> Self {
        let Some(turn) = turn else { return self };
        let along = |row: [f32; 3], v: [f32; 3]| row[0] * v[0] + row[1] * v[1] + row[2] * v[2];
        let m = self.matrix;
        self.matrix = turn.map(|row| [0, 1, 2].map(|j| along(row, [m[0][j], m[1][j], m[2][j]])));
        self.moved = turn.map(|row| along(row, self.moved));
        self
    }

    /// Changes `points [S,3]` in place; the mean and the largest norm are those of `members`
    /// (all points if empty), the jitter comes from `draws`.
    pub(crate) fn apply(&self, points: &mut [[f32; 3]], members: &[u32], draws: impl FnOnce() -> Draws) {
        self.apply_in(|points| self.normalize.then(|| CloudSphere::fit(points, members)), points, draws);
    }

    /// Changes `points [S,3]` in place. The sphere that is brought to the unit sphere, if any, is what `choose` says of the
    /// points with scaled axes.
    pub(crate) fn apply_in(
        &self,
        choose: impl FnOnce(&[[f32; 3]]) -> Option<CloudSphere>,
        points: &mut [[f32; 3]],
        draws: impl FnOnce() -> Draws,
    ) {
        self.scale_axes(points);
        if let Some(CloudSphere { center, radius }) = choose(points) {
            for p in points.iter_mut() {
                *p = [0, 1, 2].map(|a| (p[a] - center[a]) / radius);
            }
        }
        self.place(points, draws);
    }

    /// How far the cloud turns about the dataset's up axis: radians, counter-clockwise seen from its tip.
    pub(crate) fn turn(&self) -> f64 {
        self.turn
    }

    /// Whether mean and largest norm are brought to those of the unit sphere.
    pub(crate) fn normalizes(&self) -> bool {
        self.normalize
    }

    /// The first part of the change.
    pub(crate) fn scale_axes(&self, points: &mut [[f32; 3]]) {
        for p in points.iter_mut() {
            *p = [0, 1, 2].map(|a| p[a] * self.scale[a]);
        }
    }

    /// The last part of the change, behind the normalisation.
    fn place(&self, points: &mut [[f32; 3]], draws: impl FnOnce() -> Draws) {
        let m = &self.matrix;
        for p in points.iter_mut() {
            *p = [0, 1, 2].map(|i| m[i][0] * p[0] + m[i][1] * p[1] + m[i][2] * p[2] + self.moved[i]);
        }
        if self.jitter > 0.0 {
            let mut draws = draws();
            for x in points.as_flattened_mut() {
                *x += (draws.normal() * self.jitter) as f32;
            }
        }
    }
}

/// Where a cloud lies, and how large it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct CloudSphere {
    center: [f32; 3],
    radius: f32,
}

impl CloudSphere {
    /// Mean of the members, of all points if empty, (in f64) and their largest distance from it, 1 if that is 0.
    pub(crate) fn fit(points: &[[f32; 3]], members: &[u32]) -> Self {
        let each = |visit: &mut dyn FnMut(&[f32; 3])| match members {
            [] => points.iter().for_each(&mut *visit),
            _ => members.iter().for_each(|&i| visit(&points[i as usize])),
        };
        let (mut sum, mut count) = ([0.0f64; 3], 0usize);
        each(&mut |p| {
            (0..3).for_each(|a| sum[a] += f64::from(p[a]));
            count += 1;
        });
        let center = sum.map(|s| (s / count.max(1) as f64) as f32);
        let mut most = 0.0f32;
        each(&mut |p| {
            let [x, y, z] = [0, 1, 2].map(|a| p[a] - center[a]);
            most = most.max(x * x + y * y + z * z);
        });
        Self { center, radius: if most > 0.0 { most.sqrt() } else { 1.0 } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_lift_one_axis_to_another_and_keep_handedness() {
        let axes = [UpAxis::X, UpAxis::Y, UpAxis::Z];
        for (f, t) in (0..3).flat_map(|f| (0..3).map(move |t| (f, t))) {
            let Some(m) = turn_upright(axes[f], axes[t]) else {
                assert_eq!(f, t);
                continue;
            };
            assert_eq!([m[0][f], m[1][f], m[2][f]], [0, 1, 2].map(|k| if k == t { 1.0 } else { 0.0 }));
            let minor = |a: usize, b: usize| m[1][a] * m[2][b] - m[1][b] * m[2][a];
            let determinant = m[0][0] * minor(1, 2) - m[0][1] * minor(0, 2) + m[0][2] * minor(0, 1);
            assert_eq!(determinant, 1.0, "a turn, no mirror");
        }
        let change = Augment { rotate_up: 1.0, ..Augment::default() };
        let change = change.draw(UpAxis::Y, Draws::new(1, "a", "b")).then(turn_upright(UpAxis::Y, UpAxis::Z));
        let mut points = [[0.0, 2.0, 0.0], [1.0, 0.5, 0.0]];
        change.apply(&mut points, &[], || unreachable!("no jitter"));
        assert_eq!(points[0], [0.0, 0.0, 2.0], "up stays up");
        assert!((points[1][2] - 0.5).abs() < 1e-6);
    }
}
