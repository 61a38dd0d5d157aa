//! A teacher: one of the frozen encoders, and the facts that decide its embeddings.

use std::path::Path;

use jepa3d_loader::{Error as LoaderError, PICTURE_SIZE, PreparedDataset, background};
use jepa3d_schemas::TeacherFacts;
use rayon::prelude::*;

use crate::embedding::Embedding;
use crate::error::{Result, out_of_range};
use crate::hog::Hog;
use crate::vit::{TokenPool, Vit, VitConfig};

/// Type and precision of stored embeddings: as exact as 16-bit floats over the whole range of 32-bit ones, in a column that
/// every reader shows; the zero bits cost next to nothing once compressed.
const DTYPE: &str = "f32 rounded to 11 bits";

/// Largest embedding that `hog` makes; no published encoder is wider.
const MOST: usize = 4096;

/// A frozen image encoder.
pub struct Teacher(TeacherKind);

enum TeacherKind {
    Hog { hog: Hog, width: usize },
    Vit { vit: Box<Vit>, pooling: &'static str },
}

impl Teacher {
    /// Oriented gradients over a spatial pyramid, projected to `width` numbers; needs no weights.
    ///
    /// # Errors
    /// Fails if `width` is 0 or above 4096.
    pub fn hog(width: usize) -> Result<Self> {
        match width {
            1..=MOST => Ok(Self(TeacherKind::Hog { hog: Hog::new(width), width })),
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
        Ok(Self(TeacherKind::Vit { vit: Box::new(Vit::open(weights, config)?), pooling }))
    }

    /// Numbers of an embedding, `D_t`.
    pub fn width(&self) -> usize {
        match &self.0 {
            TeacherKind::Hog { width, .. } => *width,
            TeacherKind::Vit { vit, .. } => vit.width(),
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
            TeacherKind::Hog { hog, .. } => ("hog", hog.hash(), seen, "pyramid 1,2,4,8 of 9 bins"),
            TeacherKind::Vit { vit, pooling } => {
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

    /// Embeddings of a batch.
    ///
    /// # Shapes
    /// `images [B]` of `[3, 224, 224]` in 0 to 1, to `[B]` of `[D_t]`.
    pub(crate) fn embed(&self, images: &[Vec<f32>]) -> Result<Vec<Embedding>> {
        match &self.0 {
            TeacherKind::Hog { hog, .. } => Ok(images.par_iter().map(|image| hog.embed(image)).collect()),
            TeacherKind::Vit { vit, .. } => {
                let embedding = |values: Vec<f32>| match values.iter().all(|x| x.is_finite()) {
                    true => Embedding { values, is_valid: true },
                    false => Embedding { values: vec![0.0; vit.width()], is_valid: false },
                };
                Ok(vit.embed(images)?.into_iter().map(embedding).collect())
            }
        }
    }
}
