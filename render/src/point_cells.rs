//! The points of a view sorted by image cell, so that the points under a stretch of a row are one run.

use jepa3d_schemas::{Camera, Correspondences};
use pulp::Simd;

use crate::cell_grid::CellGrid;
use crate::facet::{Facet, RowSpan, WIDEST};
use crate::project::is_inside;

/// Share of the way from the camera to a point that must be free for the point to be visible.
const FREE_SHARE: f32 = 1.0 - 1e-3;

/// A point inside the image.
#[derive(Clone, Copy, Debug)]
struct InsidePoint {
    point: u32,
    /// Its cell, later its place among the sorted points.
    place: u32,
}

/// The points of a view that lie inside the image.
///
/// # Shapes
/// `inside [P]`; `u`, `v`, `limit` `[P]` and then [`WIDEST`] times 0.
#[derive(Debug, Default)]
pub(crate) struct PointCells {
    grid: CellGrid,
    /// By ascending point.
    inside: Vec<InsidePoint>,
    /// Pixels, cell by cell.
    u: Vec<f32>,
    v: Vec<f32>,
    /// Depth below which a surface hides the point; 0 for points that are hidden.
    limit: Vec<f32>,
}

impl PointCells {
    /// Sorts the points of a view.
    #[inline(always)]
    pub(crate) fn fill(&mut self, pixels: &[[f32; 3]], camera: &Camera) {
        self.grid.reset_to_image(camera);
        self.inside.clear();
        for (i, &pixel) in pixels.iter().enumerate() {
            if is_inside(pixel, camera) {
                let cell = self.grid.cell(pixel[0], pixel[1]);
                self.inside.push(InsidePoint { point: i as u32, place: cell });
                self.grid.count(cell);
            }
        }
        self.grid.sum_counts();
        for array in [&mut self.u, &mut self.v, &mut self.limit] {
            array.clear();
            array.resize(self.inside.len() + WIDEST, 0.0);
        }
        for inside in &mut self.inside {
            inside.place = self.grid.place(inside.place);
            let at = inside.place as usize;
            let [u, v, z] = pixels[inside.point as usize];
            (self.u[at], self.v[at], self.limit[at]) = (u, v, z * FREE_SHARE);
        }
        self.grid.finish();
    }

    /// The row of cells at height `v`, the nearest one outside the image.
    #[inline(always)]
    pub(crate) fn row(&self, v: f32) -> usize {
        self.grid.row(v)
    }

    /// Hides the points behind a facet that lie in a row's cells under `span`.
    #[inline(always)]
    pub(crate) fn hide_run<S: Simd>(&mut self, simd: S, row: usize, span: RowSpan, facet: &Facet) {
        let run = self.grid.run(row, self.grid.column(span.left), self.grid.column(span.right));
        if !run.is_empty() {
            // Whole vectors: the points beyond the end are tested by the same rule, which is exact for any point.
            let end = run.start + run.len().next_multiple_of(S::F32_LANES);
            let run = run.start..end;
            facet.hide(simd, &self.u[run.clone()], &self.v[run.clone()], &mut self.limit[run]);
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
    pub(crate) fn collect_shown(&self, pixels: &[[f32; 3]]) -> Correspondences {
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
