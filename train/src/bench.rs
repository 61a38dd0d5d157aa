//! One training step on synthetic patches, for `benches/train.rs`: the model itself is private.

use candle_core::{Device, Tensor};
use jepa3d_loader::Masks;
use jepa3d_schemas::Draws;

use crate::config::PretrainConfig;
use crate::error::Result;
use crate::models::{Model, StepInput};
use crate::nn::{Parameters, Pass};
use crate::optim::{AdamW, Gradients, Update};

/// A model, its optimiser and one batch of random patches.
pub struct TrainStep {
    config: PretrainConfig,
    model: Model,
    parameters: Parameters,
    optimizer: AdamW,
    patches: Tensor,
    centers: Tensor,
    steps: u64,
}

impl TrainStep {
    /// Patches of a real cloud's extent about centers on the unit sphere.
    ///
    /// # Errors
    /// Fails if the config is out of range.
    pub fn new(config: PretrainConfig) -> Result<Self> {
        config.check()?;
        let (model, parameters) = Model::new(&config, &Device::Cpu)?;
        let optimizer = AdamW::new(&config.optim, &parameters)?;
        let mut draws = Draws::new(config.run.seed, "bench", "train step");
        let (b, g, k) = (config.optim.batch, config.data.groups, config.data.group_size);
        let mut normal = |count: usize, std: f64| -> Vec<f32> {
            (0..count).map(|_| (std * draws.normal()) as f32).collect()
        };
        let patches = Tensor::from_vec(normal(b * g * k * 3, 0.08), (b, g, k, 3), &Device::Cpu)?;
        let mut centers = normal(b * g * 3, 1.0);
        for center in centers.as_chunks_mut::<3>().0 {
            let length = center.iter().map(|x| x * x).sum::<f32>().sqrt();
            center.iter_mut().for_each(|x| *x /= length);
        }
        let centers = Tensor::from_vec(centers, (b, g, 3), &Device::Cpu)?;
        Ok(Self { config, model, parameters, optimizer, patches, centers, steps: 0 })
    }

    /// Forward, backward, AdamW and EMA with `context` seen patches and runs of `targets` (blocks, patches of one); the
    /// loss. `mark` is told the name of each part when it is done.
    ///
    /// # Errors
    /// Fails if a tensor operation does.
    pub fn step(
        &mut self,
        context: usize,
        targets: (usize, usize),
        mark: &mut dyn FnMut(&'static str),
    ) -> Result<f32> {
        let masks = self.masks(context, targets);
        let input = StepInput {
            patches: self.patches.clone(),
            centers: self.centers.clone(),
            masks: Some(masks),
            counts: None,
            views: None,
            images: None,
        };
        let pass = Pass::new(self.steps, false);
        let output = self.model.marked_step(&input, &pass, mark)?;
        let gradients = Gradients::of(&output.loss, &pass.tape, &self.parameters)?;
        mark("backward");
        let o = &self.config.optim;
        let momentum = if self.steps == 0 { 0.0 } else { self.config.ema.start };
        let update =
            Update { learning_rate: o.lr, weight_decay: o.weight_decay, gradient_scale: 1.0, momentum };
        self.optimizer.update(&self.parameters, &gradients, &update)?;
        mark("update");
        self.steps += 1;
        Ok(output.loss.to_scalar()?)
    }

    /// Runs of a fixed length, shared by the samples of the batch; they may overlap, and the context is a run of what
    /// is left.
    fn masks(&self, context: usize, (blocks, length): (usize, usize)) -> Masks {
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
