//! Teachers: frozen image encoders whose embeddings of the stored views are the targets of `cross-jepa`.
//!
//! Every view is embedded once ([`cache_teacher`]), into a sidecar beside the views; training reads that
//! ([`TeacherCache`]) and never an image. Contract and file format: `README.md` beside this file and `schemas/README.md`.

mod cache;
mod error;
mod hog;
mod pose;
mod projection;
#[cfg(test)]
mod tests;
mod vit;
mod vit_weights;

use std::path::Path;

use jepa3d_loader::{Error as LoaderError, PICTURE_SIZE, PreparedDataset, background};
use jepa3d_schemas::TeacherFacts;
use rayon::prelude::*;

pub use cache::{CacheProgress, CacheReport, cache_teacher};
pub use error::{Error, Result};
pub use vit::{MeanStd, PosResample, TokenPool, VitConfig};

use error::out_of_range;
use hog::Hog;
use vit::Vit;

/// Type and precision of stored embeddings: as exact as 16-bit floats over the whole range of 32-bit ones, in a column that
/// every reader shows; the zero bits cost next to nothing once compressed.
const DTYPE: &str = "f32 rounded to 11 bits";

/// Largest embedding that `hog` makes; no published encoder is wider.
const MOST: usize = 4096;

/// A frozen image encoder.
pub struct Teacher(Kind);

enum Kind {
    Hog(Hog, usize),
    Vit(Box<Vit>, &'static str),
}

impl Teacher {
    /// Oriented gradients over a spatial pyramid, projected to `width` numbers; needs no weights.
    ///
    /// # Errors
    /// Fails if `width` is 0 or above 4096.
    pub fn hog(width: usize) -> Result<Self> {
        match width {
            1..=MOST => Ok(Self(Kind::Hog(Hog::new(width), width))),
            _ => Err(out_of_range("--dim", format!("1 to {MOST}"), width)),
        }
    }

    /// A plain vision transformer from a safetensors file in timm's or DINOv2's naming, on images of 224 x 224.
    ///
    /// # Errors
    /// Fails if the file holds no plain ViT or the config does not fit it; the error names what.
    pub fn vit(weights: &Path, config: VitConfig) -> Result<Self> {
        let pooling = match config.pool {
            TokenPool::Cls => "class token",
            TokenPool::Mean => "mean of patches",
        };
        Ok(Self(Kind::Vit(Box::new(Vit::open(weights, config)?), pooling)))
    }

    /// Numbers of an embedding, `D_t`.
    pub fn width(&self) -> usize {
        match &self.0 {
            Kind::Hog(_, width) => *width,
            Kind::Vit(vit, _) => vit.width(),
        }
    }

    /// What decides every number of its cache of `dataset`.
    ///
    /// # Errors
    /// Fails if the dataset has no views.
    pub fn facts(&self, dataset: &PreparedDataset) -> Result<TeacherFacts> {
        let manifest = dataset.manifest();
        let Some(views) = &manifest.views else {
            return Err(LoaderError::NoViews { folder: dataset.folder().to_owned() }.into());
        };
        let [r, g, b] = background(manifest);
        let seen = format!("colours over {r},{g},{b}, both axes to {PICTURE_SIZE} bicubic with antialiasing");
        let (kind, weights, preprocessing, pooling) = match &self.0 {
            Kind::Hog(hog, _) => ("hog", hog.hash(), seen, "pyramid 1,2,4,8 of 9 bins"),
            Kind::Vit(vit, pooling) => {
                ("vit", vit.hash().to_owned(), format!("{seen}, {}", vit.describe()), *pooling)
            }
        };
        Ok(TeacherFacts {
            kind: kind.to_owned(),
            weights,
            preprocessing,
            pooling: pooling.to_owned(),
            width: self.width(),
            dtype: DTYPE.to_owned(),
            fingerprint: manifest.fingerprint.clone(),
            views_plan: views.plan.clone(),
        })
    }

    /// Embeddings of a batch, each with whether it says anything.
    ///
    /// # Shapes
    /// `images [B]` of `[3, 224, 224]` in 0 to 1, to `[B]` of `[D_t]`.
    fn embed(&self, images: &[Vec<f32>]) -> Result<Vec<(Vec<f32>, bool)>> {
        match &self.0 {
            Kind::Hog(hog, _) => Ok(images.par_iter().map(|image| hog.embed(image)).collect()),
            Kind::Vit(vit, _) => {
                let is_valid = |embedding: &Vec<f32>| embedding.iter().all(|x| x.is_finite());
                let zeros = || vec![0.0; vit.width()];
                let rows = vit.embed(images)?.into_iter();
                Ok(rows.map(|e| if is_valid(&e) { (e, true) } else { (zeros(), false) }).collect())
            }
        }
    }
}

/// The number nearest to `x` with 11 significant bits, ties to even.
fn rounded(x: f32) -> f32 {
    const DROPPED: u32 = 13;
    let bits = x.to_bits();
    let half = (1 << (DROPPED - 1)) - 1 + ((bits >> DROPPED) & 1);
    f32::from_bits((bits + half) >> DROPPED << DROPPED)
}
