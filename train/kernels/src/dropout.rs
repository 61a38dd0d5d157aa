//! Dropout and stochastic depth as pure functions of (key, element): nothing is stored, nothing depends on threads.

use jepa3d_products::vectorized;

use super::rows::LANES;

/// The dropout of one place in a network at one step.
#[derive(Clone, Copy, Debug)]
pub struct Mask {
    pub(crate) key: u64,
    pub(crate) threshold: u32,
    pub(crate) scale: f32,
}

impl Mask {
    /// Drops with probability `rate` in `[0, 1)`; `None` for rate 0.
    pub fn new(key: u64, rate: f64) -> Option<Self> {
        assert!((0.0..1.0).contains(&rate), "a dropout rate below 1, found {rate}");
        let threshold = (rate * 4_294_967_296.0) as u32;
        (threshold > 0).then_some(Self { key, threshold, scale: (1.0 / (1.0 - rate)) as f32 })
    }

    /// What element `index` is multiplied with: 0, or 1 / (1 - rate).
    #[inline(always)]
    pub fn factor(self, index: u32) -> f32 {
        let draw = mix(mix(index ^ self.key as u32).wrapping_add((self.key >> 32) as u32));
        if draw < self.threshold { 0.0 } else { self.scale }
    }

    /// Multiplies every value, the first of which is element `first`.
    pub(crate) fn apply(self, values: &mut [f32], first: usize) {
        apply_mask(self, values, first as u32);
    }
}

vectorized! {
    /// Multiplies every value, the first of which is element `first`; numbers of elements wrap around.
    fn apply_mask(mask: Mask, values: &mut [f32], first: u32) {
        let (whole, rest) = values.as_chunks_mut::<LANES>();
        let after = first.wrapping_add((LANES * whole.len()) as u32);
        for (chunk, values) in whole.iter_mut().enumerate() {
            let start = first.wrapping_add((LANES * chunk) as u32);
            for (lane, value) in values.iter_mut().enumerate() {
                *value *= mask.factor(start.wrapping_add(lane as u32));
            }
        }
        for (i, value) in rest.iter_mut().enumerate() {
            *value *= mask.factor(after.wrapping_add(i as u32));
        }
    }
}

/// A bijection of 32 bits that scatters them well (lowbias32 by C. Wellons).
#[inline(always)]
fn mix(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x7feb_352d);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// The key of place `site` under `key` (one round of SplitMix64).
pub fn key_of(key: u64, site: u64) -> u64 {
    let mut z = key.wrapping_add((site + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_met_and_neighbours_are_independent() {
        for (site, rate) in [(0, 0.05), (1, 0.25), (2, 0.5)] {
            let mask = Mask::new(key_of(7, site), rate).unwrap();
            let n = 400_000u32;
            let kept: Vec<f64> = (0..n).map(|i| f64::from(mask.factor(i)) * (1.0 - rate)).collect();
            let share = kept.iter().sum::<f64>() / f64::from(n);
            assert!((share - (1.0 - rate)).abs() < 0.004, "{share}");
            for lag in [1, 2, 64, 192] {
                let both = kept.iter().zip(&kept[lag..]).map(|(a, b)| a * b).sum::<f64>() / f64::from(n);
                assert!((both - (1.0 - rate).powi(2)).abs() < 0.005, "lag {lag}: {both}");
            }
        }
        assert!(Mask::new(1, 0.0).is_none());
    }
}
