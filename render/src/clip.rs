//! Clips triangles that reach behind the near plane or beyond the guard band.
//!
//! Sutherland and Hodgman 1974, in homogeneous pixel coordinates. Every cut runs from the kept end
//! to the dropped end, so two triangles that share an edge cut it at the same point and no gap opens.

use glam::DVec3;

use crate::screen::{GUARD_HIGH, GUARD_LOW, ScreenProjection, ScreenVertex};

/// A triangle cut by five planes has at most eight corners.
const MAX_CORNERS: usize = 8;

/// A convex polygon, cut from a triangle.
#[derive(Clone, Copy)]
struct Polygon {
    corners: [DVec3; MAX_CORNERS],
    len: usize,
}

/// Calls `draw` with the triangles that are left of `corners` (`[u z, v z, z]`).
pub(crate) fn clip_triangle(
    projection: &ScreenProjection,
    corners: [DVec3; 3],
    mut draw: impl FnMut([ScreenVertex; 3]),
) {
    let mut polygon = Polygon { corners: [DVec3::ZERO; MAX_CORNERS], len: 3 };
    polygon.corners[..3].copy_from_slice(&corners);
    let near = projection.near();
    // Half a pixel inside the guard band: rounding cannot carry a corner out of it again.
    let (low, high) = (GUARD_LOW + 0.5, GUARD_HIGH - 0.5);
    let cuts: [&dyn Fn(DVec3) -> f64; 5] =
        [&|p| p.z - near, &|p| p.x - low * p.z, &|p| high * p.z - p.x, &|p| p.y - low * p.z, &|p| {
            high * p.z - p.y
        }];
    for inside in cuts {
        polygon = polygon.cut(inside);
    }
    let screen = |i: usize| projection.screen_from(polygon.corners[i]);
    for i in 2..polygon.len {
        draw([screen(0), screen(i - 1), screen(i)]);
    }
}

impl Polygon {
    /// What lies where `inside` is not negative.
    fn cut(&self, inside: &dyn Fn(DVec3) -> f64) -> Self {
        let mut kept = Polygon { corners: [DVec3::ZERO; MAX_CORNERS], len: 0 };
        for i in 0..self.len {
            let (a, b) = (self.corners[i], self.corners[(i + 1) % self.len]);
            let (at_a, at_b) = (inside(a), inside(b));
            if at_a >= 0.0 {
                kept.push(a);
            }
            if (at_a >= 0.0) != (at_b >= 0.0) {
                kept.push(if at_a >= 0.0 { cut_edge(a, at_a, b, at_b) } else { cut_edge(b, at_b, a, at_a) });
            }
        }
        kept
    }

    fn push(&mut self, corner: DVec3) {
        // Rounding can make a cut polygon slightly concave; a ninth corner would be such an artefact.
        if self.len < MAX_CORNERS {
            self.corners[self.len] = corner;
            self.len += 1;
        }
    }
}

/// Where the plane crosses, from the kept end to the dropped one.
fn cut_edge(kept: DVec3, at_kept: f64, dropped: DVec3, at_dropped: f64) -> DVec3 {
    kept + (dropped - kept) * (at_kept / (at_kept - at_dropped))
}
