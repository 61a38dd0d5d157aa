//! Closed solids that objects are put together from: boxes, rounded boxes, lathed and lofted bodies, slabs.
//!
//! Every solid is one closed, consistently wound surface with shared vertices. Which side the
//! winding faces is settled once, in [`Solid::facing_out`], by the sign of the volume.

use glam::{DMat3, DVec2, DVec3, dvec3};
use std::collections::BTreeMap;
use std::f64::consts::TAU;

use super::curves::{cut_into_triangles, ring};

/// A closed triangle surface.
#[derive(Clone, Debug, Default)]
pub(super) struct Solid {
    pub(super) positions: Vec<DVec3>,
    pub(super) triangles: Vec<[u32; 3]>,
}

impl Solid {
    /// The solid with every vertex replaced.
    pub(super) fn map(mut self, f: impl Fn(DVec3) -> DVec3) -> Self {
        for p in &mut self.positions {
            *p = f(*p);
        }
        self
    }

    /// The solid moved.
    pub(super) fn moved(self, x: f64, y: f64, z: f64) -> Self {
        self.map(|p| p + dvec3(x, y, z))
    }

    /// The solid turned about an axis through the origin, radians, right-handed.
    pub(super) fn turned(self, axis: DVec3, angle: f64) -> Self {
        let m = rotation(axis, angle);
        self.map(|p| m * p)
    }

    /// The solid scaled about the origin, each axis on its own.
    pub(super) fn scaled(self, x: f64, y: f64, z: f64) -> Self {
        self.map(|p| p * dvec3(x, y, z))
    }

    /// The mirror image at the plane `x = 0`.
    pub(super) fn mirrored(self) -> Self {
        self.scaled(-1.0, 1.0, 1.0)
    }

    /// Volume, positive if triangles wind counter-clockwise seen from outside.
    pub(super) fn volume(&self) -> f64 {
        let at = |i: u32| self.positions[i as usize];
        self.triangles.iter().map(|&[a, b, c]| at(a).dot(at(b).cross(at(c)))).sum::<f64>() / 6.0
    }

    /// The solid with its triangles wound counter-clockwise seen from outside.
    pub(super) fn facing_out(mut self) -> Self {
        if self.volume() < 0.0 {
            for t in &mut self.triangles {
                t.swap(1, 2);
            }
        }
        self
    }

    /// The same surface with every edge longer than `longest` halved, up to four times over.
    ///
    /// Both triangles at an edge share the new vertex, so a closed surface stays closed.
    fn refined(mut self, longest: f64) -> Self {
        for _ in 0..4 {
            let mut halves = BTreeMap::new();
            let mut triangles = Vec::with_capacity(2 * self.triangles.len());
            for &t in &self.triangles {
                let cuts = [0, 1, 2]
                    .map(|i| halve_edge(&mut self.positions, &mut halves, t[i], t[(i + 1) % 3], longest));
                divide(t, cuts, &mut triangles);
            }
            self.triangles = triangles;
            if halves.is_empty() {
                break;
            }
        }
        self
    }

    fn add_quad(&mut self, corners: [u32; 4]) {
        let [a, b, c, d] = corners;
        self.triangles.extend([[a, b, c], [a, c, d]]);
    }
}

/// The vertex in the middle of an edge, if the edge is too long.
fn halve_edge(
    positions: &mut Vec<DVec3>,
    halves: &mut BTreeMap<(u32, u32), u32>,
    a: u32,
    b: u32,
    longest: f64,
) -> Option<u32> {
    let (from, to) = (positions[a as usize], positions[b as usize]);
    if (to - from).length() <= longest {
        return None;
    }
    Some(*halves.entry((a.min(b), a.max(b))).or_insert_with(|| {
        positions.push((from + to) / 2.0);
        positions.len() as u32 - 1
    }))
}

/// A triangle in pieces, given the middles of those of its edges (from corner 0, 1, 2) that are cut.
pub(super) fn divide(t: [u32; 3], cuts: [Option<u32>; 3], into: &mut Vec<[u32; 3]>) {
    let turn = |by: usize| {
        ([t[by], t[(by + 1) % 3], t[(by + 2) % 3]], [cuts[by], cuts[(by + 1) % 3], cuts[(by + 2) % 3]])
    };
    for ([a, b, c], edges) in [turn(0), turn(1), turn(2)] {
        match edges {
            [None, None, None] => return into.push(t),
            [Some(m), None, None] => return into.extend([[a, m, c], [m, b, c]]),
            [Some(m), Some(n), None] => return into.extend([[a, m, c], [m, b, n], [m, n, c]]),
            [Some(m), Some(n), Some(o)] => return into.extend([[a, m, o], [m, b, n], [o, n, c], [m, n, o]]),
            _ => {}
        }
    }
}

/// Rotation about a unit axis (Rodrigues); `libm`, so that bytes agree on every machine.
pub(super) fn rotation(axis: DVec3, angle: f64) -> DMat3 {
    let (s, c) = (libm::sin(angle), libm::cos(angle));
    let turned = |v: DVec3| v * c + axis.cross(v) * s + axis * (axis.dot(v) * (1.0 - c));
    DMat3::from_cols(turned(DVec3::X), turned(DVec3::Y), turned(DVec3::Z))
}

/// The surface of a box whose edges are divided at `ticks` (ascending, at least two an axis).
pub(super) fn grid_box(ticks: &[Vec<f64>; 3]) -> Solid {
    let n = [0, 1, 2].map(|a| ticks[a].len());
    let mut solid = Solid::default();
    let mut index = vec![u32::MAX; n[0] * n[1] * n[2]];
    for axis in 0..3 {
        let (b, c) = ((axis + 1) % 3, (axis + 2) % 3);
        for cell in 0..2 * (n[b] - 1) * (n[c] - 1) {
            let (far, u, v) = (cell % 2 == 1, cell / 2 / (n[c] - 1), cell / 2 % (n[c] - 1));
            let mut corners = [(0, 0), (1, 0), (1, 1), (0, 1)].map(|(du, dv)| {
                let mut at = [0; 3];
                (at[axis], at[b], at[c]) = (if far { n[axis] - 1 } else { 0 }, u + du, v + dv);
                let slot = &mut index[(at[0] * n[1] + at[1]) * n[2] + at[2]];
                if *slot == u32::MAX {
                    *slot = solid.positions.len() as u32;
                    solid.positions.push(dvec3(ticks[0][at[0]], ticks[1][at[1]], ticks[2][at[2]]));
                }
                *slot
            });
            if !far {
                corners.reverse();
            }
            solid.add_quad(corners);
        }
    }
    solid
}

/// `low..high` in about equal steps, none longer than `step`, ends included.
fn steps(low: f64, high: f64, step: f64) -> Vec<f64> {
    let n = ((high - low) / step - 1e-9).ceil().clamp(1.0, 64.0) as usize;
    (0..=n).map(|i| low + (high - low) * i as f64 / n as f64).collect()
}

/// A box of the given full sizes around the origin, divided so that it can be bent.
pub(super) fn block(x: f64, y: f64, z: f64) -> Solid {
    let step = x.max(y).max(z).max(0.8) / 8.0;
    grid_box(&[x, y, z].map(|size| steps(-size / 2.0, size / 2.0, step)))
}

/// A box with rounded edges and corners of radius `r` (at most half the smallest size).
pub(super) fn rounded(x: f64, y: f64, z: f64, r: f64) -> Solid {
    let size = dvec3(x, y, z);
    let r = r.min(0.499 * size.min_element());
    let core = size / 2.0 - r;
    let step = size.max_element().max(1.2) / 6.0;
    let ticks = [0, 1, 2].map(|a| {
        let mut t = vec![-core[a] - r, -core[a] - 0.45 * r];
        t.extend(steps(-core[a], core[a], step));
        t.extend([core[a] + 0.45 * r, core[a] + r]);
        t
    });
    grid_box(&ticks).map(|p| {
        let inner = p.clamp(-core, core);
        inner + (p - inner).normalize_or_zero() * r
    })
}

/// A solid of revolution about y from a profile of `(radius, y)`; open ends are closed flat.
///
/// A radius of 0 may only stand at the ends.
pub(super) fn lathe(profile: &[DVec2], sides: usize) -> Solid {
    let body: Vec<DVec2> = profile.iter().copied().filter(|p| p.x > 0.0).collect();
    let mut solid = rings_about_y(&body, sides);
    let last = (body.len() - 1) * sides;
    for (end, first) in [(0, 0), (profile.len() - 1, last)] {
        let pole = solid.positions.len() as u32;
        solid.positions.push(dvec3(0.0, profile[end].y, 0.0));
        for j in 0..sides {
            let (a, b) = ((first + j) as u32, (first + (j + 1) % sides) as u32);
            solid.triangles.push(if end == 0 { [pole, a, b] } else { [pole, b, a] });
        }
    }
    solid
}

/// A solid ring of revolution about y from a closed outline of `(radius, y)`, all radii positive.
pub(super) fn lathe_ring(outline: &[DVec2], sides: usize) -> Solid {
    let mut solid = rings_about_y(outline, sides);
    let last = ((outline.len() - 1) * sides) as u32;
    join(&mut solid, last, 0, sides as u32);
    solid
}

fn rings_about_y(profile: &[DVec2], sides: usize) -> Solid {
    let mut solid = Solid::default();
    let circle = ring(sides, 0.0);
    for (i, p) in profile.iter().enumerate() {
        solid.positions.extend(circle.iter().map(|c| dvec3(p.x * c.x, p.y, p.x * c.y)));
        if i > 0 {
            join(&mut solid, ((i - 1) * sides) as u32, (i * sides) as u32, sides as u32);
        }
    }
    solid
}

/// Joins two rings of `sides` vertices that start at `from` and `to`.
fn join(solid: &mut Solid, from: u32, to: u32, sides: u32) {
    for j in 0..sides {
        let k = (j + 1) % sides;
        solid.add_quad([from + j, to + j, to + k, from + k]);
    }
}

/// Closed sections (same number of points each) joined one to the next, both ends closed by a
/// fan around the middle of the section, which therefore has to be seen from there.
pub(super) fn loft(sections: &[Vec<DVec3>]) -> Solid {
    let sides = sections[0].len();
    let mut solid = skin(sections);
    for (end, section) in [(0, &sections[0]), (1, &sections[sections.len() - 1])] {
        let first = if end == 0 { 0 } else { (sections.len() - 1) * sides };
        let middle = solid.positions.len() as u32;
        solid.positions.push(section.iter().sum::<DVec3>() / sides as f64);
        for j in 0..sides {
            let (a, b) = ((first + j) as u32, (first + (j + 1) % sides) as u32);
            solid.triangles.push(if end == 0 { [middle, a, b] } else { [middle, b, a] });
        }
    }
    solid
}

fn skin(sections: &[Vec<DVec3>]) -> Solid {
    let mut solid = Solid::default();
    let sides = sections[0].len();
    for (i, section) in sections.iter().enumerate() {
        solid.positions.extend(section);
        if i > 0 {
            join(&mut solid, ((i - 1) * sides) as u32, (i * sides) as u32, sides as u32);
        }
    }
    solid
}

/// A plane outline (counter-clockwise in xy, may be concave) made `depth` thick along z.
///
/// `bevel` is the fraction by which both faces shrink towards the origin of the outline. Faces
/// have inner vertices, so that the slab can be bent.
pub(super) fn slab(outline: &[DVec2], depth: f64, bevel: f64) -> Solid {
    let (half, edge) = (depth / 2.0, 0.3 * depth);
    let at = |z: f64, scale: f64| outline.iter().map(|p| dvec3(p.x * scale, p.y * scale, z)).collect();
    let face = 1.0 - bevel;
    let mut sections: Vec<Vec<DVec3>> = if bevel > 0.0 {
        vec![at(-half, face), at(edge - half, 1.0), at(half - edge, 1.0), at(half, face)]
    } else {
        vec![at(-half, 1.0), at(0.0, 1.0), at(half, 1.0)]
    };
    if is_seen_from_origin(outline) {
        for inner in [0.7, 0.4, 0.15] {
            sections.insert(0, at(-half, inner * face));
            sections.push(at(half, inner * face));
        }
        return loft(&sections);
    }
    let mut solid = skin(&sections);
    let last = ((sections.len() - 1) * outline.len()) as u32;
    for [a, b, c] in cut_into_triangles(outline) {
        solid.triangles.extend([[a, b, c], [last + a, last + c, last + b]]);
    }
    let size = outline.iter().map(|p| p.abs().max_element()).fold(0.0, f64::max);
    solid.refined(0.45 * size)
}

/// Whether every point of a counter-clockwise outline can be seen from the origin.
fn is_seen_from_origin(outline: &[DVec2]) -> bool {
    let next = outline.iter().cycle().skip(1);
    outline.iter().zip(next).all(|(a, b)| a.perp_dot(*b) > 1e-9)
}

/// A round bar along a path; `radii` are those at the first and the last point.
pub(super) fn tube(path: &[DVec3], radii: [f64; 2], sides: usize) -> Solid {
    let circle = ring(sides, 0.5 / sides as f64);
    let last = path.len() - 1;
    let mut normal = DVec3::ZERO;
    let mut sections = Vec::with_capacity(path.len());
    for i in 0..=last {
        let along = (path[(i + 1).min(last)] - path[i.saturating_sub(1)]).normalize_or_zero();
        if i == 0 {
            let reference = if along.y.abs() < 0.7 { DVec3::Y } else { DVec3::X };
            normal = reference;
        }
        normal = (normal - along * normal.dot(along)).normalize_or_zero();
        let side = along.cross(normal);
        let r = radii[0] + (radii[1] - radii[0]) * i as f64 / last as f64;
        sections.push(circle.iter().map(|c| path[i] + (normal * c.x + side * c.y) * r).collect());
    }
    loft(&sections)
}

/// A straight bar between two points; four sides make it square (`r` is then half the diagonal).
pub(super) fn rod(from: DVec3, to: DVec3, radii: [f64; 2], sides: usize) -> Solid {
    let n = ((to - from).length() / 0.15).ceil().clamp(1.0, 8.0) as usize;
    let path: Vec<DVec3> = (0..=n).map(|i| from.lerp(to, i as f64 / n as f64)).collect();
    tube(&path, radii, sides)
}

/// An upright cylinder of radius `r` from `low` to `high`.
pub(super) fn disc(r: f64, low: f64, high: f64, sides: usize) -> Solid {
    let bevel = (0.25 * (high - low)).min(0.1 * r);
    let profile = [(r - bevel, low), (r, low + bevel), (r, high - bevel), (r - bevel, high)];
    lathe(&profile.map(DVec2::from), sides)
}

/// A ball of radius 1 at the origin, poles up and down.
pub(super) fn ball(sides: usize) -> Solid {
    let n = sides / 2;
    let angle = |i: usize| (i as f64 / n as f64 - 0.5) * TAU / 2.0;
    let point = |i: usize| DVec2::new(libm::cos(angle(i)), libm::sin(angle(i)));
    let mut profile: Vec<DVec2> = (0..=n).map(point).collect();
    (profile[0].x, profile[n].x) = (0.0, 0.0);
    lathe(&profile, sides)
}
