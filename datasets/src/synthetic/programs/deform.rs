//! Deformations: taper, twist, bend, bulge, shear, smooth warps and rough noise.

use glam::{DVec3, dvec3};
use jepa3d_schemas::Draws;
use std::f64::consts::{PI, TAU};

use super::cluster::{Bounds, Cluster};
use super::refine::refine;
use crate::synthetic::solids::Solid;

/// A map of space, drawn for a box.
type Warp = Box<dyn Fn(DVec3) -> DVec3>;

/// Deforms a surface once or twice; it is divided first, so that it can bend.
pub(super) fn deform(draws: &mut Draws, mut surface: Solid) -> Solid {
    let size = Bounds::around(surface.positions.iter()).size().max_element();
    refine(&mut surface, 0.16 * size, |_, _| true);
    for _ in 0..1 + draws.index(2) {
        let warp = draw_warp(draws, &Bounds::around(surface.positions.iter()));
        surface = surface.map(warp);
    }
    surface
}

/// Deforms a whole cluster by one map.
pub(super) fn deform_cluster(draws: &mut Draws, mut cluster: Cluster) -> Cluster {
    let bounds = cluster.bounds();
    let longest = 0.12 * bounds.size().max_element();
    for piece in &mut cluster.pieces {
        refine(&mut piece.surface, longest, |_, _| true);
    }
    let warp = draw_warp(draws, &bounds);
    cluster.map(warp)
}

fn draw_warp(draws: &mut Draws, bounds: &Bounds) -> Warp {
    let axis = match draws.index(4) {
        0 => draws.index(3),
        1 | 2 => longest_axis(bounds),
        _ => 1,
    };
    match draws.index(8) {
        0 | 1 => draw_taper(draws, bounds, axis),
        2 => draw_twist(draws, bounds, axis),
        3 => draw_bend(draws, bounds, axis),
        4 => draw_bulge(draws, bounds, axis),
        5 => draw_shear(draws, bounds, axis),
        6 => draw_waves(draws, bounds, WaveKind::Smooth),
        _ => draw_waves(draws, bounds, WaveKind::Rough),
    }
}

fn longest_axis(bounds: &Bounds) -> usize {
    let size = bounds.size();
    (0..3).max_by(|&a, &b| size[a].total_cmp(&size[b])).unwrap_or(1)
}

/// Where a point is along an axis of a box, -0.5 to 0.5.
fn place_along(p: DVec3, middle: DVec3, size: DVec3, axis: usize) -> f64 {
    (p[axis] - middle[axis]) / size[axis].max(1e-6)
}

/// `p` with the two coordinates across an axis scaled about the middle.
fn scale_across(p: DVec3, middle: DVec3, axis: usize, scale: f64) -> DVec3 {
    let mut out = middle + (p - middle) * scale;
    out[axis] = p[axis];
    out
}

fn draw_taper(draws: &mut Draws, bounds: &Bounds, axis: usize) -> Warp {
    let (middle, size, k) = (bounds.middle(), bounds.size(), draws.range(-0.75, 0.75));
    Box::new(move |p| {
        scale_across(p, middle, axis, 1.0 + 2.0 * k * place_along(p, middle, size, axis) * 0.95)
    })
}

fn draw_bulge(draws: &mut Draws, bounds: &Bounds, axis: usize) -> Warp {
    let (middle, size, k) = (bounds.middle(), bounds.size(), draws.range(-0.45, 0.6));
    Box::new(move |p| {
        let t = place_along(p, middle, size, axis);
        scale_across(p, middle, axis, 1.0 + k * libm::cos(PI * t))
    })
}

fn draw_twist(draws: &mut Draws, bounds: &Bounds, axis: usize) -> Warp {
    let (middle, size, angle) = (bounds.middle(), bounds.size(), draws.range(-2.0, 2.0));
    let (u, v) = ((axis + 1) % 3, (axis + 2) % 3);
    Box::new(move |p| {
        let turn = angle * place_along(p, middle, size, axis);
        let (s, c) = (libm::sin(turn), libm::cos(turn));
        let (q, mut out) = (p - middle, p);
        (out[u], out[v]) = (middle[u] + c * q[u] - s * q[v], middle[v] + s * q[u] + c * q[v]);
        out
    })
}

/// Bends the axis into an arc.
fn draw_bend(draws: &mut Draws, bounds: &Bounds, axis: usize) -> Warp {
    let (middle, size) = (bounds.middle(), bounds.size());
    let u = (axis + 1 + draws.index(2)) % 3;
    let most = (1.6 * size[axis] / size[u].max(1e-6)).min(2.6);
    let angle = draws.range(0.15, 1.0) * most * if draws.chance(0.5) { 1.0 } else { -1.0 };
    let radius = size[axis] / angle;
    Box::new(move |p| {
        let turn = angle * place_along(p, middle, size, axis);
        let (out_by, mut out) = (radius - (p[u] - middle[u]), p);
        out[axis] = middle[axis] + out_by * libm::sin(turn);
        out[u] = middle[u] + radius - out_by * libm::cos(turn);
        out
    })
}

fn draw_shear(draws: &mut Draws, bounds: &Bounds, axis: usize) -> Warp {
    let (middle, u) = (bounds.middle(), (axis + 1 + draws.index(2)) % 3);
    let k = draws.range(-0.6, 0.6);
    Box::new(move |mut p| {
        p[u] += k * (p[axis] - middle[axis]);
        p
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum WaveKind {
    Smooth,
    Rough,
}

/// Adds plane waves of displacements: a few long ones, or many short ones.
fn draw_waves(draws: &mut Draws, bounds: &Bounds, kind: WaveKind) -> Warp {
    let radius = bounds.size().length() / 2.0;
    let (n, pitch, strength) = match kind {
        WaveKind::Smooth => (3, draws.range(0.2, 0.5), draws.range(0.04, 0.14)),
        WaveKind::Rough => (8, draws.range(0.7, 1.6), draws.range(0.008, 0.03)),
    };
    let waves: Vec<(DVec3, DVec3, f64)> = (0..n)
        .map(|_| {
            let mut any = || dvec3(draws.range(-1.0, 1.0), draws.range(-1.0, 1.0), draws.range(-1.0, 1.0));
            let (along, push) = (any() * (pitch * TAU / radius), any() * (strength * radius));
            (along, push, draws.range(0.0, TAU))
        })
        .collect();
    Box::new(move |p| {
        p + waves.iter().map(|(along, push, phase)| *push * libm::sin(along.dot(p) + phase)).sum::<DVec3>()
    })
}
