//! Corruptions of clouds: what robustness is measured by, each in five severities, before a cloud is grouped.
//!
//! The first seven kinds are those of PointCloud-C (Ren, Pan and Liu 2022, arXiv 2202.03377) with its amounts, density and
//! occlusion follow ModelNet40-C (Sun et al. 2022, arXiv 2201.12296). Lengths are shares of the cloud's radius, the
//! largest distance from its mean, which is 1 for objects in the unit sphere, so that scenes in metres are corrupted alike.
//! Every draw is of (seed, sample, kind and severity).

mod added;
mod dropped;
mod moved;
mod occluded;

use jepa3d_schemas::{Draws, UpAxis};
use serde::{Deserialize, Serialize};

/// Severities of every kind, from 1.
pub const SEVERITIES: usize = 5;

/// Points that clouds are filled up to by `repeat`, as sets of a fixed size have them.
const REPEATED_TO: usize = 1024;

/// What is done to a cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CorruptionKind {
    /// Every coordinate gets normal noise.
    Jitter,
    /// Each axis is scaled by a draw between 1/s and s; then mean and radius are those of before.
    Scale,
    /// Turned about x, y and z by draws of at most this many degrees.
    Rotate,
    /// Points are dropped at random.
    DropGlobal,
    /// One to seven regions, each a point and those nearest to it, are dropped.
    DropLocal,
    /// Points are added, uniform in the ball around the cloud.
    AddGlobal,
    /// One to seven normal clusters around points of the cloud are added, inside the ball.
    AddLocal,
    /// Points are kept with a probability that falls exponentially along a random direction.
    Density,
    /// Points that lie behind others, seen from a random direction, are dropped.
    Occlude,
    /// So many points are kept at random.
    Subsample,
    /// So many points are kept at random and repeated to 1,024.
    Repeat,
    /// Turned about the vertical by a draw of at most this many degrees.
    Turn,
}

impl CorruptionKind {
    /// All of them, in the order in which they are printed.
    pub const ALL: [Self; 12] = [
        Self::Jitter,
        Self::Scale,
        Self::Rotate,
        Self::DropGlobal,
        Self::DropLocal,
        Self::AddGlobal,
        Self::AddLocal,
        Self::Density,
        Self::Occlude,
        Self::Subsample,
        Self::Repeat,
        Self::Turn,
    ];

    /// As it is printed and asked for.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jitter => "jitter",
            Self::Scale => "scale",
            Self::Rotate => "rotate",
            Self::DropGlobal => "drop-global",
            Self::DropLocal => "drop-local",
            Self::AddGlobal => "add-global",
            Self::AddLocal => "add-local",
            Self::Density => "density",
            Self::Occlude => "occlude",
            Self::Subsample => "subsample",
            Self::Repeat => "repeat",
            Self::Turn => "turn",
        }
    }

    /// What [`CorruptionKind::amounts`] counts.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Jitter => "standard deviation, radii",
            Self::Scale => "largest factor",
            Self::Rotate | Self::Turn => "degrees at most",
            Self::DropGlobal | Self::DropLocal => "share of the points dropped",
            Self::AddGlobal | Self::AddLocal => "points added",
            Self::Density => "denser at one end than at the other, times",
            Self::Occlude => "depth behind others at which a point is hidden, radii",
            Self::Subsample | Self::Repeat => "points kept",
        }
    }

    /// The amount of each severity.
    pub fn amounts(self) -> [f64; SEVERITIES] {
        match self {
            Self::Jitter => [0.01, 0.02, 0.03, 0.04, 0.05],
            Self::Scale => [1.6, 1.7, 1.8, 1.9, 2.0],
            Self::Rotate => [6.0, 12.0, 18.0, 24.0, 30.0],
            Self::DropGlobal => [0.25, 0.375, 0.5, 0.625, 0.75],
            // 100 to 500 of the 1,024 points that PointCloud-C has.
            Self::DropLocal => [1.0, 2.0, 3.0, 4.0, 5.0].map(|hundreds| hundreds * 100.0 / 1024.0),
            Self::AddGlobal => [10.0, 20.0, 30.0, 40.0, 50.0],
            Self::AddLocal => [100.0, 200.0, 300.0, 400.0, 500.0],
            Self::Density => [2.0, 4.0, 8.0, 16.0, 32.0],
            Self::Occlude => [1.0, 0.7, 0.4, 0.2, 0.1],
            Self::Subsample | Self::Repeat => [512.0, 384.0, 256.0, 192.0, 128.0],
            Self::Turn => [36.0, 72.0, 108.0, 144.0, 180.0],
        }
    }

    /// What becomes of a cloud; what is left of it keeps its order, what is added comes last.
    ///
    /// # Shapes
    /// `points [S,3]` to `[S',3]`, at least one.
    pub(crate) fn change(
        self,
        cloud: &CloudUpright<'_>,
        severity: usize,
        draws: &mut Draws,
    ) -> Vec<[f32; 3]> {
        let amount = self.amounts()[severity.clamp(1, SEVERITIES) - 1];
        let CloudUpright { points, up } = *cloud;
        match self {
            Self::Jitter => moved::jitter(points, amount, draws),
            Self::Scale => moved::scale(points, amount, draws),
            Self::Rotate => moved::rotate(points, amount.to_radians(), draws),
            Self::Turn => moved::turn(points, up, amount.to_radians(), draws),
            Self::DropGlobal => dropped::drop_global(points, amount, draws),
            Self::DropLocal => dropped::drop_local(points, amount, draws),
            Self::Density => dropped::thin_out(points, amount, draws),
            Self::Occlude => occluded::occlude(points, amount, draws),
            Self::Subsample | Self::Repeat => keep_some(points, amount as usize, draws),
            Self::AddGlobal => added::add_global(points, amount as usize, draws),
            Self::AddLocal => added::add_local(points, amount as usize, draws),
        }
    }
}

/// A kind, how severe it is, and the seed of its draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corruption {
    /// What is done.
    pub kind: CorruptionKind,
    /// From 1 to [`SEVERITIES`].
    pub severity: usize,
    /// Seed of the draws.
    pub seed: u64,
}

/// A cloud and which way up it stands.
#[derive(Clone, Copy)]
pub(crate) struct CloudUpright<'a> {
    /// `[S,3]`, at least one.
    pub points: &'a [[f32; 3]],
    /// Its vertical.
    pub up: UpAxis,
}

impl Corruption {
    /// The corrupted cloud of sample `id`. What is left of a cloud keeps its order, what is added comes last. If fewer than
    /// `fewest` points are left, draws of them with repetition fill it up, so that it can be grouped.
    ///
    /// # Shapes
    /// `points [S,3]` to `[S',3]`.
    pub(crate) fn apply(&self, id: &str, cloud: &CloudUpright<'_>, fewest: usize) -> Vec<[f32; 3]> {
        let Self { kind, severity, seed } = *self;
        let mut draws = Draws::new(seed, id, &format!("corruption {} {severity}", kind.name()));
        let mut made = kind.change(cloud, severity, &mut draws);
        let repeated = if kind == CorruptionKind::Repeat { REPEATED_TO } else { 0 };
        fill_up(&mut made, fewest.max(repeated), &mut draws);
        made
    }
}

/// So many points at random, or all where there are no more.
pub(crate) fn keep_some(points: &[[f32; 3]], count: usize, draws: &mut Draws) -> Vec<[f32; 3]> {
    dropped::subsample(points, count, draws)
}

/// Appends draws with repetition until there are `count` points.
pub(crate) fn fill_up(points: &mut Vec<[f32; 3]>, count: usize, draws: &mut Draws) {
    let there = points.len();
    while there > 0 && points.len() < count {
        points.push(points[draws.index(there)]);
    }
}

#[cfg(test)]
mod tests;
