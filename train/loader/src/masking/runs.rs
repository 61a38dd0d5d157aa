//! Runs of the sequenced patches, drawn once a batch and shared by its samples (the official Point-JEPA recipe).

use jepa3d_schemas::Draws;

use super::config::MaskingConfig;
use super::sequence::sequence_centers;
use super::{CloudPlaces, Masks};
use crate::error::{Result, out_of_range};

/// Target runs may overlap; the context is a run of what no target covers, holes closed.
pub(super) fn draw(config: &MaskingConfig, clouds: &[CloudPlaces<'_>], draws: &mut Draws) -> Result<Masks> {
    let groups = clouds.first().map_or(0, |cloud| cloud.centers.len());
    let RunPositions { context, targets, target_len } = RunPositions::draw(config, groups, draws)?;
    let mut masks = Masks {
        context_len: context.len(),
        blocks: config.blocks,
        target_len,
        one_pass: false,
        context: Vec::with_capacity(clouds.len() * context.len()),
        targets: Vec::with_capacity(clouds.len() * targets.len()),
    };
    for cloud in clouds {
        let order = sequence_centers(cloud.centers, config.sequence);
        masks.context.extend(context.iter().map(|&at| order[at]));
        masks.targets.extend(targets.iter().map(|&at| order[at]));
    }
    Ok(masks)
}

/// Positions in the order that patches are brought into, the same for all samples of a batch.
struct RunPositions {
    context: Vec<usize>,
    /// All target runs, one after the other.
    targets: Vec<usize>,
    target_len: usize,
}

impl RunPositions {
    fn draw(config: &MaskingConfig, groups: usize, draws: &mut Draws) -> Result<Self> {
        let [low, high] = config.target_ratio;
        let target_len = ((groups as f64 * draws.range(low, high)) as usize).clamp(1, groups);
        let mut is_target = vec![false; groups];
        let mut targets = Vec::with_capacity(config.blocks * target_len);
        for _ in 0..config.blocks {
            let start = draws.index(groups - target_len + 1);
            targets.extend(start..start + target_len);
            is_target[start..start + target_len].fill(true);
        }
        let [low, high] = config.context_ratio;
        let ratio = draws.range(low, high);
        let left: Vec<usize> = (0..groups).filter(|&i| !is_target[i]).collect();
        if left.is_empty() {
            let expected = format!("runs that leave patches for the context ({groups} patches)");
            let found = format!("{} runs of {target_len} that cover all", config.blocks);
            return Err(out_of_range("masking.target_ratio", expected, found));
        }
        let count = ((ratio * left.len() as f64) as usize).clamp(1, left.len());
        let start = draws.index(left.len() - count + 1);
        Ok(Self { context: left[start..start + count].to_vec(), targets, target_len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_the_official_distribution() {
        let config = MaskingConfig::default();
        let mut lengths = [0usize; 13];
        let (mut union, mut context) = (0usize, 0usize);
        let n = 20_000;
        for seed in 0..n {
            let mut draws = Draws::new(seed, "batch", "runs test");
            let found = RunPositions::draw(&config, 64, &mut draws).unwrap();
            let (seen, targets) = (found.context, found.targets);
            lengths[found.target_len] += 1;
            let mut covered = targets.clone();
            covered.sort_unstable();
            covered.dedup();
            assert!(seen.iter().all(|at| covered.binary_search(at).is_err()), "targets are never seen");
            assert_eq!(targets.len(), 4 * found.target_len);
            union += covered.len();
            context += seen.len();
        }
        let share = |count: usize| count as f64 / n as f64;
        for (length, want) in [(9, 0.13), (10, 0.31), (11, 0.31), (12, 0.25)] {
            assert!((share(lengths[length]) - want).abs() < 0.02, "{length}: {}", share(lengths[length]));
        }
        assert!((share(union) - 32.3).abs() < 0.3 && (share(context) - 17.7).abs() < 0.3);
    }

    #[test]
    fn no_context_is_an_error() {
        let config = MaskingConfig { blocks: 4, target_ratio: [1.0, 1.0], ..MaskingConfig::default() };
        let error = RunPositions::draw(&config, 8, &mut Draws::new(1, "b", "c")).err().unwrap().to_string();
        assert!(error.starts_with("config: masking.target_ratio: expected runs that leave"), "{error}");
    }
}
