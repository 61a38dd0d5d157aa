//! Which views of a batch's samples a predictor is asked for, and what is right: pretraining and Python draw the same ones.

use jepa3d_schemas::{Draws, HISTOGRAM_NUMBERS, POSE_NUMBERS};

use crate::batch::Batch;
use crate::error::Result;
use crate::teacher_cache::{CachedView, TeacherCache};

/// Views of all samples of a batch, `V` each; where a sample has fewer, zeros of weight 0 follow.
#[derive(Debug, Default)]
pub struct DrawnViews {
    /// `[B,V,D_t]`.
    pub embeddings: Vec<f32>,
    /// `[B,V,8]`, beside the clouds as they were turned.
    pub poses: Vec<f32>,
    /// `[B,V,48]`.
    pub histograms: Vec<f32>,
    /// `[B,V]`, 1 or 0.
    pub weights: Vec<f32>,
}

impl TeacherCache {
    /// At most `count` views of sample `at` of a batch, drawn without replacement from those that say something.
    ///
    /// # Errors
    /// Fails if the cache has none of this sample; the error names it.
    pub fn choose_views(
        &self,
        batch: &Batch,
        at: usize,
        seed: u64,
        count: usize,
    ) -> Result<Vec<CachedView<'_>>> {
        let views = self.views_of(batch.sets[at], &batch.sample_ids[at])?;
        let valid: Vec<CachedView<'_>> = views.filter(|view| view.valid).collect();
        let purpose = format!("views of epoch {}", batch.epoch);
        let mut draws = Draws::new(seed, &batch.keys()[at], &purpose);
        let chosen = draws.distinct_sorted(valid.len(), count.min(valid.len()));
        Ok(chosen.iter().map(|&at| valid[at as usize]).collect())
    }

    /// `count` views of every sample.
    ///
    /// # Errors
    /// Fails if the cache has none of a sample; the error names it.
    pub fn draw_views(&self, batch: &Batch, seed: u64, count: usize) -> Result<DrawnViews> {
        let mut drawn = DrawnViews::default();
        for at in 0..batch.rows {
            for view in self.choose_views(batch, at, seed, count)? {
                drawn.embeddings.extend_from_slice(view.embedding);
                drawn.poses.extend_from_slice(&view.turned_pose(batch.turns[at]));
                drawn.histograms.extend_from_slice(view.histogram);
                drawn.weights.push(1.0);
            }
            let rows = (at + 1) * count;
            drawn.embeddings.resize(rows * self.width(), 0.0);
            drawn.poses.resize(rows * POSE_NUMBERS, 0.0);
            drawn.histograms.resize(rows * HISTOGRAM_NUMBERS, 0.0);
            drawn.weights.resize(rows, 0.0);
        }
        Ok(drawn)
    }
}
