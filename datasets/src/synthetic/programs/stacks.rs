//! Objects about an axis or a pattern: towers, wheels and flowers, vessels, heaps, arrays, lattices and sheets.

use glam::{DVec3, dvec3};
use jepa3d_schemas::Draws;
use std::f64::consts::TAU;

use super::carve::{Carving, Operation};
use super::cluster::Cluster;
use super::deform::deform_cluster;
use super::form::{Form, PosedForm, axis_turn};
use super::outlines::draw_wall;
use super::parts::{draw_form, draw_part, draw_plain_part, draw_tilt};
use super::sheets::{draw_ribbon, draw_sheet};
use super::thin::{draw_coil, draw_curved_bar, draw_lattice, draw_section, sweep};
use crate::synthetic::curves::spline;
use crate::synthetic::solids::{disc, rotation};

/// Parts on top of each other about one axis.
pub(super) fn draw_tower(draws: &mut Draws) -> Cluster {
    let (mut tower, mut level, mut width) = (Cluster::default(), 0.0, draws.range(0.2, 0.8));
    let is_round = draws.chance(0.5);
    for storey in 0..2 + draws.index(5) {
        let depth = if is_round { width } else { width * draws.range(0.5, 1.2) };
        let size = dvec3(width, [draws.range(0.02, 0.15), draws.range(0.1, 0.7)][draws.index(2)], depth);
        let part = if draws.chance(0.7) { draw_plain_part(draws, size) } else { draw_part(draws, size) };
        tower.extend(part.standing(level).painted(storey as u8 % 3));
        level += size.y * 0.97;
        width = (width * draws.range(0.35, 1.6)).clamp(0.04, 0.9);
    }
    if draws.chance(0.3) {
        let size = DVec3::splat(draws.range(0.1, 0.4));
        let side = draw_part(draws, size).moved(dvec3(0.3, draws.unit() * level, 0.0));
        tower.extend(side.around_axis(2 + draws.index(4)));
    }
    tower
}

/// Spokes, blades or petals around a hub, with or without a rim.
pub(super) fn draw_wheel(draws: &mut Draws) -> Cluster {
    let (n, hub) = (3 + draws.index(10), draws.range(0.05, 0.25));
    let long = 0.5 - 0.5 * hub;
    let spoke = match draws.index(4) {
        0 => draw_sheet(draws).stretched(dvec3(long, draws.range(0.02, 0.2), draws.range(0.05, 0.3))),
        1 => draw_curved_bar(draws).stretched(dvec3(long, draws.range(0.02, 0.15), draws.range(0.02, 0.1))),
        _ => {
            let size = dvec3(long, draws.range(0.01, 0.12), draws.range(0.01, 0.2));
            draw_plain_part(draws, size)
        }
    };
    let pitch = if draws.chance(0.5) { draws.range(-0.8, 0.8) } else { 0.0 };
    let spoke = spoke.turned(rotation(DVec3::X, pitch)).turned(rotation(DVec3::Z, draws.range(-0.4, 0.7)));
    let mut wheel = spoke.moved(DVec3::X * (0.45 * hub + long / 2.0)).around_axis(n);
    let hub_size = dvec3(2.0 * hub, draws.range(0.05, 0.4), 2.0 * hub);
    wheel.extend(draw_plain_part(draws, hub_size).painted(1));
    if draws.chance(0.4) {
        let tube = draws.range(0.01, 0.06);
        let profile = crate::synthetic::curves::ring(8, 0.0)
            .iter()
            .map(|c| glam::dvec2(0.5 + tube * c.x, tube * c.y))
            .collect();
        wheel.add(Form::Turned { profile, is_ring: true, depth: 1.0 }.solid(), 2);
    }
    match draws.index(3) {
        0 => wheel,
        1 => wheel.turned(axis_turn(2)),
        _ => {
            let level = draws.range(0.4, 1.0);
            let mut fan = wheel.turned(axis_turn(2)).moved(dvec3(0.0, level, 0.1));
            fan.extend(draw_plain_part(draws, dvec3(0.08, level, 0.08)).standing(0.0).painted(2));
            fan.add(disc(draws.range(0.15, 0.35), 0.0, draws.range(0.02, 0.08), 20), 2);
            fan
        }
    }
}

/// A hollow body: turned walls or a carved block, with handles, a foot, a lid.
pub(super) fn draw_hollow(draws: &mut Draws) -> Cluster {
    let size = dvec3(draws.range(0.25, 0.9), draws.range(0.2, 0.9), draws.range(0.25, 0.9));
    let mut vessel = if draws.chance(0.5) {
        let depth = if draws.chance(0.6) { 1.0 } else { size.z / size.x };
        let profile = draw_wall(draws, size.x / 2.0, size.y);
        Cluster::solid(Form::Turned { profile, is_ring: false, depth }.solid(), 0)
    } else {
        draw_basin(draws, size)
    };
    let bounds = vessel.bounds();
    if draws.chance(0.45) {
        let handle = draw_handle(draws, bounds.size()).moved(bounds.middle());
        vessel.extend(if draws.chance(0.4) { handle.with_mirror_image(0) } else { handle });
    }
    if draws.chance(0.5) {
        let foot =
            dvec3(size.x * draws.range(0.3, 0.9), draws.range(0.03, 0.5), size.z * draws.range(0.3, 0.9));
        let part = if draws.chance(0.5) { draw_plain_part(draws, foot) } else { draw_part(draws, foot) };
        vessel.extend(part.moved(DVec3::Y * (bounds.low.y - 0.48 * foot.y)).painted(1));
    }
    if draws.chance(0.3) {
        let lid = dvec3(bounds.size().x, draws.range(0.02, 0.15), bounds.size().z);
        let open = if draws.chance(0.5) { 0.0 } else { draws.range(0.3, 1.8) };
        let lid =
            draw_plain_part(draws, lid).moved(dvec3(0.0, 0.0, lid.z / 2.0)).turned(rotation(DVec3::X, -open));
        vessel.extend(lid.moved(dvec3(0.0, bounds.high.y, bounds.low.z)).painted(2));
    }
    if draws.chance(0.25) {
        let tank = dvec3(size.x * draws.range(0.5, 1.1), draws.range(0.2, 0.9), draws.range(0.08, 0.3));
        vessel.extend(
            draw_part(draws, tank).moved(dvec3(0.0, draws.range(-0.1, 0.5), bounds.low.z)).painted(0),
        );
    }
    vessel
}

/// A block or ellipsoid with a smaller one taken out of its top.
fn draw_basin(draws: &mut Draws, size: DVec3) -> Cluster {
    let mut carving = Carving::new(draw_form(draws, size));
    let wall = draws.range(0.03, 0.12);
    let inner = (size - 2.0 * wall).max(0.5 * size);
    let exponent = draws.range(0.3, 1.0);
    let tool = if draws.chance(0.5) {
        PosedForm::new(Form::Superquadric { half: inner / 2.0, polar: exponent, equatorial: exponent })
    } else {
        draw_form(draws, inner)
    };
    let cut = dvec3(1.2, 1.0, 1.2) * size;
    if draws.chance(0.6) {
        let top = PosedForm::new(Form::Block { half: cut / 2.0, round: 0.0 });
        carving.apply(Operation::Difference, top.moved(DVec3::Y * (size.y * draws.range(0.6, 0.95))));
    }
    carving.apply(Operation::Difference, tool.moved(DVec3::Y * (size.y * draws.range(0.0, 0.5))));
    Cluster::solid(carving.into_surface(), 0)
}

/// A bent bar at the right side of a box about the origin.
fn draw_handle(draws: &mut Draws, size: DVec3) -> Cluster {
    let (x, out) = (0.46 * size.x, size.x * draws.range(0.1, 0.5));
    let (top, bottom) = (size.y * draws.range(0.1, 0.45), -size.y * draws.range(0.0, 0.4));
    let knots = [
        dvec3(x, top, 0.0),
        dvec3(x + out, 0.8 * top, 0.0),
        dvec3(x + 0.9 * out, bottom, 0.0),
        dvec3(x, bottom, 0.0),
    ];
    let (radius, section) = (draws.range(0.015, 0.06) * size.max_element(), draw_section(draws));
    Cluster::solid(sweep(&spline(&knots, 6), &section, |_| radius), 1)
}

/// Random parts in random places, as the shapes of arXiv 2411.17467.
pub(super) fn draw_heap(draws: &mut Draws) -> Cluster {
    let mut heap = Cluster::default();
    for i in 0..1 + draws.index(8) {
        let size = draws.range(0.15, 0.7)
            * dvec3(draws.range(0.2, 1.0), draws.range(0.2, 1.0), draws.range(0.2, 1.0));
        let turn = if draws.chance(0.5) { draw_tilt(draws, 3.1) } else { glam::DMat3::IDENTITY };
        let at = dvec3(draws.range(-0.4, 0.4), draws.range(-0.4, 0.4), draws.range(-0.4, 0.4));
        let part = match draws.index(8) {
            0 => draw_sheet(draws).stretched(size),
            1 => draw_lattice(draws).stretched(size),
            2 => draw_coil(draws).stretched(size),
            _ => draw_part(draws, size),
        };
        heap.extend(part.turned(turn).moved(at).painted(i as u8 % 3));
        if heap.triangles() > 5000 {
            break;
        }
    }
    if draws.chance(0.4) { heap.with_mirror_image(0) } else { heap }
}

/// One part many times, in a row, a grid or a ring, some on a common base.
pub(super) fn draw_array(draws: &mut Draws) -> Cluster {
    let size = dvec3(draws.range(0.1, 0.5), draws.range(0.1, 0.8), draws.range(0.1, 0.5));
    let part = match draws.index(5) {
        0 => draw_sheet(draws).stretched(size),
        1 => draw_curved_bar(draws).stretched(size * dvec3(0.5, 1.0, 0.5)),
        2 => draw_part(draws, size),
        _ => draw_plain_part(draws, size),
    };
    let room = (6000 / part.triangles().max(1)).max(2);
    let (pitch, base) = (draws.range(0.7, 1.6), draws.chance(0.5));
    let array = match draws.index(4) {
        0 => part.standing(0.0).in_row((2 + draws.index(7)).min(room), DVec3::X * (pitch * size.x)),
        1 => {
            let n = (2 + draws.index(3)).min(room);
            let row = part.standing(0.0).in_row(n, DVec3::X * (pitch * size.x));
            row.in_row((2 + draws.index(3)).min((room / n).max(1)), DVec3::Z * (pitch * size.z))
        }
        2 => {
            let lean = rotation(DVec3::Z, draws.range(-0.5, 0.5));
            let out = size.x * draws.range(0.6, 1.8);
            part.standing(0.0).turned(lean).moved(DVec3::X * out).around_axis((3 + draws.index(7)).min(room))
        }
        _ => {
            // Steps.
            let n = (3 + draws.index(6)).min(room);
            part.in_row(n, dvec3(0.0, size.y * draws.range(0.3, 1.0), size.z * pitch))
        }
    };
    if base { put_on_plate(draws, array) } else { array }
}

/// A cluster with a plate under all of it.
fn put_on_plate(draws: &mut Draws, mut cluster: Cluster) -> Cluster {
    let bounds = cluster.bounds();
    let (size, middle) = (bounds.size(), bounds.middle());
    let size = dvec3(1.1 * size.x, draws.range(0.02, 0.1), 1.1 * size.z);
    let plate = draw_plain_part(draws, size).standing(bounds.low.y - 0.9 * size.y);
    cluster.extend(plate.moved(dvec3(middle.x, 0.0, middle.z)).painted(1));
    cluster
}

/// A lattice, some with plates or parts in it.
pub(super) fn draw_frame(draws: &mut Draws) -> Cluster {
    let stretch = dvec3(draws.range(0.3, 1.0), draws.range(0.3, 1.0), draws.range(0.3, 1.0));
    let mut frame = draw_lattice(draws).map(|p| p * stretch);
    if draws.chance(0.6) {
        let size = frame.bounds().size() * draws.range(0.4, 1.0);
        let part = if draws.chance(0.5) { draw_sheet(draws).stretched(size) } else { draw_part(draws, size) };
        frame.extend(part.painted(1));
    }
    if draws.chance(0.3) { deform_cluster(draws, frame) } else { frame }
}

/// One to four sheets and ribbons.
pub(super) fn draw_sheets(draws: &mut Draws) -> Cluster {
    let mut sheets = draw_sheet(draws);
    for i in 0..draws.index(4) {
        let more = if draws.chance(0.6) { draw_sheet(draws) } else { draw_ribbon(draws) };
        let at = dvec3(draws.range(-0.3, 0.3), draws.range(-0.3, 0.3), draws.range(-0.3, 0.3));
        let size = draws.range(0.3, 0.9);
        sheets.extend(more.turned(draw_tilt(draws, 1.6)).map(|p| p * size).moved(at).painted(i as u8 % 3));
    }
    if draws.chance(0.4) {
        let n = 2 + draws.index(3);
        sheets = sheets.moved(DVec3::X * draws.range(0.2, 0.7)).around_axis(n);
    } else if draws.chance(0.4) {
        sheets = sheets.moved(DVec3::X * draws.range(0.0, 0.5)).with_mirror_image(0);
    }
    sheets.turned(rotation(DVec3::Z, [0.0, TAU / 4.0][draws.index(2)]))
}
