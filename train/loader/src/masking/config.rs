//! Settings of what is hidden and what is seen.

use serde::{Deserialize, Serialize};

/// How context and targets are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MaskKind {
    /// Contiguous runs of a greedy order, the same for all samples of a batch (Point-JEPA).
    Runs,
    /// Regions that grow from anchors, exact in number, drawn for every sample.
    Region,
    /// A uniform subset, exact in number, drawn for every sample.
    Random,
    /// Blocks around farthest-point anchors, which may overlap, and a large context block without them, drawn for every
    /// sample (3D-JEPA).
    FpsBlocks,
    /// Disjoint contiguous blocks around farthest-point anchors and all that is left as context, drawn for every sample.
    DisjointBlocks,
}

/// The order that runs are cut from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sequence {
    /// Starts at the least x + y + z, goes on to the nearest unvisited center.
    NearestMinStart,
    /// The same from center 0, the FPS start.
    NearestFromFirst,
    /// Morton order.
    Morton,
}

/// What is hidden and what is seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MaskingConfig {
    /// Runs, regions, or random subsets.
    pub kind: MaskKind,
    /// `runs`: the order.
    pub sequence: Sequence,
    /// `runs`, `fps-blocks`, `disjoint-blocks`: target blocks `M`; `region`: anchors.
    pub blocks: usize,
    /// `region` and `random`: share of the patches that is hidden; else: share of the patches in a target block. Drawn
    /// once a batch.
    pub target_ratio: [f64; 2],
    /// `runs`: share of what is left that is seen; `fps-blocks`: share of the patches in the context block before the
    /// targets are taken out. Drawn once a batch.
    pub context_ratio: [f64; 2],
}

impl Default for MaskingConfig {
    fn default() -> Self {
        Self {
            kind: MaskKind::Runs,
            sequence: Sequence::NearestMinStart,
            blocks: 4,
            target_ratio: [0.15, 0.20],
            context_ratio: [0.40, 0.75],
        }
    }
}
