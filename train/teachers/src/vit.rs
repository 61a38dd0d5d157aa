//! Teacher `vit`: a plain vision transformer (Dosovitskiy et al., arXiv 2010.11929) with weights from a local file.
//!
//! Forward only, on the CPU, by the kernels of the backbone. Those add 1e-5 to variances and these models 1e-6: the residual
//! stream is carried `sqrt(10)` times too large, which is the same thing exactly, since a layer norm does not see scale
//! but for what it adds.

use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use jepa3d_kernels::{CpuView, NORM_EPSILON, Precision, Stack};
use jepa3d_loader::{Axis, Bicubic, PICTURE_SIZE, resample};
use jepa3d_products::{Matrix, product};
use jepa3d_schemas::file_hash;
use rayon::prelude::*;

use crate::error::{Error, Result, out_of_range};
use crate::vit_weights::{VIT_EPSILON, VitWeights};

/// Width of a head unless it is configured, as in every published plain ViT.
const HEAD: usize = 64;

/// How tokens become one vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenPool {
    /// The class token after the final norm.
    #[default]
    Cls,
    /// The mean of the patches' tokens after the final norm.
    Mean,
}

/// How positions of another grid than the trained one are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PosResample {
    /// Bicubic with antialiasing, to the exact size.
    #[default]
    Timm,
    /// Bicubic without, by a factor of (g + 0.1) / sqrt(n): DINOv2's models without registers.
    Dinov2,
}

/// What is taken from colours, and what they are divided by; weights do not tell which a model was trained with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MeanStd {
    /// Those of ImageNet: DINOv2 and many others.
    #[default]
    Imagenet,
    /// 0.5 and 0.5: many timm models.
    Half,
}

impl MeanStd {
    fn values(self) -> ([f32; 3], [f32; 3]) {
        match self {
            Self::Imagenet => ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            Self::Half => ([0.5; 3], [0.5; 3]),
        }
    }
}

/// What a weight file does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VitConfig {
    /// How tokens become one vector. Default the class token.
    pub pool: TokenPool,
    /// How positions of another grid are made. Default timm's way.
    pub pos_resample: PosResample,
    /// Colour statistics. Default ImageNet's.
    pub mean_std: MeanStd,
    /// Attention heads. Default `D / 64`.
    pub heads: Option<usize>,
}

/// A vision transformer that is only evaluated.
pub(crate) struct Vit {
    weights: VitWeights,
    stack: Stack,
    config: VitConfig,
    /// Pixels of each side.
    size: usize,
    /// `[g^2, D]` positions of this grid of patches, plus the bias of their embedding.
    positions: Vec<f32>,
    hash: String,
}

impl Vit {
    /// Reads a weight file for images of 224 x 224.
    ///
    /// # Errors
    /// Fails if the file does not hold a plain ViT ([`VitWeights::read`]), or heads or patches do not divide its sizes.
    pub(crate) fn open(path: &Path, config: VitConfig) -> Result<Self> {
        Self::open_at(path, config, PICTURE_SIZE)
    }

    fn open_at(path: &Path, config: VitConfig, size: usize) -> Result<Self> {
        let weights = VitWeights::read(path, f64::from(scale()))?;
        let (width, patch) = (weights.width, weights.patch);
        let heads = config.heads.unwrap_or(width / HEAD);
        if heads == 0 || !width.is_multiple_of(heads) {
            let expected = format!("a divisor of the width {width} (unless given: width / {HEAD})");
            return Err(out_of_range("--heads", expected, heads));
        }
        if !size.is_multiple_of(patch) {
            let expected = format!("patches that divide {size} pixels");
            return Err(Error::Checkpoint { path: path.to_owned(), expected, found: patch.to_string() });
        }
        let mut positions = resample_positions(&weights, size / patch, config.pos_resample);
        for row in positions.chunks_exact_mut(width) {
            row.iter_mut().zip(&weights.patch_bias).for_each(|(p, bias)| *p += bias);
        }
        let blocks = Arc::new(weights.blocks.clone());
        let stack =
            Stack { blocks, heads, drop: None, has_positions: false, keys: None, precision: Precision::F32 };
        let (_, hash) = file_hash(path).map_err(|e| Error::io(path, e))?;
        Ok(Self { weights, stack, config, size, positions, hash })
    }

    /// Numbers of an embedding, the model's `D`.
    pub(crate) fn width(&self) -> usize {
        self.weights.width
    }

    /// Hash of the weight file.
    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    /// What it was configured to, in words.
    pub(crate) fn describe(&self) -> String {
        let VitConfig { pos_resample, mean_std, .. } = self.config;
        let (pos, colours) = (format!("{pos_resample:?}"), format!("{mean_std:?}"));
        let [pos, colours] = [pos, colours].map(|text| text.to_lowercase());
        format!("mean and std of {colours}, positions as {pos}, {} heads", self.stack.heads)
    }

    /// Embeddings of a batch.
    ///
    /// # Shapes
    /// `images [B]` of `[3, 224, 224]` in 0 to 1, to `[B]` of `[D]`.
    pub(crate) fn embed(&self, images: &[Vec<f32>]) -> Result<Vec<Vec<f32>>> {
        if images.is_empty() {
            return Ok(Vec::new());
        }
        let tokens = self.tokens(images)?;
        let out = self.stack.outputs(&tokens, &tokens, &[self.stack.blocks.len() - 1])?.remove(0);
        let view = CpuView::new(&out)?;
        let sample = tokens.dim(1)? * self.width();
        Ok(view.slice().par_chunks_exact(sample).map(|tokens| self.pool(tokens)).collect())
    }

    /// Class token, registers, patches, all with positions and times [`scale`]: `[B, T, D]`.
    fn tokens(&self, images: &[Vec<f32>]) -> Result<Tensor> {
        let (w, width) = (&self.weights, self.width());
        let inputs = 3 * w.patch * w.patch;
        let unfolded: Vec<f32> = images.par_iter().flat_map_iter(|image| self.unfold(image)).collect();
        let weight = Matrix::new(&w.patch_weight, inputs).transpose();
        let patches = product(Matrix::new(&unfolded, inputs), weight);
        let scale = scale();
        let mut tokens = Vec::new();
        for patches in patches.chunks_exact(self.positions.len()) {
            tokens.extend(w.cls.iter().chain(&w.registers).map(|x| x * scale));
            tokens.extend(patches.iter().zip(&self.positions).map(|(x, position)| (x + position) * scale));
        }
        let count = tokens.len() / images.len() / width;
        Ok(Tensor::from_vec(tokens, (images.len(), count, width), &Device::Cpu)?)
    }

    /// Normalised patches, row by row, each channel by channel: `[g^2, 3 p^2]`.
    fn unfold(&self, image: &[f32]) -> Vec<f32> {
        let (size, patch) = (self.size, self.weights.patch);
        let (mean, std) = self.config.mean_std.values();
        let mut out = Vec::with_capacity(image.len());
        for (y, x) in (0..size).step_by(patch).flat_map(|y| (0..size).step_by(patch).map(move |x| (y, x))) {
            for channel in 0..3 {
                let plane = &image[channel * size * size..][..size * size];
                for row in y..y + patch {
                    let pixels = &plane[row * size + x..][..patch];
                    out.extend(pixels.iter().map(|v| (v - mean[channel]) / std[channel]));
                }
            }
        }
        out
    }

    /// The vector of one image from its tokens `[T, D]`.
    fn pool(&self, tokens: &[f32]) -> Vec<f32> {
        let (width, registers) = (self.width(), self.weights.registers.len());
        let rows = match self.config.pool {
            TokenPool::Cls => &tokens[..width],
            TokenPool::Mean => &tokens[width + registers..],
        };
        let count = (rows.len() / width) as f64;
        let mut sum = vec![0.0f64; width];
        for row in rows.chunks_exact(width) {
            sum.iter_mut().zip(normalise(row)).for_each(|(sum, x)| *sum += x);
        }
        let (weight, bias) = &self.weights.norm;
        let affine = sum.iter().zip(weight).zip(bias);
        affine.map(|((x, w), b)| (x / count * f64::from(*w) + f64::from(*b)) as f32).collect()
    }
}

/// How much too large the residual stream is, so that the kernels' epsilon acts as the models'.
fn scale() -> f32 {
    (f64::from(NORM_EPSILON) / VIT_EPSILON).sqrt() as f32
}

/// Layer norm without weights; the row is [`scale`] times too large.
fn normalise(row: &[f32]) -> impl Iterator<Item = f64> {
    let count = row.len() as f64;
    let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
    let variance = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count;
    let inverse = 1.0 / (variance + f64::from(NORM_EPSILON)).sqrt();
    row.iter().map(move |&x| (f64::from(x) - mean) * inverse)
}

/// Positions of a grid of `side` x `side` patches: `[side^2, D]`.
fn resample_positions(weights: &VitWeights, side: usize, how: PosResample) -> Vec<f32> {
    let (from, width) = (weights.side, weights.width);
    if from == side {
        return weights.positions.clone();
    }
    let (axis, kernel) = match how {
        PosResample::Timm => (Axis::whole(from, side), Bicubic::Antialias),
        PosResample::Dinov2 => {
            let scale = from as f64 / (side as f64 + 0.1);
            (Axis { from, to: side, scale }, Bicubic::FourTaps)
        }
    };
    let planes: Vec<f32> =
        (0..width).flat_map(|d| weights.positions.iter().skip(d).step_by(width)).copied().collect();
    let planes = resample(&planes, axis, axis, kernel);
    (0..side * side).flat_map(|i| planes.iter().skip(i).step_by(side * side)).copied().collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn file(name: &str) -> PathBuf {
        format!("{}/goldens/vit_{name}.safetensors", env!("CARGO_MANIFEST_DIR")).into()
    }

    fn config(pool: TokenPool, pos_resample: PosResample) -> VitConfig {
        VitConfig { pool, pos_resample, mean_std: MeanStd::Imagenet, heads: Some(3) }
    }

    /// Largest difference relative to the largest value, of class token and mean.
    fn off(name: &str, size: usize, pos_resample: PosResample) -> f32 {
        let golden = candle_core::safetensors::load(file(name), &Device::Cpu).unwrap();
        let numbers = |key: &str| golden[key].flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let images: Vec<Vec<f32>> =
            numbers("golden/images").chunks(3 * size * size).map(<[f32]>::to_vec).collect();
        assert_eq!(images.len(), 2);
        let mut worst = 0.0f32;
        for (pool, key) in [(TokenPool::Cls, "golden/cls"), (TokenPool::Mean, "golden/mean")] {
            let vit = Vit::open_at(&file(name), config(pool, pos_resample), size).unwrap();
            let (found, want) = (vit.embed(&images).unwrap().concat(), numbers(key));
            assert_eq!(found.len(), want.len());
            let largest = want.iter().fold(0.0f32, |m, x| m.max(x.abs()));
            let off = found.iter().zip(&want).fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
            worst = worst.max(off / largest);
        }
        worst
    }

    #[test]
    fn outputs_equal_those_of_timm() {
        for (name, size) in [
            ("plain", 64),
            ("layer_scale", 56),
            ("registers", 64),
            ("registers_with_positions", 64),
            ("resampled_timm", 56),
            ("dinov2_registers", 64),
        ] {
            let off = off(name, size, PosResample::Timm);
            println!("{name}: off by {off:.1e}");
            assert!(off < 1e-4, "{name}: off by {off}");
        }
    }

    #[test]
    fn positions_and_chunks_of_dinov2_are_its_own() {
        assert!(off("resampled_dinov2", 56, PosResample::Dinov2) < 1e-4);
        assert!(off("resampled_dinov2", 56, PosResample::Timm) > 1e-3, "the two ways differ");
        assert!(off("resampled_timm", 56, PosResample::Dinov2) > 1e-3, "the two ways differ");
    }

    /// The plain golden with tensors added or taken away.
    fn refused(change: impl FnOnce(&mut std::collections::HashMap<String, Tensor>)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let mut tensors = candle_core::safetensors::load(file("plain"), &Device::Cpu).unwrap();
        change(&mut tensors);
        candle_core::safetensors::save(&tensors, &path).unwrap();
        let error = Vit::open_at(&path, config(TokenPool::Cls, PosResample::Timm), 64).err().unwrap();
        error.to_string().replace(&format!("{}: ", path.display()), "")
    }

    #[test]
    fn files_that_are_no_plain_vit_are_refused_by_name() {
        let zeros = || Tensor::zeros((24, 24), candle_core::DType::F32, &Device::Cpu).unwrap();
        let swiglu = refused(|t| drop(t.insert("blocks.1.mlp.w12.weight".into(), zeros())));
        assert_eq!(swiglu, "expected a plain MLP (mlp.fc1, mlp.fc2), found SwiGLU (blocks.1.mlp.w12.weight)");
        let unknown = refused(|t| drop(t.insert("blocks.0.attn.q_norm.weight".into(), zeros())));
        assert_eq!(unknown, "expected only tensors of a plain ViT, found \"blocks.0.attn.q_norm.weight\"");
        let missing = refused(|t| drop(t.remove("blocks.1.attn.qkv.bias")));
        let expected = "the tensor blocks.1.attn.qkv.bias of a plain ViT in timm's or DINOv2's naming";
        assert_eq!(missing, format!("expected {expected}, found none"));
        let shape = refused(|t| drop(t.insert("blocks.0.mlp.fc2.weight".into(), zeros())));
        assert_eq!(shape, "expected blocks.0.mlp.fc2.weight of shape [24, 96], found [24, 24]");
        let heads = VitConfig { heads: Some(5), ..VitConfig::default() };
        let error = Vit::open_at(&file("plain"), heads, 64).err().unwrap().to_string();
        let text = "config: --heads: expected a divisor of the width 24 (unless given: width / 64), found 5";
        assert_eq!(error, text);
        let error = Vit::open_at(&file("plain"), VitConfig { heads: Some(3), ..heads }, 60).err().unwrap();
        assert!(error.to_string().ends_with("expected patches that divide 60 pixels, found 16"), "{error}");
    }
}
