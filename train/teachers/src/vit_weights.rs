//! Weights of a plain vision transformer from a safetensors file in the naming of timm or DINOv2.
//!
//! Every size is read from the shapes. A tensor that this reader does not know is refused: it would change what the model
//! computes. Names and their differences are those of huggingface/pytorch-image-models and facebookresearch/dinov2.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use jepa3d_kernels::{BlockTensors, CpuView};

use crate::error::{Error, Result};

/// What the layer norms of these models add to the variance.
pub(crate) const VIT_EPSILON: f64 = 1e-6;

/// What is in a file beside the encoder, and never used for features.
const IGNORED: [&str; 5] = ["head.", "head_dist.", "mask_token", "golden/", "dino_head."];

/// The encoder's weights, tokens already with their positions.
pub(crate) struct VitWeights {
    pub width: usize,
    pub patch: usize,
    /// `[D]` the class token plus its position.
    pub cls: Vec<f32>,
    /// `[R, D]` register tokens, plus their positions where they have any.
    pub registers: Vec<f32>,
    /// `[side^2, D]` positions of the patches of the grid that the model was trained on.
    pub positions: Vec<f32>,
    /// Patches along each side of that grid.
    pub side: usize,
    /// `[D, 3 p^2]`
    pub patch_weight: Vec<f32>,
    /// `[D]`
    pub patch_bias: Vec<f32>,
    /// Layer scale folded into the last layers of both branches; the residual stream times `scale`.
    pub blocks: Vec<BlockTensors>,
    /// `[D]` weight and bias of the final norm.
    pub norm: (Vec<f32>, Vec<f32>),
}

impl VitWeights {
    /// Reads a file. The residual stream of its blocks is `scale` times that of the model.
    ///
    /// # Errors
    /// Fails if the file is no safetensors file, lacks a tensor, has one of another shape, or one that is not known
    /// (SwiGLU among them); the error names it.
    pub(crate) fn read(path: &Path, scale: f64) -> Result<Self> {
        let mut t = WeightFile::read(path)?;
        let patch_weight = t.take("patch_embed.proj.weight")?;
        let [width, 3, patch, other] = *patch_weight.dims() else {
            return Err(t.wrong("patch_embed.proj.weight of shape [D, 3, p, p]", patch_weight.dims()));
        };
        if patch != other || patch == 0 {
            return Err(t.wrong("square patches", patch_weight.dims()));
        }
        let patch_bias = copy_numbers(&t.take_shaped("patch_embed.proj.bias", &[width])?)?;
        let mut cls = copy_numbers(&t.take_shaped("cls_token", &[1, 1, width])?)?;
        let (mut registers, is_timm) = t.take_registers(width)?;
        let positions = t.take("pos_embed")?;
        let TokenGrid { prefix, side } = t.find_grid(&positions, width, registers.len() / width, is_timm)?;
        let mut positions = copy_numbers(&positions)?;
        let patches = positions.split_off(prefix * width);
        let others = cls.iter_mut().chain(registers.iter_mut());
        others.zip(&positions).for_each(|(token, position)| *token += position);
        let blocks = t.take_blocks(width, scale)?;
        let norm = (t.take_vector("norm.weight", width)?, t.take_vector("norm.bias", width)?);
        t.check_empty()?;
        let patch_weight = copy_numbers(&patch_weight)?;
        Ok(Self {
            width,
            patch,
            cls,
            registers,
            positions: patches,
            side,
            patch_weight,
            patch_bias,
            blocks,
            norm,
        })
    }
}

/// How the positions of a model are laid out.
struct TokenGrid {
    /// Positions that belong to other tokens than patches; they stand first.
    prefix: usize,
    /// Patches along each side.
    side: usize,
}

fn square_root(n: usize) -> Option<usize> {
    let root = n.isqrt();
    (n > 0 && root * root == n).then_some(root)
}

fn copy_numbers(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(CpuView::new(&tensor.contiguous()?)?.slice().to_vec())
}

/// The tensors of a file that are not used yet, in f32.
struct WeightFile {
    path: PathBuf,
    left: BTreeMap<String, Tensor>,
}

impl WeightFile {
    fn read(path: &Path) -> Result<Self> {
        // Told apart from a file that is no safetensors file.
        std::fs::File::open(path).map_err(|e| Error::io(path, e))?;
        let wrong = |expected: &str, found: String| Error::Checkpoint {
            path: path.to_owned(),
            expected: expected.to_owned(),
            found,
        };
        let all = candle_core::safetensors::load(path, &Device::Cpu)
            .map_err(|e| wrong("a safetensors file", e.to_string()))?;
        let mut left = BTreeMap::new();
        for (name, tensor) in all.into_iter().collect::<BTreeMap<_, _>>() {
            if IGNORED.iter().all(|ignored| !name.starts_with(ignored)) {
                if name.contains(".mlp.w12.") || name.contains(".mlp.w3.") {
                    return Err(wrong("a plain MLP (mlp.fc1, mlp.fc2)", format!("SwiGLU ({name})")));
                }
                left.insert(flat_name(&name), tensor.to_dtype(DType::F32)?);
            }
        }
        Ok(Self { path: path.to_owned(), left })
    }

    fn wrong(&self, expected: impl Into<String>, found: impl std::fmt::Debug) -> Error {
        let found = format!("{found:?}");
        Error::Checkpoint { path: self.path.clone(), expected: expected.into(), found }
    }

    fn take(&mut self, name: &str) -> Result<Tensor> {
        self.left.remove(name).ok_or_else(|| Error::Checkpoint {
            path: self.path.clone(),
            expected: format!("the tensor {name} of a plain ViT in timm's or DINOv2's naming"),
            found: "none".to_owned(),
        })
    }

    fn take_shaped(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let tensor = self.take(name)?;
        match tensor.dims() == shape {
            true => Ok(tensor),
            false => Err(self.wrong(format!("{name} of shape {shape:?}"), tensor.dims())),
        }
    }

    fn take_vector(&mut self, name: &str, width: usize) -> Result<Vec<f32>> {
        copy_numbers(&self.take_shaped(name, &[width])?)
    }

    /// Register tokens, and whether positions may be missing for the class token or stand for registers too (timm).
    fn take_registers(&mut self, width: usize) -> Result<(Vec<f32>, bool)> {
        let is_timm = self.left.contains_key("reg_token");
        let name = if is_timm { "reg_token" } else { "register_tokens" };
        let Some(tensor) = self.left.remove(name) else { return Ok((Vec::new(), false)) };
        match *tensor.dims() {
            [1, _, w] if w == width => Ok((copy_numbers(&tensor)?, is_timm)),
            _ => Err(self.wrong(format!("{name} of shape [1, R, {width}]"), tensor.dims())),
        }
    }

    /// How positions `[1, n, D]` of a model with some registers are laid out.
    fn find_grid(
        &self,
        positions: &Tensor,
        width: usize,
        registers: usize,
        is_timm: bool,
    ) -> Result<TokenGrid> {
        // With registers timm may have positions on patches only, or on every token.
        let candidates = if is_timm { vec![0, 1 + registers, 1] } else { vec![1] };
        let side = |rows: usize, prefix: usize| square_root(rows.checked_sub(prefix)?);
        let found = match *positions.dims() {
            [1, rows, w] if w == width => candidates
                .into_iter()
                .find_map(|prefix| Some(TokenGrid { prefix, side: side(rows, prefix)? })),
            _ => None,
        };
        let expected = || format!("pos_embed of shape [1, n, {width}] for a square grid of patches");
        found.ok_or_else(|| self.wrong(expected(), positions.dims()))
    }

    fn take_blocks(&mut self, width: usize, scale: f64) -> Result<Vec<BlockTensors>> {
        let mut blocks = Vec::new();
        while self.left.contains_key(&format!("blocks.{}.norm1.weight", blocks.len())) {
            blocks.push(self.take_block(&format!("blocks.{}", blocks.len()), width, scale)?);
        }
        match blocks.is_empty() {
            true => self.take("blocks.0.norm1.weight").map(|_| blocks),
            false => Ok(blocks),
        }
    }

    /// Norm, projections and MLP of one block, in the order of the kernel.
    fn take_block(&mut self, name: &str, width: usize, scale: f64) -> Result<BlockTensors> {
        let at = |part: &str| format!("{name}.{part}");
        let fc1 = self.take(&at("mlp.fc1.weight"))?;
        let hidden = fc1.dim(0)?;
        if fc1.dims() != [hidden, width] {
            return Err(self.wrong(format!("{} of shape [.., {width}]", at("mlp.fc1.weight")), fc1.dims()));
        }
        let proj = [
            self.take_shaped(&at("attn.proj.weight"), &[width, width])?,
            self.take_shaped(&at("attn.proj.bias"), &[width])?,
        ];
        let fc2 = [
            self.take_shaped(&at("mlp.fc2.weight"), &[width, hidden])?,
            self.take_shaped(&at("mlp.fc2.bias"), &[width])?,
        ];
        let [proj_weight, proj_bias] = self.scale(proj, &at("ls1.gamma"), scale)?;
        let [fc2_weight, fc2_bias] = self.scale(fc2, &at("ls2.gamma"), scale)?;
        Ok([
            self.take_shaped(&at("norm1.weight"), &[width])?,
            self.take_shaped(&at("norm1.bias"), &[width])?,
            self.take_shaped(&at("attn.qkv.weight"), &[3 * width, width])?,
            self.take_shaped(&at("attn.qkv.bias"), &[3 * width])?,
            proj_weight,
            proj_bias,
            self.take_shaped(&at("norm2.weight"), &[width])?,
            self.take_shaped(&at("norm2.bias"), &[width])?,
            fc1,
            self.take_shaped(&at("mlp.fc1.bias"), &[hidden])?,
            fc2_weight,
            fc2_bias,
        ])
    }

    /// A layer whose output is multiplied by `scale`, and by the layer scale `gamma` if the file has it.
    fn scale(&mut self, layer: [Tensor; 2], gamma: &str, scale: f64) -> Result<[Tensor; 2]> {
        let [weight, bias] = layer;
        let factor = match self.left.contains_key(gamma) {
            true => (self.take_shaped(gamma, bias.dims())? * scale)?,
            false => (bias.ones_like()? * scale)?,
        };
        Ok([weight.broadcast_mul(&factor.unsqueeze(1)?)?, (bias * factor)?])
    }

    fn check_empty(&self) -> Result<()> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(name) => Err(self.wrong("only tensors of a plain ViT", name)),
        }
    }
}

/// The name without the chunk that DINOv2's training code puts before the number of a block, which counts through.
fn flat_name(name: &str) -> String {
    let parts: Vec<&str> = name.splitn(4, '.').collect();
    let is_number = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    match parts[..] {
        ["blocks", chunk, block, rest] if is_number(chunk) && is_number(block) => {
            format!("blocks.{block}.{rest}")
        }
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_of_blocks_are_flattened() {
        assert_eq!(flat_name("blocks.2.11.attn.qkv.weight"), "blocks.11.attn.qkv.weight");
        assert_eq!(flat_name("blocks.2.attn.qkv.weight"), "blocks.2.attn.qkv.weight");
        assert_eq!(flat_name("norm.weight"), "norm.weight");
    }
}
