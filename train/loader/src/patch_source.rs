//! Where patches come from: the groupings of a shard, or fresh ones of all or a part of a cloud.

use serde::{Deserialize, Serialize};

/// Where patches come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PatchesFrom {
    /// The groupings stored in the shards; augmentation moves the gathered coordinates.
    #[default]
    Shard,
    /// A fresh subset, farthest points and nearest neighbours of the augmented cloud at every step.
    Online,
}

/// Which points a fresh grouping takes of a cloud.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PointSubset {
    /// Farthest points from a random start: the whole cloud, thinned out.
    #[default]
    Farthest,
    /// Random points, as another scan of the same object would have them: the whole cloud, at a fraction of the work.
    Random,
    /// The nearest ones, along the ground, to a random point, which becomes the origin there (heights stay): a part of a
    /// scene at its full density.
    Crop,
}
