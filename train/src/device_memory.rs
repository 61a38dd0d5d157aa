//! Whether a step fits the memory of a device, found out before the first one: what the kernels' host code asks for is counted on two
//! small batches, and the rest is a straight line.

use candle_core::Tensor;
use jepa3d_kernels::{Precision, count_cuda};
use jepa3d_loader::{MaskKind, Masks};

use crate::bench_views::{draw_images, draw_targets};
use crate::config::{Method, PretrainConfig};
use crate::error::Result;
use crate::models::{CrossInput, HybridInput, MaskedInput, PatchTensors, PretrainModel, StepInput};
use crate::nn::ForwardPass;
use crate::optim::{AdamW, ParameterGradients, UpdateRates};
use crate::target_encoder::MovingAverage;

/// Batches that are counted.
const COUNTED: [usize; 2] = [4, 8];
/// What of the free memory a step may take: the rest is for what the driver, cuBLAS and candle keep.
const USABLE: f64 = 0.9;

/// Bytes that a run needs on a device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct MemoryNeed {
    /// Whatever the batch.
    fixed: f64,
    /// For every sample of a batch.
    each: f64,
}

impl MemoryNeed {
    /// Counts the longest step that a config allows.
    ///
    /// # Errors
    /// Fails if the kernels do not take its sequences: those are made of candle's operators, whose memory nobody counts.
    pub(crate) fn count(config: &PretrainConfig, precision: Precision) -> Result<Self> {
        let [small, large] = COUNTED.map(|batch| count_bytes(config, precision, batch));
        let (small, large) = (small?, large?);
        let each = (large - small) / (COUNTED[1] - COUNTED[0]) as f64;
        Ok(Self { fixed: small - each * COUNTED[0] as f64, each })
    }

    /// With a batch of this size.
    pub(crate) fn at(self, batch: usize) -> f64 {
        self.fixed + self.each * batch as f64
    }

    /// What there is to say about `batch` samples at a time, `accumulate` times a step, where `free` bytes are free.
    pub(crate) fn advise(self, batch: usize, accumulate: usize, free: u64) -> String {
        let (needed, gigabytes) = (self.at(batch), |bytes: f64| format!("{:.1} GB", 1e-9 * bytes));
        let facts = format!(
            "device memory: a step of {batch} needs about {}, {} are free",
            gigabytes(needed),
            gigabytes(free as f64)
        );
        let usable = USABLE * free as f64;
        if needed <= usable {
            return facts;
        }
        let fitting =
            (2..=batch).find(|parts| batch.is_multiple_of(*parts) && self.at(batch / parts) <= usable);
        match fitting {
            Some(parts) => format!(
                "{facts}: it will not fit; --set optim.batch={} --set optim.accumulate={} needs about {} (batch norm then sees {} \\
                 at a time)",
                batch / parts,
                accumulate * parts,
                gigabytes(self.at(batch / parts)),
                batch / parts
            ),
            None => format!("{facts}: it will not fit, whatever the batch"),
        }
    }
}

/// Bytes of parameters, and the most that a step holds besides.
fn count_bytes(config: &PretrainConfig, precision: Precision, batch: usize) -> Result<f64> {
    let mut config = config.clone();
    config.optim.batch = batch;
    let (parameters, counts) = count_cuda(|| run_step(&config, precision));
    Ok((4 * parameters? as u64 + counts.peak + counts.lent) as f64)
}

/// A step on zeros; how many numbers all parameters have.
fn run_step(config: &PretrainConfig, precision: Precision) -> Result<usize> {
    let cpu = candle_core::Device::Cpu;
    let (model, parameters) = PretrainModel::new(config, &cpu)?;
    let mut optimizer = AdamW::new(&config.optim, &parameters)?;
    let mut average = MovingAverage::new(&parameters)?;
    if precision != Precision::F32 {
        optimizer.keep_halves()?;
        average.keep_halves()?;
    }
    let zeros = |shape: &[usize]| Tensor::zeros(shape, candle_core::DType::F32, &cpu);
    let (b, g, k) = (config.optim.batch, config.data.groups, config.data.group_size);
    let points = PatchTensors { patches: zeros(&[b, g, k, 3])?, centers: zeros(&[b, g, 3])?, counts: None };
    let input = match config.method {
        Method::Masked => StepInput::Masked(MaskedInput::plain(points, largest_masks(config))),
        Method::Cross => StepInput::Cross(CrossInput { points, views: draw_targets(config)? }),
        Method::Hybrid => {
            let (masks, views) = (largest_masks(config), draw_images(config)?);
            StepInput::Hybrid(HybridInput { points, masks, views })
        }
    };
    let pass = ForwardPass::new(0, false).with_precision(precision);
    let output = model.step(&input, &pass)?;
    let gradients = ParameterGradients::backward(&output.loss, &pass.tape, &parameters)?;
    let rates = UpdateRates { learning_rate: 0.0, weight_decay: 0.0, gradient_scale: 1.0 };
    optimizer.update(&parameters, &gradients, rates)?;
    average.update(&parameters, 1.0)?;
    Ok(parameters.values()?.values().map(|tensor| tensor.values.len()).sum())
}

/// The longest context and the longest targets, whether they may come together or not.
fn largest_masks(config: &PretrainConfig) -> Masks {
    let (masking, groups) = (&config.masking, config.data.groups);
    let share = |ratio: f64| ((ratio * groups as f64).ceil() as usize).clamp(1, groups - 1);
    let (length, shortest) = (share(masking.target_ratio[1]), share(masking.target_ratio[0]));
    let left = |hidden: usize| groups.saturating_sub(hidden).max(1);
    let (blocks, context) = match masking.kind {
        MaskKind::Region | MaskKind::Random => (1, left(shortest)),
        MaskKind::DisjointBlocks => (masking.blocks, left(masking.blocks * shortest)),
        MaskKind::Runs | MaskKind::FpsBlocks => (masking.blocks, share(masking.context_ratio[1])),
    };
    let b = config.optim.batch;
    Masks {
        context_len: context,
        blocks,
        target_len: length,
        one_pass: false,
        context: (0..context as u32).collect::<Vec<_>>().repeat(b),
        targets: (0..length as u32).collect::<Vec<_>>().repeat(blocks * b),
    }
}

#[cfg(test)]
mod tests {
    use jepa3d_kernels::Bf16Engine;

    use super::*;

    const NEED: MemoryNeed = MemoryNeed { fixed: 1e9, each: 0.1e9 };

    #[test]
    fn a_step_that_will_not_fit_is_cut_into_equal_parts() {
        assert_eq!(
            NEED.advise(512, 1, 80_000_000_000),
            "device memory: a step of 512 needs about 52.2 GB, 80.0 GB are free"
        );
        let advice = NEED.advise(512, 2, 24_000_000_000);
        assert!(
            advice.contains("--set optim.batch=128 --set optim.accumulate=8 needs about 13.8 GB"),
            "{advice}"
        );
        // Three parts of a batch of 15, as two are none.
        assert!(NEED.advise(15, 1, 2_000_000_000).contains("optim.batch=5 --set optim.accumulate=3"));
        assert!(NEED.advise(15, 1, 1_000_000_000).ends_with("whatever the batch"));
    }

    #[test]
    fn every_preset_is_counted_but_the_one_of_long_sequences() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/pretrain");
        let load = |name: &str| PretrainConfig::load(format!("{folder}/{name}.toml").as_ref(), &[]).unwrap();
        for name in ["point-jepa", "3d-jepa-small", "cross-jepa-small", "cross-jepa-hybrid-small"] {
            let count = |precision| MemoryNeed::count(&load(name), precision).unwrap();
            let [single, half] = [Precision::F32, Precision::Bf16(Bf16Engine::Emulated)].map(count);
            println!("{name}: {:.2} GB, {:.2} GB in bf16", 1e-9 * single.at(512), 1e-9 * half.at(512));
            assert!(single.fixed > 0.0 && half.each > 0.0 && half.each < single.each, "{single:?} {half:?}");
        }
        let error = MemoryNeed::count(&load("3d-jepa-scenes"), Precision::F32).unwrap_err().to_string();
        assert!(error.contains("is not for this kernel"), "{error}");
    }
}
