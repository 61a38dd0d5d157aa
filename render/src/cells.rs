//! The points of a view sorted by image cell, so that the points under a stretch of a row are one run.

use jepa3d_schemas::{Camera, Correspondences};

use crate::facet::{Facet, LANES, Run};
use crate::visible::STOP;

/// Side of a cell in pixels.
pub(crate) const CELL: f32 = 2.0;

/// Side of a tile in cells.
const TILE: usize = 8;

/// A point that may be visible: its index and its cell.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    point: u32,
    /// Its cell, later its place among the sorted points.
    place: u32,
}

/// The points of a view that may be visible.
///
/// # Shapes
/// `start [rows*columns+1]`; `u`, `v`, `limit`, `hidden` have one entry a candidate, then [`LANES`] entries
/// that nothing hides.
#[derive(Debug, Default)]
pub(crate) struct Cells {
    columns: usize,
    rows: usize,
    /// By ascending point.
    candidates: Vec<Candidate>,
    /// First sorted point of each cell, row by row.
    start: Vec<u32>,
    u: Vec<f32>,
    v: Vec<f32>,
    /// Depth below which a surface hides the point.
    limit: Vec<f32>,
    /// Not 0 where a triangle was found before the point.
    hidden: Vec<u32>,
    tile_columns: usize,
    /// Largest `limit` of each tile.
    farthest: Vec<f32>,
}

impl Cells {
    /// Sorts the points for which `may_show` holds (counting sort, stable); all of them lie inside the image.
    #[inline(always)]
    pub(crate) fn fill(&mut self, pixels: &[[f32; 3]], camera: &Camera, may_show: impl Fn([f32; 3]) -> bool) {
        self.columns = (camera.width as f32 / CELL).ceil() as usize;
        self.rows = (camera.height as f32 / CELL).ceil() as usize;
        self.start.clear();
        self.start.resize(self.rows * self.columns + 1, 0);
        self.candidates.clear();
        for (i, &pixel) in pixels.iter().enumerate() {
            if may_show(pixel) {
                let place = (self.row(pixel[1]) * self.columns + self.column(pixel[0])) as u32;
                self.candidates.push(Candidate { point: i as u32, place });
                self.start[place as usize + 1] += 1;
            }
        }
        let mut total = 0;
        for count in &mut self.start {
            total += *count;
            *count = total;
        }
        let length = self.candidates.len() + LANES;
        for array in [&mut self.u, &mut self.v, &mut self.limit] {
            array.resize(length, 0.0);
            array[length - LANES..].fill(0.0);
        }
        self.hidden.clear();
        self.hidden.resize(length, 0);
        self.place_points(pixels);
    }

    /// Moves every point behind those placed in its cell.
    #[inline(always)]
    fn place_points(&mut self, pixels: &[[f32; 3]]) {
        self.tile_columns = self.columns.div_ceil(TILE);
        self.farthest.clear();
        self.farthest.resize(self.tile_columns * self.rows.div_ceil(TILE), 0.0);
        for i in 0..self.candidates.len() {
            let Candidate { point, place: cell } = self.candidates[i];
            let [u, v, z] = pixels[point as usize];
            let tile = self.row(v) / TILE * self.tile_columns + self.column(u) / TILE;
            let tile = &mut self.farthest[tile];
            *tile = tile.max(z * STOP);
            let next = &mut self.start[cell as usize];
            let place = *next as usize;
            *next += 1;
            (self.u[place], self.v[place], self.limit[place]) = (u, v, z * STOP);
            self.candidates[i].place = place as u32;
        }
        // Each entry now holds the end of its cell, which is the start of the next.
        let cells = self.start.len() - 1;
        self.start.copy_within(0..cells, 1);
        self.start[0] = 0;
    }

    /// The row of cells at height `v`, the nearest one outside the image.
    #[inline(always)]
    pub(crate) fn row(&self, v: f32) -> usize {
        ((v * (1.0 / CELL)).max(0.0) as usize).min(self.rows - 1)
    }

    #[inline(always)]
    fn column(&self, u: f32) -> usize {
        ((u * (1.0 / CELL)).max(0.0) as usize).min(self.columns - 1)
    }

    /// Whether a tile that the box from `low` to `high` (pixels) touches has a point deeper than `depth`.
    #[inline(always)]
    pub(crate) fn reach_beyond(&self, depth: f32, low: [f32; 2], high: [f32; 2]) -> bool {
        let (left, right) = (self.column(low[0]) / TILE, self.column(high[0]) / TILE);
        for row in self.row(low[1]) / TILE..=self.row(high[1]) / TILE {
            for column in left..=right {
                if self.farthest[row * self.tile_columns + column] > depth {
                    return true;
                }
            }
        }
        false
    }

    /// Hides the points behind a facet that lie in the cells of a row from `left` to `right` (pixels).
    #[inline(always)]
    pub(crate) fn hide_run(&mut self, row: usize, left: f32, right: f32, facet: &Facet) {
        let base = row * self.columns;
        let begin = self.start[base + self.column(left)] as usize;
        let end = self.start[base + self.column(right) + 1] as usize;
        if begin >= end {
            return;
        }
        // Whole steps: the points beyond the end are tested by the same rule, which is exact for any point.
        let end = begin + (end - begin).next_multiple_of(LANES);
        let run = begin..end;
        facet.hide(Run {
            u: &self.u[run.clone()],
            v: &self.v[run.clone()],
            limit: &self.limit[run.clone()],
            hidden: &mut self.hidden[run],
        });
    }

    /// Hides every point `[u, v, limit]` for which `is_hidden` holds.
    pub(crate) fn hide_each(&mut self, is_hidden: impl Fn([f32; 3]) -> bool) {
        for i in 0..self.candidates.len() {
            self.hidden[i] |= u32::from(is_hidden([self.u[i], self.v[i], self.limit[i]]));
        }
    }

    /// The candidates that nothing hides.
    #[inline(always)]
    pub(crate) fn shown(&self, pixels: &[[f32; 3]]) -> Correspondences {
        let mut point = vec![0; self.candidates.len()];
        let mut count = 0;
        for candidate in &self.candidates {
            // Written always, counted if shown: which points are is hard to predict.
            point[count] = candidate.point;
            count += usize::from(self.hidden[candidate.place as usize] == 0);
        }
        point.truncate(count);
        let mut found = Correspondences::default();
        found.u.extend(point.iter().map(|&i| pixels[i as usize][0]));
        found.v.extend(point.iter().map(|&i| pixels[i as usize][1]));
        found.depth.extend(point.iter().map(|&i| pixels[i as usize][2]));
        found.point = point;
        found
    }
}
