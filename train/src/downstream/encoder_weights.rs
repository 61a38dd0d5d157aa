//! Where the encoder of a run that follows pretraining comes from: a run, a checkpoint, or random weights.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;
use jepa3d_loader::PreparedDataset;
use jepa3d_schemas::{UpAxis, source_hash};

use super::config::DownstreamConfig;
use crate::checkpoint::{Checkpoint, find_checkpoint, read};
use crate::config::PretrainConfig;
use crate::device::open_device;
use crate::encoder_part::{is_of_encoder, rename_encoder};
use crate::error::Result;
use crate::frozen::find_config;
use crate::models::PretrainModel;
use crate::monitor::MonitorSubset;
use crate::nn::{NamedTensors, Parameters};

/// Where an encoder comes from.
#[derive(Clone, Debug)]
pub enum EncoderSource {
    /// The newest checkpoint of a run folder, or a checkpoint; `preset` says what it is where the file does not.
    Pretrained {
        /// Run folder or checkpoint.
        path: PathBuf,
        /// A config of its architecture.
        preset: Option<Box<PretrainConfig>>,
    },
    /// Random weights of this architecture, drawn from the seed of the run that follows.
    Scratch(Box<PretrainConfig>),
}

/// An encoder's architecture and weights.
pub struct EncoderWeights {
    /// The config that it was pretrained with.
    config: PretrainConfig,
    /// Its tensors under the names that they have below a head.
    tensors: NamedTensors,
    /// The axis that was up where it learned, as far as anyone says.
    up_axis: Option<UpAxis>,
    /// In words, the same on every machine: what kind, which step, which bytes.
    pub(crate) origin: String,
    /// The file, for errors.
    path: PathBuf,
}

impl EncoderWeights {
    /// Reads them, or draws them from the seed of the run that follows, with the batch-norm statistics of the clouds that it
    /// trains on, grouped as it groups them.
    ///
    /// # Errors
    /// Fails if there is no checkpoint, config or device, or they do not fit together or are not as they were written.
    pub fn open(
        source: &EncoderSource,
        dataset: &Arc<PreparedDataset>,
        device: &str,
        follows: &DownstreamConfig,
    ) -> Result<Self> {
        match source {
            EncoderSource::Pretrained { path, preset } => Self::read(path, preset.as_deref()),
            EncoderSource::Scratch(config) => Self::draw(config, dataset, &open_device(device)?, follows),
        }
    }

    fn read(path: &Path, preset: Option<&PretrainConfig>) -> Result<Self> {
        let file = find_checkpoint(path)?;
        let Checkpoint { tensors, state } = read(&file)?;
        let config = find_config(&file, state.as_ref(), preset)?;
        let tensors = rename_encoder(tensors);
        let up_axis = config.data.up_axis.or(state.as_ref().and_then(|state| state.up_axis));
        let step = state.map_or("unknown".to_owned(), |state| state.step.to_string());
        let origin = format!("{} after step {step}, weights {}", config.preset, hash(&tensors));
        Ok(Self { config, tensors, up_axis, origin, path: file })
    }

    /// What pretraining with this seed begins with, and what `probe` compares it with.
    fn draw(
        config: &PretrainConfig,
        dataset: &Arc<PreparedDataset>,
        device: &Device,
        follows: &DownstreamConfig,
    ) -> Result<Self> {
        let mut config = config.clone();
        config.run.seed = follows.run.seed;
        let (model, parameters) = PretrainModel::new(&config, device)?;
        if config.model.calibrate {
            let mut seen = config.clone();
            seen.data.split.clone_from(&follows.data.split);
            let (own, asked) = (&mut seen.data, &follows.data);
            adopt(&mut own.groups, asked.groups);
            adopt(&mut own.group_size, asked.group_size);
            own.up_axis = asked.up_axis.or(own.up_axis);
            MonitorSubset::read(&seen, dataset, device)?.calibrate(&model)?;
        }
        let origin = format!("random weights of {}, seed {}", config.preset, config.run.seed);
        let up_axis = config.data.up_axis;
        let path = PathBuf::from("scratch");
        Ok(Self { tensors: rename_encoder(parameters.values()?), config, up_axis, origin, path })
    }

    /// Fills in what the config leaves to the encoder and the dataset, and gives the architecture with the rates of the config.
    pub(crate) fn settle(&self, config: &mut DownstreamConfig, dataset: &PreparedDataset) -> PretrainConfig {
        let data = &mut config.data;
        for (own, left) in [
            (&mut data.groups, self.config.data.groups),
            (&mut data.group_size, self.config.data.group_size),
            (&mut data.points, dataset.shape().N),
        ] {
            if *own == 0 {
                *own = left;
            }
        }
        data.up_axis = data.up_axis.or(self.up_axis);
        let mut encoder = self.config.clone();
        encoder.model.dropout = config.tuning.dropout;
        encoder.model.attention_dropout = config.tuning.attention_dropout;
        encoder.model.drop_path = config.tuning.drop_path;
        encoder
    }

    /// Sets the encoder's part of a model's parameters; those of the head stay as they are.
    ///
    /// # Errors
    /// Fails if a parameter is missing or of another shape; the error names all of them.
    pub(crate) fn set(&self, parameters: &Parameters) -> Result<()> {
        parameters.set_part(&self.path, &self.tensors, is_of_encoder)
    }
}

/// A count that was asked for stands in place of one's own; 0 asks for none.
fn adopt(own: &mut usize, asked: usize) {
    if asked != 0 {
        *own = asked;
    }
}

/// A hash of names, shapes and numbers.
fn hash(tensors: &NamedTensors) -> String {
    let mut parts = Vec::new();
    for (name, tensor) in tensors {
        parts.push(format!("{name} {:?}", tensor.dims).into_bytes());
        parts.push(tensor.values.iter().flat_map(|x| x.to_le_bytes()).collect());
    }
    source_hash(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use jepa3d_fixtures::grouped_set::write;
    use jepa3d_schemas::ConfigText;

    use super::*;

    #[test]
    fn random_weights_are_calibrated_on_the_groups_that_are_trained_on() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[("train", 12)], 4);
        let dataset = Arc::new(PreparedDataset::open(folder.path()).unwrap());
        let open = |groups: usize, asked: usize| {
            let text = format!(
                "preset = \"tiny\"\n[data]\ngroups = {groups}\ngroup_size = 4\n
                 [model]\ntokenizer = [8, 16, 32]\nwidth = 12\ndepth = 3\nheads = 3\ncalibrate = true"
            );
            let source = EncoderSource::Scratch(Box::new(toml::from_str(&text).unwrap()));
            let toml =
                format!("preset = \"test\"\nencoder = \"tiny\"\n[data]\ngroups = {asked}\ngroup_size = 0");
            let config = DownstreamConfig::parse(&ConfigText { origin: "test".into(), toml }, &[]).unwrap();
            EncoderWeights::open(&source, &dataset, "cpu", &config)
        };
        // The architecture's preset asks for more than is stored; the run that follows does not.
        assert!(open(4096, 0).is_err());
        let drawn = open(4096, 4).unwrap();
        assert_eq!(hash(&drawn.tensors), hash(&open(4, 0).unwrap().tensors));
        assert_ne!(hash(&drawn.tensors), hash(&open(3, 0).unwrap().tensors));
    }
}
