//! What a step of each method takes, and what it gives.

use candle_core::{D, Tensor};
use jepa3d_loader::Masks;

use crate::config::LossKind;
use crate::error::Result;

/// Patches of a batch on the model's device, as every method takes them.
#[derive(Clone, Debug)]
pub(crate) struct PatchTensors {
    /// `[B, G, K, 3]`, relative to the centers.
    pub patches: Tensor,
    /// `[B, G, 3]`.
    pub centers: Tensor,
    /// `[B, G]`: distinct points of voxel blocks.
    pub counts: Option<Vec<u16>>,
}

/// One batch, as its method takes it.
#[derive(Clone, Debug)]
pub(crate) enum StepInput {
    /// Point-JEPA and 3D-JEPA.
    Masked(MaskedInput),
    /// CrossJEPA.
    Cross(CrossInput),
    /// Hybrid CrossJEPA.
    Hybrid(HybridInput),
    /// The whole head's, of the first.
    Whole(WholeInput),
}

impl StepInput {
    /// The patches of the batch.
    pub(crate) fn points(&self) -> &PatchTensors {
        match self {
            Self::Masked(input) => &input.points,
            Self::Cross(input) => &input.points,
            Self::Hybrid(input) => &input.points,
            Self::Whole(input) => &input.points[0],
        }
    }
}

/// Patches, and which of them are hidden.
#[derive(Clone, Debug)]
pub(crate) struct MaskedInput {
    pub points: PatchTensors,
    pub masks: Masks,
    /// `[B, n, K, 3]`: what the context is encoded from where a sensor saw the clouds otherwise than the target encoder does;
    /// none: the patches that the masks leave.
    pub context: Option<PatchTensors>,
    /// All patches turned once more, where the pooled term asks for what does not depend on where an object faces.
    pub turned: Option<PatchTensors>,
    /// What a teacher makes of views of the same objects, where they are answered for too.
    pub views: Option<ViewTargets>,
}

impl MaskedInput {
    /// A context of the patches that the masks leave, and nothing else to answer for.
    pub(crate) fn plain(points: PatchTensors, masks: Masks) -> Self {
        Self { points, masks, context: None, turned: None, views: None }
    }
}

/// Patches of clean clouds, and those of all that a sensor sees of them: as they stand and, where an answer is made of several looks,
/// turned by equal angles.
#[derive(Clone, Debug)]
pub(crate) struct WholeInput {
    /// `[B, G, K, 3]` each.
    pub points: Vec<PatchTensors>,
    /// `[B, G, K, 3]` each.
    pub seen: Vec<PatchTensors>,
}

/// Patches, and what a teacher makes of views of the same objects.
#[derive(Clone, Debug)]
pub(crate) struct CrossInput {
    pub points: PatchTensors,
    pub views: ViewTargets,
}

/// Patches, which of them are hidden, and views that show some of them.
#[derive(Clone, Debug)]
pub(crate) struct HybridInput {
    pub points: PatchTensors,
    pub masks: Masks,
    pub views: ViewImages,
}

/// Views of a batch and their cached embeddings.
#[derive(Clone, Debug)]
pub(crate) struct ViewTargets {
    /// `[B, V, D_t]`, as the teacher gave them.
    pub embeddings: Tensor,
    /// `[B, V, 8]`: where the camera stands.
    pub poses: Tensor,
    /// `[B, V, 48]`: histogram of the colours.
    pub histograms: Tensor,
    /// `[B, V, 1]`: 1, or 0 where there is no such view.
    pub weights: Tensor,
}

/// One view of every sample, and the patches that it shows.
#[derive(Clone, Debug)]
pub(crate) struct ViewImages {
    /// `[B, T, 3 p^2]`: image tokens before they are embedded.
    pub pixels: Tensor,
    /// `[B, Q]`: patches that are asked for, the rest is padding.
    pub patches: Vec<u32>,
    /// `[B, Q, 3]`: u / W, v / H and depth of each.
    pub projected: Tensor,
    /// `[B]`: patches of each sample that are asked for.
    pub counts: Vec<u32>,
}

/// What one forward pass gives.
#[derive(Debug)]
pub(crate) struct StepOutput {
    /// Scalar.
    pub loss: Tensor,
    /// `[.., D]`; without gradient.
    pub predictions: Tensor,
    /// Like the predictions; without gradient.
    pub targets: Tensor,
    /// How they are compared.
    pub kind: LossKind,
    /// `[4]`: what a device's kernel measured of both besides their distance, which is first.
    pub record: Option<Tensor>,
    /// The terms of a loss that has several, each a scalar, for the record.
    pub terms: Vec<(&'static str, Tensor)>,
}

impl StepOutput {
    /// The predictions in the scale of the targets: a cosine loss leaves their lengths free.
    pub(crate) fn scaled_predictions(&self) -> Result<Tensor> {
        if self.kind != LossKind::Cosine {
            return Ok(self.predictions.clone());
        }
        let length = |x: &Tensor| -> Result<Tensor> { Ok(x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?) };
        let scale = (length(&self.targets)? / (length(&self.predictions)? + 1e-12)?)?;
        Ok(self.predictions.broadcast_mul(&scale)?)
    }

    /// How wrong every prediction is, as a share of the variance of all targets: 0 is exact, 1 no better than their mean.
    ///
    /// # Shapes
    /// `[rows]`, the predictions in their order.
    pub(crate) fn row_errors(&self) -> Result<Vec<f32>> {
        let width = self.targets.dim(D::Minus1)?;
        let targets = self.targets.reshape(((), width))?;
        let variance = targets.broadcast_sub(&targets.mean_keepdim(0)?)?.sqr()?.mean_all()?;
        let errors = (self.scaled_predictions()?.reshape(((), width))? - &targets)?.sqr()?.mean(1)?;
        let variance = f64::from(variance.to_scalar::<f32>()?).max(f64::MIN_POSITIVE);
        Ok((errors / variance)?.to_vec1()?)
    }
}
