//! The dense map of a view: for every pixel the nearest of the points that the view shows.

use std::ops::Range;

use jepa3d_schemas::{Camera, Correspondences, NO_POINT};

use crate::cell_grid::{CELL, CellGrid};

/// Pixels between a pixel's centre and a point beyond which the pixel shows no point.
const DENSE_RADIUS: f32 = 16.0;

/// For each pixel the visible point whose (u, v) is nearest to the pixel's centre, `NO_POINT` where none lies
/// within 16 pixels; of equally near points the one with the lower index.
///
/// Nearness is in the image: at the outline of an object a pixel of the background within the radius
/// names a point of the object. Where the view has a depth map, its empty pixels tell background apart.
///
/// # Shapes
/// `[H*W]`, row by row from the top.
pub fn nearest_points(shown: &Correspondences, camera: &Camera) -> Vec<u32> {
    let search = NearestPointSearch::new(shown, camera);
    let mut map = Vec::with_capacity(camera.width as usize * camera.height as usize);
    for row in 0..camera.height as usize {
        for column in 0..camera.width as usize {
            map.push(search.find(Pixel { column, row }));
        }
    }
    map
}

/// A pixel of the map.
#[derive(Clone, Copy)]
struct Pixel {
    column: usize,
    row: usize,
}

/// The nearest so far.
struct Nearest {
    squared_distance: f32,
    /// Its number among the correspondences.
    at: u32,
}

/// The points of a view sorted by cell.
struct NearestPointSearch<'a> {
    shown: &'a Correspondences,
    grid: CellGrid,
    /// Correspondences by cell, ascending within it.
    order: Vec<u32>,
}

impl<'a> NearestPointSearch<'a> {
    fn new(shown: &'a Correspondences, camera: &Camera) -> Self {
        let mut grid = CellGrid::default();
        grid.reset_to_image(camera);
        for i in 0..shown.len() {
            grid.count(grid.cell(shown.u[i], shown.v[i]));
        }
        grid.sum_counts();
        let mut order = vec![0; shown.len()];
        for i in 0..shown.len() {
            let place = grid.place(grid.cell(shown.u[i], shown.v[i]));
            order[place as usize] = i as u32;
        }
        grid.finish();
        Self { shown, grid, order }
    }

    /// The point nearest to a pixel's centre.
    fn find(&self, pixel: Pixel) -> u32 {
        let mut nearest = Nearest { squared_distance: DENSE_RADIUS * DENSE_RADIUS, at: u32::MAX };
        let last = DENSE_RADIUS as usize / CELL + 1;
        for ring in 0..=last {
            // Whatever lies in this ring of cells is at least this far away.
            let least = (ring.saturating_sub(1) * CELL) as f32;
            if least * least > nearest.squared_distance {
                break;
            }
            self.search_ring(pixel, ring, &mut nearest);
        }
        if nearest.at == u32::MAX { NO_POINT } else { self.shown.point[nearest.at as usize] }
    }

    /// The cells at a distance of exactly `ring` cells (largest of both axes) around a pixel.
    fn search_ring(&self, pixel: Pixel, ring: usize, nearest: &mut Nearest) {
        let (x, y) = (pixel.column / CELL, pixel.row / CELL);
        let (left, right) = (x.saturating_sub(ring), (x + ring).min(self.grid.columns - 1));
        for row in y.saturating_sub(ring)..=(y + ring).min(self.grid.rows - 1) {
            if row.abs_diff(y) == ring {
                self.search_run(pixel, self.grid.run(row, left, right), nearest);
                continue;
            }
            if x >= ring {
                self.search_run(pixel, self.grid.run(row, x - ring, x - ring), nearest);
            }
            if x + ring < self.grid.columns {
                self.search_run(pixel, self.grid.run(row, x + ring, x + ring), nearest);
            }
        }
    }

    fn search_run(&self, pixel: Pixel, run: Range<usize>, nearest: &mut Nearest) {
        for &at in &self.order[run] {
            let du = self.shown.u[at as usize] - (pixel.column as f32 + 0.5);
            let dv = self.shown.v[at as usize] - (pixel.row as f32 + 0.5);
            let squared_distance = du * du + dv * dv;
            let is_tie = squared_distance == nearest.squared_distance && at < nearest.at;
            if squared_distance < nearest.squared_distance || is_tie {
                *nearest = Nearest { squared_distance, at };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jepa3d_schemas::Draws;

    fn by_full_search(shown: &Correspondences, column: usize, row: usize) -> u32 {
        let mut best = (f32::INFINITY, NO_POINT);
        for i in 0..shown.len() {
            let (du, dv) = (shown.u[i] - column as f32 - 0.5, shown.v[i] - row as f32 - 0.5);
            let square = du * du + dv * dv;
            if square <= DENSE_RADIUS * DENSE_RADIUS && square < best.0 {
                best = (square, shown.point[i]);
            }
        }
        best.1
    }

    #[test]
    fn every_pixel_names_the_point_that_a_full_search_finds() {
        for seed in 0..12 {
            let mut draws = Draws::new(seed, "x", "dense");
            let (width, height) = (1 + draws.index(90), 1 + draws.index(70));
            let camera = Camera {
                width: width as u32,
                height: height as u32,
                fx: 1.0,
                fy: 1.0,
                cx: 0.0,
                cy: 0.0,
                camera_from_world: glam::DAffine3::IDENTITY,
            };
            let mut shown = Correspondences::default();
            for i in 0..draws.index(60) {
                // Half the points on pixel corners: many ties.
                let at = [width, height].map(|s| draws.range(0.0, s as f64) as f32);
                let at = if i % 2 == 0 { at.map(f32::floor) } else { at };
                shown.push(3 * i as u32, [at[0], at[1], 1.0]);
            }
            let map = nearest_points(&shown, &camera);
            assert_eq!(map.len(), width * height);
            for (i, &point) in map.iter().enumerate() {
                assert_eq!(point, by_full_search(&shown, i % width, i / width), "seed {seed}, pixel {i}");
            }
        }
    }
}
