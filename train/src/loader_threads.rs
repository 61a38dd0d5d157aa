//! How many loader threads keep a device fed.

use jepa3d_loader::PatchesFrom;

use crate::config::{Method, PretrainConfig};

/// Samples a second that a thread groups anew, where a sample is 1024 points in 64 patches (docs/benchmarks.md, grouping).
const GROUPED: f64 = 2_600.0;
/// Samples a second that a thread reads as they are stored.
const STORED: f64 = 50_000.0;
/// Products of an H100 in bf16 that a step keeps up, multiplications and additions a second.
const PRODUCTS: f64 = 1e14;

/// Loader threads of a run: those that `asked` names, or for 0 one on the CPU, which kernels keep busy, and elsewhere as many as a large
/// card eats the samples of, a core left for the steps.
pub fn choose_loader_threads(asked: usize, config: &PretrainConfig, device: &str, cores: usize) -> usize {
    match asked {
        0 if device == "cpu" => 1,
        0 => {
            let wanted = (device_rate(config) / thread_rate(config)).ceil() as usize;
            wanted.clamp(1, cores.saturating_sub(1).max(1))
        }
        asked => asked,
    }
}

/// The config with as many loader threads as feed the device.
pub(crate) fn settle_threads(mut config: PretrainConfig, device: &str) -> PretrainConfig {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    config.data.threads = choose_loader_threads(config.data.threads, &config, device, cores);
    config
}

/// Samples a second that a loader thread makes.
fn thread_rate(config: &PretrainConfig) -> f64 {
    match config.data.patches_from {
        PatchesFrom::Shard => STORED,
        // Farthest points: as many passes over the points as there are patches.
        PatchesFrom::Online => {
            let work = (config.data.points * config.data.groups) as f64;
            GROUPED * (1024.0 * 64.0) / work.max(1.0)
        }
    }
}

/// Samples a second that a large card takes, by the products of a step.
fn device_rate(config: &PretrainConfig) -> f64 {
    let (m, p) = (&config.model, &config.predictor);
    let block = |width: usize| 12.0 * (width * width) as f64;
    let tokens = config.data.groups as f64;
    // Forward and twice that backward of what learns; an average goes forward alone.
    let context = match config.method {
        Method::Masked => 3.0 * 0.4 + 1.0,
        Method::Cross => 3.0,
        Method::Hybrid => 3.0 * 2.0 + 1.0,
    };
    let [c1, c2, c3] = m.tokenizer;
    let points = tokens * config.data.group_size as f64;
    let tokenizer = 3.0 * points * (3 * c1 + c1 * c2 + 2 * c2 * c3 + c3 * m.width) as f64;
    let encoder = context * tokens * m.depth as f64 * block(m.width);
    let predictor = 3.0 * tokens * p.depth as f64 * block(p.width);
    PRODUCTS / (2.0 * (tokenizer + encoder + predictor))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(preset: &str, sets: &[&str]) -> PretrainConfig {
        let path = format!("{}/../configs/pretrain/{preset}.toml", env!("CARGO_MANIFEST_DIR"));
        let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
        PretrainConfig::load(path.as_ref(), &sets).unwrap()
    }

    #[test]
    fn a_device_gets_the_threads_that_feed_it() {
        let full = load("point-jepa", &[]);
        let rate = device_rate(&full);
        assert!((3_000.0..30_000.0).contains(&rate), "the goal is 7,800 samples a second: {rate}");
        let of = |asked, device, cores| choose_loader_threads(asked, &full, device, cores);
        assert_eq!((of(0, "cpu", 64), of(3, "cuda:0", 64), of(0, "cuda:0", 1)), (1, 3, 1));
        let enough = of(0, "cuda:0", 64);
        assert!((2..=12).contains(&enough), "{enough}");
        assert_eq!(of(0, "cuda:0", 3), enough.min(2), "a core is left for the steps");
        let stored = load("point-jepa", &["data.patches_from=shard"]);
        assert_eq!(choose_loader_threads(0, &stored, "cuda:0", 64), 1);
        // Eight times the points are eight times the work.
        let large = load("point-jepa", &["data.points=8192"]);
        assert!(choose_loader_threads(0, &large, "cuda:0", 200) >= 7 * (enough - 1));
    }
}
