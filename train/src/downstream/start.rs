//! How a run that follows pretraining begins: what the config leaves open is settled, then the loop starts in its folder.

use std::path::PathBuf;
use std::sync::Arc;

use candle_core::Device;
use jepa3d_loader::PreparedDataset;

use super::config::DownstreamConfig;
use super::encoder_weights::EncoderWeights;
use super::request::DownstreamRequest;
use super::sample_parts::SampleParts;
use super::state::DownstreamState;
use super::task::DownstreamModel;
use super::trainer::{DownstreamLoop, LoopParts};
use crate::config::PretrainConfig;
use crate::device::open_device;
use crate::encoder_input::describe_turn;
use crate::error::Result;
use crate::nn::Parameters;
use crate::precision::PassPrecision;
use crate::run_folder::{RunFolder, record_without_free};
use crate::trained_samples::SamplePlan;

/// A run whose config and encoder are settled.
pub(crate) struct DownstreamStart {
    pub config: DownstreamConfig,
    /// The encoder's architecture, with the rates of the config.
    pub encoder: PretrainConfig,
    pub dataset: Arc<PreparedDataset>,
    pub device: Device,
    weights: Arc<EncoderWeights>,
    out: PathBuf,
    resume: bool,
    shown: Option<SamplePlan>,
}

/// What a task makes of a settled run.
pub(crate) struct TaskParts<M> {
    /// `finetune` or `segment`.
    pub task: &'static str,
    pub model: M,
    pub parameters: Parameters,
    pub parts: SampleParts,
    /// What the outputs stand for, in their order.
    pub classes: Vec<String>,
}

impl DownstreamStart {
    /// Settles what a request leaves open.
    ///
    /// # Errors
    /// Fails if the config is out of range, or there is no such device.
    pub(crate) fn settle(request: DownstreamRequest) -> Result<Self> {
        let DownstreamRequest { mut config, encoder: weights, dataset, out, resume, device, shown, .. } =
            request;
        config.check()?;
        let device = open_device(&device)?;
        let encoder = weights.settle(&mut config, &dataset);
        Ok(Self { config, encoder, dataset, device, weights, out, resume, shown })
    }

    /// Opens the folder and starts the loop, or continues it.
    ///
    /// # Errors
    /// Fails if the encoder's weights do not fit the model, or the folder holds another run.
    pub(crate) fn begin<M: DownstreamModel>(self, made: TaskParts<M>) -> Result<DownstreamLoop<M>> {
        let Self { config, encoder, dataset, device, weights, out, resume, shown } = self;
        let precision = PassPrecision::settle(config.run.precision, &device, false)?;
        let TaskParts { task, model, parameters, mut parts, classes } = made;
        weights.set(&parameters)?;
        parts.notes.extend(describe_turn(config.data.up_axis, &dataset));
        let folder = RunFolder::open(&out, resume)?;
        let state = DownstreamState {
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            task: task.to_owned(),
            step: 0,
            steps: 0,
            fingerprint: dataset.fingerprint().to_owned(),
            origin: weights.origin.clone(),
            config: record_without_free(&config.to_toml()),
            encoder: encoder.to_toml(),
            classes,
            best: None,
        };
        DownstreamLoop::start(LoopParts {
            config,
            dataset,
            parts,
            folder,
            model,
            parameters,
            state,
            shown,
            precision,
        })
    }
}
