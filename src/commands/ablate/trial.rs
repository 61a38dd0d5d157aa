//! One run of an ablation: pretrained, measured, and kept; what is there already is not made again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use jepa3d_loader::{DataShare, DatasetMix, PreparedDataset};
use jepa3d_probe::{ProbeConfig, ProbeTable, probe};
use jepa3d_schemas::{file_hash, hashed_json, parse_hashed_json, write_atomically};
use jepa3d_train::{
    Event, FeatureConfig, FrozenEncoder, InputOptions, LAST_FILE, Pooling, PretrainConfig, PretrainRequest,
    RunOutcome, Trainer,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::commands::tell;

/// What a run is kept as, beside it.
const RESULT_FILE: &str = "result.json";

/// What runs learn from, and what they are judged on.
pub(super) struct TrialData {
    pub mix: DatasetMix,
    pub judged: JudgedSet,
}

/// What runs are judged on.
pub(super) struct JudgedSet {
    pub dataset: Arc<PreparedDataset>,
    /// It is none that runs learn from: its clouds are grouped as they learned.
    pub is_another: bool,
}

/// What all runs share.
pub(super) struct Bench<'a> {
    pub data: TrialData,
    /// The folders of the mix, as they were asked for.
    pub shares: &'a [DataShare],
    pub probe: ProbeConfig,
    /// How tokens become one vector; none: as each config says.
    pub pooling: Option<Pooling>,
    pub device: &'a str,
    /// Products in bf16 by ordinary instructions.
    pub emulates_bf16: bool,
    /// Loader threads that this process may use.
    pub cores: usize,
    pub stop: &'a AtomicBool,
}

impl Bench<'_> {
    /// How the numbers are measured, in words.
    pub(super) fn describe_measures(&self) -> String {
        let JudgedSet { dataset, is_another } = &self.data.judged;
        let set = if *is_another { format!(" of {}", dataset.fingerprint()) } else { String::new() };
        format!("accuracies in percent on a fixed fifth of {}{set}", self.probe.training_split)
    }
}

/// A run to be made; without a folder of a run, random weights.
pub(super) struct Trial {
    pub config: PretrainConfig,
    pub out: PathBuf,
    pub is_random: bool,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum TrialEnd {
    /// It has run to its end.
    Done,
    /// It has, or was ended, with a monitor's alarm standing.
    Collapsed,
    /// It could not run on.
    Failed(String),
}

/// A measured number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Measure {
    pub name: String,
    pub value: f64,
}

/// What a run gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct TrialResult {
    pub seed: u64,
    pub end: TrialEnd,
    /// Hash of the checkpoint that was measured.
    pub checkpoint: Option<String>,
    pub measures: Vec<Measure>,
}

/// What a kept result was made from.
#[derive(Serialize)]
struct KeptResult<'a> {
    made_from: Value,
    result: &'a TrialResult,
}

impl Trial {
    /// Makes the run, or goes on with it; none if it was asked to stop.
    pub(super) fn run(&self, bench: &Bench<'_>) -> Option<TrialResult> {
        self.try_run(bench).unwrap_or_else(|error| {
            let text = format!("{error:#}");
            tell(format_args!("{}: failed: {text}", self.out.display()));
            Some(TrialResult {
                seed: self.config.run.seed,
                end: TrialEnd::Failed(text),
                checkpoint: None,
                measures: Vec::new(),
            })
        })
    }

    fn try_run(&self, bench: &Bench<'_>) -> anyhow::Result<Option<TrialResult>> {
        if let Some(kept) = self.read_kept(bench)? {
            return Ok(Some(kept));
        }
        let mut end = TrialEnd::Done;
        if !self.is_random {
            match self.pretrain(bench)? {
                None => return Ok(None),
                Some(found) => end = found,
            }
        }
        let measures = self.measure(bench)?.lines.into_iter();
        let measures =
            measures.map(|line| Measure { name: line.name, value: keep_digits(line.value) }).collect();
        let checkpoint = self.checkpoint()?;
        let result = TrialResult { seed: self.config.run.seed, end, checkpoint, measures };
        let kept = KeptResult { made_from: self.made_from(bench)?, result: &result };
        std::fs::create_dir_all(&self.out).map_err(|e| jepa3d_schemas::Error::io(&self.out, e))?;
        write_atomically(&self.out.join(RESULT_FILE), hashed_json(&kept).as_bytes())?;
        Ok(Some(result))
    }

    /// Trains to the end; none if it was asked to stop before.
    fn pretrain(&self, bench: &Bench<'_>) -> anyhow::Result<Option<TrialEnd>> {
        let mut config = self.config.clone();
        config.data.threads = config.data.threads.min(bench.cores);
        let request = PretrainRequest {
            config,
            data: bench.shares.to_vec(),
            out: self.out.clone(),
            resume: true,
            device: bench.device.to_owned(),
            emulates_bf16: bench.emulates_bf16,
            shown: None,
        };
        let mut trainer = Trainer::new(request)?;
        // A run that was ended by its alarm must not be trained on for another step.
        let is_ended = trainer.is_collapsed() && self.config.monitor.abort_on_collapse;
        if !is_ended && trainer.run(bench.stop, &mut show)? == RunOutcome::Stopped {
            return Ok(None);
        }
        Ok(Some(if trainer.is_collapsed() { TrialEnd::Collapsed } else { TrialEnd::Done }))
    }

    fn measure(&self, bench: &Bench<'_>) -> anyhow::Result<ProbeTable> {
        let TrialData { mix, judged } = &bench.data;
        let options = InputOptions { regroup: judged.is_another, ..InputOptions::default() };
        let encoder = match self.is_random {
            true => FrozenEncoder::random(&self.config, mix.labelled(), options, bench.device)?,
            false => FrozenEncoder::open(&self.out, None, bench.device)?.with_input(options),
        };
        let splits = [bench.probe.training_split.clone()];
        let own = *encoder.feature_config();
        let features = FeatureConfig { pooling: bench.pooling.unwrap_or(own.pooling), ..own };
        let encoder = encoder.with_features(features)?;
        let config = ProbeConfig { pooling: features.describe(), ..bench.probe.clone() };
        Ok(probe(&encoder.features(&judged.dataset, &splits)?, &config)?)
    }

    /// The result of an earlier call, if it was made from the same checkpoint, in the same way.
    fn read_kept(&self, bench: &Bench<'_>) -> anyhow::Result<Option<TrialResult>> {
        let path = self.out.join(RESULT_FILE);
        let Some(kept) = read_result(&path) else { return Ok(None) };
        if kept.get("made_from") != Some(&self.made_from(bench)?) {
            return Ok(None);
        }
        Ok(kept.get("result").and_then(|result| serde_json::from_value(result.clone()).ok()))
    }

    /// What decides the result.
    fn made_from(&self, bench: &Bench<'_>) -> anyhow::Result<Value> {
        Ok(serde_json::json!({
            "tool_version": env!("CARGO_PKG_VERSION"),
            "fingerprint": bench.data.mix.fingerprint(),
            "judged": bench.data.judged.dataset.fingerprint(),
            "checkpoint": self.checkpoint()?,
            "config": self.config.to_toml(),
            "probe": serde_json::to_value(&bench.probe)?,
        }))
    }

    /// Hash of the newest checkpoint; none where there is none.
    fn checkpoint(&self) -> anyhow::Result<Option<String>> {
        let path = self.out.join(LAST_FILE);
        if self.is_random || !path.exists() {
            return Ok(None);
        }
        let (_, hash) = file_hash(&path).map_err(|e| jepa3d_schemas::Error::io(&path, e))?;
        Ok(Some(hash))
    }
}

/// A number with nine significant digits: such a one is the same after a way through JSON.
fn keep_digits(value: f64) -> f64 {
    format!("{value:.8e}").parse().unwrap_or(value)
}

/// A kept result; one that is damaged is made again, with a word.
fn read_result(path: &Path) -> Option<Value> {
    let bytes = std::fs::read(path).ok()?;
    match parse_hashed_json(path, &bytes) {
        Ok((value, true)) => Some(value),
        Ok((_, false)) => None,
        Err(damage) => {
            tell(format_args!("warning: {damage}; measured again"));
            None
        }
    }
}

fn show(event: Event) {
    match event {
        Event::Begin { step, steps, .. } if step > 0 => {
            tell(format_args!("  {steps} steps, continued after {step}"))
        }
        Event::Begin { steps, .. } => tell(format_args!("  {steps} steps")),
        Event::Probe(scalars) => {
            let shown = ["probe/knn20", "rank"];
            let values = scalars.values.iter().filter(|(name, _)| shown.contains(name));
            let values: Vec<String> = values.map(|(name, value)| format!("{name} {value:.3}")).collect();
            tell(format_args!("  after step {}: {}", scalars.step, values.join("  ")));
        }
        Event::Alarm(text) => tell(format_args!("  ALARM {text}")),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_numbers_are_the_same_after_a_way_through_json() {
        for i in 0..2000 {
            let value = keep_digits((f64::from(i) * 0.737).sin() * 100.0);
            let text = serde_json::to_string(&value).unwrap();
            assert_eq!(serde_json::from_str::<f64>(&text).unwrap().to_bits(), value.to_bits(), "{text}");
        }
    }
}
