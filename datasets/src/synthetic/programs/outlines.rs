//! Random plane figures: outlines to extrude and profiles to turn.

use glam::{DVec2, dvec2};
use jepa3d_schemas::Draws;
use std::f64::consts::{PI, TAU};

use crate::synthetic::curves::{closed_spline, ring, rounded_rectangle, spline};

/// A counter-clockwise outline whose box is `size` about the origin.
pub(super) fn draw_outline(draws: &mut Draws, size: DVec2) -> Vec<DVec2> {
    let outline = match draws.index(10) {
        0 => ring(3 + draws.index(6), draws.range(0.0, 0.5)),
        1 => ring(16 + draws.index(8), 0.0),
        2 => rounded_rectangle(1.0, 1.0, draws.range(0.05, 0.4)),
        3 => draw_letter(draws),
        4 => draw_letter(draws),
        5 => draw_star(draws),
        6 => draw_convex(draws),
        7 => draw_blob(draws),
        8 => draw_arch(draws),
        _ => draw_trapezoid(draws),
    };
    fit(&outline, size)
}

fn fit(outline: &[DVec2], size: DVec2) -> Vec<DVec2> {
    let low = outline.iter().copied().fold(DVec2::INFINITY, DVec2::min);
    let high = outline.iter().copied().fold(DVec2::NEG_INFINITY, DVec2::max);
    let scale = size / (high - low).max(DVec2::splat(1e-9));
    outline.iter().map(|p| (*p - (low + high) / 2.0) * scale).collect()
}

/// An L, T, U, H or cross of random strokes.
fn draw_letter(draws: &mut Draws) -> Vec<DVec2> {
    let stroke = dvec2(draws.range(0.15, 0.5), draws.range(0.15, 0.5));
    match draws.index(5) {
        0 => outline_l(stroke),
        1 => outline_t(stroke),
        2 => outline_u(stroke * dvec2(0.6, 1.0)),
        3 => outline_h(stroke * dvec2(0.5, 1.0)),
        _ => outline_cross(stroke),
    }
}

/// An L in the unit square; `stroke` is as wide as its upright and as high as its level stroke.
fn outline_l(stroke: DVec2) -> Vec<DVec2> {
    let DVec2 { x, y } = stroke;
    [(0.0, 0.0), (1.0, 0.0), (1.0, y), (x, y), (x, 1.0), (0.0, 1.0)].map(DVec2::from).to_vec()
}

fn outline_t(stroke: DVec2) -> Vec<DVec2> {
    let (left, right, under) = (0.5 - stroke.x / 2.0, 0.5 + stroke.x / 2.0, 1.0 - stroke.y);
    let foot = [(left, 0.0), (right, 0.0), (right, under), (1.0, under)];
    let head = [(1.0, 1.0), (0.0, 1.0), (0.0, under), (left, under)];
    foot.into_iter().chain(head).map(DVec2::from).collect()
}

fn outline_u(stroke: DVec2) -> Vec<DVec2> {
    let DVec2 { x, y } = stroke;
    let right = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (1.0 - x, 1.0)];
    let left = [(1.0 - x, y), (x, y), (x, 1.0), (0.0, 1.0)];
    right.into_iter().chain(left).map(DVec2::from).collect()
}

fn outline_h(stroke: DVec2) -> Vec<DVec2> {
    let (x, low) = (stroke.x, 0.5 - stroke.y / 2.0);
    let lower = [(0.0, 0.0), (x, 0.0), (x, low), (1.0 - x, low), (1.0 - x, 0.0), (1.0, 0.0)];
    let upper = lower.iter().map(|&(a, b)| (1.0 - a, 1.0 - b));
    lower.iter().copied().chain(upper).map(DVec2::from).collect()
}

fn outline_cross(stroke: DVec2) -> Vec<DVec2> {
    let (x, y) = (0.5 - stroke.x / 2.0, 0.5 - stroke.y / 2.0);
    let lower = [(x, 0.0), (1.0 - x, 0.0), (1.0 - x, y), (1.0, y), (1.0, 1.0 - y), (1.0 - x, 1.0 - y)];
    let upper = lower.iter().map(|&(a, b)| (1.0 - a, 1.0 - b));
    lower.iter().copied().chain(upper).map(DVec2::from).collect()
}

/// A star or a gear.
fn draw_star(draws: &mut Draws) -> Vec<DVec2> {
    let (tips, inner) = (3 + draws.index(8), draws.range(0.35, 0.85));
    let flat = draws.chance(0.4);
    let per_tip = if flat { 4 } else { 2 };
    let circle = ring(per_tip * tips, 0.0);
    let is_out = |i: usize| if flat { i % 4 < 2 } else { i.is_multiple_of(2) };
    circle.iter().enumerate().map(|(i, p)| if is_out(i) { *p } else { *p * inner }).collect()
}

/// Corners on an ellipse at random angles.
fn draw_convex(draws: &mut Draws) -> Vec<DVec2> {
    let n = 4 + draws.index(5);
    let jitter: Vec<f64> = (0..n).map(|i| (i as f64 + draws.range(-0.35, 0.35)) / n as f64).collect();
    jitter.into_iter().map(|turn| dvec2(libm::cos(TAU * turn), libm::sin(TAU * turn))).collect()
}

/// A smooth closed curve, half of them symmetric.
fn draw_blob(draws: &mut Draws) -> Vec<DVec2> {
    let n = 5 + draws.index(4);
    let rough = draws.range(0.1, 0.45);
    let mut radii: Vec<f64> = (0..n).map(|_| 1.0 - draws.range(0.0, rough)).collect();
    if draws.chance(0.5) {
        for i in 1..n {
            radii[n - i] = radii[i];
        }
    }
    let knots: Vec<DVec2> = ring(n, 0.0).iter().zip(radii).map(|(p, r)| *p * r).collect();
    closed_spline(&knots, 4)
}

/// A rectangle whose top is a half circle, or a half disc.
fn draw_arch(draws: &mut Draws) -> Vec<DVec2> {
    let straight = if draws.chance(0.4) { 0.0 } else { draws.range(0.1, 1.5) };
    let mut outline = vec![dvec2(-1.0, -straight), dvec2(1.0, -straight)];
    let first = usize::from(straight == 0.0);
    outline.extend((first..=12 - first).map(|i| {
        let angle = PI * i as f64 / 12.0;
        dvec2(libm::cos(angle), libm::sin(angle))
    }));
    outline
}

fn draw_trapezoid(draws: &mut Draws) -> Vec<DVec2> {
    let (a, b) = (draws.range(0.0, 0.4), draws.range(0.0, 0.4));
    [(0.0, 0.0), (1.0, 0.0), (1.0 - a, 1.0), (b, 1.0)].map(DVec2::from).to_vec()
}

/// A profile `(radius, y)` of the given largest radius and height about the origin, from bottom to top.
pub(super) fn draw_profile(draws: &mut Draws, radius: f64, height: f64) -> Vec<DVec2> {
    let profile: Vec<DVec2> = match draws.index(8) {
        0 => vec![dvec2(1.0, 0.0), dvec2(1.0, 0.5), dvec2(1.0, 1.0)],
        1 => vec![dvec2(1.0, 0.0), dvec2(draws.range(0.1, 0.9), 1.0)],
        2 => vec![dvec2(1.0, 0.0), dvec2(0.0, 1.0)],
        3 => (0..=6).map(|i| quarter(f64::from(i) / 6.0)).collect(),
        4 | 5 => draw_turning(draws),
        6 => draw_steps(draws),
        _ => draw_capsule(radius, height),
    };
    let widest = profile.iter().map(|p| p.x).fold(0.0, f64::max);
    let upside_down = draws.chance(0.3);
    let place = |p: &DVec2| dvec2(p.x / widest * radius, (p.y - 0.5) * height);
    let mut out: Vec<DVec2> = profile.iter().map(place).collect();
    out.dedup_by(|a, b| (*a - *b).length() < 1e-9);
    if upside_down {
        out.reverse();
        out.iter_mut().for_each(|p| p.y = -p.y);
    }
    out
}

/// A point of a dome.
fn quarter(t: f64) -> DVec2 {
    let angle = 0.5 * PI * t;
    dvec2(if t >= 1.0 { 0.0 } else { libm::cos(angle) }, libm::sin(angle))
}

/// A smooth outline through random radii, as turned on a lathe.
fn draw_turning(draws: &mut Draws) -> Vec<DVec2> {
    let n = 4 + draws.index(4);
    let knots: Vec<DVec2> = (0..n).map(|i| dvec2(draws.range(0.2, 1.0), i as f64 / (n - 1) as f64)).collect();
    let smooth = spline(&knots, 4);
    smooth.into_iter().map(|p| dvec2(p.x.max(0.08), p.y.clamp(0.0, 1.0))).collect()
}

/// Discs of random radii on each other.
fn draw_steps(draws: &mut Draws) -> Vec<DVec2> {
    let n = 2 + draws.index(4);
    let mut low = 0.0;
    let mut profile = Vec::new();
    for i in 0..n {
        let high = if i + 1 == n { 1.0 } else { low + (1.0 - low) * draws.range(0.15, 0.7) };
        let radius = draws.range(0.25, 1.0);
        profile.extend([dvec2(radius, low), dvec2(radius, high)]);
        low = high + 1e-4;
    }
    if let Some(last) = profile.last_mut() {
        last.y = last.y.max(low - 1e-4);
    }
    profile
}

/// A cylinder with round ends.
fn draw_capsule(radius: f64, height: f64) -> Vec<DVec2> {
    let cap = (radius / height).min(0.5);
    let mut profile: Vec<DVec2> =
        (0..=4).map(|i| quarter(f64::from(i) / 4.0)).map(|q| dvec2(q.x, 1.0 - cap + cap * q.y)).collect();
    let low: Vec<DVec2> = profile.iter().rev().map(|p| dvec2(p.x, 1.0 - p.y)).collect();
    profile.splice(0..0, low);
    profile
}

/// The outline of the wall of a vessel: up the outside, down the inside, from and to the axis.
pub(super) fn draw_wall(draws: &mut Draws, radius: f64, height: f64) -> Vec<DVec2> {
    let n = 3 + draws.index(4);
    let start = draws.range(0.35, 1.0);
    let radii: Vec<f64> = (0..n).map(|i| if i == 0 { start } else { draws.range(0.35, 1.0) }).collect();
    let knots: Vec<DVec2> =
        radii.iter().enumerate().map(|(i, r)| dvec2(*r, i as f64 / (n - 1) as f64)).collect();
    let outer: Vec<DVec2> = spline(&knots, 4).into_iter().map(|p| dvec2(p.x.max(0.2), p.y)).collect();
    let widest = outer.iter().map(|p| p.x).fold(0.0, f64::max);
    let place = |p: &DVec2| dvec2(p.x / widest * radius, (p.y - 0.5) * height);
    let mut wall: Vec<DVec2> = outer.iter().map(place).collect();
    let thick = draws.range(0.04, 0.14) * radius;
    let floor = wall[0].y + thick.min(0.2 * height);
    let inner: Vec<DVec2> = wall.iter().rev().map(|p| dvec2((p.x - thick).max(0.02 * radius), p.y)).collect();
    wall.insert(0, dvec2(0.0, wall[0].y));
    wall.extend(inner.into_iter().filter(|p| p.y > floor + 1e-6));
    let last = wall[wall.len() - 1];
    wall.extend([dvec2(last.x, floor), dvec2(0.0, floor)]);
    wall
}
