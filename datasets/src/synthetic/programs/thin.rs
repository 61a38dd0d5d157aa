//! Thin structures: bars swept along curves, frames, ladders, grids, cages and wire models.

use glam::{DVec2, DVec3, dvec2, dvec3};
use jepa3d_schemas::Draws;

use super::cluster::Cluster;
use crate::synthetic::curves::{ring, spline};
use crate::synthetic::solids::{Solid, loft, rod};

/// A section swept along a path, scaled by `scale` at each point (which lie as close as they are given).
pub(super) fn sweep(path: &[DVec3], section: &[DVec2], scale: impl Fn(f64) -> f64) -> Solid {
    let last = path.len() - 1;
    let along = |i: usize| (path[(i + 1).min(last)] - path[i.saturating_sub(1)]).normalize_or(DVec3::Y);
    let first = along(0);
    let mut normal = if first.y.abs() < 0.8 { DVec3::Y } else { DVec3::X };
    let mut sections = Vec::with_capacity(path.len());
    for (i, point) in path.iter().enumerate() {
        let forward = along(i);
        normal = (normal - forward * normal.dot(forward)).normalize_or(forward.any_orthonormal_vector());
        let side = forward.cross(normal);
        let size = scale(i as f64 / last as f64);
        sections.push(section.iter().map(|c| *point + (normal * c.x + side * c.y) * size).collect());
    }
    loft(&sections).facing_out()
}

/// A round, square or flat section of radius 1.
pub(super) fn draw_section(draws: &mut Draws) -> Vec<DVec2> {
    match draws.index(5) {
        0 => ring(4, 0.125),
        1 => ring(4, 0.125).iter().map(|p| *p * dvec2(1.0, 0.45)).collect(),
        2 => ring(3 + draws.index(4), 0.0),
        _ => ring(8, 0.0),
    }
}

/// A curved bar through random points, about 1 long; thick, thin, tapered or beaded.
pub(super) fn draw_curved_bar(draws: &mut Draws) -> Cluster {
    let swing = draws.range(0.05, 0.5);
    let knots: Vec<DVec3> = (0..4 + draws.index(3))
        .map(|i| dvec3(draws.range(-swing, swing), 0.25 * i as f64, draws.range(-swing, swing)))
        .collect();
    let path = spline(&knots, 4);
    let section = draw_section(draws);
    let (radius, taper) = (draws.range(0.02, 0.12), draws.range(0.2, 1.2));
    let beads = if draws.chance(0.3) { draws.range(0.1, 0.4) } else { 0.0 };
    let surface =
        sweep(&path, &section, |t| radius * (1.0 + (taper - 1.0) * t) * (1.0 + beads * libm::sin(20.0 * t)));
    Cluster::solid(surface, 0).fitted(1.0)
}

/// A spring or spiral about the vertical, 1 at its longest.
pub(super) fn draw_coil(draws: &mut Draws) -> Cluster {
    let (turns, high, shrink) = (draws.range(1.0, 4.0), draws.range(0.0, 2.0), draws.range(0.0, 0.9));
    let n = (14.0 * turns) as usize;
    let path: Vec<DVec3> = (0..=n)
        .map(|i| {
            let t = i as f64 / n as f64;
            let (angle, radius) = (std::f64::consts::TAU * turns * t, 0.5 * (1.0 - shrink * t));
            dvec3(radius * libm::cos(angle), high * t, radius * libm::sin(angle))
        })
        .collect();
    let radius = draws.range(0.02, 0.07);
    Cluster::solid(sweep(&path, &ring(6, 0.0), |_| radius), 0).fitted(1.0)
}

/// Bars between pairs of points.
pub(super) fn join_by_bars(points: &[DVec3], pairs: &[[usize; 2]], radius: f64, sides: usize) -> Cluster {
    let mut bars = Cluster::default();
    for &[a, b] in pairs {
        let along = (points[b] - points[a]).normalize_or_zero() * (0.5 * radius);
        bars.add(rod(points[a] - along, points[b] + along, [radius; 2], sides), 0);
    }
    bars
}

/// The eight corners of a box and its twelve edges.
pub(super) fn box_frame(size: DVec3) -> (Vec<DVec3>, Vec<[usize; 2]>) {
    let corner = |i: usize| dvec3((i & 1) as f64, (i >> 1 & 1) as f64, (i >> 2) as f64);
    let points = (0..8).map(|i| (corner(i) - 0.5) * size).collect();
    let edges = (0..8usize)
        .flat_map(|a| [1, 2, 4].into_iter().filter(move |bit| a & bit == 0).map(move |bit| [a, a | bit]));
    (points, edges.collect())
}

/// Bars in one plane (xy), `columns` upright and `rows` level, whose box is `size`.
pub(super) fn grille(size: DVec2, columns: usize, rows: usize, radius: f64) -> Cluster {
    let mut bars = Cluster::default();
    let place = |i: usize, n: usize| if n > 1 { i as f64 / (n - 1) as f64 - 0.5 } else { 0.0 };
    for i in 0..columns {
        let x = size.x * place(i, columns);
        bars.add(rod(dvec3(x, -size.y / 2.0, 0.0), dvec3(x, size.y / 2.0, 0.0), [radius; 2], 4), 0);
    }
    for j in 0..rows {
        let y = size.y * place(j, rows);
        bars.add(rod(dvec3(-size.x / 2.0, y, 0.0), dvec3(size.x / 2.0, y, 0.0), [radius; 2], 4), 0);
    }
    bars
}

/// A frame, lattice, cage or wire model, 1 at its longest.
pub(super) fn draw_lattice(draws: &mut Draws) -> Cluster {
    let radius = draws.range(0.008, 0.03);
    let sides = [4, 6][draws.index(2)];
    let size = dvec3(draws.range(0.3, 1.0), draws.range(0.3, 1.0), draws.range(0.3, 1.0));
    let lattice = match draws.index(6) {
        0 => {
            let (points, edges) = box_frame(size);
            join_by_bars(&points, &edges, radius, sides)
        }
        1 => grille(dvec2(size.x, size.y), 2 + draws.index(6), 2 + draws.index(5), radius),
        2 => draw_truss(draws, radius),
        3 => draw_cage(draws, radius),
        4 => draw_rack(draws, size, radius),
        _ => draw_wire_model(draws, radius),
    };
    lattice.fitted(1.0)
}

/// Two or three chords with struts between them.
fn draw_truss(draws: &mut Draws, radius: f64) -> Cluster {
    let (n, chords) = (3 + draws.index(5), 2 + draws.index(2));
    let wide = draws.range(0.1, 0.35);
    let corners = ring(if chords == 2 { 2 } else { 3 }, 0.0);
    let mut points = Vec::new();
    for i in 0..=n {
        points.extend(corners.iter().map(|c| dvec3(i as f64 / n as f64, wide * c.x, wide * c.y)));
    }
    let (mut pairs, diagonal) = (Vec::new(), draws.chance(0.6));
    for (i, k) in (0..=n).flat_map(|i| (0..chords).map(move |k| (i, k))) {
        let (at, next) = (i * chords + k, i * chords + (k + 1) % chords);
        pairs.push([at, next]);
        if i < n {
            pairs.push([at, at + chords]);
            if diagonal {
                pairs.push([at, next + chords]);
            }
        }
    }
    join_by_bars(&points, &pairs, radius, 4)
}

/// Meridians and parallels of a body of revolution.
fn draw_cage(draws: &mut Draws, radius: f64) -> Cluster {
    let (meridians, parallels) = (4 + draws.index(6), 1 + draws.index(4));
    let knots: Vec<DVec3> = (0..4).map(|i| dvec3(draws.range(0.15, 0.5), f64::from(i) / 3.0, 0.0)).collect();
    let profile = spline(&knots, 4);
    let mut cage = Cluster::solid(sweep(&profile, &ring(4, 0.0), |_| radius), 0).around_axis(meridians);
    for j in 0..parallels {
        let p = profile[j * (profile.len() - 1) / (parallels - 1).max(1)];
        let circle = ring(20, 0.0);
        let path: Vec<DVec3> =
            (0..=20).map(|i| dvec3(p.x * circle[i % 20].x, p.y, p.x * circle[i % 20].y)).collect();
        cage.add(sweep(&path, &ring(4, 0.0), |_| radius), 0);
    }
    cage
}

/// Frames behind each other with long bars through them.
fn draw_rack(draws: &mut Draws, size: DVec3, radius: f64) -> Cluster {
    let n = 2 + draws.index(5);
    let frame = grille(dvec2(size.x, size.y), 2, 2, radius);
    let mut rack = frame.in_row(n, DVec3::Z * (size.z / (n as f64 - 1.0)));
    let corners = [(-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5)];
    for (x, y) in corners {
        let at = dvec3(x * size.x, y * size.y, 0.0);
        rack.add(rod(at - DVec3::Z * (size.z / 2.0), at + DVec3::Z * (size.z / 2.0), [radius; 2], 4), 0);
    }
    rack
}

/// Edges of a prism, antiprism or pyramid.
fn draw_wire_model(draws: &mut Draws, radius: f64) -> Cluster {
    let n = 3 + draws.index(5);
    let (high, top, shift) =
        (draws.range(0.3, 1.2), draws.range(0.0, 1.2), if draws.chance(0.4) { 0.5 } else { 0.0 });
    let mut points: Vec<DVec3> = ring(n, 0.0).iter().map(|p| dvec3(0.5 * p.x, 0.0, 0.5 * p.y)).collect();
    points.extend(ring(n, shift / n as f64).iter().map(|p| dvec3(0.5 * top * p.x, high, 0.5 * top * p.y)));
    let mut pairs = Vec::new();
    for i in 0..n {
        let next = (i + 1) % n;
        pairs.extend([[i, next], [n + i, n + next], [i, n + i]]);
        if shift > 0.0 {
            pairs.push([next, n + i]);
        }
    }
    if top < 0.15 {
        pairs.retain(|pair| pair[0] < n);
    }
    join_by_bars(&points, &pairs, radius, 6)
}
