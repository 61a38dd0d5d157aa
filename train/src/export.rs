//! A pretrained encoder as a folder that other libraries read: `config.json`, `model.safetensors` and a model card, in the
//! layout of the Hugging Face hub.
//!
//! Parameters keep their official names below `tokenizer`, `positional_encoding` and `encoder` (the transformer, `student` in a
//! checkpoint); what only pretraining needs is left out. Every number that decides a feature is in the config.

mod card;
mod encoder_config;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::Device;
use jepa3d_schemas::write_atomically;
use serde::Serialize;

use crate::checkpoint::{Checkpoint, CheckpointCopy, RunState, find_checkpoint, read};
use crate::checkpoint_file::{NumberFormat, serialize_tensors};
use crate::config::{Pooling, PretrainConfig};
use crate::encoder_input::LearnedInput;
use crate::encoder_part::{is_of_pretrained_encoder, rename_encoder};
use crate::error::{Error, Result};
use crate::frozen::find_config;
use crate::metrics::{METRICS_FILE, read_metrics};
use crate::models::PretrainModel;
use crate::nn::NamedTensors;
use crate::stages::Stages;
use card::ModelCard;
use encoder_config::ExportedConfig;

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
const CARD: &str = "README.md";

/// What was written.
#[derive(Debug, Serialize)]
pub struct EncoderExport {
    /// The folder.
    pub folder: PathBuf,
    /// Tensors of the weights file.
    pub tensors: usize,
    /// Numbers in them that are trained.
    pub parameters: usize,
    /// The checkpoint that they come from.
    pub source: String,
}

/// Writes the encoder of a run, or of a checkpoint in one, to the folder `to`, which is made.
///
/// # Errors
/// Fails if there is no such checkpoint, it does not fit its config, or the folder cannot be written.
pub fn export_encoder(run: &Path, to: &Path) -> Result<EncoderExport> {
    let file = find_checkpoint(run)?;
    let checkpoint = read(&file)?;
    let settings = find_config(&file, checkpoint.state.as_ref(), None)?;
    check_head(&file, &settings, checkpoint.state.as_ref())?;
    // A model that takes all of them is proof that they are the config's.
    let (_, parameters) = PretrainModel::new(&settings, &Device::Cpu)?;
    checkpoint.set(&file, &parameters)?;
    let Checkpoint { tensors, state } = checkpoint;
    let learned = LearnedInput::read(state.as_ref(), &settings.data)?;
    let config = ExportedConfig {
        step: state.as_ref().map(|state| state.step),
        fingerprint: state.as_ref().map(|state| state.fingerprint.clone()),
        ..ExportedConfig::describe(&settings, &learned)
    };
    let weights = rename_encoder(tensors);
    let parameters = count_parameters(&weights);
    // What lies beside an encoder alone need not be of its run.
    let is_alone = state.is_some_and(|state| state.encoder_only);
    let metrics = match !is_alone && file.with_file_name(METRICS_FILE).exists() {
        true => read_metrics(file.parent().unwrap_or(Path::new("")))?,
        false => Vec::new(),
    };
    let card = ModelCard { config: &config, settings: &settings, metrics: &metrics, parameters };
    write_folder(to, &weights, &card)?;
    let source = file.display().to_string();
    Ok(EncoderExport { folder: to.to_owned(), tensors: weights.len(), parameters, source })
}

/// Refuses an encoder whose features are the answers of a head that has not learned.
fn check_head(file: &Path, config: &PretrainConfig, state: Option<&RunState>) -> Result<()> {
    match (config.features.pooling, state) {
        (Pooling::Whole, Some(state)) => {
            Stages::new(config, state.steps_per_epoch).check_head(file, state.step)
        }
        _ => Ok(()),
    }
}

fn write_folder(to: &Path, weights: &NamedTensors, card: &ModelCard<'_>) -> Result<()> {
    std::fs::create_dir_all(to).map_err(|e| Error::io(to, e))?;
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let path = to.join(WEIGHTS);
    write_atomically(&path, &serialize_tensors(&path, weights, NumberFormat::F32, metadata)?)?;
    write_atomically(&to.join(CARD), card.to_markdown().as_bytes())?;
    let json = serde_json::to_string_pretty(card.config).expect("a config serialises");
    // Last: where it is, the others are.
    Ok(write_atomically(&to.join(CONFIG), (json + "\n").as_bytes())?)
}

/// The file of an encoder alone, which the commands take in place of a run.
///
/// # Errors
/// Fails as [`export_encoder`] does, if the checkpoint does not say what it was trained with, or a number does not fit the format.
pub fn export_encoder_file(run: &Path, to: &Path, format: NumberFormat) -> Result<EncoderExport> {
    let file = find_checkpoint(run)?;
    let checkpoint = read(&file)?;
    let state = checkpoint.state(&file)?.clone();
    let settings = find_config(&file, Some(&state), None)?;
    check_head(&file, &settings, Some(&state))?;
    let (_, parameters) = PretrainModel::new(&settings, &Device::Cpu)?;
    parameters.set_part(&file, &checkpoint.tensors, is_of_pretrained_encoder)?;
    let mut tensors = checkpoint.tensors;
    tensors.retain(|name, _| is_of_pretrained_encoder(name));
    let (count, numbers) = (tensors.len(), count_parameters(&tensors));
    // What monitors remember is of no use without the run.
    let (alarms, first_position) = (BTreeMap::new(), None);
    let state = RunState { encoder_only: true, best: None, alarms, first_position, ..state };
    CheckpointCopy::of_tensors(tensors, state.entry()).write_as(to, format)?;
    let (folder, source) = (to.to_owned(), file.display().to_string());
    Ok(EncoderExport { folder, tensors: count, parameters: numbers, source })
}

fn count_parameters(tensors: &NamedTensors) -> usize {
    let trained = tensors.iter().filter(|(name, _)| !name.contains(".running_"));
    trained.map(|(_, tensor)| tensor.values.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::HostTensor;

    #[test]
    fn only_what_makes_features_leaves() {
        let tensor = HostTensor { dims: vec![1], values: vec![0.0] };
        let names = [
            "tokenizer.embedding.encoder.first_conv.0.weight",
            "positional_encoding.0.bias",
            "student.blocks.0.norm1.weight",
            "student.norm.bias",
            "point_modality",
            "teacher.ema_model.norm.bias",
            "teacher.tokenizer.embedding.encoder.first_conv.0.weight",
            "predictor.mask_token",
            "optimizer.first.student.norm.bias",
            "image_modality",
        ];
        let all: NamedTensors = names.iter().map(|name| ((*name).to_owned(), tensor.clone())).collect();
        let mut left: Vec<String> = rename_encoder(all).into_keys().collect();
        left.sort();
        let expected = [
            "encoder.blocks.0.norm1.weight",
            "encoder.norm.bias",
            "point_modality",
            "positional_encoding.0.bias",
            "tokenizer.embedding.encoder.first_conv.0.weight",
        ];
        assert_eq!(left, expected);
    }
}
