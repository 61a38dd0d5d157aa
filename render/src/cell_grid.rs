//! Cells of an image, and the counting sort that makes the points of every cell one run of an array.
//!
//! Sorting takes four steps: [`CellGrid::reset`], [`CellGrid::count`] for every point,
//! [`CellGrid::sum_counts`], [`CellGrid::place`] for every point in the same order (so the sort is stable),
//! [`CellGrid::finish`]. From then on a stretch of a row of cells is one [`CellGrid::run`].

use std::ops::Range;

use jepa3d_schemas::Camera;

/// Side of a cell of [`CellGrid::reset_to_image`] in pixels.
pub(crate) const CELL: usize = 4;

/// [`CELL`] as a length.
pub(crate) const CELL_SIDE: f32 = CELL as f32;

/// Points sorted by cell, row by row of cells.
#[derive(Debug, Default)]
pub(crate) struct CellGrid {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
    /// First sorted point of each cell and, at the end, their number; while sorting, counts and then next free places.
    start: Vec<u32>,
}

impl CellGrid {
    /// Empties the grid for `columns` x `rows` cells.
    pub(crate) fn reset(&mut self, columns: usize, rows: usize) {
        (self.columns, self.rows) = (columns, rows);
        self.start.clear();
        self.start.resize(rows * columns + 1, 0);
    }

    /// Empties the grid for the cells of [`CELL`] x [`CELL`] pixels that cover an image.
    pub(crate) fn reset_to_image(&mut self, camera: &Camera) {
        self.reset((camera.width as usize).div_ceil(CELL), (camera.height as usize).div_ceil(CELL));
    }

    /// The row of an image's cells at height `v`, the nearest one outside the image.
    #[inline(always)]
    pub(crate) fn row(&self, v: f32) -> usize {
        ((v * (1.0 / CELL_SIDE)).max(0.0) as usize).min(self.rows - 1)
    }

    /// The column of an image's cells at `u`, the nearest one outside the image.
    #[inline(always)]
    pub(crate) fn column(&self, u: f32) -> usize {
        ((u * (1.0 / CELL_SIDE)).max(0.0) as usize).min(self.columns - 1)
    }

    /// The cell of an image at a pixel position.
    #[inline(always)]
    pub(crate) fn cell(&self, u: f32, v: f32) -> u32 {
        (self.row(v) * self.columns + self.column(u)) as u32
    }

    /// Announces a point of `cell`.
    #[inline(always)]
    pub(crate) fn count(&mut self, cell: u32) {
        self.start[cell as usize + 1] += 1;
    }

    /// Turns the counts into the place of each cell's first point.
    #[inline(always)]
    pub(crate) fn sum_counts(&mut self) {
        let mut total = 0;
        for count in &mut self.start {
            total += *count;
            *count = total;
        }
    }

    /// The place of the next point of `cell`.
    #[inline(always)]
    pub(crate) fn place(&mut self, cell: u32) -> u32 {
        let next = &mut self.start[cell as usize];
        let place = *next;
        *next += 1;
        place
    }

    /// Ends the sort, after all points have their places.
    #[inline(always)]
    pub(crate) fn finish(&mut self) {
        // Each entry holds the end of its cell, which is the start of the next.
        let cells = self.start.len() - 1;
        self.start.copy_within(0..cells, 1);
        self.start[0] = 0;
    }

    /// The places of the points of a row's cells from column `first` to column `last`, both included.
    #[inline(always)]
    pub(crate) fn run(&self, row: usize, first: usize, last: usize) -> Range<usize> {
        let base = row * self.columns;
        self.start[base + first] as usize..self.start[base + last + 1] as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_of_a_cell_lie_together_in_the_order_they_came() {
        let cells = [5, 0, 5, 3, 0, 5];
        let mut grid = CellGrid::default();
        grid.reset(3, 2);
        cells.iter().for_each(|&cell| grid.count(cell));
        grid.sum_counts();
        let places: Vec<u32> = cells.iter().map(|&cell| grid.place(cell)).collect();
        grid.finish();
        assert_eq!(places, [3, 0, 4, 2, 1, 5]);
        assert_eq!((grid.run(0, 0, 0), grid.run(0, 1, 2), grid.run(1, 0, 2)), (0..2, 2..2, 2..6));
        assert_eq!(grid.run(1, 2, 2), 3..6);
    }
}
