//! From `f32` matrices to tiles of `bf16`.

use super::{BLOCK, INNER, ROWS, Tile};
use crate::matrix::Matrix;
use crate::recycled::Recycled;
use crate::vectorized;

/// A left factor `[rows, inner]` in tiles; what rounds its sizes up to whole blocks is zero.
#[derive(Debug)]
pub struct Bf16Left(pub(crate) Tiles);

/// A right factor `[inner, columns]` in tiles; what rounds its sizes up to whole blocks is zero.
#[derive(Debug)]
pub struct Bf16Right(pub(crate) Tiles);

impl Bf16Left {
    /// Rounds a matrix to `bf16`, to the nearest and ties to even; not a number stays that, denormal numbers become zero.
    pub fn pack(matrix: Matrix<'_, f32>) -> Self {
        Self(Tiles::pack(matrix, TileForm::RowsOfPairs))
    }
}

impl Bf16Right {
    /// As [`Bf16Left::pack`].
    pub fn pack(matrix: Matrix<'_, f32>) -> Self {
        Self(Tiles::pack(matrix.transpose(), TileForm::PairsOfRows))
    }
}

/// Tiles of a factor, `[block of 16 rows][tile along the inner size]`; rows of a right factor are its columns.
#[derive(Debug)]
pub(crate) struct Tiles {
    data: Recycled<Tile>,
    pub(crate) rows: usize,
    pub(crate) inner: usize,
    /// Tiles along the inner size.
    depth: usize,
}

/// What is consecutive in a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TileForm {
    /// `[row][pair]`.
    RowsOfPairs,
    /// `[pair][row]`.
    PairsOfRows,
}

impl Tiles {
    /// Of `matrix [rows, inner]`.
    fn pack(matrix: Matrix<'_, f32>, form: TileForm) -> Self {
        let (rows, inner) = (matrix.rows, matrix.columns);
        let depth = inner.div_ceil(INNER);
        let mut data = Recycled::take(rows.next_multiple_of(BLOCK) / ROWS * depth);
        assert!(rows * inner == 0 || matrix.last() < matrix.values.len(), "elements of a factor");
        pack_tiles(&mut data, depth, matrix, form);
        Self { data, rows, inner, depth }
    }

    /// Blocks of 32 rows.
    pub(crate) fn blocks(&self) -> usize {
        self.rows.div_ceil(BLOCK)
    }

    /// The two rows of tiles of a block.
    pub(crate) fn block(&self, number: usize) -> [&[Tile]; 2] {
        let tiles = &self.data[2 * number * self.depth..2 * (number + 1) * self.depth];
        let (upper, lower) = tiles.split_at(self.depth);
        [upper, lower]
    }
}

vectorized! {
    fn pack_tiles(tiles: &mut [Tile], depth: usize, matrix: Matrix<'_, f32>, form: TileForm) {
        for (block, tiles) in tiles.chunks_exact_mut(depth.max(1)).enumerate() {
            for (number, tile) in tiles.iter_mut().enumerate() {
                let part = TilePart::new(matrix, block * ROWS, number * INNER);
                let is_whole = part.rows == ROWS && part.inner == INNER;
                *tile = match (is_whole, matrix.column_step == 1, matrix.row_step == 1) {
                    (true, true, _) => put_in_form(part.read_along(), TileForm::RowsOfPairs, form),
                    (true, false, true) => put_in_form(part.read_across(), TileForm::PairsOfRows, form),
                    _ => put_in_form(part.read_each(), TileForm::RowsOfPairs, form),
                };
            }
        }
    }
}

/// What of a matrix becomes one tile.
#[derive(Clone, Copy)]
struct TilePart<'a> {
    values: &'a [f32],
    row_step: usize,
    column_step: usize,
    rows: usize,
    inner: usize,
}

impl<'a> TilePart<'a> {
    #[inline(always)]
    fn new(matrix: Matrix<'a, f32>, row: usize, column: usize) -> Self {
        let Matrix { values, row_step, column_step, .. } = matrix;
        let rows = matrix.rows.saturating_sub(row).min(ROWS);
        let inner = matrix.columns.saturating_sub(column).min(INNER);
        let start = if rows * inner == 0 { 0 } else { row * row_step + column * column_step };
        Self { values: &values[start..], row_step, column_step, rows, inner }
    }

    /// A whole tile whose rows are consecutive numbers: `[row][pair]`.
    #[inline(always)]
    fn read_along(self) -> Tile {
        let mut tile = Tile::default();
        for (row, pairs) in tile.0.iter_mut().enumerate() {
            let values: &[f32; INNER] =
                self.values[row * self.row_step..].first_chunk().expect("a row of a tile");
            for p in 0..INNER / 2 {
                pairs[p] = join(values[2 * p], values[2 * p + 1]);
            }
        }
        tile
    }

    /// A whole tile whose columns are consecutive numbers: `[pair][row]`.
    #[inline(always)]
    fn read_across(self) -> Tile {
        let mut tile = Tile::default();
        for (pair, rows) in tile.0.iter_mut().enumerate() {
            let column = |c: usize| -> &[f32; ROWS] {
                self.values[c * self.column_step..].first_chunk().expect("a column of a tile")
            };
            let (even, odd) = (column(2 * pair), column(2 * pair + 1));
            for r in 0..ROWS {
                rows[r] = join(even[r], odd[r]);
            }
        }
        tile
    }

    /// Any part, element by element; what is missing is zero: `[row][pair]`.
    #[inline(always)]
    fn read_each(self) -> Tile {
        let mut tile = Tile::default();
        let value = |row: usize, c: usize| match c < self.inner {
            true => self.values[row * self.row_step + c * self.column_step],
            false => 0.0,
        };
        for (row, pairs) in tile.0.iter_mut().enumerate().take(self.rows) {
            for (pair, joined) in pairs.iter_mut().enumerate() {
                *joined = join(value(row, 2 * pair), value(row, 2 * pair + 1));
            }
        }
        tile
    }
}

#[inline(always)]
fn put_in_form(tile: Tile, has: TileForm, wants: TileForm) -> Tile {
    if has == wants {
        return tile;
    }
    let mut turned = Tile::default();
    for i in 0..ROWS {
        for j in 0..INNER / 2 {
            turned.0[j][i] = tile.0[i][j];
        }
    }
    turned
}

/// Two numbers as a pair, the first in the lower half.
#[inline(always)]
fn join(first: f32, second: f32) -> u32 {
    round_bits(first) >> 16 | round_bits(second) & 0xffff_0000
}

/// Bits of an `f32` of which the upper half is the number as `bf16`.
#[inline(always)]
fn round_bits(x: f32) -> u32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
    let number = if bits & 0x7f80_0000 == 0 { bits & 0x8000_0000 } else { rounded };
    if x.is_nan() { bits | 0x0040_0000 } else { number }
}

/// The nearest number that `bf16` has, as factors are rounded.
#[cfg(test)]
pub(crate) fn round_to_bf16(x: f32) -> f32 {
    f32::from_bits(round_bits(x) & 0xffff_0000)
}
