//! The product of two factors in tiles.

use std::ops::Range;

use super::amx::{self, TileRows};
use super::engine::Bf16Engine;
use super::pack::{Bf16Left, Bf16Right};
use super::{BLOCK, emulated, wide};

/// `left right` in `bf16`, summed in `f32`, to be computed into a slice.
#[derive(Clone, Copy, Debug)]
pub struct Bf16Product<'a> {
    /// `[rows, inner]`.
    pub left: &'a Bf16Left,
    /// `[inner, columns]`.
    pub right: &'a Bf16Right,
    /// What multiplies.
    pub engine: Bf16Engine,
}

/// Where a product goes.
struct Target<'a> {
    out: &'a mut [f32],
    step: usize,
    is_added: bool,
}

impl Bf16Product<'_> {
    /// Rows that are computed together: a good share of work is a multiple of them.
    pub const BLOCK: usize = BLOCK;

    /// Overwrites `out`, whose rows start `step` apart; what lies between the rows stays. On one thread.
    ///
    /// # Panics
    /// If the inner sizes differ or `out` is too small.
    pub fn write_to(self, out: &mut [f32], step: usize) {
        let all = 0..self.left.0.blocks();
        self.multiply(all, Target { out, step, is_added: false });
    }

    /// Adds to `out`, whose rows start `step` apart. On one thread.
    ///
    /// # Panics
    /// If the inner sizes differ or `out` is too small.
    pub fn add_to(self, out: &mut [f32], step: usize) {
        let all = 0..self.left.0.blocks();
        self.multiply(all, Target { out, step, is_added: true });
    }

    /// Adds some blocks of [`Self::BLOCK`] rows of the result to `out`. On one thread.
    ///
    /// # Panics
    /// If the inner sizes differ or `out` is too small.
    pub fn add_blocks_to(self, blocks: Range<usize>, out: &mut [f32], step: usize) {
        self.multiply(blocks, Target { out, step, is_added: true });
    }

    fn multiply(self, blocks: Range<usize>, mut target: Target<'_>) {
        let (left, right) = (&self.left.0, &self.right.0);
        assert_eq!(left.inner, right.inner, "inner sizes of a product");
        let blocks = blocks.start..blocks.end.min(left.blocks());
        let rows = left.rows.min(blocks.end * BLOCK).saturating_sub(blocks.start * BLOCK);
        if rows == 0 || right.rows == 0 || left.inner == 0 {
            assert!(target.is_added || rows * right.rows == 0, "a product of no inner size is not written");
            return;
        }
        let Target { out, step, .. } = &target;
        assert!(*step >= right.rows && out.len() >= (rows - 1) * step + right.rows, "room for a product");
        match self.engine {
            Bf16Engine::Amx => amx::with_tiles(|| self.run(blocks, &mut target, amx::multiply_block)),
            Bf16Engine::Emulated if wide::has_vectors() => {
                self.run(blocks, &mut target, wide::multiply_block);
            }
            Bf16Engine::Emulated => self.run(blocks, &mut target, emulated::multiply_block),
        }
    }

    fn run(
        self,
        blocks: Range<usize>,
        target: &mut Target<'_>,
        multiply_block: fn(TileRows<'_>, &mut [f32], usize, bool),
    ) {
        let (left, right) = (&self.left.0, &self.right.0);
        for panel in 0..right.blocks() {
            let columns = (right.rows - panel * BLOCK).min(BLOCK);
            for block in blocks.clone() {
                let rows = (left.rows - block * BLOCK).min(BLOCK);
                let factors = TileRows { left: left.block(block), right: right.block(panel) };
                let start = (block - blocks.start) * BLOCK * target.step + panel * BLOCK;
                let out = &mut target.out[start..];
                if rows == BLOCK && columns == BLOCK {
                    multiply_block(factors, out, target.step, target.is_added);
                    continue;
                }
                // At the edge there is no room for a whole block.
                let mut whole = [0.0f32; BLOCK * BLOCK];
                let place = || (0..rows).map(|row| (row * BLOCK, row * target.step));
                if target.is_added {
                    place().for_each(|(to, from)| {
                        whole[to..][..columns].copy_from_slice(&out[from..][..columns])
                    });
                }
                multiply_block(factors, &mut whole, BLOCK, target.is_added);
                place()
                    .for_each(|(from, to)| out[to..][..columns].copy_from_slice(&whole[from..][..columns]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::round_to_bf16;
    use super::*;
    use crate::Matrix;
    use jepa3d_schemas::Draws;

    struct Factors {
        left: Vec<f32>,
        right: Vec<f32>,
        rows: usize,
        inner: usize,
        columns: usize,
    }

    impl Factors {
        fn draw(seed: u64, most: usize, spread: f64) -> Self {
            let mut draws = Draws::new(seed, "bf16", "test");
            let [rows, inner, columns] = [(); 3].map(|()| 1 + draws.index(most));
            let mut fill = |len: usize| -> Vec<f32> {
                (0..len).map(|_| (draws.normal() * (spread * draws.normal()).exp2()) as f32).collect()
            };
            Self { left: fill(rows * inner), right: fill(inner * columns), rows, inner, columns }
        }

        fn matrices(&self) -> (Matrix<'_, f32>, Matrix<'_, f32>) {
            (Matrix::new(&self.left, self.inner), Matrix::new(&self.right, self.columns))
        }

        /// The definition in f64, of factors that are rounded.
        fn expected(&self) -> Vec<f64> {
            let value = |x: f32| f64::from(round_to_bf16(x));
            let at = |i: usize, j: usize| {
                let terms = (0..self.inner)
                    .map(|k| value(self.left[i * self.inner + k]) * value(self.right[k * self.columns + j]));
                terms.sum()
            };
            (0..self.rows * self.columns).map(|i| at(i / self.columns, i % self.columns)).collect()
        }
    }

    fn engines() -> Vec<Bf16Engine> {
        let own = Bf16Engine::detect();
        if own.is_none() {
            eprintln!("skipped: this processor or system has no AMX; only the emulation is tested");
        }
        own.into_iter().chain([Bf16Engine::Emulated]).collect()
    }

    #[test]
    fn products_equal_the_definition_on_odd_sizes() {
        for (engine, seed) in engines().into_iter().flat_map(|engine| (0..40).map(move |seed| (engine, seed)))
        {
            let factors = Factors::draw(seed, 80, 0.0);
            let (left, right) = factors.matrices();
            let (left, right) = (Bf16Left::pack(left), Bf16Right::pack(right));
            let product = Bf16Product { left: &left, right: &right, engine };
            let (step, want) = (factors.columns + 3, factors.expected());
            let mut out = vec![1.0f32; factors.rows * step];
            product.add_to(&mut out, step);
            let near = |found: f32, want: f64| (f64::from(found) - want).abs() < 2e-5 * (1.0 + want.abs());
            for (i, row) in out.chunks(step).enumerate() {
                let want = &want[i * factors.columns..][..factors.columns];
                assert!(row.iter().zip(want).all(|(&x, want)| near(x, want + 1.0)), "{engine:?} {seed}");
                assert_eq!(row[factors.columns..], [1.0; 3], "between the rows");
            }
            product.write_to(&mut out, step);
            assert!(
                out.chunks(step)
                    .flat_map(|row| &row[..factors.columns])
                    .zip(&want)
                    .all(|(&x, &y)| near(x, y))
            );
        }
    }

    #[test]
    fn transposed_factors_and_parts_of_the_rows_give_the_same_bits() {
        for (engine, seed) in engines().into_iter().flat_map(|engine| (0..20).map(move |seed| (engine, seed)))
        {
            let factors = Factors::draw(seed, 140, 0.0);
            let Factors { rows, inner, columns, .. } = factors;
            let (left, right) = factors.matrices();
            let turn = |values: &[f32], width: usize| -> Vec<f32> {
                let rows = values.len() / width;
                (0..values.len()).map(|i| values[(i % rows) * width + i / rows]).collect()
            };
            let (turned_left, turned_right) = (turn(&factors.left, inner), turn(&factors.right, columns));
            let others =
                (Matrix::new(&turned_left, rows).transpose(), Matrix::new(&turned_right, inner).transpose());
            let run = |left: Matrix<'_, f32>, right: Matrix<'_, f32>, share: usize| {
                let (left, right) = (Bf16Left::pack(left), Bf16Right::pack(right));
                let product = Bf16Product { left: &left, right: &right, engine };
                let mut out = vec![0.0; rows * columns];
                for (i, out) in out.chunks_mut(share * BLOCK * columns).enumerate() {
                    product.add_blocks_to(i * share..(i + 1) * share, out, columns);
                }
                out
            };
            let whole = run(left, right, rows);
            assert!(run(others.0, others.1, 1) == whole, "{engine:?} {seed}: {rows} x {inner} x {columns}");
        }
    }

    #[test]
    fn the_emulation_has_the_bits_of_the_unit() {
        let Some(engine) = Bf16Engine::detect() else {
            eprintln!("skipped: this processor or system has no AMX");
            return;
        };
        // Numbers of one size, of all sizes, and so small and large that products vanish and overflow.
        for (spread, seed) in
            [0.0, 8.0, 40.0].into_iter().flat_map(|spread| (0..30).map(move |seed| (spread, seed)))
        {
            let mut factors = Factors::draw(seed, 100, spread);
            if seed == 7 {
                (factors.left[0], factors.right[0]) = (f32::INFINITY, 1e-41);
            }
            let (left, right) = factors.matrices();
            let (left, right) = (Bf16Left::pack(left), Bf16Right::pack(right));
            let [found, want] = [engine, Bf16Engine::Emulated].map(|engine| {
                let mut out: Vec<f32> =
                    (0..factors.rows * factors.columns).map(|i| i as f32 * 1e-3).collect();
                Bf16Product { left: &left, right: &right, engine }.add_to(&mut out, factors.columns);
                out
            });
            let same = |a: f32, b: f32| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
            let differs = found.iter().zip(&want).filter(|(a, b)| !same(**a, **b)).count();
            assert_eq!(differs, 0, "{spread} {seed}: of {}", found.len());
        }
    }

    #[test]
    fn rounding_is_to_the_nearest_and_ties_are_even() {
        for (bits, want) in [
            (0x3f80_8000u32, 0x3f80_0000u32),
            (0x3f81_8000, 0x3f82_0000),
            (0x3f80_8001, 0x3f81_0000),
            (0x3f80_7fff, 0x3f80_0000),
            (0x7f7f_ffff, 0x7f80_0000),
            (0xff80_0000, 0xff80_0000),
            (0x8000_0001, 0x8000_0000),
            (0x007f_ffff, 0x0000_0000),
        ] {
            assert_eq!(round_to_bf16(f32::from_bits(bits)).to_bits(), want, "{bits:x}");
        }
        assert!(round_to_bf16(f32::from_bits(0x7f80_0001)).is_nan());
    }
}
