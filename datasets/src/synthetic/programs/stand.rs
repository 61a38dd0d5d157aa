//! Things that stand: plates on supports, in one or more storeys, with what rises behind, beside or on them.

use glam::{DVec3, dvec2, dvec3};
use jepa3d_schemas::Draws;

use super::carve::{Carving, Operation};
use super::cluster::Cluster;
use super::form::{Form, PosedForm, axis_turn};
use super::legs::{Storey, draw_supports};
use super::outlines::draw_outline;
use super::parts::{draw_block, draw_part, draw_plain_part};
use super::sheets::draw_sheet;
use super::thin::grille;
use crate::synthetic::solids::{disc, rod, rotation};

/// A stand of one to three storeys.
pub(super) fn draw_stand(draws: &mut Draws) -> Cluster {
    let (width, depth) = (draws.range(0.35, 1.3), draws.range(0.35, 0.9));
    let height = [draws.range(0.08, 0.3), draws.range(0.3, 0.6), draws.range(0.5, 1.2)][draws.index(3)];
    let storeys = [1, 1, 1, 1, 2, 3][draws.index(6)];
    let mut stand = Cluster::default();
    let mut reach = 1.0;
    let (mut low, mut room) = (0.0, Storey { width, depth, low: 0.0, high: height });
    for storey in 0..storeys {
        let high = low + height * draws.range(0.7, 1.2);
        room = Storey { low, high, ..room };
        stand.extend(draw_supports(draws, room));
        let thick = draws.range(0.015, 0.14) * if draws.chance(0.2) { 2.0 } else { 1.0 };
        let plate = draw_plate(draws, room, thick);
        reach = find_reach(&plate);
        stand.extend(plate);
        low = high + thick;
        if storey + 1 < storeys && draws.chance(0.4) {
            (room.width, room.depth) =
                (room.width * draws.range(0.5, 1.0), room.depth * draws.range(0.5, 1.0));
        }
    }
    room.low = low;
    (room.width, room.depth) = (room.width * reach, room.depth * reach);
    for _ in 0..[0, 1, 1, 2][draws.index(4)] {
        stand.extend(draw_upper(draws, room));
    }
    stand
}

/// How far along the diagonals of its box a plate reaches, for what stands on its corners.
fn find_reach(plate: &Cluster) -> f64 {
    let half = plate.bounds().size() / 2.0;
    let points = plate.pieces.iter().flat_map(|piece| &piece.surface.positions);
    let along = |p: &DVec3| (p.x.abs() / half.x).min(p.z.abs() / half.z);
    points.map(along).fold(0.0, f64::max).clamp(0.5, 1.0)
}

/// The plate on top of a storey.
fn draw_plate(draws: &mut Draws, room: Storey, thick: f64) -> Cluster {
    let over = draws.range(0.98, 1.2);
    let size = dvec3(room.width * over, thick, room.depth * over);
    let plate = match draws.index(6) {
        0 | 1 => Cluster::solid(draw_block(draws, size).solid(), 0),
        2 => {
            let outline = draw_outline(draws, dvec2(size.x, size.z));
            let form = PosedForm::new(Form::Extruded { outline, half: thick / 2.0 });
            Cluster::solid(form.turned(axis_turn(0)).solid(), 0).stretched(size)
        }
        3 => Cluster::solid(disc(0.5, -0.5 * thick, 0.5 * thick, 28), 0).stretched(size),
        4 => draw_sunken(draws, size),
        _ => draw_part(draws, size),
    };
    plate.moved(DVec3::Y * (room.high + thick / 2.0))
}

/// A block with a basin in its top.
fn draw_sunken(draws: &mut Draws, size: DVec3) -> Cluster {
    let deep = size.y.max(0.12);
    let mut carving = Carving::new(draw_block(draws, dvec3(size.x, deep, size.z)));
    let inner = dvec3(size.x * draws.range(0.5, 0.9), 1.6 * deep, size.z * draws.range(0.5, 0.9));
    let tool = if draws.chance(0.5) {
        PosedForm::new(Form::Superquadric {
            half: inner / 2.0,
            polar: draws.range(0.3, 1.0),
            equatorial: draws.range(0.3, 1.0),
        })
    } else {
        draw_block(draws, inner)
    };
    carving.apply(Operation::Difference, tool.moved(DVec3::Y * (deep * 0.9)));
    Cluster::solid(carving.into_surface(), 0)
}

/// What is above the top plate.
fn draw_upper(draws: &mut Draws, room: Storey) -> Cluster {
    match draws.index(8) {
        0..=2 => draw_back(draws, room),
        3 => draw_back(draws, room).with_mirror_image(2),
        4 => draw_arms(draws, room),
        5 => draw_posts(draws, room),
        6 => {
            let size = dvec3(
                room.width * draws.range(0.2, 0.9),
                draws.range(0.05, 0.6),
                room.depth * draws.range(0.2, 0.9),
            );
            draw_part(draws, size).standing(room.low - 0.005).painted(2)
        }
        _ => {
            let n = 1 + draws.index(4);
            let size = dvec3(
                0.8 * room.width / n as f64,
                draws.range(0.04, 0.4),
                room.depth * draws.range(0.3, 0.9),
            );
            draw_part(draws, size)
                .standing(room.low - 0.005)
                .painted(2)
                .in_row(n, DVec3::X * (room.width / n as f64))
        }
    }
}

/// A panel, a curved shell, or a frame with bars at the rear edge, leaning a little.
fn draw_back(draws: &mut Draws, room: Storey) -> Cluster {
    let (width, height, thick) =
        (room.width * draws.range(0.8, 1.05), draws.range(0.15, 1.0), draws.range(0.015, 0.12));
    let lean = if draws.chance(0.6) { draws.range(0.0, 0.4) } else { 0.0 };
    let back = match draws.index(5) {
        0 | 1 => draw_part(draws, dvec3(width, height, thick)),
        2 => draw_sheet(draws).stretched(dvec3(width, height, 2.0 * thick)),
        _ => {
            let radius = draws.range(0.008, 0.03);
            grille(dvec2(width, height), 2 + draws.index(6), 1 + draws.index(4), radius)
        }
    };
    let z = -0.5 * room.depth + thick / 2.0;
    back.moved(DVec3::Y * (height / 2.0))
        .map(move |p| dvec3(p.x, p.y + room.low - 0.01, p.z + z - lean * p.y))
        .painted(2)
}

/// Rests at both sides.
fn draw_arms(draws: &mut Draws, room: Storey) -> Cluster {
    let (high, thick) = (draws.range(0.1, 0.4), draws.range(0.02, 0.18));
    let x = 0.5 * room.width - thick / 2.0 * draws.range(-1.0, 1.0);
    let rest = if draws.chance(0.5) {
        draw_part(draws, dvec3(thick, high, room.depth)).moved(dvec3(x, room.low + high / 2.0, 0.0))
    } else {
        let level = dvec3(thick, draws.range(0.02, 0.06), room.depth * draws.range(0.6, 1.0));
        let mut rest = draw_plain_part(draws, level).moved(dvec3(x, room.low + high, 0.0));
        let z = 0.4 * level.z;
        for end in [-z, z] {
            rest.add(
                rod(
                    dvec3(x, room.low - 0.01, end),
                    dvec3(x, room.low + high, end),
                    [0.3 * thick.min(0.06); 2],
                    6,
                ),
                1,
            );
        }
        rest
    };
    rest.with_mirror_image(0).painted(2)
}

/// Four posts, some with a roof.
fn draw_posts(draws: &mut Draws, room: Storey) -> Cluster {
    let (high, radius) = (draws.range(0.2, 1.0), draws.range(0.01, 0.04));
    let (x, z) = (0.47 * room.width, 0.47 * room.depth);
    let post = rod(dvec3(x, room.low - 0.01, z), dvec3(x, room.low + high, z), [radius; 2], 6);
    let mut posts = Cluster::solid(post, 1).with_mirror_image(2).with_mirror_image(0);
    match draws.index(3) {
        0 => {
            let roof = dvec3(room.width * 1.05, draws.range(0.02, 0.3), room.depth * 1.05);
            posts.extend(draw_part(draws, roof).standing(room.low + high - 0.01).painted(0));
        }
        1 => {
            let frame = grille(dvec2(2.0 * x, 2.0 * z), 2, 2, radius).turned(axis_turn(0));
            posts.extend(
                frame
                    .turned(rotation(DVec3::Y, std::f64::consts::FRAC_PI_2))
                    .stretched(dvec3(2.0 * x, 2.0 * radius, 2.0 * z))
                    .moved(DVec3::Y * (room.low + high)),
            );
        }
        _ => {}
    }
    posts
}
