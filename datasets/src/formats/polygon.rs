//! Triangles of polygons: a fan where it covers the polygon exactly, ear clipping where not.
//!
//! Readers append the fan while they read (vertices may still be missing then) and repair the
//! few concave polygons at the end: the fan holds all corners, so nothing else is stored.
//! Ear clipping works in the plane that Newell's normal names; its work is bounded, and a
//! polygon over the bound stays a fan with a warning.

use jepa3d_schemas::{Mesh, Warning, WarningKind};

/// A polygon of more than three corners: its fan starts at triangle `first`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fan {
    /// First triangle.
    pub(crate) first: usize,
    /// Corners of the polygon, two more than it has triangles.
    pub(crate) corners: usize,
}

/// Steps (about one point-in-triangle test each) that the polygons of one file may cost: some
/// tenths of a second, enough for a polygon of 7000 corners.
const MAX_STEPS: u64 = 50_000_000;

/// Appends the fan of a polygon to `triangles`.
pub(crate) fn push_fan(triangles: &mut Vec<[u32; 3]>, corners: &[u32]) {
    for pair in corners.windows(2).skip(1) {
        triangles.push([corners[0], pair[0], pair[1]]);
    }
}

/// Replaces the fans that cover area outside their polygon by ear clipping; a warning if some
/// polygons were too large for that.
pub(crate) fn repair_fans(mesh: &mut Mesh, fans: &[Fan]) -> Option<Warning> {
    let mut steps_left = MAX_STEPS;
    let mut given_up = 0;
    for fan in fans {
        let corners = corners_of_fan(&mesh.triangles, fan);
        let points: Vec<[f64; 3]> = corners.iter().map(|&i| mesh.positions[i as usize]).collect();
        let normal = newell_normal(&points);
        if fan_is_exact(&points, normal) {
            continue;
        }
        match clip_ears(&project(&points, normal), &mut steps_left) {
            Some(ears) => rewrite_fan(mesh, fan, &ears),
            None => given_up += 1,
        }
    }
    let text = format!("{given_up} concave polygons are too large to triangulate well; kept as fans");
    (given_up > 0).then(|| Warning::new(WarningKind::FacesKeptAsFans, text))
}

/// The warning about faces that are no faces.
pub(crate) fn warn_of_short_faces(count: usize, first_line: usize) -> Warning {
    let text = format!("{count} faces with fewer than 3 corners were skipped, first on line {first_line}");
    Warning::new(WarningKind::FacesSkipped, text)
}

/// The corner list that a fan in `table` was made of.
fn corners_of_fan(table: &[[u32; 3]], fan: &Fan) -> Vec<u32> {
    let first = table[fan.first];
    let rest = table[fan.first..fan.first + fan.corners - 2].iter().map(|t| t[2]);
    first[..2].iter().copied().chain(rest).collect()
}

fn rewrite_fan(mesh: &mut Mesh, fan: &Fan, ears: &[[usize; 3]]) {
    for table in [&mut mesh.triangles, &mut mesh.normal_corners, &mut mesh.uv_corners] {
        if table.is_empty() {
            continue;
        }
        let corners = corners_of_fan(table, fan);
        for (slot, ear) in table[fan.first..].iter_mut().zip(ears) {
            *slot = ear.map(|corner| corners[corner]);
        }
    }
}

fn sub(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// Twice the vector area of a polygon (Newell).
fn newell_normal(points: &[[f64; 3]]) -> [f64; 3] {
    let mut normal = [0.0; 3];
    for pair in points.windows(2).skip(1) {
        let c = cross(sub(pair[0], points[0]), sub(pair[1], points[0]));
        normal = [normal[0] + c[0], normal[1] + c[1], normal[2] + c[2]];
    }
    normal
}

/// Whether no triangle of the fan turns against the polygon, so that the fan covers it exactly.
/// True for polygons without area (and for overflowing ones): clipping gains nothing there.
fn fan_is_exact(points: &[[f64; 3]], normal: [f64; 3]) -> bool {
    let tolerance = 1e-12 * dot(normal, normal);
    !points.windows(2).skip(1).any(|pair| {
        let c = cross(sub(pair[0], points[0]), sub(pair[1], points[0]));
        dot(c, normal) < -tolerance
    })
}

/// The polygon in the coordinate plane that faces `normal` most, turning counter-clockwise.
fn project(points: &[[f64; 3]], normal: [f64; 3]) -> Vec<[f64; 2]> {
    let size = normal.map(f64::abs);
    let axis = (1..3).fold(0, |best, i| if size[i] > size[best] { i } else { best });
    let (u, v) = ((axis + 1) % 3, (axis + 2) % 3);
    let (u, v) = if normal[axis] < 0.0 { (v, u) } else { (u, v) };
    points.iter().map(|p| [p[u], p[v]]).collect()
}

/// Twice the signed area of a triangle in the plane.
fn area(a: [f64; 2], b: [f64; 2], c: [f64; 2]) -> f64 {
    (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
}

/// Ear clipping (Meisters 1975): the triangles of a simple counter-clockwise polygon, in corner
/// numbers. Polygons that touch or cross themselves still give `n - 2` triangles: where there
/// is no ear, the sharpest corner goes. `None` if the steps run out.
fn clip_ears(points: &[[f64; 2]], steps_left: &mut u64) -> Option<Vec<[usize; 3]>> {
    let mut ring: Vec<usize> = (0..points.len()).collect();
    let mut triangles = Vec::with_capacity(points.len().saturating_sub(2));
    let mut start = 0;
    while ring.len() > 3 {
        let n = ring.len();
        let ear = (0..n).map(|k| (start + k) % n).find(|&i| is_ear(points, &ring, i, steps_left));
        if *steps_left == 0 {
            return None;
        }
        let i = ear.unwrap_or_else(|| least_area_corner(points, &ring));
        triangles.push(corner(&ring, i));
        ring.remove(i);
        // Closing the gap moves up to `n` numbers, which is cheap but not free.
        *steps_left = steps_left.saturating_sub(n as u64 / 16);
        // Going on behind the ear spreads the triangles instead of fanning them from one corner.
        start = i % ring.len();
    }
    triangles.push([ring[0], ring[1], ring[2]]);
    Some(triangles)
}

fn corner(ring: &[usize], i: usize) -> [usize; 3] {
    let n = ring.len();
    [ring[(i + n - 1) % n], ring[i], ring[(i + 1) % n]]
}

/// Whether the corner is convex (or flat) and no other point of the ring lies in its triangle.
fn is_ear(points: &[[f64; 2]], ring: &[usize], i: usize, steps_left: &mut u64) -> bool {
    *steps_left = steps_left.saturating_sub(1);
    let [a, b, c] = corner(ring, i).map(|k| points[k]);
    if area(a, b, c) <= 0.0 {
        // A flat corner has no area to cover: clipping it changes nothing.
        return area(a, b, c) == 0.0;
    }
    *steps_left = steps_left.saturating_sub(ring.len() as u64);
    !ring.iter().any(|&k| {
        let p = points[k];
        p != a && p != b && p != c && area(a, b, p) >= 0.0 && area(b, c, p) >= 0.0 && area(c, a, p) >= 0.0
    })
}

fn least_area_corner(points: &[[f64; 2]], ring: &[usize]) -> usize {
    let size = |i: usize| {
        let [a, b, c] = corner(ring, i).map(|k| points[k]);
        area(a, b, c).abs()
    };
    (1..ring.len()).fold(0, |best, i| if size(i) < size(best) { i } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mesh_of(points: &[[f64; 3]]) -> (Mesh, Vec<Fan>) {
        let mut mesh = Mesh { positions: points.to_vec(), ..Mesh::default() };
        let corners: Vec<u32> = (0..points.len() as u32).collect();
        push_fan(&mut mesh.triangles, &corners);
        (mesh, vec![Fan { first: 0, corners: points.len() }])
    }

    fn covered(mesh: &Mesh) -> f64 {
        let length = |t: &[u32; 3]| {
            let [a, b, c] = t.map(|i| mesh.positions[i as usize]);
            let n = cross(sub(b, a), sub(c, a));
            dot(n, n).sqrt() / 2.0
        };
        mesh.triangles.iter().map(length).sum()
    }

    #[test]
    fn a_convex_polygon_stays_a_fan() {
        let square = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0]];
        let (mut mesh, fans) = mesh_of(&square);
        assert_eq!(repair_fans(&mut mesh, &fans), None);
        assert_eq!(mesh.triangles, [[0, 1, 2], [0, 2, 3]]);
    }

    #[test]
    fn a_huge_polygon_is_given_up_in_bounded_time() {
        // A comb: every second corner is reflex, and the many flat corners make it long.
        let points: Vec<[f64; 3]> =
            (0..200_000).map(|i| [f64::from(i), f64::from(i % 2), f64::from(i % 3)]).collect();
        let (mut mesh, fans) = mesh_of(&points);
        let start = std::time::Instant::now();
        let warning = repair_fans(&mut mesh, &fans);
        assert_eq!(warning.unwrap(), "1 concave polygons are too large to triangulate well; kept as fans");
        assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
    }

    #[test]
    fn a_dart_is_cut_along_its_other_diagonal() {
        let dart = [[0.0, 0.0, 0.0], [2.0, -1.0, 0.0], [0.5, 0.0, 0.0], [2.0, 1.0, 0.0]];
        for turn in 0..4 {
            let points: Vec<_> = (0..4).map(|i| dart[(i + turn) % 4]).collect();
            let (mut mesh, fans) = mesh_of(&points);
            repair_fans(&mut mesh, &fans);
            assert!((covered(&mesh) - 0.5).abs() < 1e-12, "turn {turn}: {}", covered(&mesh));
        }
    }

    proptest! {
        /// A star-shaped polygon (radii around a centre) in a tilted plane, started at any corner.
        #[test]
        fn triangles_cover_the_area_of_the_polygon(
            radii in proptest::collection::vec(0.1f64..2.0, 3..40),
            turn in 0usize..40,
            flip: bool,
        ) {
            let n = radii.len();
            let mut points: Vec<[f64; 3]> = (0..n).map(|i| {
                let angle = std::f64::consts::TAU * i as f64 / n as f64;
                let (x, y) = (radii[i] * angle.cos(), radii[i] * angle.sin());
                [x, y, 0.3 * x - 0.2 * y]
            }).collect();
            points.rotate_left(turn % n);
            if flip {
                points.reverse();
            }
            let normal = newell_normal(&points);
            let (mut mesh, fans) = mesh_of(&points);
            prop_assert_eq!(repair_fans(&mut mesh, &fans), None);
            prop_assert_eq!(mesh.triangles.len(), n - 2);
            let area = dot(normal, normal).sqrt() / 2.0;
            prop_assert!((covered(&mesh) - area).abs() < 1e-9 * (1.0 + area));
        }
    }
}
