//! Area-weighted points on a triangle mesh, with normals, colours and part labels.
//!
//! A triangle is drawn with probability proportional to its area, a point in it uniformly
//! (Osada et al. 2002, Shape Distributions, section 4.2), so points are uniform over the
//! surface. Everything is f64 until normalisation.

use jepa3d_schemas::{Draws, Mesh, NO_INDEX, PointCloud};

use crate::error::{Error, Rejected, Result};
use crate::surface_color::{blend, surface_color};

/// Draws triangles by area in expected constant time: a cumulative table with a guide into it
/// (the cut-point method, Devroye 1986, section III.2.4).
struct TriangleTable {
    cumulative: Vec<f64>,
    guide: Vec<u32>,
}

impl TriangleTable {
    fn new(mesh: &Mesh) -> Result<Self, Rejected> {
        if mesh.triangles.is_empty() {
            let found = format!("a mesh of {} vertices without faces", mesh.positions.len());
            return Err(Rejected::new("sample", format!("expected a surface, found {found}")));
        }
        let mut total = 0.0;
        let cumulative: Vec<f64> = (0..mesh.triangles.len())
            .map(|t| {
                total += norm(doubled_normal(corners(mesh, t)));
                total
            })
            .collect();
        if !(total.is_finite() && total > 0.0) {
            let found = format!("{} triangles of total area {}", cumulative.len(), total / 2.0);
            return Err(Rejected::new("sample", format!("expected a surface with area, found {found}")));
        }
        let slots = cumulative.len();
        let mut guide = Vec::with_capacity(slots);
        let mut t = 0;
        for slot in 0..slots {
            while t + 1 < slots && cumulative[t] <= total * slot as f64 / slots as f64 {
                t += 1;
            }
            guide.push(t as u32);
        }
        Ok(Self { cumulative, guide })
    }

    /// The triangle at `u` in `[0,1)` of the total area: the first whose cumulative area exceeds
    /// it, hence never one without area.
    fn pick(&self, u: f64) -> usize {
        let total = self.cumulative[self.cumulative.len() - 1];
        let (target, slots) = (u * total, self.guide.len());
        let mut t = self.guide[((u * slots as f64) as usize).min(slots - 1)] as usize;
        // The guide was rounded on its own: step back before stepping on.
        while t > 0 && self.cumulative[t - 1] > target {
            t -= 1;
        }
        while t + 1 < slots && self.cumulative[t] <= target {
            t += 1;
        }
        if self.cumulative[t] <= target { self.last_with_area() } else { t }
    }

    /// Where a target rounded up to the total itself ends.
    fn last_with_area(&self) -> usize {
        let total = self.cumulative[self.cumulative.len() - 1];
        self.cumulative.partition_point(|&c| c < total)
    }
}

/// Draws `count` points uniformly over the surface of `mesh`.
///
/// Normals are the file's, interpolated, where all three corners have one, else the face's by
/// its winding. Colours are made of texture, vertices and material as the mesh's rule says; a mesh
/// with none of these gives no colours. Part labels are those of the triangles.
///
/// # Errors
/// Rejects a mesh without faces or without (finite, positive) area.
pub(crate) fn sample_surface(mesh: &Mesh, count: usize, draws: &mut Draws) -> Result<PointCloud, Rejected> {
    let table = TriangleTable::new(mesh)?;
    let has_colors = !mesh.vertex_colors.is_empty() || !mesh.triangle_materials.is_empty();
    let has_parts = !mesh.triangle_parts.is_empty();
    let mut positions = Vec::with_capacity(count);
    let mut normals = Vec::with_capacity(count);
    let mut colors = Vec::with_capacity(if has_colors { count } else { 0 });
    let mut labels = Vec::with_capacity(if has_parts { count } else { 0 });
    for _ in 0..count {
        let t = table.pick(draws.unit());
        let (mut v, mut w) = (draws.unit(), draws.unit());
        if v + w > 1.0 {
            (v, w) = (1.0 - v, 1.0 - w);
        }
        let weights = [1.0 - v - w, v, w];
        let corners = corners(mesh, t);
        positions.push(blend(corners, weights));
        normals.push(normal(mesh, t, corners, weights));
        if has_colors {
            colors.push(surface_color(mesh, t, weights));
        }
        if has_parts {
            labels.push(mesh.triangle_parts[t]);
        }
    }
    Ok(PointCloud {
        positions,
        normals: Some(normals),
        colors: has_colors.then_some(colors),
        intensity: None,
        point_labels: has_parts.then_some(labels),
    })
}

/// `count` points of the surface of a mesh that belongs to no dataset, drawn from `seed`.
///
/// # Errors
/// Fails if the mesh has no faces or no (finite, positive) area.
pub fn sample_mesh(mesh: &Mesh, count: usize, seed: u64) -> Result<PointCloud> {
    let drawn = sample_surface(mesh, count, &mut Draws::new(seed, "mesh", "surface"));
    drawn.map_err(|Rejected { reason, .. }| Error::Surface { reason })
}

fn corners(mesh: &Mesh, t: usize) -> [[f64; 3]; 3] {
    mesh.triangles[t].map(|v| mesh.positions[v as usize])
}

/// Normal of a triangle by its winding, of twice its area in length.
fn doubled_normal(corners: [[f64; 3]; 3]) -> [f64; 3] {
    let [a, b, c] = corners;
    let [u, v] = [b, c].map(|p| [p[0] - a[0], p[1] - a[1], p[2] - a[2]]);
    [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]]
}

fn norm(v: [f64; 3]) -> f64 {
    (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]).sqrt()
}

fn unit(v: [f64; 3]) -> Option<[f32; 3]> {
    let length = norm(v);
    (length.is_finite() && length > 0.0).then(|| v.map(|x| (x / length) as f32))
}

fn normal(mesh: &Mesh, t: usize, corners: [[f64; 3]; 3], weights: [f64; 3]) -> [f32; 3] {
    let stored = mesh.normal_corners.get(t).filter(|c| !c.contains(&NO_INDEX));
    let interpolated = stored.and_then(|indices| {
        let at = indices.map(|i| mesh.normals[i as usize].map(f64::from));
        unit(blend(at, weights))
    });
    // A drawn triangle has area, so its own normal exists.
    interpolated.or_else(|| unit(doubled_normal(corners))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jepa3d_schemas::{Material, Texture};
    use std::sync::Arc;

    /// Triangles of very different area, two of them degenerate, in planes z = 0, 1, 2, ...
    fn stairs(areas: &[f64]) -> Mesh {
        let mut mesh = Mesh::default();
        for (z, &area) in areas.iter().enumerate() {
            let at = mesh.positions.len() as u32;
            let z = z as f64;
            mesh.positions.extend([[0.0, 0.0, z], [2.0 * area, 0.0, z], [0.0, 1.0, z]]);
            mesh.triangles.push([at, at + 1, at + 2]);
        }
        mesh
    }

    #[test]
    fn triangles_are_drawn_by_area_and_degenerate_ones_never() {
        let areas = [0.0, 1.0, 0.0, 5.0, 0.001, 30.0, 0.0];
        let n = 200_000;
        let cloud = sample_surface(&stairs(&areas), n, &mut Draws::new(1, "stairs", "test")).unwrap();
        let mut counts = [0usize; 7];
        for p in &cloud.positions {
            counts[p[2].round() as usize] += 1;
        }
        let total: f64 = areas.iter().sum();
        let mut chi2 = 0.0;
        for (area, count) in areas.iter().zip(counts) {
            let expected = n as f64 * area / total;
            if expected == 0.0 {
                assert_eq!(count, 0);
            } else {
                chi2 += (count as f64 - expected).powi(2) / expected;
            }
        }
        assert!(chi2 < 16.3, "chi2 {chi2} exceeds the 0.999 quantile of 3 degrees of freedom");
    }

    #[test]
    fn points_are_uniform_inside_a_triangle() {
        let n = 160_000;
        let cloud = sample_surface(&stairs(&[1.0]), n, &mut Draws::new(2, "one", "test")).unwrap();
        // Midlines cut a triangle into four of equal area.
        let mut counts = [0.0; 4];
        for p in &cloud.positions {
            let (v, w) = (p[0] / 2.0, p[1]);
            counts[if v > 0.5 {
                0
            } else if w > 0.5 {
                1
            } else if v + w < 0.5 {
                2
            } else {
                3
            }] += 1.0;
        }
        let expected = n as f64 / 4.0;
        let chi2: f64 = counts.iter().map(|c: &f64| (c - expected).powi(2) / expected).sum();
        assert!(chi2 < 16.3, "chi2 {chi2}, counts {counts:?}");
    }

    #[test]
    fn a_guided_pick_is_the_linear_search() {
        let mut draws = Draws::new(4, "areas", "test");
        for _ in 0..50 {
            let areas: Vec<f64> = (0..1 + draws.index(40))
                .map(|_| if draws.chance(0.3) { 0.0 } else { libm::exp(draws.range(-20.0, 5.0)) })
                .chain([1e-9])
                .collect();
            let table = TriangleTable::new(&stairs(&areas)).unwrap();
            let total = table.cumulative[areas.len() - 1];
            for _ in 0..500 {
                let u = draws.unit();
                let linear = table.cumulative.iter().position(|&c| c > u * total);
                assert_eq!(Some(table.pick(u)), linear);
            }
            assert!(areas[table.pick(1.0)] > 0.0);
        }
    }

    #[test]
    fn attributes_follow_the_triangle() {
        let mut mesh = stairs(&[1.0, 1.0]);
        mesh.triangle_parts = vec![3, 9];
        mesh.triangle_materials = vec![0, 1];
        let rgb = vec![[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]];
        let texture = Some(Arc::new(Texture { width: 2, height: 2, rgb, ..Texture::default() }));
        mesh.materials = vec![
            Material { name: "flat".into(), diffuse: [0.2, 0.4, 1.0], texture: None },
            Material { name: "image".into(), diffuse: [1.0; 3], texture },
        ];
        mesh.uvs = vec![[0.25, 0.75], [-0.75, 0.75], [0.25, 2.75]];
        mesh.uv_corners = vec![[NO_INDEX; 3], [0, 1, 2]];
        let cloud = sample_surface(&mesh, 400, &mut Draws::new(5, "a", "test")).unwrap();
        let (colors, labels) = (cloud.colors.unwrap(), cloud.point_labels.unwrap());
        for i in 0..400 {
            let first = cloud.positions[i][2] == 0.0;
            assert_eq!(labels[i], if first { 3 } else { 9 });
            assert_eq!(cloud.normals.as_ref().unwrap()[i], [0.0, 0.0, 1.0]);
            if first {
                assert_eq!(colors[i], [51, 102, 255]);
            }
        }
    }

    #[test]
    fn meshes_without_a_surface_say_so() {
        let empty = Mesh { positions: vec![[0.0; 3]; 4], ..Mesh::default() };
        let mut draws = Draws::new(0, "", "");
        assert_eq!(
            sample_surface(&empty, 8, &mut draws).unwrap_err().reason,
            "expected a surface, found a mesh of 4 vertices without faces"
        );
        assert_eq!(
            sample_surface(&stairs(&[0.0, 0.0]), 8, &mut draws).unwrap_err().reason,
            "expected a surface with area, found 2 triangles of total area 0"
        );
        let mut huge = stairs(&[1.0]);
        huge.positions[1][0] = 1e200;
        huge.positions[2][1] = 1e200;
        assert!(sample_surface(&huge, 8, &mut draws).unwrap_err().reason.contains("total area inf"));
    }
}
