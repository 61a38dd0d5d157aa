//! The points of a view sorted by image cell, so that the points under a stretch of a row are one run.

use jepa3d_schemas::Camera;

use crate::correspond::is_inside;
use crate::facet::{Facet, LANES, Run};
use crate::visible::STOP;

/// Side of a cell in pixels.
pub(crate) const CELL: f32 = 2.0;

/// Cell of a point outside the image.
const OUTSIDE: u32 = u32::MAX;

/// The points inside the image.
///
/// # Shapes
/// `start [rows*columns+1]`, `place [S]`; the other arrays have one entry a point inside the image, then
/// [`LANES`] entries that nothing hides.
#[derive(Debug, Default)]
pub(crate) struct Cells {
    columns: usize,
    rows: usize,
    /// First sorted point of each cell, row by row.
    start: Vec<u32>,
    u: Vec<f32>,
    v: Vec<f32>,
    /// Depth below which a surface hides the point.
    limit: Vec<f32>,
    /// Not 0 where a triangle was found before the point.
    hidden: Vec<u32>,
    /// Where each stored point stands among the sorted ones.
    place: Vec<u32>,
    /// Largest of `limit`.
    pub(crate) farthest: f32,
}

impl Cells {
    /// Sorts the points of a view (counting sort, stable).
    #[inline(always)]
    pub(crate) fn fill(&mut self, pixels: &[[f32; 3]], camera: &Camera) {
        self.columns = (camera.width as f32 / CELL).ceil() as usize;
        self.rows = (camera.height as f32 / CELL).ceil() as usize;
        self.start.clear();
        self.start.resize(self.rows * self.columns + 1, 0);
        self.place.clear();
        for &pixel in pixels {
            let cell = if is_inside(pixel, camera) { self.cell(pixel) } else { OUTSIDE };
            self.place.push(cell);
            if cell != OUTSIDE {
                self.start[cell as usize + 1] += 1;
            }
        }
        let mut total = 0;
        for count in &mut self.start {
            total += *count;
            *count = total;
        }
        let length = total as usize + LANES;
        for array in [&mut self.u, &mut self.v, &mut self.limit] {
            array.clear();
            array.resize(length, 0.0);
        }
        self.hidden.clear();
        self.hidden.resize(length, 0);
        self.place_points(pixels);
    }

    /// Moves every point behind those placed in its cell.
    #[inline(always)]
    fn place_points(&mut self, pixels: &[[f32; 3]]) {
        self.farthest = 0.0;
        for (&[u, v, z], place) in pixels.iter().zip(&mut self.place) {
            if *place == OUTSIDE {
                continue;
            }
            let next = &mut self.start[*place as usize];
            *place = *next;
            *next += 1;
            let at = *place as usize;
            (self.u[at], self.v[at], self.limit[at]) = (u, v, z * STOP);
            self.farthest = self.farthest.max(self.limit[at]);
        }
        // Each entry now holds the end of its cell, which is the start of the next.
        let cells = self.start.len() - 1;
        self.start.copy_within(0..cells, 1);
        self.start[0] = 0;
    }

    #[inline(always)]
    fn cell(&self, [u, v, _]: [f32; 3]) -> u32 {
        (self.row(v) * self.columns + self.column(u)) as u32
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
        for i in 0..self.u.len() {
            self.hidden[i] |= u32::from(is_hidden([self.u[i], self.v[i], self.limit[i]]));
        }
    }

    /// Number of points that nothing hides.
    pub(crate) fn shown(&self) -> usize {
        let inside = self.hidden.len() - LANES;
        self.hidden[..inside].iter().filter(|h| **h == 0).count()
    }

    /// Whether stored point `i` is inside the image and nothing hides it.
    #[inline(always)]
    pub(crate) fn is_shown(&self, i: usize) -> bool {
        self.place[i] != OUTSIDE && self.hidden[self.place[i] as usize] == 0
    }
}
