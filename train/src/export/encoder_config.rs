//! `config.json` of an exported encoder: all that decides what it makes of a cloud.

use jepa3d_schemas::UpAxis;
use serde::Serialize;

use crate::config::{FeatureConfig, GroupLetters, Method, PositionKind, PretrainConfig, WholeAnswers};
use crate::encoder_input::LearnedInput;

/// The kind of this file.
const MODEL_TYPE: &str = "jepa3d-point-encoder";

/// All that decides what the encoder makes of a cloud.
#[derive(Debug, Serialize)]
pub(super) struct ExportedConfig {
    pub model_type: &'static str,
    pub tool_version: &'static str,
    pub preset: String,
    pub tokenizer: [usize; 3],
    pub width: usize,
    pub depth: usize,
    pub heads: usize,
    pub positions: PositionKind,
    pub wavelengths: [f64; 2],
    pub positions_every_block: bool,
    pub dropout: f64,
    pub attention_dropout: f64,
    pub drop_path: f64,
    /// A learned vector is added to every token of a point patch.
    pub modality: bool,
    /// Channels between the layers of the head that answers for whole clouds; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub whole: Option<usize>,
    /// What it answers for.
    #[serde(skip_serializing_if = "WholeAnswers::is_default")]
    pub whole_answers: WholeAnswers,
    /// What clouds are cut into; absent where it learned from crops, or nobody knows.
    pub grouping: Option<ExportedGrouping>,
    /// How tokens become one vector; absent where that is the maximum and the mean.
    #[serde(skip_serializing_if = "FeatureConfig::is_plain")]
    pub features: FeatureConfig,
    /// The axis that was up in the clouds that it learned from.
    pub up_axis: Option<UpAxis>,
    pub step: Option<u64>,
    pub fingerprint: Option<String>,
}

/// Groups as letters.
#[derive(Debug, Serialize)]
pub(super) struct ExportedGrouping {
    /// `patches` or `voxels`.
    pub kind: &'static str,
    /// `N`.
    pub points: usize,
    /// `G`.
    pub groups: usize,
    /// `K`.
    pub group_size: usize,
    /// Of voxel blocks; absent: as wide as gives enough.
    pub edge: Option<f64>,
}

impl ExportedConfig {
    /// Of a config and what its encoder learned from; whoever knows adds step and fingerprint.
    pub(super) fn describe(config: &PretrainConfig, learned: &LearnedInput) -> Self {
        let m = &config.model;
        Self {
            model_type: MODEL_TYPE,
            tool_version: env!("CARGO_PKG_VERSION"),
            preset: config.preset.clone(),
            tokenizer: m.tokenizer,
            width: m.width,
            depth: m.depth,
            heads: m.heads,
            positions: m.positions,
            wavelengths: m.wavelengths,
            positions_every_block: m.positions_every_block,
            dropout: m.dropout,
            attention_dropout: m.attention_dropout,
            drop_path: m.drop_path,
            modality: config.method == Method::Hybrid,
            whole: config.whole.is_there().then_some(config.whole.hidden),
            whole_answers: config.whole.answers,
            grouping: learned.grouping().map(ExportedGrouping::describe),
            features: config.features,
            up_axis: config.data.up_axis.or(learned.up_axis()),
            step: None,
            fingerprint: None,
        }
    }
}

impl ExportedGrouping {
    pub(super) fn describe(letters: &GroupLetters) -> Self {
        let &GroupLetters { points, groups, group_size, .. } = letters;
        let kind = if letters.is_patches() { "patches" } else { "voxels" };
        Self { kind, points, groups, group_size, edge: letters.voxel_edge() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edge_of_voxel_blocks_is_read_from_their_letters() {
        let edge = |text: &str| ExportedGrouping::describe(&text.parse().unwrap());
        assert_eq!(edge("N 1024, G 64, K 32, patches").kind, "patches");
        assert_eq!(edge("N 1024, G 64, K 32, voxel blocks").edge, None);
        let fixed = edge("N 1024, G 64, K 32, voxel blocks of edge 0.5");
        assert_eq!((fixed.kind, fixed.edge), ("voxels", Some(0.5)));
    }
}
