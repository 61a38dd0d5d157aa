//! The dense map of a view: for every pixel the nearest of the points that the view shows.

use jepa3d_schemas::{Camera, Correspondences, NO_POINT};

/// Pixels between a pixel's centre and a point beyond which the pixel shows no point.
pub const DENSE_RADIUS: f32 = 16.0;

/// Side of a cell of the search, in pixels.
const CELL: usize = 4;

/// For each pixel the visible point whose (u, v) is nearest to the pixel's centre, `NO_POINT` where none lies
/// within [`DENSE_RADIUS`]; of equally near points the one with the lower index.
///
/// Nearness is in the image: at the outline of an object a pixel of the background within the radius
/// names a point of the object. Where the view has a depth map, its empty pixels tell background apart.
///
/// # Shapes
/// `[H*W]`, row by row from the top.
pub fn nearest_points(shown: &Correspondences, camera: &Camera) -> Vec<u32> {
    let (width, height) = (camera.width as usize, camera.height as usize);
    let search = Search::new(shown, width, height);
    let mut map = Vec::with_capacity(width * height);
    for row in 0..height {
        for column in 0..width {
            map.push(search.nearest(column, row));
        }
    }
    map
}

/// The points of a view sorted by cell.
struct Search<'a> {
    shown: &'a Correspondences,
    columns: usize,
    rows: usize,
    start: Vec<u32>,
    /// Correspondences by cell, ascending within it.
    order: Vec<u32>,
}

/// The nearest so far: squared distance and place among the correspondences.
type Best = (f32, u32);

impl<'a> Search<'a> {
    fn new(shown: &'a Correspondences, width: usize, height: usize) -> Self {
        let (columns, rows) = (width.div_ceil(CELL), height.div_ceil(CELL));
        let cell = |i: usize| {
            let column = (shown.u[i] as usize / CELL).min(columns - 1);
            (shown.v[i] as usize / CELL).min(rows - 1) * columns + column
        };
        let mut start = vec![0u32; columns * rows + 1];
        for i in 0..shown.len() {
            start[cell(i) + 1] += 1;
        }
        for i in 1..start.len() {
            start[i] += start[i - 1];
        }
        let mut order = vec![0; shown.len()];
        for i in (0..shown.len()).rev() {
            // Ends become starts, from the last point back: ascending within a cell.
            let next = &mut start[cell(i) + 1];
            *next -= 1;
            order[*next as usize] = i as u32;
        }
        start.remove(0);
        start.push(shown.len() as u32);
        Self { shown, columns, rows, start, order }
    }

    fn nearest(&self, column: usize, row: usize) -> u32 {
        let mut best: Best = (DENSE_RADIUS * DENSE_RADIUS, u32::MAX);
        let last = DENSE_RADIUS as usize / CELL + 1;
        for ring in 0..=last {
            // Whatever lies in this ring of cells is at least this far away.
            let least = (ring.saturating_sub(1) * CELL) as f32;
            if least * least > best.0 {
                break;
            }
            self.search_ring((column, row), ring, &mut best);
        }
        if best.1 == u32::MAX { NO_POINT } else { self.shown.point[best.1 as usize] }
    }

    /// The cells at a distance of exactly `ring` cells (largest of both axes) around a pixel.
    fn search_ring(&self, (column, row): (usize, usize), ring: usize, best: &mut Best) {
        let (x, y) = (column / CELL, row / CELL);
        let (left, right) = (x.saturating_sub(ring), (x + ring).min(self.columns - 1));
        for cell_row in y.saturating_sub(ring)..=(y + ring).min(self.rows - 1) {
            let base = cell_row * self.columns;
            if cell_row.abs_diff(y) == ring {
                self.search_run((column, row), base + left..base + right + 1, best);
                continue;
            }
            if x >= ring {
                self.search_run((column, row), base + x - ring..base + x - ring + 1, best);
            }
            if x + ring < self.columns {
                self.search_run((column, row), base + x + ring..base + x + ring + 1, best);
            }
        }
    }

    fn search_run(&self, (column, row): (usize, usize), cells: std::ops::Range<usize>, best: &mut Best) {
        let run = self.start[cells.start] as usize..self.start[cells.end] as usize;
        for &i in &self.order[run] {
            let du = self.shown.u[i as usize] - (column as f32 + 0.5);
            let dv = self.shown.v[i as usize] - (row as f32 + 0.5);
            let candidate = (du * du + dv * dv, i);
            let is_tie = candidate.0 == best.0 && i < best.1;
            if candidate.0 < best.0 || is_tie {
                *best = candidate;
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
