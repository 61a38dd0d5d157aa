//! Plane outlines and space curves: rings, rounded rectangles, splines, and cutting an outline into triangles.

use std::f64::consts::TAU;
use std::ops::{Add, Mul};

use glam::{DVec2, dvec2};

/// `n` points on the unit circle, counter-clockwise, the first one `phase` turns after +x.
pub(super) fn ring(n: usize, phase: f64) -> Vec<DVec2> {
    let point = |i: usize| {
        let angle = TAU * (i as f64 / n as f64 + phase);
        dvec2(libm::cos(angle), libm::sin(angle))
    };
    (0..n).map(point).collect()
}

/// A rectangle of full sizes `w`, `h` around the origin with corners rounded by `r`, counter-clockwise.
pub(super) fn rounded_rectangle(w: f64, h: f64, r: f64) -> Vec<DVec2> {
    let r = r.min(0.49 * w.min(h));
    let core = dvec2(w / 2.0 - r, h / 2.0 - r);
    let mut outline = Vec::with_capacity(20);
    for (corner, sign) in [(1.0, 1.0), (-1.0, 1.0), (-1.0, -1.0), (1.0, -1.0)].into_iter().enumerate() {
        for i in 0..5 {
            let angle = TAU / 4.0 * (corner as f64 + f64::from(i) / 4.0);
            outline.push(
                dvec2(sign.0 * core.x, sign.1 * core.y) + dvec2(libm::cos(angle), libm::sin(angle)) * r,
            );
        }
    }
    outline
}

/// The point `t` in `[0,1]` between `p[1]` and `p[2]` of a Catmull-Rom spline.
fn catmull_rom<T: Copy + Add<Output = T> + Mul<f64, Output = T>>(p: [T; 4], t: f64) -> T {
    let (t2, t3) = (t * t, t * t * t);
    p[0] * (-0.5 * t3 + t2 - 0.5 * t)
        + p[1] * (1.5 * t3 - 2.5 * t2 + 1.0)
        + p[2] * (-1.5 * t3 + 2.0 * t2 + 0.5 * t)
        + p[3] * (0.5 * t3 - 0.5 * t2)
}

/// A smooth open curve through the points, `pieces` pieces from one to the next.
pub(super) fn spline<T: Copy + Add<Output = T> + Mul<f64, Output = T>>(
    points: &[T],
    pieces: usize,
) -> Vec<T> {
    let last = points.len() - 1;
    let at = |i: isize| points[i.clamp(0, last as isize) as usize];
    let mut curve: Vec<T> = (0..last * pieces)
        .map(|k| {
            let i = (k / pieces) as isize;
            catmull_rom([at(i - 1), at(i), at(i + 1), at(i + 2)], (k % pieces) as f64 / pieces as f64)
        })
        .collect();
    curve.push(points[last]);
    curve
}

/// A smooth closed curve through the points, `pieces` pieces from one to the next.
pub(super) fn closed_spline(points: &[DVec2], pieces: usize) -> Vec<DVec2> {
    let n = points.len();
    let at = |i: usize| points[i % n];
    (0..n * pieces)
        .map(|k| {
            let i = k / pieces;
            catmull_rom([at(i + n - 1), at(i), at(i + 1), at(i + 2)], (k % pieces) as f64 / pieces as f64)
        })
        .collect()
}

/// The right half of a shape, from bottom to top, completed by its mirror image at `x = 0`.
///
/// Points on the axis are kept once.
pub(super) fn with_mirror_image(right: &[DVec2]) -> Vec<DVec2> {
    let left = right.iter().rev().filter(|p| p.x > 0.0).map(|p| dvec2(-p.x, p.y));
    right.iter().copied().chain(left).collect()
}

/// Cuts a simple counter-clockwise outline into triangles by clipping ears, the lowest index first.
///
/// O(n^3) in the worst case, for outlines of some tens of points. An outline that crosses
/// itself still gives `n - 2` triangles, so that the slab built on it stays closed.
pub(super) fn cut_into_triangles(outline: &[DVec2]) -> Vec<[u32; 3]> {
    let mut left: Vec<usize> = (0..outline.len()).collect();
    let mut triangles = Vec::with_capacity(outline.len().saturating_sub(2));
    while left.len() > 3 {
        let n = left.len();
        let ear = (0..n).find(|&i| is_ear(outline, &left, i)).unwrap_or(0);
        triangles.push([left[(ear + n - 1) % n], left[ear], left[(ear + 1) % n]].map(|i| i as u32));
        left.remove(ear);
    }
    triangles.push([left[0], left[1], left[2]].map(|i| i as u32));
    triangles
}

/// Whether the corner at place `i` of the remaining outline can be cut off.
fn is_ear(outline: &[DVec2], left: &[usize], i: usize) -> bool {
    let n = left.len();
    let corner = [left[(i + n - 1) % n], left[i], left[(i + 1) % n]];
    let [a, b, c] = corner.map(|k| outline[k]);
    let turn = |a: DVec2, b: DVec2, c: DVec2| (b - a).perp_dot(c - b);
    let inside = |p: DVec2| turn(a, b, p) >= 0.0 && turn(b, c, p) >= 0.0 && turn(c, a, p) >= 0.0;
    turn(a, b, c) > 1e-12 && !left.iter().any(|&k| !corner.contains(&k) && inside(outline[k]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(outline: &[DVec2], triangles: &[[u32; 3]]) -> f64 {
        let at = |i: u32| outline[i as usize];
        triangles.iter().map(|&[a, b, c]| (at(b) - at(a)).perp_dot(at(c) - at(a)) / 2.0).sum()
    }

    #[test]
    fn triangles_of_a_concave_outline_cover_it_once() {
        let l = [(0.0, 0.0), (2.0, 0.0), (2.0, 1.0), (1.0, 1.0), (1.0, 3.0), (0.0, 3.0)].map(DVec2::from);
        let triangles = cut_into_triangles(&l);
        assert_eq!(triangles.len(), 4);
        assert!((area(&l, &triangles) - 4.0).abs() < 1e-12);
        let positive = |t: &[u32; 3]| area(&l, &[*t]) > 0.0;
        assert!(triangles.iter().all(positive));
    }

    #[test]
    fn curves_pass_through_their_points() {
        let points = [(0.0, 0.0), (1.0, 2.0), (3.0, 1.0)].map(DVec2::from);
        let open = spline(&points, 4);
        assert_eq!(open.len(), 9);
        assert_eq!([open[0], open[4], open[8]], points);
        let closed = closed_spline(&points, 4);
        assert_eq!([closed[0], closed[4], closed[8]], points);
    }

    #[test]
    fn a_rounded_rectangle_has_the_area_it_should() {
        let r = rounded_rectangle(4.0, 2.0, 0.5);
        let triangles = cut_into_triangles(&r);
        assert_eq!(triangles.len(), r.len() - 2);
        let exact = 8.0 - (4.0 - std::f64::consts::PI) * 0.25;
        assert!((area(&r, &triangles) - exact).abs() < 0.03, "{}", area(&r, &triangles));
    }
}
