//! Closed forms and boolean cuts against the membership of points told by solid angles of triangles.

use glam::{DVec3, dvec3};
use jepa3d_schemas::Draws;
use std::f64::consts::TAU;

use super::carve::{Carving, Operation, append, area};
use super::form::PosedForm;
use super::parts::{draw_direction, draw_form, draw_tilt};
use super::refine::{clip, refine};
use crate::synthetic::solids::{Solid, block};

/// How far facets may lie from the curved surface they stand for.
const SAGITTA: f64 = 0.03;

/// How often a surface winds around a point (van Oosterom and Strackee): the oracle, which knows no closed form.
fn winding(surface: &Solid, p: DVec3) -> f64 {
    let angle = |t: &[u32; 3]| {
        let [a, b, c] = t.map(|i| surface.positions[i as usize] - p);
        let (la, lb, lc) = (a.length(), b.length(), c.length());
        let below = la * lb * lc + a.dot(b) * lc + b.dot(c) * la + c.dot(a) * lb;
        2.0 * a.dot(b.cross(c)).atan2(below)
    };
    surface.triangles.iter().map(angle).sum::<f64>() / (2.0 * TAU)
}

fn draw_size(draws: &mut Draws) -> DVec3 {
    dvec3(draws.range(0.25, 1.0), draws.range(0.25, 1.0), draws.range(0.25, 1.0))
}

fn draw_point(draws: &mut Draws) -> DVec3 {
    dvec3(draws.range(-0.7, 0.7), draws.range(-0.7, 0.7), draws.range(-0.7, 0.7))
}

/// Points spread over a surface by area.
fn points_on(surface: &Solid, count: usize, draws: &mut Draws) -> Vec<DVec3> {
    let at = |i: u32| surface.positions[i as usize];
    let areas: Vec<f64> = surface
        .triangles
        .iter()
        .map(|&[a, b, c]| (at(b) - at(a)).cross(at(c) - at(a)).length() / 2.0)
        .collect();
    let total: f64 = areas.iter().sum();
    (0..count)
        .map(|_| {
            let mut left = draws.unit() * total;
            let t = areas.iter().position(|area| (left -= area, left <= 0.0).1).unwrap_or(areas.len() - 1);
            let (u, v) = (draws.unit().sqrt(), draws.unit());
            let [a, b, c] = surface.triangles[t].map(at);
            a * (1.0 - u) + b * (u * (1.0 - v)) + c * (u * v)
        })
        .collect()
}

#[test]
fn a_form_is_inside_where_its_surface_winds_around() {
    let mut draws = Draws::new(0, "forms", "test");
    for case in 0..150 {
        let size = draw_size(&mut draws);
        let form = draw_form(&mut draws, size).turned(draw_tilt(&mut draws, 3.0));
        let surface = form.solid();
        for _ in 0..25 {
            let p = draw_point(&mut draws);
            let distance = form.distance(p);
            if distance.abs() > SAGITTA {
                let winds = winding(&surface, p);
                assert!(
                    (winds - f64::from(distance < 0.0)).abs() < 1e-6,
                    "{case} {form:?}: {p}: {distance} {winds}"
                );
            }
        }
        let off = points_on(&surface, 50, &mut draws).into_iter().map(|p| form.distance(p).abs());
        assert!(off.fold(0.0, f64::max) < SAGITTA, "{case} {form:?}");
    }
}

/// What lets a search skip whatever is farther away than the distance says.
#[test]
fn distances_change_no_faster_than_points_move() {
    let mut draws = Draws::new(0, "steps", "test");
    for case in 0..150 {
        let size = draw_size(&mut draws);
        let form = draw_form(&mut draws, size);
        for _ in 0..40 {
            let p = draw_point(&mut draws);
            let step = draw_direction(&mut draws) * draws.range(0.0, 0.2);
            let change = (form.distance(p + step) - form.distance(p)).abs();
            assert!(change <= step.length() + 1e-9, "{case} {form:?}: {p} {step}: {change}");
        }
    }
}

fn draw_tool(draws: &mut Draws) -> PosedForm {
    let size = draw_size(draws) * 0.8;
    draw_form(draws, size).turned(draw_tilt(draws, 3.0)).moved(draw_direction(draws) * draws.range(0.0, 0.5))
}

/// A cut surface bounds exactly the points that the operation on the uncut surfaces makes of them, and each
/// of its points lies on the boundary of the set.
#[test]
fn cuts_agree_with_membership() {
    use Operation::{Difference, Intersection, Union};
    let mut draws = Draws::new(0, "cuts", "test");
    let (mut applied, mut wrong, mut asked) = (0, 0, 0);
    for case in 0..90 {
        let size = draw_size(&mut draws);
        let (base, tool) = (draw_form(&mut draws, size), draw_tool(&mut draws));
        let operation = [Union, Difference, Intersection][case % 3];
        let mut carving = Carving::new(base.clone());
        if !carving.apply(operation, tool.clone()) {
            continue;
        }
        applied += 1;
        let (first, second) = (base.solid(), tool.solid());
        for _ in 0..40 {
            let p = draw_point(&mut draws);
            if base.distance(p).abs().min(tool.distance(p).abs()) < SAGITTA {
                continue;
            }
            let (a, b) = (winding(&first, p) > 0.5, winding(&second, p) > 0.5);
            let expected = match operation {
                Union => a || b,
                Difference => a && !b,
                Intersection => a && b,
            };
            asked += 1;
            let surface = carving.clone().into_surface();
            wrong += usize::from((winding(&surface, p) > 0.5) != expected);
        }
        let surface = carving.clone().into_surface();
        for p in points_on(&surface, 200, &mut draws) {
            let off = carving.distance(p).abs();
            assert!(off < SAGITTA, "{case} {operation:?}: {p} is {off} off the boundary");
        }
    }
    assert!(applied > 50 && asked > 1000, "{applied} cuts, {asked} points");
    assert!(wrong * 500 <= asked, "{wrong} of {asked} points are on the wrong side");
}

#[test]
fn a_cut_that_changes_nothing_or_takes_all_is_refused() {
    let mut draws = Draws::new(0, "refused", "test");
    for _ in 0..20 {
        let base = draw_form(&mut draws, DVec3::splat(0.5));
        let far = draw_form(&mut draws, DVec3::splat(0.3)).moved(DVec3::X);
        let cover = draw_tool(&mut draws);
        let large =
            PosedForm { form: super::form::Form::Block { half: DVec3::splat(2.0), round: 0.0 }, ..cover };
        for (operation, tool) in [
            (Operation::Difference, far.clone()),
            (Operation::Intersection, far),
            (Operation::Difference, large),
        ] {
            let mut carving = Carving::new(base.clone());
            let before = area(&base.solid());
            assert!(!carving.apply(operation, tool));
            assert_eq!(area(&carving.into_surface()), before);
        }
    }
}

/// Every edge of a closed surface is used once in each direction, however it was divided.
#[test]
fn dividing_keeps_a_surface_closed_and_its_area() {
    let mut draws = Draws::new(0, "divided", "test");
    for _ in 0..20 {
        let mut surface = block(draws.range(0.2, 1.0), draws.range(0.2, 1.0), draws.range(0.2, 1.0));
        let (before, at) = (area(&surface), draw_point(&mut draws));
        refine(&mut surface, 0.05, |p, reach| (p - at).length() < 0.4 + reach);
        assert!((area(&surface) - before).abs() < 1e-9);
        let edges: std::collections::BTreeSet<(u32, u32)> =
            surface.triangles.iter().flat_map(|&[a, b, c]| [(a, b), (b, c), (c, a)]).collect();
        assert_eq!(edges.len(), 3 * surface.triangles.len());
        assert!(edges.iter().all(|&(a, b)| edges.contains(&(b, a))));
    }
}

/// The two parts of a surface that is clipped at a plane make the whole.
#[test]
fn clipping_halves_a_surface_at_a_plane() {
    let mut draws = Draws::new(0, "clipped", "test");
    for _ in 0..40 {
        let size = draw_size(&mut draws);
        let whole = draw_form(&mut draws, size).solid();
        let (normal, shift) = (draw_direction(&mut draws), draws.range(-0.2, 0.2));
        let low = clip(&whole, |p| p.dot(normal) - shift);
        let mut both = clip(&whole, |p| shift - p.dot(normal));
        assert!(low.positions.iter().all(|p| p.dot(normal) <= shift + 1e-4));
        append(&mut both, &low);
        assert!((area(&both) - area(&whole)).abs() < 1e-3 * area(&whole));
    }
}
