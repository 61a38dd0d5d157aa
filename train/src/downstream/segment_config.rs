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

/// Settings of `segment` alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SegmentConfig {
    /// `parts`: the official head; `linear`: one layer on interpolated features.
    pub head: SegmentHead,
    /// Blocks, counted from 0, whose outputs are averaged, ascending; empty: the last of each third.
    pub depths: Vec<usize>,
    /// `parts`: numbers of a point after interpolation.
    pub upsampling: usize,
    /// `grouping`: the points of the canonical grouping are judged; `cloud`: all that are stored.
    pub judged: JudgedPoints,
}

impl Default for SegmentConfig {
    fn default() -> Self {
        Self { head: SegmentHead::Parts, depths: Vec::new(), upsampling: 384, judged: JudgedPoints::Grouping }
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
