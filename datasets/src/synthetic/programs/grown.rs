//! Objects that grow: parts set on the surface of others, with limbs, fins and feet, mostly symmetric.

use glam::{DMat3, DVec3, dvec3};
use jepa3d_schemas::Draws;
use std::f64::consts::TAU;

use super::carve::area;
use super::cluster::Cluster;
use super::deform::deform_cluster;
use super::outlines::draw_outline;
use super::parts::{draw_direction, draw_form, draw_part, draw_plain_part, draw_tilt};
use super::sheets::{draw_ribbon, draw_sheet};
use super::thin::{draw_coil, draw_curved_bar, draw_lattice, draw_section, sweep};
use crate::synthetic::curves::{ring, spline};
use crate::synthetic::solids::{Solid, rod, rotation};

/// A place on a surface, and the direction out of it.
#[derive(Clone, Copy)]
struct Spot {
    at: DVec3,
    out: DVec3,
}

/// A point drawn uniformly over a surface.
fn draw_spot(draws: &mut Draws, surface: &Solid) -> Spot {
    let mut left = draws.unit() * area(surface);
    let at = |i: u32| surface.positions[i as usize];
    let mut spot = Spot { at: DVec3::ZERO, out: DVec3::Y };
    for &[a, b, c] in &surface.triangles {
        let normal = (at(b) - at(a)).cross(at(c) - at(a));
        spot = Spot { at: (at(a) + at(b) + at(c)) / 3.0, out: normal.normalize_or(DVec3::Y) };
        left -= normal.length() / 2.0;
        if left <= 0.0 {
            break;
        }
    }
    spot
}

/// The rotation that brings y to a direction.
fn turn_up_to(out: DVec3) -> DMat3 {
    let side = if out.y.abs() < 0.9 { DVec3::Y.cross(out).normalize_or(DVec3::X) } else { DVec3::X };
    let side = (side - out * side.dot(out)).normalize_or(DVec3::X);
    DMat3::from_cols(side, out, side.cross(out))
}

/// A part of about the given size that grows along y from the origin.
fn draw_limb(draws: &mut Draws, size: f64) -> Cluster {
    let mut thin = || size * draws.range(0.08, 0.6);
    let slender = dvec3(thin(), size, thin());
    let limb = match draws.index(10) {
        0..=2 => draw_part(draws, slender),
        3 => draw_plain_part(draws, slender),
        4 => {
            let bulk = size * dvec3(draws.range(0.4, 1.2), draws.range(0.4, 1.0), draws.range(0.4, 1.2));
            draw_part(draws, bulk)
        }
        5 => draw_curved_bar(draws).map(|p| p * size),
        6 => {
            let sheet = draw_sheet(draws).turned(draw_tilt(draws, 1.6));
            sheet.map(|p| p * size)
        }
        7 => Cluster::solid(rod(DVec3::ZERO, DVec3::Y * size, [0.05 * size, 0.03 * size], 6), 0),
        8 => draw_lattice(draws).map(|p| p * size),
        _ => {
            let stem = draws.range(0.02, 0.08) * size;
            let mut both = Cluster::solid(rod(DVec3::ZERO, DVec3::Y * (0.7 * size), [stem; 2], 6), 1);
            both.extend(draw_plain_part(draws, dvec3(0.4, 0.35, 0.4) * size).standing(0.65 * size));
            both
        }
    };
    limb.standing(-0.04 * size)
}

/// A core with one to five rounds of parts that grow out of what is there.
pub(super) fn draw_grown(draws: &mut Draws) -> Cluster {
    let size = dvec3(draws.range(0.2, 1.0), draws.range(0.2, 1.0), draws.range(0.2, 1.0));
    let mut grown = draw_part(draws, size);
    let symmetry = draws.index(5);
    for round in 0..1 + draws.index(5) {
        let host = draws.index(grown.pieces.len());
        let spot = draw_spot(draws, &grown.pieces[host].surface);
        let host_size = grown.bounds().size().max_element();
        let limb_size = host_size * draws.range(0.12, 0.7);
        let limb = draw_limb(draws, limb_size).painted((1 + round as u8) % 3);
        let out = match draws.index(4) {
            0 => DVec3::Y * if spot.out.y < -0.3 { -1.0 } else { 1.0 },
            1 => (spot.out + draw_direction(draws) * 0.5).normalize_or(DVec3::Y),
            _ => spot.out,
        };
        let limb = limb.turned(turn_up_to(out)).moved(spot.at);
        grown.extend(match symmetry {
            0 => limb,
            1 if draws.chance(0.7) => limb.around_axis(2 + draws.index(5)),
            2 if draws.chance(0.5) => limb.with_mirror_image(0).with_mirror_image(2),
            _ if spot.at.x.abs() > 0.05 * size.x => limb.with_mirror_image(0),
            _ => limb,
        });
        if grown.triangles() > 5000 {
            break;
        }
    }
    if draws.chance(0.4) {
        let feet = draw_feet(draws, &grown);
        grown.extend(feet);
    }
    if draws.chance(0.25) { deform_cluster(draws, grown) } else { grown }
}

/// Four, three or two supports from the underside to one level.
fn draw_feet(draws: &mut Draws, body: &Cluster) -> Cluster {
    let bounds = body.bounds();
    let (size, middle) = (bounds.size(), bounds.middle());
    let drop = draws.range(0.1, 0.6) * size.y.max(0.4 * size.x);
    let radius = draws.range(0.015, 0.06) * size.max_element();
    let at = dvec3(0.33 * size.x, middle.y, 0.33 * size.z);
    let end = dvec3(at.x * draws.range(0.8, 1.4), bounds.low.y - drop, at.z * draws.range(0.8, 1.4));
    let mut foot = Cluster::solid(rod(end, at, [radius * draws.range(0.4, 1.0), radius], 8), 1);
    if draws.chance(0.4) {
        let pad = draw_plain_part(draws, dvec3(3.0, 1.5, 3.5) * radius);
        foot.extend(pad.moved(end));
    }
    foot.with_mirror_image(0).with_mirror_image(2).moved(dvec3(middle.x, 0.0, middle.z)).painted(1)
}

/// A body around a curved spine with pairs of limbs, a head and fins, as of animals and aircraft.
pub(super) fn draw_creature(draws: &mut Draws) -> Cluster {
    let n = 4 + draws.index(3);
    let sag = draws.range(0.0, 0.25);
    let knots: Vec<DVec3> =
        (0..n).map(|i| dvec3(0.0, draws.range(-sag, sag), i as f64 / (n - 1) as f64 - 0.5)).collect();
    let girths: Vec<f64> = (0..n).map(|_| draws.range(0.06, 0.26)).collect();
    let (path, girths) = (spline(&knots, 6), spline(&girths, 6));
    let flat = draws.range(0.6, 1.3);
    let outline =
        if draws.chance(0.75) { ring(14, 0.0) } else { draw_outline(draws, DVec3::ONE.truncate() * 2.0) };
    let section: Vec<_> = outline.iter().map(|p| glam::dvec2(p.x * flat, p.y)).collect();
    let last = path.len() as f64 - 1.0;
    let (nose, tail) = (draws.range(0.1, 1.0), draws.range(0.05, 1.0));
    let girth = |t: f64| {
        let ends =
            (nose + (1.0 - nose) * (t * 6.0).min(1.0)) * (tail + (1.0 - tail) * ((1.0 - t) * 6.0).min(1.0));
        girths[(t * last).round() as usize].max(0.04) * ends
    };
    let mut creature = Cluster::solid(sweep(&path, &section, girth), 0);
    for pair in 0..1 + draws.index(4) {
        let k = draws.index(path.len());
        let root = path[k] + DVec3::X * (0.5 * girth(k as f64 / last));
        creature.extend(draw_pair(draws, root).painted(1 + pair as u8 % 2));
    }
    if draws.chance(0.6) {
        let end = if draws.chance(0.5) { 0 } else { path.len() - 1 };
        let head = dvec3(draws.range(0.1, 0.35), draws.range(0.1, 0.35), draws.range(0.1, 0.4));
        creature.extend(Cluster::solid(draw_form(draws, head).solid(), 0).moved(path[end]));
    }
    if draws.chance(0.4) {
        let fin = draw_sheet(draws).turned(rotation(DVec3::Z, TAU / 4.0)).map(|p| p * 0.4);
        creature.extend(fin.standing(0.0).moved(path[draws.index(path.len())]).painted(2));
    }
    creature.turned(rotation(DVec3::Y, [0.0, TAU / 4.0][draws.index(2)]))
}

/// A pair of legs, arms or wings from a point at the right side.
fn draw_pair(draws: &mut Draws, root: DVec3) -> Cluster {
    let reach = draws.range(0.2, 0.7);
    let down = draws.range(-1.0, 0.5);
    let knee = dvec3(0.5 * reach, 0.3 * down * reach + draws.range(-0.1, 0.1), draws.range(-0.15, 0.15));
    let end = dvec3(reach * draws.range(0.2, 1.0), down * reach, draws.range(-0.2, 0.2));
    let path = spline(&[DVec3::ZERO, knee, end], 5);
    let (radius, taper) = (draws.range(0.015, 0.08), draws.range(0.2, 1.2));
    let section = if draws.chance(0.35) {
        // A wing: flat across the path.
        ring(10, 0.0).iter().map(|p| glam::dvec2(0.25 * p.x, 2.5 * p.y)).collect()
    } else {
        draw_section(draws)
    };
    let mut limb = Cluster::solid(sweep(&path, &section, |t| radius * (1.0 + (taper - 1.0) * t)), 0);
    if draws.chance(0.3) {
        limb.extend(draw_plain_part(draws, DVec3::splat(3.0 * radius) * dvec3(1.0, 0.6, 1.6)).moved(end));
    }
    limb.moved(root).with_mirror_image(0)
}

/// A branching plant: stems that fork, with leaves or fruits at their ends.
pub(super) fn draw_plant(draws: &mut Draws) -> Cluster {
    let mut plant = Cluster::default();
    let mut stems = vec![(DVec3::ZERO, DVec3::Y, draws.range(0.3, 0.6))];
    let (forks, spread, thick) = (2 + draws.index(3), draws.range(0.3, 1.0), draws.range(0.03, 0.09));
    let crown = draw_crown(draws);
    for level in 0..2 + draws.index(2) {
        let mut next = Vec::new();
        for (from, along, length) in stems {
            let bow = draw_direction(draws) * (0.15 * length);
            let to = from + along * length;
            let path = spline(&[from, from.lerp(to, 0.5) + bow, to], 3);
            let radius = thick * length;
            plant.add(sweep(&path, &ring(6, 0.0), |t| radius * (1.0 - 0.4 * t)), 1);
            for _ in 0..forks {
                let turned = (along + draw_direction(draws) * spread).normalize_or(DVec3::Y);
                next.push((to, turned, length * draws.range(0.5, 0.8)));
            }
        }
        stems = next;
        if stems.len() > 12 || level > 2 {
            break;
        }
    }
    for (at, along, length) in stems.into_iter().take(14) {
        let leaf = crown.clone().map(|p| p * length).standing(0.0);
        plant.extend(leaf.turned(turn_up_to(along)).moved(at).painted(0));
    }
    if draws.chance(0.4) {
        let pot = dvec3(draws.range(0.15, 0.5), draws.range(0.15, 0.4), draws.range(0.15, 0.5));
        plant.extend(draw_plain_part(draws, pot).moved(DVec3::Y * -0.4 * pot.y).painted(2));
    }
    plant
}

/// What grows at the ends of stems.
fn draw_crown(draws: &mut Draws) -> Cluster {
    match draws.index(4) {
        0 => draw_sheet(draws).turned(rotation(DVec3::Z, TAU / 4.0)),
        1 => draw_plain_part(draws, dvec3(0.5, 0.8, 0.5)),
        2 => draw_ribbon(draws).turned(rotation(DVec3::Z, TAU / 4.0)),
        _ => draw_coil(draws),
    }
}
