//! The points of a view sorted by image cell, so that the points under a stretch of a row are one run.

use jepa3d_schemas::{Camera, Correspondences};
use pulp::Simd;

use crate::correspond::is_inside;
use crate::facet::{Facet, WIDEST};
use crate::visible::STOP;

/// Side of a cell in pixels.
pub(crate) const CELL: f32 = 4.0;

/// A point inside the image.
#[derive(Clone, Copy, Debug)]
struct Inside {
    point: u32,
    /// Its cell, later its place among the sorted points.
    place: u32,
}

/// The points of a view that lie inside the image.
///
/// # Shapes
/// `inside [P]`, `start [rows*columns+1]`; `u`, `v`, `limit` `[P]` and then [`WIDEST`] times 0.
#[derive(Debug, Default)]
pub(crate) struct Cells {
    columns: usize,
    rows: usize,
    /// By ascending point.
    inside: Vec<Inside>,
    /// First sorted point of each cell, row by row.
    start: Vec<u32>,
    /// Pixels, cell by cell.
    u: Vec<f32>,
    v: Vec<f32>,
    /// Depth below which a surface hides the point; 0 for points that are hidden.
    limit: Vec<f32>,
}

impl Cells {
    /// Sorts the points of a view (counting sort, stable).
    #[inline(always)]
    pub(crate) fn fill(&mut self, pixels: &[[f32; 3]], camera: &Camera) {
        self.columns = (camera.width as f32 / CELL).ceil() as usize;
        self.rows = (camera.height as f32 / CELL).ceil() as usize;
        self.start.clear();
        self.start.resize(self.rows * self.columns + 1, 0);
        self.inside.clear();
        for (i, &pixel) in pixels.iter().enumerate() {
            if is_inside(pixel, camera) {
                let place = (self.row(pixel[1]) * self.columns + self.column(pixel[0])) as u32;
                self.inside.push(Inside { point: i as u32, place });
                self.start[place as usize + 1] += 1;
            }
        }
        let mut total = 0;
        for count in &mut self.start {
            total += *count;
            *count = total;
        }
        for array in [&mut self.u, &mut self.v, &mut self.limit] {
            array.clear();
            array.resize(self.inside.len() + WIDEST, 0.0);
        }
        for inside in &mut self.inside {
            let next = &mut self.start[inside.place as usize];
            let at = *next as usize;
            inside.place = *next;
            *next += 1;
            let [u, v, z] = pixels[inside.point as usize];
            (self.u[at], self.v[at], self.limit[at]) = (u, v, z * STOP);
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

    /// Hides the points behind a facet that lie in the cells of a row from `left` to `right` (pixels).
    #[inline(always)]
    pub(crate) fn hide_run<S: Simd>(
        &mut self,
        simd: S,
        row: usize,
        (left, right): (f32, f32),
        facet: &Facet,
    ) {
        let base = row * self.columns;
        let begin = self.start[base + self.column(left)] as usize;
        let end = self.start[base + self.column(right) + 1] as usize;
        if begin < end {
            // Whole vectors: the points beyond the end are tested by the same rule, which is exact for any point.
            let end = begin + (end - begin).next_multiple_of(S::F32_LANES);
            facet.hide(simd, &self.u[begin..end], &self.v[begin..end], &mut self.limit[begin..end]);
        }
    }

    /// Hides every point `[u, v, limit]` for which `is_hidden` holds.
    pub(crate) fn hide_each(&mut self, is_hidden: impl Fn([f32; 3]) -> bool) {
        for i in 0..self.inside.len() {
            if is_hidden([self.u[i], self.v[i], self.limit[i]]) {
                self.limit[i] = 0.0;
            }
        }
    }

    /// The points that nothing hides, by ascending index.
    #[inline(always)]
    pub(crate) fn shown(&self, pixels: &[[f32; 3]]) -> Correspondences {
        let mut point = vec![0; self.inside.len()];
        let mut count = 0;
        for inside in &self.inside {
            // Written always, counted if shown: which points are is hard to predict.
            point[count] = inside.point;
            count += usize::from(self.limit[inside.place as usize] > 0.0);
        }
        point.truncate(count);
        Correspondences {
            u: point.iter().map(|&i| pixels[i as usize][0]).collect(),
            v: point.iter().map(|&i| pixels[i as usize][1]).collect(),
            depth: point.iter().map(|&i| pixels[i as usize][2]).collect(),
            point,
        }
    }
}
