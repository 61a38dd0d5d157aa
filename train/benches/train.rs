//! How long does one training step of Point-JEPA take (forward, backward, AdamW, EMA), and which part of it?
//!
//! `train full|small BATCH STEPS` on random patches (G = 64, K = 32), the official recipe with its dropout, context of 18
//! patches and 4 x 11 targets, prints one JSON object: median milliseconds of a step after two warming ones, and
//! medians of its parts. `train_peers.py` runs it in turns with PyTorch.

use std::collections::BTreeMap;

use jepa3d_train::bench::{MaskSize, TrainStep};
use jepa3d_train::{ModelConfig, OptimConfig, PredictorConfig, PretrainConfig, Result};

/// Steps before the first one that counts.
const WARMING: usize = 2;
/// The means of the recipe.
const MASKS: MaskSize = MaskSize { context: 18, blocks: 4, length: 11 };

fn config(size: &str, batch: usize) -> PretrainConfig {
    let (width, depth, heads) = if size == "full" { (384, 12, 6) } else { (192, 6, 3) };
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

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let [size, batch, steps] = args.as_slice() else {
        eprintln!("usage: train full|small BATCH STEPS; `make bench-train` runs it against its peer");
        return Ok(());
    };
    let (batch, steps): (usize, usize) = (batch.parse().expect("BATCH"), steps.parse().expect("STEPS"));
    let mut step = TrainStep::new(config(size, batch))?;
    let (mut whole, mut parts, mut loss) = (Vec::new(), BTreeMap::<&str, Vec<f64>>::new(), 0.0);
    for i in 0..WARMING + steps {
        let times = step.step(MASKS)?;
        loss = times.loss;
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
