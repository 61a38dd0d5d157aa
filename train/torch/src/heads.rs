//! What stands on the encoder in a checkpoint: the predictor of pretraining, or the head of a downstream task, told by its names.
//!
//! Ayumu-J-S/Point-JEPA, `pointjepa/models/classification.py` and `part_segmentation.py`: there, as in our
//! files, the encoder is called `encoder.*`, not `student.*`.

use serde::Serialize;

use crate::official::{ENCODER, OfficialTensor, PointJepaSizes, TensorList, list_tensors};
use crate::state::StateDict;

/// What stands on the encoder, with its sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum CheckpointHead {
    /// Pretraining: the predictor.
    Predictor,
    /// Classification.
    Classes {
        /// Numbers of the two hidden layers.
        hidden: [usize; 2],
        /// Classes.
        classes: usize,
    },
    /// Part segmentation.
    Parts {
        /// Classes of objects.
        classes: usize,
        /// Numbers that a class is embedded in.
        embedding: usize,
        /// Numbers of a point after interpolation: two layers.
        upsampling: [usize; 2],
        /// Numbers of the two hidden layers.
        hidden: [usize; 2],
        /// Parts.
        parts: usize,
    },
}

impl CheckpointHead {
    /// Tells the head by the names of its tensors, and its sizes by their shapes.
    pub(crate) fn read(state: &StateDict) -> Self {
        let size = |name: &str, axis: usize| {
            let shape = state.get(&format!("{name}.weight")).map(|tensor| tensor.shape.as_slice());
            shape.and_then(|shape| shape.get(axis)).copied().unwrap_or(0)
        };
        let has = |prefix: &str| state.keys().any(|name| name.starts_with(prefix));
        if has("seg_head.") || has("upsampling.") || has("label_embedding.") {
            return Self::Parts {
                classes: size("label_embedding.0", 1),
                embedding: size("label_embedding.0", 0),
                upsampling: [0, 1].map(|layer| size(&format!("upsampling.mlp_convs.{layer}"), 0)),
                hidden: [size("seg_head.0", 0), size("seg_head.4", 0)],
                parts: size("seg_head.7", 0),
            };
        }
        // The encoder's own name tells a classifier too: a pretraining file with a stray tensor stays one.
        if has("cls_head.") && (has(ENCODER) || !has("predictor.")) {
            let hidden = [size("cls_head.0", 0), size("cls_head.4", 0)];
            return Self::Classes { hidden, classes: size("cls_head.8", 0) };
        }
        Self::Predictor
    }

    /// The tensors of our checkpoints with this head, in the official order.
    pub(crate) fn list_tensors(self, sizes: &PointJepaSizes) -> Vec<OfficialTensor> {
        if self == Self::Predictor {
            return list_tensors(sizes);
        }
        let mut list = TensorList(Vec::new());
        list.tokenizer(sizes);
        list.positions("positional_encoding.", sizes.position, sizes.width);
        list.transformer(ENCODER, sizes.depth, sizes.width, sizes.mlp);
        self.list_head(sizes.width, &mut list);
        list.0
    }

    fn list_head(self, width: usize, list: &mut TensorList) {
        match self {
            Self::Predictor => {}
            Self::Classes { hidden: [first, second], classes } => {
                list.float("cls_head.0.weight", &[first, 2 * width]);
                list.batch_norm("cls_head.1", first);
                list.float("cls_head.4.weight", &[second, first]);
                list.batch_norm("cls_head.5", second);
                list.linear("cls_head.8", &[classes, second]);
            }
            Self::Parts { classes, embedding, upsampling: [lifted, up], hidden: [first, second], parts } => {
                list.float("label_embedding.0.weight", &[embedding, classes]);
                list.batch_norm("label_embedding.1", embedding);
                list.float("upsampling.mlp_convs.0.weight", &[lifted, width + 3, 1]);
                list.float("upsampling.mlp_convs.1.weight", &[up, lifted, 1]);
                list.batch_norm("upsampling.mlp_bns.0", lifted);
                list.batch_norm("upsampling.mlp_bns.1", up);
                list.float("seg_head.0.weight", &[first, up + 2 * width + embedding, 1]);
                list.batch_norm("seg_head.1", first);
                list.float("seg_head.4.weight", &[second, first, 1]);
                list.batch_norm("seg_head.5", second);
                list.linear("seg_head.7", &[parts, second, 1]);
            }
        }
    }

    /// In words.
    pub(crate) fn describe(self, sizes: &PointJepaSizes) -> String {
        let PointJepaSizes { width, depth, predictor_width, predictor_depth, .. } = sizes;
        let encoder = format!("Point-JEPA, width {width}, {depth} blocks");
        match self {
            Self::Predictor => {
                format!("{encoder}, predictor width {predictor_width}, {predictor_depth} blocks")
            }
            Self::Classes { classes, .. } => format!("{encoder}, a head of {classes} classes"),
            Self::Parts { classes, parts, .. } => {
                format!("{encoder}, a head of {parts} parts of {classes} classes")
            }
        }
    }
}
