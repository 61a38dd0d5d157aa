//! One training step on synthetic patches, for `benches/train.rs`: the models themselves are private.

use candle_core::{Device, Tensor};
use jepa3d_kernels::keep_freed_memory;
pub use jepa3d_kernels::{Bf16Engine, Precision};
use jepa3d_loader::{Batch, Masks};
use jepa3d_schemas::Draws;

use crate::bench_views::{draw_images, draw_targets};
use crate::config::{Method, PretrainConfig};
use crate::downstream::{Classifier, DownstreamConfig, DownstreamModel, EncoderPhase};
use crate::error::Result;
use crate::models::{CrossInput, HybridInput, MaskedInput, PatchTensors, PretrainModel, StepInput};
use crate::nn::{ForwardPass, Parameters};
use crate::optim::{AdamW, ParameterGradients, UpdateRates};
use crate::target_encoder::MovingAverage;

/// A model, its optimiser and one batch of random patches.
pub struct TrainStep {
    config: PretrainConfig,
    pub(crate) model: PretrainModel,
    pub(crate) parameters: Parameters,
    optimizer: AdamW,
    average: MovingAverage,
    points: PatchTensors,
    precision: Precision,
    steps: u64,
}

/// Masks of a fixed size.
#[derive(Clone, Copy, Debug)]
pub struct MaskSize {
    /// Seen patches.
    pub context: usize,
    /// Target blocks.
    pub blocks: usize,
    /// Patches of a target block.
    pub length: usize,
}

/// What one step took.
#[derive(Clone, Debug)]
pub struct StepTimes {
    /// The loss.
    pub loss: f32,
    /// Seconds of each part, in their order.
    pub parts: Vec<(&'static str, f64)>,
}

impl TrainStep {
    /// Patches of a real cloud's extent about centers on the unit sphere.
    ///
    /// # Errors
    /// Fails if the config is out of range.
    pub fn new(config: PretrainConfig, precision: Precision) -> Result<Self> {
        keep_freed_memory();
        config.check()?;
        let (model, parameters) = PretrainModel::new(&config, &Device::Cpu)?;
        let mut optimizer = AdamW::new(&config.optim, &parameters)?;
        let mut average = MovingAverage::new(&parameters)?;
        if precision != Precision::F32 {
            optimizer.keep_halves()?;
            average.keep_halves()?;
        }
        let (b, g, k) = (config.optim.batch, config.data.groups, config.data.group_size);
        let RandomPatches { patches, centers } = RandomPatches::draw(&config);
        let patches = Tensor::from_vec(patches, (b, g, k, 3), &Device::Cpu)?;
        let centers = Tensor::from_vec(centers, (b, g, 3), &Device::Cpu)?;
        let points = PatchTensors { patches, centers, counts: None };
        Ok(Self { config, model, parameters, optimizer, average, points, precision, steps: 0 })
    }

    /// One block that hides a share of the patches; the context is the rest.
    pub fn region(&self, hidden: f64) -> MaskSize {
        let groups = self.config.data.groups;
        let length = (hidden * groups as f64).round() as usize;
        MaskSize { context: groups - length, blocks: 1, length }
    }

    /// Forward, backward, AdamW and EMA on masks of a size; how long each took.
    ///
    /// # Errors
    /// Fails if a tensor operation does.
    pub fn step(&mut self, size: MaskSize) -> Result<StepTimes> {
        let pass = ForwardPass::new(self.steps, false).with_precision(self.precision);
        let input = self.input(size)?;
        pass.watch.lap("input");
        let output = self.model.step(&input, &pass)?;
        let gradients = ParameterGradients::backward(&output.loss, &pass.tape, &self.parameters)?;
        pass.watch.lap("backward");
        let o = &self.config.optim;
        let rates = UpdateRates { learning_rate: o.lr, weight_decay: o.weight_decay, gradient_scale: 1.0 };
        self.optimizer.update(&self.parameters, &gradients, rates)?;
        let momentum = if self.steps == 0 { 0.0 } else { self.config.ema.start };
        self.average.update(&self.parameters, momentum)?;
        pass.watch.lap("update");
        self.steps += 1;
        Ok(StepTimes { loss: output.loss.to_scalar()?, parts: pass.watch.laps() })
    }

    /// The same patches with new masks, or random views.
    pub(crate) fn input(&self, size: MaskSize) -> Result<StepInput> {
        let points = self.points.clone();
        Ok(match self.config.method {
            Method::Masked => StepInput::Masked(MaskedInput::plain(points, self.masks(size))),
            Method::Cross => StepInput::Cross(CrossInput { points, views: draw_targets(&self.config)? }),
            Method::Hybrid => {
                let (masks, views) = (self.masks(size), draw_images(&self.config)?);
                StepInput::Hybrid(HybridInput { points, masks, views })
            }
        })
    }

    /// Runs of a fixed length, shared by the samples of the batch; they may overlap, and the context is a run of what
    /// is left.
    fn masks(&self, size: MaskSize) -> Masks {
        let MaskSize { context, blocks, length } = size;
        let (b, groups) = (self.config.optim.batch, self.config.data.groups);
        let mut draws = Draws::new(self.steps, "bench", "masks");
        let starts: Vec<usize> = (0..blocks).map(|_| draws.index(groups - length + 1)).collect();
        let targets: Vec<u32> = starts.iter().flat_map(|&at| at as u32..(at + length) as u32).collect();
        let left: Vec<u32> = (0..groups as u32).filter(|at| !targets.contains(at)).collect();
        let start = draws.index(left.len() - context + 1);
        Masks {
            context_len: context,
            blocks,
            target_len: length,
            one_pass: false,
            context: left[start..start + context].repeat(b),
            targets: targets.repeat(b),
        }
    }
}

/// A batch of patches of a real cloud's extent about centers on the unit sphere.
struct RandomPatches {
    patches: Vec<f32>,
    centers: Vec<f32>,
}

impl RandomPatches {
    fn draw(config: &PretrainConfig) -> Self {
        let mut draws = Draws::new(config.run.seed, "bench", "train step");
        let (b, g, k) = (config.optim.batch, config.data.groups, config.data.group_size);
        let mut normal = |count: usize, std: f64| -> Vec<f32> {
            (0..count).map(|_| (std * draws.normal()) as f32).collect()
        };
        let patches = normal(b * g * k * 3, 0.08);
        let mut centers = normal(b * g * 3, 1.0);
        for center in centers.as_chunks_mut::<3>().0 {
            let length = center.iter().map(|x| x * x).sum::<f32>().sqrt();
            center.iter_mut().for_each(|x| *x /= length);
        }
        Self { patches, centers }
    }
}

/// A classifier, its optimiser and one batch of random patches.
pub struct TuneStep {
    config: DownstreamConfig,
    model: Classifier,
    parameters: Parameters,
    optimizer: AdamW,
    batch: Batch,
    precision: Precision,
    steps: u64,
}

impl TuneStep {
    /// The architecture of `encoder` below the head of `config`, and a label of `classes` for every sample.
    ///
    /// # Errors
    /// Fails if a config is out of range.
    pub fn new(
        mut config: DownstreamConfig,
        encoder: &PretrainConfig,
        classes: usize,
        precision: Precision,
    ) -> Result<Self> {
        keep_freed_memory();
        (config.data.groups, config.data.group_size) = (encoder.data.groups, encoder.data.group_size);
        let labels: Vec<i32> = (0..classes as i32).collect();
        let (model, parameters) = Classifier::new(&config, encoder, &labels, &Device::Cpu)?;
        let optimizer = AdamW::new(&config.optim, &parameters)?;
        let RandomPatches { patches, centers } = RandomPatches::draw(encoder);
        let (rows, groups) = (encoder.optim.batch, encoder.data.groups);
        let labels = (0..rows).map(|row| Some((row % classes) as i32)).collect();
        let mut batch = Batch::default();
        (batch.rows, batch.groups, batch.labels) = (rows, groups, labels);
        (batch.patches, batch.centers) = (patches, centers);
        Ok(Self { config, model, parameters, optimizer, batch, precision, steps: 0 })
    }

    /// Forward, backward and AdamW of everything; how long each took.
    ///
    /// # Errors
    /// Fails if a tensor operation does.
    pub fn step(&mut self) -> Result<StepTimes> {
        let pass = ForwardPass::new(self.steps, false).with_precision(self.precision);
        let loss = self.model.loss(&self.batch, EncoderPhase::Trained, &pass)?;
        pass.watch.lap("forward");
        let gradients = ParameterGradients::backward(&loss, &pass.tape, &self.parameters)?;
        pass.watch.lap("backward");
        let o = &self.config.optim;
        let rates = UpdateRates { learning_rate: o.lr, weight_decay: o.weight_decay, gradient_scale: 1.0 };
        self.optimizer.update(&self.parameters, &gradients, rates)?;
        pass.watch.lap("update");
        self.steps += 1;
        Ok(StepTimes { loss: loss.to_scalar()?, parts: pass.watch.laps() })
    }
}
