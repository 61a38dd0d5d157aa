//! Closed primitives that know both their surface and, in closed form, on which side of it a point lies.
//!
//! Distances are negative inside, never larger than the true distance and change no faster than the
//! point moves: whatever is farther from a point than its distance says is on the same side.

use glam::{DMat3, DVec2, DVec3, dvec2, dvec3};

use crate::synthetic::solids::{Solid, block, grid_box, lathe, lathe_ring, rounded, slab};

/// Below this, the edges of a block are sharp.
const LEAST_ROUND: f64 = 0.004;

/// A closed primitive about the origin.
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// A box with edges rounded by `round`.
    Block { half: DVec3, round: f64 },
    /// A superquadric: exponents of 1 make an ellipsoid, smaller ones a rounded box, larger ones an octahedron.
    Superquadric { half: DVec3, polar: f64, equatorial: f64 },
    /// A body of revolution about y, from its profile of `(radius, y)`; z is stretched by `depth`.
    Turned { profile: Vec<DVec2>, is_ring: bool, depth: f64 },
    /// An outline in xy, counter-clockwise, made `2 * half` thick along z.
    Extruded { outline: Vec<DVec2>, half: f64 },
}

impl Form {
    /// A bound of the distance to the surface, negative inside.
    pub(super) fn distance(&self, p: DVec3) -> f64 {
        match self {
            Self::Block { half, round } => {
                let q = p.abs() - (*half - *round);
                q.max(DVec3::ZERO).length() + q.max_element().min(0.0) - round
            }
            Self::Superquadric { half, polar, equatorial } => {
                let inner = if polar.max(*equatorial) <= 1.0 {
                    half.min_element()
                } else {
                    half.recip().length().recip()
                };
                (superquadric_gauge(p / *half, *polar, *equatorial) - 1.0) * inner
            }
            Self::Turned { profile, is_ring, depth } => {
                let radius = (p.x * p.x + p.z * p.z / (depth * depth)).sqrt();
                polygon_distance(profile, dvec2(radius, p.y), !is_ring) * depth.min(1.0)
            }
            Self::Extruded { outline, half } => {
                let q = dvec2(polygon_distance(outline, dvec2(p.x, p.y), false), p.z.abs() - half);
                q.max(DVec2::ZERO).length() + q.max_element().min(0.0)
            }
        }
    }

    /// The surface, wound counter-clockwise seen from outside.
    pub(super) fn solid(&self) -> Solid {
        match self {
            Self::Block { half, round } => {
                let size = 2.0 * *half;
                if *round < LEAST_ROUND {
                    block(size.x, size.y, size.z)
                } else {
                    rounded(size.x, size.y, size.z, *round)
                }
            }
            Self::Superquadric { half, polar, equatorial } => superquadric(*half, *polar, *equatorial),
            Self::Turned { profile, is_ring, depth } => {
                let widest = profile.iter().map(|p| p.x).fold(0.0, f64::max);
                let sides = 2 * (5.0 + 18.0 * widest).clamp(5.0, 14.0) as usize;
                let body = if *is_ring { lathe_ring(profile, sides) } else { lathe(profile, sides) };
                body.scaled(1.0, 1.0, *depth)
            }
            Self::Extruded { outline, half } => slab(outline, 2.0 * half, 0.0),
        }
        .facing_out()
    }

    /// About the size of the thinnest place.
    pub(super) fn thickness(&self) -> f64 {
        match self {
            Self::Block { half, .. } | Self::Superquadric { half, .. } => 2.0 * half.min_element(),
            Self::Turned { profile, depth, .. } => {
                let size = extent(profile);
                size.y.min(2.0 * size.x * depth.min(1.0))
            }
            Self::Extruded { outline, half } => extent(outline).min_element().min(2.0 * half),
        }
    }
}

/// A form in its place.
#[derive(Clone, Debug)]
pub(super) struct PosedForm {
    pub(super) form: Form,
    pub(super) turn: DMat3,
    pub(super) at: DVec3,
}

impl PosedForm {
    /// The form as it is, about the origin.
    pub(super) fn new(form: Form) -> Self {
        Self { form, turn: DMat3::IDENTITY, at: DVec3::ZERO }
    }

    /// The form moved.
    pub(super) fn moved(mut self, by: DVec3) -> Self {
        self.at += by;
        self
    }

    /// The form turned about the origin.
    pub(super) fn turned(mut self, turn: DMat3) -> Self {
        self.turn = turn * self.turn;
        self.at = turn * self.at;
        self
    }

    /// A bound of the distance to the surface, negative inside.
    pub(super) fn distance(&self, p: DVec3) -> f64 {
        self.form.distance(self.turn.transpose() * (p - self.at))
    }

    /// The surface, wound counter-clockwise seen from outside.
    pub(super) fn solid(&self) -> Solid {
        self.form.solid().map(|p| self.turn * p + self.at)
    }
}

/// Size of a plane figure.
fn extent(points: &[DVec2]) -> DVec2 {
    let low = points.iter().copied().fold(DVec2::INFINITY, DVec2::min);
    points.iter().copied().fold(DVec2::NEG_INFINITY, DVec2::max) - low
}

/// The factor by which the unit superquadric has to grow to reach a point (a norm).
fn superquadric_gauge(p: DVec3, polar: f64, equatorial: f64) -> f64 {
    if polar == 1.0 && equatorial == 1.0 {
        return p.length();
    }
    let p = p.abs().max(DVec3::splat(1e-12));
    let around = libm::pow(p.x, 2.0 / equatorial) + libm::pow(p.z, 2.0 / equatorial);
    let sum = libm::pow(around, equatorial / polar) + libm::pow(p.y, 2.0 / polar);
    libm::pow(sum, polar / 2.0)
}

/// A cube's grid, each point moved along its ray onto the surface.
fn superquadric(half: DVec3, polar: f64, equatorial: f64) -> Solid {
    let ticks = half.to_array().map(|h| {
        let n = (4.0 + 8.0 * h).clamp(4.0, 9.0) as usize;
        let angle = |i: usize| (2.0 * i as f64 / n as f64 - 1.0) * std::f64::consts::FRAC_PI_4;
        (0..=n).map(|i| libm::tan(angle(i))).collect()
    });
    grid_box(&ticks).map(|p| p / superquadric_gauge(p, polar, equatorial) * half)
}

/// Distance to a polygon, negative inside; with `has_axis` the profile is closed along the line `x = 0`, which
/// is no boundary.
fn polygon_distance(polygon: &[DVec2], p: DVec2, has_axis: bool) -> f64 {
    let mut nearest = f64::INFINITY;
    let mut is_inside = false;
    let mut visit = |a: DVec2, b: DVec2| {
        if a.x > 1e-9 || b.x > 1e-9 || !has_axis {
            let (edge, from) = (b - a, p - a);
            let t = (from.dot(edge) / edge.length_squared().max(1e-300)).clamp(0.0, 1.0);
            nearest = nearest.min((from - edge * t).length_squared());
        }
        if (a.y > p.y) != (b.y > p.y) && p.x < a.x + (p.y - a.y) / (b.y - a.y) * (b.x - a.x) {
            is_inside = !is_inside;
        }
    };
    polygon.windows(2).for_each(|w| visit(w[0], w[1]));
    if let (Some(&first), Some(&last)) = (polygon.first(), polygon.last()) {
        if has_axis {
            let (low, high) = (dvec2(0.0, first.y), dvec2(0.0, last.y));
            [(last, high), (high, low), (low, first)].into_iter().for_each(|(a, b)| visit(a, b));
        } else {
            visit(last, first);
        }
    }
    if is_inside { -nearest.sqrt() } else { nearest.sqrt() }
}

/// The rotation that brings y (the axis of turned bodies) to the axis `to`, z (that of extruded ones) to the next.
pub(super) fn axis_turn(to: usize) -> DMat3 {
    match to {
        0 => DMat3::from_cols(DVec3::Z, DVec3::X, DVec3::Y),
        1 => DMat3::IDENTITY,
        _ => DMat3::from_cols(DVec3::Y, DVec3::Z, DVec3::X),
    }
}

/// A vector along an axis.
pub(super) fn axis_vector(axis: usize, length: f64) -> DVec3 {
    match axis {
        0 => dvec3(length, 0.0, 0.0),
        1 => dvec3(0.0, length, 0.0),
        _ => dvec3(0.0, 0.0, length),
    }
}
