//! Random views for a training step that is timed.

use candle_core::{Device, Tensor};
use jepa3d_schemas::{Draws, HISTOGRAM_NUMBERS, POSE_NUMBERS};

use crate::config::PretrainConfig;
use crate::error::Result;
use crate::models::{ViewImages, ViewTargets};

/// Embeddings of as many views as the config asks for, of normal numbers; all views are there.
pub(crate) fn draw_targets(config: &PretrainConfig) -> Result<ViewTargets> {
    let mut draws = Draws::new(config.run.seed, "bench", "views");
    let mut normal = |numbers: usize| {
        let shape = (config.optim.batch, config.cross.views, numbers);
        let values = (0..shape.0 * shape.1 * shape.2).map(|_| draws.normal() as f32).collect();
        Tensor::from_vec(values, shape, &Device::Cpu)
    };
    let (embeddings, poses) = (normal(config.teacher.width)?, normal(POSE_NUMBERS)?);
    let (histograms, ones) = (normal(HISTOGRAM_NUMBERS)?, normal(1)?.ones_like()?);
    Ok(ViewTargets { embeddings, poses, histograms, weights: ones })
}

/// One view of every sample, of normal numbers, that shows as many patches as are asked for.
pub(crate) fn draw_images(config: &PretrainConfig) -> Result<ViewImages> {
    let mut draws = Draws::new(config.run.seed, "bench", "images");
    let (batch, view) = (config.optim.batch, config.hybrid.view());
    let tokens = (view.image_size / view.image_patch).pow(2);
    let queries = view.queries.min(config.data.groups);
    let mut normal = |rows: usize, numbers: usize| {
        let values = (0..batch * rows * numbers).map(|_| draws.normal() as f32).collect();
        Tensor::from_vec(values, (batch, rows, numbers), &Device::Cpu)
    };
    Ok(ViewImages {
        pixels: normal(tokens, 3 * view.image_patch.pow(2))?,
        projected: normal(queries, 3)?,
        patches: (0..queries as u32).collect::<Vec<_>>().repeat(batch),
        counts: vec![queries as u32; batch],
    })
}
