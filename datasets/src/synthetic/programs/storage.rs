//! Boxes divided into cells: open, closed, with drawers, doors, shelves and handles.

use glam::{DVec3, dvec3};
use jepa3d_schemas::Draws;

use super::cluster::{Bounds, Cluster};
use super::parts::{draw_block, draw_part, draw_plain_part};
use crate::synthetic::solids::{block, rod};

/// What all cells of one piece of furniture share.
#[derive(Clone, Copy)]
struct Style {
    wall: f64,
    handle: usize,
    gap: f64,
    is_backed: bool,
}

/// A cabinet of random cells, on feet or not, with something on it or not; its front looks to +z.
pub(super) fn draw_cabinet(draws: &mut Draws) -> Cluster {
    let size = dvec3(draws.range(0.3, 1.4), draws.range(0.25, 1.4), draws.range(0.2, 0.7));
    let style = Style {
        wall: draws.range(0.01, 0.04),
        handle: draws.index(5),
        gap: draws.range(0.002, 0.012),
        is_backed: draws.chance(0.7),
    };
    let mut cabinet = Cluster::default();
    divide_cell(draws, &mut cabinet, Bounds { low: -size / 2.0, high: size / 2.0 }, style, 3);
    if draws.chance(0.5) {
        let over = dvec3(1.06 * size.x, style.wall * draws.range(1.0, 2.5), 1.06 * size.z);
        cabinet.extend(Cluster::solid(draw_block(draws, over).moved(DVec3::Y * (size.y / 2.0)).solid(), 1));
    }
    match draws.index(3) {
        0 => {
            let (x, z, high) = (0.44 * size.x, 0.42 * size.z, draws.range(0.04, 0.25));
            let foot =
                draw_plain_part(draws, dvec3(0.05, high, 0.05)).moved(dvec3(x, -(size.y + high) / 2.0, z));
            cabinet.extend(foot.with_mirror_image(0).with_mirror_image(2).painted(1));
        }
        1 => {
            let plinth = dvec3(0.96 * size.x, 0.06, 0.92 * size.z);
            cabinet.extend(Cluster::solid(
                block(plinth.x, plinth.y, plinth.z).moved(0.0, -size.y / 2.0 - 0.02, 0.0),
                1,
            ));
        }
        _ => {}
    }
    if draws.chance(0.3) {
        let top =
            dvec3(size.x * draws.range(0.3, 1.0), draws.range(0.1, 0.6), size.z * draws.range(0.05, 0.8));
        let shift = (size.z - top.z) / 2.0 * draws.range(-1.0, 0.5);
        cabinet.extend(draw_part(draws, top).standing(size.y / 2.0).moved(DVec3::Z * shift).painted(2));
    }
    cabinet
}

/// Divides a cell by an upright or level wall, or fills it.
fn divide_cell(draws: &mut Draws, into: &mut Cluster, cell: Bounds, style: Style, depth: usize) {
    let size = cell.size();
    let axis = usize::from(size.y > size.x * draws.range(0.6, 1.4));
    if depth == 0 || size[axis] < 0.22 || draws.chance(0.15) {
        return fill_cell(draws, into, cell, style);
    }
    let n = [2, 2, 3, 4][draws.index(4)].min((size[axis] / 0.1) as usize);
    let is_even = draws.chance(0.6);
    let same = draws.chance(0.5);
    let mut low = cell.low[axis];
    let repeat = draws.clone();
    if same {
        // What the cells take from a copy is not drawn again.
        draws.bits();
    }
    for i in 0..n {
        let share = if is_even { 1.0 } else { draws.range(0.6, 1.4) };
        let high = if i + 1 == n {
            cell.high[axis]
        } else {
            (low + size[axis] / n as f64 * share).min(cell.high[axis])
        };
        let mut part = cell;
        (part.low[axis], part.high[axis]) = (low, high);
        if same {
            // Cells of one kind: all are filled from the same state.
            fill_cell(&mut repeat.clone(), into, part, style);
        } else {
            divide_cell(draws, into, part, style, depth - 1);
        }
        low = high;
    }
}

fn fill_cell(draws: &mut Draws, into: &mut Cluster, cell: Bounds, style: Style) {
    let (size, middle, wall) = (cell.size(), cell.middle(), style.wall);
    match draws.index(6) {
        0..=2 => {
            // A drawer or door: a body whose front stands out a little.
            into.add(block(size.x, size.y, size.z).moved(middle.x, middle.y, middle.z), 0);
            let front =
                dvec3(size.x - 2.0 * style.gap, size.y - 2.0 * style.gap, wall).max(DVec3::splat(0.01));
            let at = middle + DVec3::Z * (size.z / 2.0);
            into.extend(Cluster::solid(draw_block(draws, front).moved(at).solid(), 1));
            into.extend(make_handle(draws, style, front).moved(at + DVec3::Z * (wall / 2.0)));
        }
        3 | 4 => {
            into.extend(open_box(cell, style));
            for _ in 0..draws.index(3) {
                let y = cell.low.y + size.y * draws.range(0.25, 0.75);
                into.add(block(size.x, wall, size.z).moved(middle.x, y, middle.z), 0);
            }
            if draws.chance(0.3) {
                let item = size * dvec3(draws.range(0.2, 0.8), draws.range(0.3, 0.8), draws.range(0.3, 0.8));
                into.extend(
                    draw_part(draws, item)
                        .standing(cell.low.y + wall)
                        .moved(dvec3(middle.x, 0.0, middle.z))
                        .painted(2),
                );
            }
        }
        _ => {
            let uprights = [cell.low.x + wall / 2.0, cell.high.x - wall / 2.0];
            for (x, z) in uprights.into_iter().flat_map(|x| [cell.low.z, cell.high.z].map(|z| (x, z))) {
                into.add(rod(dvec3(x, cell.low.y, z), dvec3(x, cell.high.y, z), [wall / 2.0; 2], 4), 1);
            }
            into.add(block(size.x, wall, size.z).moved(middle.x, cell.low.y + wall / 2.0, middle.z), 0);
        }
    }
}

/// The walls of a cell that is open to the front.
fn open_box(cell: Bounds, style: Style) -> Cluster {
    let (size, middle, wall) = (cell.size(), cell.middle(), style.wall);
    let mut walls = Cluster::default();
    for y in [cell.low.y + wall / 2.0, cell.high.y - wall / 2.0] {
        walls.add(block(size.x, wall, size.z).moved(middle.x, y, middle.z), 0);
    }
    for x in [cell.low.x + wall / 2.0, cell.high.x - wall / 2.0] {
        walls.add(block(wall, size.y, size.z).moved(x, middle.y, middle.z), 0);
    }
    if style.is_backed {
        walls.add(block(size.x, size.y, wall).moved(middle.x, middle.y, cell.low.z + wall / 2.0), 0);
    }
    walls
}

/// A knob, a bar or none, in front of a panel.
fn make_handle(draws: &mut Draws, style: Style, front: DVec3) -> Cluster {
    let (long, out) = (front.x.min(front.y) * 0.5, 0.03);
    let handle = match style.handle {
        0 => return Cluster::default(),
        1 => draw_plain_part(&mut draws.clone(), DVec3::splat(0.035)).moved(DVec3::Z * 0.012),
        2 => Cluster::solid(rod(dvec3(-0.5 * long, 0.0, out), dvec3(0.5 * long, 0.0, out), [0.008; 2], 6), 2),
        3 => Cluster::solid(
            rod(
                dvec3(0.4 * front.x, -0.3 * front.y, out),
                dvec3(0.4 * front.x, 0.3 * front.y, out),
                [0.008; 2],
                6,
            ),
            2,
        ),
        _ => Cluster::solid(block(0.6 * front.x, 0.02, out), 2).moved(DVec3::Z * (out / 2.0)),
    };
    handle.painted(2)
}
