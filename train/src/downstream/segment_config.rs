//! How points are labelled on top of an encoder.

use jepa3d_loader::PointScope;
use serde::{Deserialize, Serialize};

use crate::config::out_of_range;
use crate::error::Result;

/// What labels points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SegmentHead {
    /// The official part-segmentation head: it reads the class of the object.
    #[default]
    Parts,
    /// One linear layer on interpolated features.
    Linear,
}

/// Which points of an object are judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JudgedPoints {
    /// Those of its canonical grouping.
    #[default]
    Grouping,
    /// All that are stored.
    Cloud,
}

impl JudgedPoints {
    pub(crate) fn scope(self) -> PointScope {
        match self {
            Self::Grouping => PointScope::Grouping,
            Self::Cloud => PointScope::Cloud,
        }
    }
}

/// What a mistake on a class of points costs in training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassBalance {
    /// The same for all.
    #[default]
    None,
    /// `1 / sqrt(share)`.
    Root,
    /// `1 / share`.
    Inverse,
}

impl ClassBalance {
    /// Weights of classes with so many points; their mean over the classes that have any is 1, and so is that of others.
    pub(crate) fn weigh(self, counts: &[u64]) -> Vec<f32> {
        let power = match self {
            Self::None => 0.0,
            Self::Root => -0.5,
            Self::Inverse => -1.0,
        };
        let raw = |&count: &u64| (count > 0).then(|| (count as f64).powf(power));
        let found: Vec<f64> = counts.iter().filter_map(raw).collect();
        let mean = found.iter().sum::<f64>() / found.len().max(1) as f64;
        counts.iter().map(|count| raw(count).map_or(1.0, |weight| (weight / mean) as f32)).collect()
    }
}

/// Settings of `segment` alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SegmentConfig {
    /// `parts`: the official head; `linear`: one layer on interpolated features.
    pub head: SegmentHead,
    /// Blocks, counted from 0, whose outputs are averaged, ascending; empty: the last of each third.
    pub depths: Vec<usize>,
    /// What a mistake on a class costs, by its share of the labelled points that are trained on.
    pub class_weights: ClassBalance,
    /// `parts`: numbers of a point after interpolation.
    pub upsampling: usize,
    /// `grouping`: the points of the canonical grouping are judged; `cloud`: all that are stored.
    pub judged: JudgedPoints,
}

impl Default for SegmentConfig {
    fn default() -> Self {
        Self {
            head: SegmentHead::Parts,
            depths: Vec::new(),
            class_weights: ClassBalance::None,
            upsampling: 384,
            judged: JudgedPoints::Grouping,
        }
    }
}

impl SegmentConfig {
    /// The blocks whose outputs are read, of an encoder with `depth` of them.
    ///
    /// # Errors
    /// Fails if they do not ascend below `depth`, or the upsampling has no width.
    pub(crate) fn find_depths(&self, depth: usize) -> Result<Vec<usize>> {
        if self.upsampling == 0 {
            return Err(out_of_range("segment.upsampling", "at least 1", 0));
        }
        if self.depths.is_empty() {
            let mut thirds: Vec<usize> = (1..=3).map(|third| (third * depth).div_ceil(3) - 1).collect();
            thirds.dedup();
            return Ok(thirds);
        }
        let is_legal = self.depths.is_sorted_by(|a, b| a < b) && self.depths.iter().all(|&at| at < depth);
        match is_legal {
            true => Ok(self.depths.clone()),
            false => {
                let expected = format!("ascending numbers below the {depth} blocks of the encoder");
                Err(out_of_range("segment.depths", expected, format!("{:?}", self.depths)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_classes_weigh_more() {
        let near =
            |found: Vec<f32>, want: [f32; 3]| found.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(near(ClassBalance::None.weigh(&[100, 4, 0]), [1.0, 1.0, 1.0]));
        // 1/10 and 1/2 over their mean, 3/10; a class without points does not count.
        assert!(near(ClassBalance::Root.weigh(&[100, 4, 0]), [1.0 / 3.0, 5.0 / 3.0, 1.0]));
        assert!(near(ClassBalance::Inverse.weigh(&[100, 4, 0]), [2.0 / 26.0, 50.0 / 26.0, 1.0]));
        assert_eq!(ClassBalance::Inverse.weigh(&[0, 0]), [1.0, 1.0]);
    }

    #[test]
    fn thirds_of_the_official_encoder_are_its_blocks_3_7_11() {
        let find = |depth: usize| SegmentConfig::default().find_depths(depth).unwrap();
        assert_eq!([find(12), find(4), find(2)], [vec![3, 7, 11], vec![1, 2, 3], vec![0, 1]]);
        assert_eq!(find(1), [0]);
        let chosen = |depths: &[usize]| SegmentConfig { depths: depths.to_vec(), ..SegmentConfig::default() };
        assert_eq!(chosen(&[0, 3]).find_depths(4).unwrap(), [0, 3]);
        for depths in [&[3, 1][..], &[1, 1], &[4]] {
            let error = chosen(depths).find_depths(4).unwrap_err().to_string();
            assert!(
                error.contains("segment.depths: expected ascending numbers below the 4 blocks"),
                "{error}"
            );
        }
    }
}
