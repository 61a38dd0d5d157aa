//! Open surfaces: sheets that are flat, curved, folded or revolved, and ribbons along curves.

use glam::{DVec3, dvec2, dvec3};
use jepa3d_schemas::Draws;
use std::collections::BTreeSet;
use std::f64::consts::{PI, TAU};

use super::cluster::Cluster;
use super::outlines::draw_outline;
use super::refine::without_unused;
use crate::synthetic::curves::{cut_into_triangles, spline};
use crate::synthetic::solids::Solid;

/// A surface of `nu * nv` quads over the unit square.
fn grid_sheet(nu: usize, nv: usize, at: impl Fn(f64, f64) -> DVec3) -> Solid {
    let mut sheet = Solid::default();
    for i in 0..=nu {
        for j in 0..=nv {
            sheet.positions.push(at(i as f64 / nu as f64, j as f64 / nv as f64));
        }
    }
    for (i, j) in (0..nu).flat_map(|i| (0..nv).map(move |j| (i, j))) {
        let a = (i * (nv + 1) + j) as u32;
        let b = a + nv as u32 + 1;
        sheet.triangles.extend([[a, b, a + 1], [a + 1, b, b + 1]]);
    }
    sheet
}

/// An open surface whose longest side is 1, about the origin.
pub(super) fn draw_sheet(draws: &mut Draws) -> Cluster {
    let surface = match draws.index(9) {
        0 => draw_wavy(draws),
        1 => draw_curved(draws),
        2 => draw_folded(draws),
        3 | 4 => draw_shell(draws),
        5 => draw_ruled(draws),
        6 => draw_saddle(draws),
        7 => draw_leaf(draws),
        _ => draw_plate(draws),
    };
    let sheet = Cluster::sheet(without_unused(&surface), 0).fitted(1.0);
    if draws.chance(0.35) { thicken(sheet, draws.range(0.008, 0.05)) } else { sheet }
}

/// Sheets made into plates: two faces, and a rim along the edge.
fn thicken(mut sheets: Cluster, thickness: f64) -> Cluster {
    for piece in &mut sheets.pieces {
        let Solid { positions, triangles } = &mut piece.surface;
        let count = positions.len() as u32;
        let mut normals = vec![DVec3::ZERO; positions.len()];
        let mut edges = BTreeSet::new();
        for &[a, b, c] in triangles.iter() {
            let [p, q, r] = [a, b, c].map(|i| positions[i as usize]);
            let normal = (q - p).cross(r - p);
            [a, b, c].into_iter().for_each(|i| normals[i as usize] += normal);
            edges.extend([(a, b), (b, c), (c, a)]);
        }
        let back = |(p, n): (&DVec3, &DVec3)| *p - n.normalize_or_zero() * thickness;
        let backs: Vec<DVec3> = positions.iter().zip(&normals).map(back).collect();
        positions.extend(backs);
        let faces: Vec<[u32; 3]> =
            triangles.iter().map(|&[a, b, c]| [a + count, c + count, b + count]).collect();
        triangles.extend(faces);
        for &(a, b) in edges.iter().filter(|&&(a, b)| !edges.contains(&(b, a))) {
            triangles.extend([[b, a, a + count], [b, a + count, b + count]]);
        }
    }
    sheets
}

fn draw_wavy(draws: &mut Draws) -> Solid {
    let waves: Vec<[f64; 4]> = (0..3)
        .map(|_| {
            [draws.range(-5.0, 5.0), draws.range(-5.0, 5.0), draws.range(0.0, TAU), draws.range(0.01, 0.08)]
        })
        .collect();
    let wide = draws.range(0.4, 1.0);
    grid_sheet(12, 12, |u, v| {
        let height = waves.iter().map(|w| w[3] * libm::sin(w[0] * u + w[1] * v + w[2])).sum();
        dvec3(u, height, wide * v)
    })
}

/// A piece of a cylinder or cone.
fn draw_curved(draws: &mut Draws) -> Solid {
    let (angle, high) = (draws.range(0.6, TAU), draws.range(0.3, 2.5));
    let top = if draws.chance(0.5) { 1.0 } else { draws.range(0.1, 1.0) };
    grid_sheet(16, 4, |u, v| {
        let (turn, radius) = (angle * (u - 0.5), 1.0 + (top - 1.0) * v);
        dvec3(radius * libm::sin(turn), high * v, radius * libm::cos(turn))
    })
}

/// Flat strips with folds between them.
fn draw_folded(draws: &mut Draws) -> Solid {
    let folds = 2 + draws.index(6);
    let (sharp, wide) = (draws.range(0.3, 1.2), draws.range(0.3, 1.2));
    let alternating = draws.chance(0.6);
    let (mut at, mut turn, mut knots) = (DVec3::ZERO, 0.0, vec![DVec3::ZERO]);
    for i in 0..folds {
        turn = if alternating { if i % 2 == 0 { sharp } else { -sharp } } else { turn + sharp * 0.8 };
        at += dvec3(libm::cos(turn), libm::sin(turn), 0.0) * draws.range(0.5, 1.0);
        knots.push(at);
    }
    let length = folds as f64 * wide * 0.4;
    grid_sheet(folds, 3, |u, v| {
        let knot = knots[((u * folds as f64).round() as usize).min(folds)];
        knot + DVec3::Z * (length * (v - 0.5))
    })
}

/// A surface of revolution, open at one or both ends, whole or in part.
fn draw_shell(draws: &mut Draws) -> Solid {
    let n = 3 + draws.index(3);
    let high = draws.range(0.4, 2.0);
    let mut knots: Vec<DVec3> =
        (0..n).map(|i| dvec3(draws.range(0.3, 1.0), high * i as f64 / (n - 1) as f64, 0.0)).collect();
    if draws.chance(0.5) {
        knots[0].x = 0.0;
    }
    let profile = spline(&knots, 4);
    let angle = if draws.chance(0.6) { TAU } else { draws.range(PI / 2.0, 5.5) };
    let rows = profile.len() - 1;
    grid_sheet(20, rows, |u, v| {
        let p = profile[(v * rows as f64).round() as usize];
        let turn = angle * u;
        dvec3(p.x.max(0.0) * libm::cos(turn), p.y, p.x.max(0.0) * libm::sin(turn))
    })
}

/// Straight lines between two curves.
fn draw_ruled(draws: &mut Draws) -> Solid {
    let mut curve = |level: f64| {
        let knots: Vec<DVec3> = (0..4)
            .map(|i| dvec3(f64::from(i) / 3.0, level + draws.range(-0.15, 0.15), draws.range(-0.35, 0.35)))
            .collect();
        spline(&knots, 5)
    };
    let (low, high) = (curve(0.0), curve(0.7));
    grid_sheet(15, 5, |u, v| {
        let i = (u * 15.0).round() as usize;
        low[i].lerp(high[i], v)
    })
}

fn draw_saddle(draws: &mut Draws) -> Solid {
    let (a, b) = (draws.range(-0.7, 0.7), draws.range(-0.7, 0.7));
    grid_sheet(12, 12, |u, v| {
        let (x, z) = (2.0 * u - 1.0, 2.0 * v - 1.0);
        dvec3(x, a * x * x + b * z * z, z)
    })
}

/// A leaf, petal or blade: pointed, arched along its length, a little hollow.
fn draw_leaf(draws: &mut Draws) -> Solid {
    let (wide, arch, hollow) = (draws.range(0.1, 0.45), draws.range(-0.4, 0.4), draws.range(-0.3, 0.3));
    let fullest = draws.range(0.6, 1.6);
    grid_sheet(12, 4, |u, v| {
        let half = wide * libm::sin(PI * libm::pow(u, fullest)).max(0.02);
        let across = 2.0 * v - 1.0;
        dvec3(u, arch * u * (1.0 - u) + hollow * half * across * across, half * across)
    })
}

/// A flat plate of any outline.
fn draw_plate(draws: &mut Draws) -> Solid {
    let size = dvec2(1.0, draws.range(0.4, 1.0));
    let outline = draw_outline(draws, size);
    let mut plate =
        Solid { positions: outline.iter().map(|p| dvec3(p.x, 0.0, p.y)).collect(), triangles: Vec::new() };
    plate.triangles = cut_into_triangles(&outline).iter().map(|&[a, b, c]| [a, c, b]).collect();
    plate
}

/// A flat band along a space curve.
pub(super) fn draw_ribbon(draws: &mut Draws) -> Cluster {
    let knots: Vec<DVec3> = (0..5)
        .map(|i| dvec3(f64::from(i) * 0.25, draws.range(-0.25, 0.25), draws.range(-0.25, 0.25)))
        .collect();
    let (path, wide, twist) = (spline(&knots, 5), draws.range(0.04, 0.15), draws.range(-4.0, 4.0));
    let surface = grid_sheet(20, 2, |u, v| {
        let turn = twist * u;
        path[(u * 20.0).round() as usize]
            + dvec3(0.0, libm::sin(turn), libm::cos(turn)) * (wide * (2.0 * v - 1.0))
    });
    Cluster::sheet(surface, 0).fitted(1.0)
}
