//! Fits a disc to every point of a cloud: plane and radius from the nearest neighbours.

use crate::neighbors::{Neighbor, NeighborTree};

/// Neighbours that decide plane and radius.
const NEIGHBORS: usize = 16;

/// The neighbour that a disc reaches, counted from 0.
const REACHED: usize = 4;

/// Largest radius in medians of the radii around it.
const MOST_AROUND: f32 = 1.25;

/// Largest radius in medians of all radii: in a lidar sweep far points stand metres apart.
const MOST_OVERALL: f32 = 4.0;

/// A cloud's discs.
///
/// # Shapes
/// All `[S]`, in the cloud's frame.
#[derive(Clone, Debug, Default)]
pub struct Splats {
    /// The points.
    pub centers: Vec<[f32; 3]>,
    /// Unit normals; their sign means nothing.
    pub normals: Vec<[f32; 3]>,
    /// Radii in the cloud's units, above 0.
    pub radii: Vec<f32>,
}

impl Splats {
    /// Fits a disc to every point of a cloud `[S,3]`.
    pub fn new(cloud: &[[f32; 3]]) -> Self {
        let tree = NeighborTree::new(cloud);
        let mut found = Vec::new();
        let mut splats = Self { centers: cloud.to_vec(), ..Self::default() };
        let mut neighbors: Vec<u32> = Vec::with_capacity(cloud.len() * NEIGHBORS);
        for i in 0..cloud.len() {
            tree.nearest(i, NEIGHBORS, &mut found);
            splats.normals.push(plane_normal(cloud, i, &found));
            splats.radii.push(reach(&found));
            neighbors.extend((0..NEIGHBORS).map(|n| found.get(n).map_or(i as u32, |f| f.point)));
        }
        splats.radii = limit_radii(&splats.radii, &neighbors);
        splats
    }
}

/// Distance of the neighbour that the disc reaches; 0 where there is none.
fn reach(found: &[Neighbor]) -> f32 {
    found.get(REACHED.min(found.len().saturating_sub(1))).map_or(0.0, |f| f.squared_distance.sqrt())
}

/// Radii, none above [`MOST_AROUND`] medians of its neighbours' or [`MOST_OVERALL`] medians of all (stray points), none of 0.
fn limit_radii(radii: &[f32], neighbors: &[u32]) -> Vec<f32> {
    let (rows, _) = neighbors.as_chunks::<NEIGHBORS>();
    let mut sorted = radii.to_vec();
    sorted.sort_by(f32::total_cmp);
    let widest = MOST_OVERALL * sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
    let cap = |(radius, row): (&f32, &[u32; NEIGHBORS])| {
        let mut around = row.map(|j| radii[j as usize]);
        around.sort_by(f32::total_cmp);
        radius.min(MOST_AROUND * around[NEIGHBORS / 2]).min(widest)
    };
    let positive = |radius: f32| if radius > 0.0 { radius } else { 0.05 };
    radii.iter().zip(rows).map(cap).map(positive).collect()
}

/// Normal of the plane through a point's neighbourhood: the direction in which it spreads least.
fn plane_normal(cloud: &[[f32; 3]], i: usize, found: &[Neighbor]) -> [f32; 3] {
    let around = || std::iter::once(i as u32).chain(found.iter().map(|f| f.point));
    let at = |j: u32| glam::DVec3::from_array(cloud[j as usize].map(f64::from));
    let mean = around().map(at).sum::<glam::DVec3>() / (found.len() + 1) as f64;
    let mut spread = [[0.0; 3]; 3];
    for j in around() {
        let d = (at(j) - mean).to_array();
        for row in 0..3 {
            for column in 0..3 {
                spread[row][column] += d[row] * d[column];
            }
        }
    }
    least_axis(spread)
}

/// Eigenvector of the smallest eigenvalue of a symmetric matrix (Jacobi, fixed sweeps).
fn least_axis(mut a: [[f64; 3]; 3]) -> [f32; 3] {
    let mut axes = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    for _ in 0..8 {
        for (p, q) in [(0, 1), (0, 2), (1, 2)] {
            rotate(&mut a, &mut axes, p, q);
        }
    }
    let least = (0..3).fold(0, |best, i| if a[i][i] < a[best][best] { i } else { best });
    let axis = glam::DVec3::new(axes[0][least], axes[1][least], axes[2][least]).normalize_or(glam::DVec3::Z);
    axis.as_vec3().to_array()
}

/// One Jacobi rotation that clears entry (p, q).
fn rotate(a: &mut [[f64; 3]; 3], axes: &mut [[f64; 3]; 3], p: usize, q: usize) {
    if a[p][q] == 0.0 {
        return;
    }
    let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let c = 1.0 / (t * t + 1.0).sqrt();
    let s = t * c;
    for row in &mut *a {
        (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
    }
    for column in 0..3 {
        (a[p][column], a[q][column]) =
            (c * a[p][column] - s * a[q][column], s * a[p][column] + c * a[q][column]);
    }
    for row in axes {
        (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glam::Vec3;
    use jepa3d_schemas::Draws;

    #[test]
    fn discs_lie_in_the_plane_of_their_points() {
        let mut draws = Draws::new(2, "x", "plane");
        let points: Vec<[f32; 3]> = (0..400)
            .map(|_| {
                let (x, y) = (draws.range(-1.0, 1.0), draws.range(-1.0, 1.0));
                [x, y, 0.5 * x - 0.25 * y].map(|v| v as f32)
            })
            .collect();
        let expected = Vec3::new(0.5, -0.25, -1.0).normalize();
        for (normal, radius) in Splats::new(&points).normals.iter().zip(Splats::new(&points).radii) {
            assert!(Vec3::from_array(*normal).dot(expected).abs() > 1.0 - 1e-4);
            assert!(radius > 0.02 && radius < 0.3, "{radius}");
        }
    }
}
