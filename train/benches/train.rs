//! How long does one training step of Point-JEPA take (forward, backward, AdamW, EMA), how long one of the official
//! classifier on the same encoder, and which part of it?
//!
//! `train full|small|finetune-full|finetune-small[-bf16] BATCH STEPS` on random patches (G = 64, K = 32), the official recipe
//! with its dropout, context of 18 patches and 4 x 11 targets, prints one JSON object: median milliseconds of a step after two
//! warming ones, and medians of its parts. `train_peers.py` runs it in turns with PyTorch. `train PRESET[-bf16] BATCH STEPS`
//! times a preset of CrossJEPA or its hybrid on random views, 65 % of the patches hidden where some are.

use std::collections::BTreeMap;

use jepa3d_train::bench::{Bf16Engine, MaskSize, Precision, StepTimes, TrainStep, TuneStep};
use jepa3d_train::{DownstreamConfig, ModelConfig, OptimConfig, PredictorConfig, PretrainConfig, Result};

/// Steps before the first one that counts.
const WARMING: usize = 2;
/// Classes of ModelNet40.
const CLASSES: usize = 40;
/// The means of the recipe.
const MASKS: MaskSize = MaskSize { context: 18, blocks: 4, length: 11 };

fn config(size: &str, batch: usize) -> PretrainConfig {
    let (width, depth, heads) = if size.ends_with("full") { (384, 12, 6) } else { (192, 6, 3) };
    let (dropout, attention_dropout, drop_path) = (0.1, 0.05, 0.25);
    let mut config: PretrainConfig = toml::from_str("preset = \"bench\"").expect("all else has a default");
    let model =
        ModelConfig { width, depth, heads, dropout, attention_dropout, drop_path, ..Default::default() };
    let (width, depth) = (width / 2, depth / 2);
    let rates = PredictorConfig { dropout, attention_dropout, drop_path, ..PredictorConfig::default() };
    config.predictor = PredictorConfig { width, depth, heads, ..rates };
    config.model = model;
    config.optim = OptimConfig { batch, decay_all: true, ..Default::default() };
    config
}

/// A built-in preset, with batches of this size.
fn load_preset(name: &str, batch: usize) -> Result<PretrainConfig> {
    let path = format!("{}/../configs/pretrain/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    PretrainConfig::load(path.as_ref(), &[format!("optim.batch={batch}")])
}

/// A step of one of the kinds.
fn prepare(size: &str, batch: usize, precision: Precision) -> Result<Box<dyn FnMut() -> Result<StepTimes>>> {
    if size.starts_with("cross-") {
        let mut step = TrainStep::new(load_preset(size, batch)?, precision)?;
        return Ok(Box::new(move || step.step(step.region(0.65))));
    }
    let config = config(size, batch);
    if !size.starts_with("finetune-") {
        let mut step = TrainStep::new(config, precision)?;
        return Ok(Box::new(move || step.step(MASKS)));
    }
    let text = "preset = \"bench\"\nencoder = \"bench\"\n[optim]\ndecay_all = true";
    let tuning: DownstreamConfig = toml::from_str(text).expect("all else has a default");
    let mut step = TuneStep::new(tuning, &config, CLASSES, precision)?;
    Ok(Box::new(move || step.step()))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let [size, batch, steps] = args.as_slice() else {
        eprintln!(
            "usage: train full|small|finetune-full|finetune-small|PRESET[-bf16] BATCH STEPS; `make bench-train` and `make bench-finetune` \
             run it against its peer"
        );
        return Ok(());
    };
    let (batch, steps): (usize, usize) = (batch.parse().expect("BATCH"), steps.parse().expect("STEPS"));
    let (size, precision) = match size.strip_suffix("-bf16") {
        Some(size) => {
            (size, Precision::Bf16(Bf16Engine::detect().expect("a processor that multiplies in bf16")))
        }
        None => (size.as_str(), Precision::F32),
    };
    let mut step = prepare(size, batch, precision)?;
    let (mut whole, mut parts, mut loss) = (Vec::new(), BTreeMap::<&str, Vec<f64>>::new(), 0.0);
    for i in 0..WARMING + steps {
        let mut times = step()?;
        loss = times.loss;
        // Drawing random views is no part of a step.
        times.parts.retain(|(part, _)| *part != "input");
        if i < WARMING {
            continue;
        }
        whole.push(times.parts.iter().map(|(_, seconds)| seconds * 1e3).sum());
        for (part, seconds) in times.parts {
            parts.entry(part).or_default().push(seconds * 1e3);
        }
    }
    let split: Vec<String> =
        parts.into_iter().map(|(part, times)| format!("\"{part}\": {:.2}", median(times))).collect();
    let ms = median(whole);
    println!(
        "{{\"samples_per_s\": {:.3}, \"ms_per_step\": {ms:.2}, \"split_ms\": {{{}}}, \"loss_last\": {loss}}}",
        batch as f64 / ms * 1e3,
        split.join(", ")
    );
    Ok(())
}
