//! Which positions of an epoch's order each batch takes, on one process or on several.

use std::ops::Range;

use crate::error::{Result, out_of_range};

/// Which positions of which epoch a batch is made of.
///
/// Step `s` of an epoch takes the positions `s * batch * world ..`, of which rank `r` takes the
/// `r`-th part, so that ranks share one order and have equally many steps. What is left at the end of an
/// epoch, fewer than `batch * world` samples and others in every epoch, is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchPositions {
    /// Samples of the split.
    pub samples: usize,
    /// Samples of a batch on each rank.
    pub batch: usize,
    /// This rank, below `world`.
    pub rank: usize,
    /// Ranks.
    pub world: usize,
    /// Whether the rest of an epoch is dropped; kept, it makes a last, smaller batch (one rank only).
    pub drop_last: bool,
}

impl BatchPositions {
    /// Checks that there is a step at all.
    ///
    /// # Errors
    /// Fails if batch or world is 0, the rank is not below world, or the split holds fewer samples
    /// than a step takes.
    pub fn check(&self) -> Result<()> {
        for (key, found) in [("optim.batch", self.batch), ("world", self.world)] {
            if found == 0 {
                return Err(out_of_range(key, "at least 1", found));
            }
        }
        if self.rank >= self.world {
            return Err(out_of_range("rank", format!("below the {} ranks", self.world), self.rank));
        }
        if self.steps_per_epoch() == 0 {
            let expected = format!("at most the {} samples of the split over all ranks", self.samples);
            return Err(out_of_range("optim.batch", expected, self.batch * self.world));
        }
        Ok(())
    }

    /// Steps of an epoch, the same on every rank.
    pub fn steps_per_epoch(&self) -> u64 {
        let step = self.batch * self.world;
        (if self.drop_last { self.samples / step } else { self.samples.div_ceil(step) }) as u64
    }

    /// Epoch of a batch, and its positions in the order of that epoch.
    pub fn locate(&self, number: u64) -> (u64, Range<usize>) {
        let (epoch, step) = (number / self.steps_per_epoch(), (number % self.steps_per_epoch()) as usize);
        let start = (step * self.world + self.rank) * self.batch;
        (epoch, start..(start + self.batch).min(self.samples))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_share_the_order_and_have_equally_many_steps() {
        for (samples, batch, world) in [(100, 7, 2), (64, 8, 4), (33, 16, 2), (5, 5, 1)] {
            let ranks: Vec<BatchPositions> = (0..world)
                .map(|rank| BatchPositions { samples, batch, rank, world, drop_last: true })
                .collect();
            let steps = ranks[0].steps_per_epoch();
            assert_eq!(steps as usize, samples / (batch * world));
            let mut seen = Vec::new();
            for number in steps..2 * steps {
                for rank in &ranks {
                    let (epoch, places) = rank.locate(number);
                    assert_eq!((rank.steps_per_epoch(), epoch), (steps, 1));
                    seen.extend(places);
                }
            }
            assert!(seen.into_iter().eq(0..steps as usize * batch * world));
        }
        let short = BatchPositions { samples: 10, batch: 4, rank: 0, world: 1, drop_last: false };
        assert_eq!((short.steps_per_epoch(), short.locate(2)), (3, (0, 8..10)));
        let none = BatchPositions { samples: 10, batch: 6, rank: 0, world: 2, drop_last: true };
        let error = none.check().unwrap_err().to_string();
        assert_eq!(
            error,
            "config: optim.batch: expected at most the 10 samples of the split over all ranks, found 12"
        );
    }
}
