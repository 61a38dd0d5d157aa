//! A random part of a given size: a primitive, often carved, sometimes deformed.

use glam::{DMat3, DVec2, DVec3, dvec2, dvec3};
use jepa3d_schemas::Draws;

use super::carve::{Carving, Operation};
use super::cluster::Cluster;
use super::deform::deform;
use super::form::{Form, PosedForm, axis_turn, axis_vector};
use super::outlines::{draw_outline, draw_profile, draw_wall};
use crate::synthetic::curves::ring;
use crate::synthetic::solids::rotation;

/// A part whose box is about `size` about the origin, in one paint.
pub(super) fn draw_part(draws: &mut Draws, size: DVec3) -> Cluster {
    let mut carving = Carving::new(draw_form(draws, size));
    if draws.chance(0.35) {
        for _ in 0..1 + draws.index(2) {
            carve(draws, &mut carving, size);
        }
    }
    let mut surface = carving.into_surface();
    if draws.chance(0.3) {
        surface = deform(draws, surface);
    }
    Cluster::solid(surface, 0)
}

/// A part that is a plain primitive.
pub(super) fn draw_plain_part(draws: &mut Draws, size: DVec3) -> Cluster {
    Cluster::solid(draw_form(draws, size).solid(), 0)
}

/// A box, sharp or rounded.
pub(super) fn draw_block(draws: &mut Draws, size: DVec3) -> PosedForm {
    let least = size.min_element();
    let round = match draws.index(4) {
        0 | 1 => 0.0,
        2 => draws.range(0.05, 0.2) * least,
        _ => draws.range(0.2, 0.49) * least,
    };
    PosedForm::new(Form::Block { half: size / 2.0, round })
}

/// A random primitive whose box is `size` about the origin.
pub(super) fn draw_form(draws: &mut Draws, size: DVec3) -> PosedForm {
    match draws.index(20) {
        0..=4 => draw_block(draws, size),
        5..=7 => draw_superquadric(draws, size),
        8..=11 => draw_turned(draws, size),
        12 => draw_torus(draws, size),
        13 => draw_vessel(draws, size),
        _ => draw_extruded(draws, size),
    }
}

fn draw_superquadric(draws: &mut Draws, size: DVec3) -> PosedForm {
    let (polar, equatorial) = match draws.index(5) {
        0 | 1 => (1.0, 1.0),
        2 => (draws.range(0.25, 0.7), draws.range(0.25, 0.7)),
        3 => (draws.range(0.25, 0.5), 1.0),
        _ => (draws.range(0.4, 1.6), draws.range(0.4, 1.6)),
    };
    PosedForm::new(Form::Superquadric { half: size / 2.0, polar, equatorial })
}

/// The axis a body is turned about, mostly the one whose other two sides are the most alike.
fn draw_axis(draws: &mut Draws, size: DVec3) -> usize {
    if draws.chance(0.25) {
        return draws.index(3);
    }
    let unlike = |axis: usize| {
        let (a, b) = (size[(axis + 1) % 3], size[(axis + 2) % 3]);
        a.max(b) / a.min(b)
    };
    (0..3).min_by(|&a, &b| unlike(a).total_cmp(&unlike(b))).unwrap_or(1)
}

/// Sizes along the axes of a form that is turned by [`axis_turn`].
fn own_size(axis: usize, size: DVec3) -> DVec3 {
    axis_turn(axis).transpose() * size
}

fn draw_turned(draws: &mut Draws, size: DVec3) -> PosedForm {
    let axis = draw_axis(draws, size);
    let own = own_size(axis, size).abs();
    let profile = draw_profile(draws, own.x / 2.0, own.y);
    let depth = own.z / own.x;
    PosedForm::new(Form::Turned { profile, is_ring: false, depth }).turned(axis_turn(axis))
}

fn draw_vessel(draws: &mut Draws, size: DVec3) -> PosedForm {
    let profile = draw_wall(draws, size.x / 2.0, size.y);
    PosedForm::new(Form::Turned { profile, is_ring: false, depth: size.z / size.x })
}

fn draw_torus(draws: &mut Draws, size: DVec3) -> PosedForm {
    let axis = draw_axis(draws, size);
    let own = own_size(axis, size).abs();
    let tube = (own.y / 2.0).min(0.23 * own.x);
    let across = if draws.chance(0.7) { tube } else { draws.range(0.08, 0.23) * own.x };
    let sides = if draws.chance(0.25) { 4 } else { 10 };
    let circle = ring(sides, 0.5 / sides as f64);
    let profile = circle.iter().map(|c| dvec2(own.x / 2.0 - across + across * c.x, tube * c.y)).collect();
    PosedForm::new(Form::Turned { profile, is_ring: true, depth: own.z / own.x }).turned(axis_turn(axis))
}

fn draw_extruded(draws: &mut Draws, size: DVec3) -> PosedForm {
    // Mostly along the thinnest side.
    let thin = (0..3).min_by(|&a, &b| size[a].total_cmp(&size[b])).unwrap_or(2);
    let along = if draws.chance(0.6) { thin } else { draws.index(3) };
    let axis = (along + 2) % 3;
    let own = own_size(axis, size).abs();
    let outline = draw_outline(draws, dvec2(own.x, own.y));
    let mut outline: Vec<DVec2> = outline;
    if draws.chance(0.3) {
        outline = outline.into_iter().map(|p| -p).collect();
    }
    PosedForm::new(Form::Extruded { outline, half: own.z / 2.0 }).turned(axis_turn(axis))
}

/// One random operation on a part of the given size.
fn carve(draws: &mut Draws, carving: &mut Carving, size: DVec3) {
    match draws.index(8) {
        0 | 1 => drill(draws, carving, size),
        2 => notch(draws, carving, size),
        3 => slice(draws, carving, size),
        4 => {
            let at = draw_corner(draws, size) * draws.range(0.3, 0.9);
            let own = draw_size(draws, size, 0.3, 0.8);
            let tool = draw_form(draws, own);
            carving.apply(Operation::Difference, tool.moved(at));
        }
        5 => {
            let own = draw_size(draws, size, 0.7, 1.1);
            let tool = draw_form(draws, own);
            carving.apply(Operation::Intersection, tool.turned(draw_tilt(draws, 0.4)));
        }
        6 => hollow(draws, carving, size),
        _ => {
            let own = draw_size(draws, size, 0.3, 1.2);
            let tool = draw_form(draws, own);
            let at = draw_corner(draws, size) * draws.range(0.0, 0.8);
            carving.apply(Operation::Union, tool.turned(draw_tilt(draws, 0.6)).moved(at));
        }
    }
}

fn draw_size(draws: &mut Draws, size: DVec3, low: f64, high: f64) -> DVec3 {
    size * dvec3(draws.range(low, high), draws.range(low, high), draws.range(low, high))
}

/// A corner, the middle of an edge or of a face of a box, or its middle.
fn draw_corner(draws: &mut Draws, size: DVec3) -> DVec3 {
    let mut place = || [-0.5, 0.0, 0.5][draws.index(3)];
    size * dvec3(place(), place(), place())
}

/// A rotation about a random axis by at most an angle.
pub(super) fn draw_tilt(draws: &mut Draws, most: f64) -> DMat3 {
    rotation(draw_direction(draws), draws.range(-most, most))
}

/// A unit vector, uniform over all directions.
pub(super) fn draw_direction(draws: &mut Draws) -> DVec3 {
    dvec3(draws.normal(), draws.normal(), draws.normal()).normalize_or(DVec3::Y)
}

/// The axis along which a part is thinnest, or any.
fn draw_thin_axis(draws: &mut Draws, size: DVec3) -> usize {
    let thin = (0..3).min_by(|&a, &b| size[a].total_cmp(&size[b])).unwrap_or(1);
    if draws.chance(0.75) { thin } else { draws.index(3) }
}

/// One hole or a row of holes right through.
fn drill(draws: &mut Draws, carving: &mut Carving, size: DVec3) {
    let axis = draw_thin_axis(draws, size);
    let (u, v) = ((axis + 1) % 3, (axis + 2) % 3);
    let (row, across) = if size[u] > size[v] { (u, v) } else { (v, u) };
    let n = [1, 1, 2, 3][draws.index(4)];
    let pitch = size[row] / n as f64;
    let mut hole = axis_vector(axis, 1.3 * size[axis]);
    hole[row] = pitch * draws.range(0.3, 0.8);
    hole[across] = if draws.chance(0.5) {
        hole[row].min(0.8 * size[across])
    } else {
        size[across] * draws.range(0.3, 0.8)
    };
    let shape = draws.index(3);
    let tool = match shape {
        0 => draw_block(draws, hole),
        1 => {
            let own = own_size(axis, hole).abs();
            let radius = own.x / 2.0;
            let profile = vec![dvec2(radius, -own.y / 2.0), dvec2(radius, 0.0), dvec2(radius, own.y / 2.0)];
            let depth = own.z / own.x;
            PosedForm::new(Form::Turned { profile, is_ring: false, depth }).turned(axis_turn(axis))
        }
        _ => {
            let own = own_size((axis + 1) % 3, hole).abs();
            let outline = draw_outline(draws, dvec2(own.x, own.y));
            PosedForm::new(Form::Extruded { outline, half: own.z / 2.0 }).turned(axis_turn((axis + 1) % 3))
        }
    };
    for i in 0..n {
        let place = pitch * (i as f64 - (n as f64 - 1.0) / 2.0);
        carving.apply(Operation::Difference, tool.clone().moved(axis_vector(row, place)));
    }
}

/// A slot across one face.
fn notch(draws: &mut Draws, carving: &mut Carving, size: DVec3) {
    let axis = draws.index(3);
    let (along, across) = ((axis + 1 + draws.index(2)) % 3, draws.range(0.15, 0.5));
    let mut slot = size * across;
    slot[along] = 1.3 * size[along];
    slot[axis] = size[axis] * draws.range(0.3, 1.0);
    let at = axis_vector(axis, if draws.chance(0.5) { 0.5 * size[axis] } else { -0.5 * size[axis] });
    carving
        .apply(Operation::Difference, PosedForm::new(Form::Block { half: slot / 2.0, round: 0.0 }).moved(at));
}

/// A plane cut.
fn slice(draws: &mut Draws, carving: &mut Carving, size: DVec3) {
    let normal = if draws.chance(0.4) { axis_vector(draws.index(3), 1.0) } else { draw_direction(draws) };
    let axis = (0..3).max_by(|&a, &b| normal[a].abs().total_cmp(&normal[b].abs())).unwrap_or(0);
    let large = 1.5 * size.max_element();
    let reach = (normal * size).length() / 2.0;
    let other = axis_vector((axis + 1) % 3, 1.0);
    let side = normal.cross(other).normalize_or(DVec3::X);
    let turn = DMat3::from_cols(side, normal, side.cross(normal));
    let at = normal * (large / 2.0 + reach * draws.range(0.0, 0.7));
    let tool = PosedForm::new(Form::Block { half: DVec3::splat(large / 2.0), round: 0.0 });
    carving.apply(Operation::Difference, tool.turned(turn).moved(at));
}

/// Takes the inside away through one face.
fn hollow(draws: &mut Draws, carving: &mut Carving, size: DVec3) {
    let axis = draws.index(3);
    let wall = draws.range(0.05, 0.15) * size.min_element().max(0.25 * size.max_element());
    let mut inner = (size - 2.0 * wall).max(0.3 * size);
    inner[axis] = size[axis];
    let side = if draws.chance(0.5) { 1.0 } else { -1.0 };
    let shift = wall.min(0.3 * size[axis]);
    let tool = match draws.index(3) {
        0 => PosedForm::new(Form::Superquadric { half: inner / 2.0, polar: 0.5, equatorial: 0.6 }),
        _ => draw_block(draws, inner),
    };
    carving.apply(Operation::Difference, tool.moved(axis_vector(axis, side * shift)));
}
