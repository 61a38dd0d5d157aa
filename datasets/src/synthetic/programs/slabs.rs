//! Flat and soft bodies: screens and covers on stands and hinges, cushions between arms and a back.

use glam::{DVec3, dvec3};
use jepa3d_schemas::Draws;
use std::f64::consts::TAU;

use super::carve::{Carving, Operation};
use super::cluster::Cluster;
use super::form::{Form, PosedForm};
use super::parts::{draw_block, draw_part, draw_plain_part};
use crate::synthetic::solids::{block, rod, rotation};

/// A panel, flat or deep, on a neck and a foot, on a hinge, or on its own.
pub(super) fn draw_panel_on_foot(draws: &mut Draws) -> Cluster {
    let size = dvec3(draws.range(0.3, 1.2), draws.range(0.25, 0.9), draws.range(0.02, 0.12));
    let panel = draw_panel(draws, size);
    match draws.index(4) {
        0 => {
            // Two leaves on a hinge.
            let base = dvec3(size.x, draws.range(0.02, 0.1), size.y * draws.range(0.7, 1.2));
            let mut both = draw_part(draws, base).moved(dvec3(0.0, -base.y / 2.0, base.z / 2.0)).painted(1);
            let lean = rotation(DVec3::X, -draws.range(-0.2, 0.9));
            both.extend(panel.moved(DVec3::Y * (size.y / 2.0)).turned(lean));
            both
        }
        1 => panel,
        _ => {
            let lean = rotation(DVec3::X, draws.range(-0.25, 0.25));
            let mut whole = panel.turned(lean);
            let low = whole.bounds().low.y;
            let drop = draws.range(0.03, 0.35);
            let neck = dvec3(draws.range(0.03, 0.3) * size.x, drop + 0.3 * size.y, draws.range(0.02, 0.08));
            let neck =
                draw_plain_part(draws, neck).moved(dvec3(0.0, low - drop / 2.0 + 0.15 * size.y, -size.z));
            whole.extend(neck.painted(1));
            let foot =
                dvec3(size.x * draws.range(0.25, 0.8), draws.range(0.01, 0.06), draws.range(0.12, 0.4));
            whole.extend(draw_plain_part(draws, foot).moved(DVec3::Y * (low - drop)).painted(1));
            whole
        }
    }
}

/// A board with a sunken face, or with a body behind it that narrows, or plain; its front looks to +z.
fn draw_panel(draws: &mut Draws, size: DVec3) -> Cluster {
    let mut carving = Carving::new(draw_block(draws, size));
    if draws.chance(0.6) {
        let margin = draws.range(0.02, 0.08);
        let inner = dvec3(size.x - 2.0 * margin, size.y - 2.0 * margin, draws.range(0.2, 1.0) * size.z);
        let tool = PosedForm::new(Form::Block { half: inner / 2.0, round: 0.0 });
        carving.apply(Operation::Difference, tool.moved(DVec3::Z * (size.z / 2.0)));
    }
    let mut panel = Cluster::solid(carving.into_surface(), 0);
    if draws.chance(0.35) {
        let deep = draws.range(0.1, 0.6);
        let narrow = draws.range(0.3, 0.9);
        let body = block(0.9 * size.x, 0.9 * size.y, deep).map(|p| {
            let scale = narrow + (1.0 - narrow) * (p.z / deep + 0.5);
            dvec3(p.x * scale, p.y * scale, p.z)
        });
        panel.add(body.moved(0.0, 0.0, -(deep + size.z) / 2.0 + 0.005), 1);
    }
    panel
}

/// Cushions in a row on a base, with arms, a back, and what the base stands on.
pub(super) fn draw_cushions(draws: &mut Draws) -> Cluster {
    let (n, depth) = (1 + draws.index(3), draws.range(0.45, 1.6));
    let (width, thick) = (draws.range(0.4, 0.8), draws.range(0.08, 0.25));
    let whole = width * n as f64;
    let mut sofa = Cluster::default();
    let seat = dvec3(width * draws.range(0.93, 1.0), thick, depth);
    let seat = draw_cushion(draws, seat);
    sofa.extend(seat.in_row(n, DVec3::X * width));
    let base = dvec3(whole * draws.range(0.95, 1.05), draws.range(0.05, 0.3), depth * draws.range(0.9, 1.05));
    let under = Cluster::solid(draw_block(draws, base).solid(), 1);
    sofa.extend(under.moved(DVec3::Y * (-0.5 * (thick + base.y) + 0.01)));
    if draws.chance(0.75) {
        let back = dvec3(width, draws.range(0.2, 0.8), draws.range(0.06, 0.3));
        let lean = rotation(DVec3::X, -draws.range(0.0, 0.35));
        let at = dvec3(0.0, -thick / 2.0, -depth / 2.0 - 0.3 * back.z);
        let single = draws.chance(0.5);
        let (n, size) = if single { (1, dvec3(whole, back.y, back.z)) } else { (n, back) };
        let rest = draw_cushion(draws, size).moved(DVec3::Y * (back.y / 2.0)).turned(lean).moved(at);
        sofa.extend(rest.in_row(n, DVec3::X * width).painted(if single { 1 } else { 0 }));
    }
    if draws.chance(0.6) {
        let arm = dvec3(draws.range(0.06, 0.25), base.y + thick + draws.range(0.0, 0.3), depth);
        let at = dvec3((whole + arm.x) / 2.0, arm.y / 2.0 - thick / 2.0 - base.y, 0.0);
        sofa.extend(draw_cushion(draws, arm).moved(at).with_mirror_image(0).painted(1));
    }
    sofa.extend(draw_low_feet(draws, base).moved(DVec3::Y * (-thick / 2.0 - base.y)));
    let count = draws.index(3);
    for _ in 0..count {
        let pillow =
            draw_cushion(draws, dvec3(0.35, 0.12, 0.25)).turned(rotation(DVec3::Y, draws.range(0.0, TAU)));
        let at = dvec3(draws.range(-0.4, 0.4) * whole, thick / 2.0 + 0.05, draws.range(-0.4, 0.2) * depth);
        sofa.extend(pillow.moved(at).painted(2));
    }
    sofa
}

/// A soft box.
fn draw_cushion(draws: &mut Draws, size: DVec3) -> Cluster {
    let half = size / 2.0;
    let form = match draws.index(3) {
        0 => Form::Superquadric { half, polar: draws.range(0.3, 0.7), equatorial: draws.range(0.2, 0.4) },
        1 => Form::Block { half, round: draws.range(0.25, 0.49) * size.min_element() },
        _ => Form::Block { half, round: draws.range(0.02, 0.2) * size.min_element() },
    };
    Cluster::solid(form.solid(), 0)
}

/// Short feet under the corners of a base, from `y = 0` downwards, or none.
fn draw_low_feet(draws: &mut Draws, base: DVec3) -> Cluster {
    if draws.chance(0.35) {
        return Cluster::default();
    }
    let (x, z) = (0.45 * base.x, 0.45 * base.z);
    let (high, radius) = (draws.range(0.03, 0.3), draws.range(0.015, 0.05));
    let foot = rod(dvec3(x, -high, z), dvec3(x, 0.02, z), [0.7 * radius, radius], [4, 8][draws.index(2)]);
    Cluster::solid(foot, 2).with_mirror_image(0).with_mirror_image(2)
}
