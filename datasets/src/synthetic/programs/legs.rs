//! What holds a plate up: legs, a pedestal, panels, bent bars, trestles, a body, wheels.

use glam::{DVec3, dvec3};
use jepa3d_schemas::Draws;

use super::cluster::Cluster;
use super::form::axis_turn;
use super::outlines::draw_profile;
use super::parts::{draw_block, draw_part, draw_plain_part};
use super::thin::{draw_section, sweep};
use crate::synthetic::solids::{Solid, disc, lathe, rod};

/// The room below or above a plate: full sizes and the level it begins at.
#[derive(Clone, Copy)]
pub(super) struct Storey {
    pub(super) width: f64,
    pub(super) depth: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// What holds a storey's plate up, from its floor to its top.
pub(super) fn draw_supports(draws: &mut Draws, room: Storey) -> Cluster {
    let supports = match draws.index(10) {
        0..=3 => draw_legs(draws, room),
        4 => draw_pedestal(draws, room),
        5 => draw_sides(draws, room),
        6 => draw_sled(draws, room),
        7 => {
            let size = dvec3(
                room.width * draws.range(0.5, 0.98),
                room.high - room.low,
                room.depth * draws.range(0.5, 0.98),
            );
            draw_part(draws, size).moved(DVec3::Y * ((room.low + room.high) / 2.0))
        }
        8 => draw_trestles(draws, room),
        _ => draw_wheels(draws, room),
    };
    supports.painted(1)
}

/// Legs at the corners or around, straight, splayed, tapered or turned; some with bars between them.
fn draw_legs(draws: &mut Draws, room: Storey) -> Cluster {
    let (inset, splay) =
        (draws.range(0.75, 0.98), if draws.chance(0.4) { draws.range(0.0, 0.25) } else { 0.0 });
    let radius = draws.range(0.008, 0.06);
    let foot = radius * if draws.chance(0.5) { 1.0 } else { draws.range(0.4, 1.3) };
    let sides = [4, 4, 8, 10][draws.index(4)];
    let (x, z) = (room.width / 2.0 * inset - radius, room.depth / 2.0 * inset - radius);
    let turned = draws.chance(0.2);
    let profile = draw_profile(draws, 2.0 * radius, room.high - room.low);
    let leg = |x: f64, z: f64| -> Solid {
        let middle = (room.low + room.high) / 2.0;
        if turned {
            return lathe(&profile, 10).moved(x, middle, z);
        }
        let (top, bottom) =
            (dvec3(x, room.high + 0.01, z), dvec3(x * (1.0 + splay), room.low, z * (1.0 + splay)));
        rod(bottom, top, [foot, radius], sides)
    };
    let mut legs = Cluster::default();
    if draws.chance(0.2) {
        legs.add(leg(x.min(z), 0.0), 1);
        legs = legs.around_axis(3 + draws.index(4));
    } else {
        legs.add(leg(x, z), 1);
        legs = legs.with_mirror_image(2).with_mirror_image(0);
    }
    if draws.chance(0.35) {
        let corner = dvec3(x, draws.range(0.1, 0.6), z);
        legs.extend(draw_stretchers(draws, corner, room, 0.7 * radius));
    }
    legs
}

/// Level bars between four legs at `(±corner.x, ±corner.z)`, at the share `corner.y` of the height.
fn draw_stretchers(draws: &mut Draws, corner: DVec3, room: Storey, radius: f64) -> Cluster {
    let y = room.low + corner.y * (room.high - room.low);
    let mut bars = Cluster::default();
    let kind = draws.index(3);
    if kind != 1 {
        bars.add(rod(dvec3(corner.x, y, -corner.z), dvec3(corner.x, y, corner.z), [radius; 2], 6), 1);
        bars = bars.with_mirror_image(0);
    }
    match kind {
        0 => bars.add(rod(dvec3(-corner.x, y, 0.0), dvec3(corner.x, y, 0.0), [radius; 2], 6), 1),
        1 => {
            let end = dvec3(corner.x, y, corner.z);
            bars.add(rod(dvec3(-end.x, y, -end.z), end, [radius; 2], 6), 1);
            bars.add(rod(dvec3(end.x, y, -end.z), dvec3(-end.x, y, end.z), [radius; 2], 6), 1);
        }
        _ => {
            let mut bar = Cluster::solid(
                rod(dvec3(-corner.x, y, corner.z), dvec3(corner.x, y, corner.z), [radius; 2], 6),
                1,
            );
            bar = bar.with_mirror_image(2);
            bars.extend(bar);
        }
    }
    bars
}

fn draw_pedestal(draws: &mut Draws, room: Storey) -> Cluster {
    let (height, reach) = (room.high - room.low, room.width.min(room.depth) / 2.0);
    let column = draws.range(0.06, 0.6) * reach;
    let mut pedestal = Cluster::solid(lathe(&draw_profile(draws, column, height), 18), 1)
        .moved(DVec3::Y * (room.low + height / 2.0));
    let foot = reach * draws.range(0.5, 1.1);
    if draws.chance(0.6) {
        let thick = draws.range(0.01, 0.05);
        pedestal.add(disc(foot, room.low, room.low + thick, 24), 1);
    } else {
        let rise = draws.range(0.02, 0.2) * height;
        let arm = rod(
            dvec3(0.0, room.low + rise, 0.0),
            dvec3(foot, room.low + 0.01, 0.0),
            [0.3 * column, 0.2 * column],
            6,
        );
        pedestal.extend(Cluster::solid(arm, 1).around_axis(3 + draws.index(4)));
    }
    pedestal
}

/// Upright panels at both ends, some with one at the back.
fn draw_sides(draws: &mut Draws, room: Storey) -> Cluster {
    let (thick, height) = (draws.range(0.015, 0.1), room.high - room.low);
    let middle = (room.low + room.high) / 2.0;
    let inset = draws.range(0.8, 1.0);
    let panel = dvec3(thick, height, room.depth * draws.range(0.6, 1.0));
    let panel = draw_part(draws, panel);
    let mut sides =
        panel.moved(dvec3(inset * room.width / 2.0 - thick / 2.0, middle, 0.0)).with_mirror_image(0);
    if draws.chance(0.5) {
        let high = height * draws.range(0.3, 1.0);
        let back = draw_block(draws, dvec3(room.width * inset, high, 0.6 * thick));
        sides
            .add(back.moved(dvec3(0.0, room.high - high / 2.0, -0.4 * room.depth * draws.unit())).solid(), 1);
    }
    sides
}

/// Bent bars that run from the plate down, along the floor and up again.
fn draw_sled(draws: &mut Draws, room: Storey) -> Cluster {
    let (x, z) = (0.45 * room.width, 0.45 * room.depth);
    let corner = (0.25 * (room.high - room.low)).min(0.1).min(0.5 * z);
    let radius = draws.range(0.01, 0.035);
    let at = |y: f64, z: f64| dvec3(x, y, z);
    let low = room.low + radius;
    let path = [
        at(room.high, z),
        at((room.high + low) / 2.0, z),
        at(low + corner, z),
        at(low + 0.25 * corner, z - 0.25 * corner),
        at(low, z - corner),
        at(low, 0.0),
        at(low, corner - z),
        at(low + 0.25 * corner, 0.25 * corner - z),
        at(low + corner, -z),
        at((room.high + low) / 2.0, -z),
        at(room.high, -z),
    ];
    let section = draw_section(draws);
    let kept = if draws.chance(0.3) { 7 } else { path.len() };
    Cluster::solid(sweep(&path[..kept], &section, |_| radius), 1).with_mirror_image(0)
}

/// Two crossed or A-shaped frames.
fn draw_trestles(draws: &mut Draws, room: Storey) -> Cluster {
    let (x, z) = (0.42 * room.width, 0.45 * room.depth);
    let (radius, top) =
        (draws.range(0.012, 0.05), if draws.chance(0.5) { -0.9 } else { draws.range(0.0, 0.6) });
    let leg = rod(dvec3(x, room.low, z), dvec3(x, room.high, top * z), [radius; 2], 4);
    let mut frames = Cluster::solid(leg, 1).with_mirror_image(2).with_mirror_image(0);
    let y = (room.low + room.high) / 2.0;
    frames.add(rod(dvec3(-x, y, 0.0), dvec3(x, y, 0.0), [radius; 2], 4), 1);
    frames
}

/// Wheels on axles below a body.
fn draw_wheels(draws: &mut Draws, room: Storey) -> Cluster {
    let radius = ((room.high - room.low) * 0.5).min(0.3 * room.width).max(0.03);
    let thick = radius * draws.range(0.2, 0.9);
    let wheel = draw_plain_part(draws, dvec3(thick, thick, thick));
    let tyre = Cluster::solid(disc(radius, -thick / 2.0, thick / 2.0, 18), 2).turned(axis_turn(2));
    let mut one = tyre;
    one.extend(wheel.painted(1).moved(DVec3::Z * (0.4 * thick)));
    let y = room.low + radius;
    let n = 2 + draws.index(2);
    let mut row = one.in_row(n, DVec3::X * (0.8 * room.width / (n as f64 - 1.0))).moved(dvec3(
        0.0,
        y,
        0.45 * room.depth,
    ));
    row = row.with_mirror_image(2);
    let size = dvec3(room.width * 0.9, (room.high - y).max(0.05), room.depth * 0.7);
    row.extend(draw_plain_part(draws, size).moved(DVec3::Y * (room.high - size.y / 2.0)));
    row
}
