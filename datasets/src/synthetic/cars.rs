//! Cars: extruded side views with wheel arches, a glass house, wheels and lights.

use std::f64::consts::FRAC_PI_2;

use glam::{DVec2, DVec3, dvec2, dvec3};

use super::palette::Finish::{Coat, Dark, Lacquer, Metal, Pane, White};
use super::sketch::{MaterialId, Sketch};
use super::solids::{Solid, block, disc, lathe_ring, rod, rounded, slab};

pub(super) const CAR: [&str; 5] = ["body", "window", "wheel", "light", "trim"];
const BODY: i16 = 0;
const WINDOW: i16 = 1;
const WHEEL: i16 = 2;
const LIGHT: i16 = 3;
const TRIM: i16 = 4;

/// The measures of a car along z (front at +z), units of half a length.
///
/// `nose` and `deck` are the heights of the front and rear ends, `belt` that of the window sill;
/// `screen` and `rear` are z of the foot and the head of the windscreen and of the rear window.
#[derive(Clone, Copy, Debug)]
struct Car {
    width: f64,
    floor: f64,
    nose: f64,
    belt: f64,
    deck: f64,
    roof: f64,
    screen: [f64; 2],
    rear: [f64; 2],
    wheel: f64,
    axles: [f64; 2],
}

/// Sedans, hatchbacks, off-roaders, sports cars, pickups, vans and buses.
pub(super) fn car(s: &mut Sketch) {
    let kind = s.index(7);
    let car = measures(s, kind);
    let coat = s.paint(&[Coat, Coat, Lacquer]);
    let dark = s.paint(&[Dark, Metal]);
    let body = slab(&side_view(&car), car.width, 0.0).turned(DVec3::Y, -FRAC_PI_2);
    s.add(BODY, coat, finish(&car, body));
    cabin(s, &car, coat);
    wheels(s, &car);
    lights(s, &car);
    bumpers(s, &car, dark);
    if kind == 4 {
        cargo_bed(s, &car, coat);
    } else if (kind == 1 || kind == 2) && s.chance(0.5) {
        let x = 0.4 * car.width;
        let long = 0.9 * (car.screen[1] - car.rear[1]);
        let z = (car.screen[1] + car.rear[1]) / 2.0;
        s.add_pair(TRIM, dark, block(0.02, 0.03, long).moved(0.75 * x, car.roof + 0.01, z));
    } else if kind == 3 && s.chance(0.6) {
        let y = car.deck + s.range(0.06, 0.12);
        s.add(TRIM, coat, rounded(0.85 * car.width, 0.016, 0.13, 0.006).moved(0.0, y, -0.92));
        let post =
            block(0.02, y - car.deck + 0.06, 0.06).moved(0.3 * car.width, (y + car.deck) / 2.0 - 0.03, -0.92);
        s.add_pair(TRIM, coat, post);
    }
}

/// A sedan, from which the other kinds differ.
fn sedan(s: &mut Sketch) -> Car {
    let belt = s.range(0.37, 0.42);
    Car {
        width: s.range(0.72, 0.86),
        floor: s.range(0.07, 0.11),
        nose: belt - s.range(0.05, 0.12),
        belt,
        deck: belt - s.range(0.0, 0.06),
        roof: s.range(0.58, 0.66),
        screen: [s.range(0.32, 0.45), s.range(0.08, 0.18)],
        rear: [-s.range(0.6, 0.72), -s.range(0.36, 0.46)],
        wheel: s.range(0.135, 0.165),
        axles: [s.range(0.55, 0.66), -s.range(0.54, 0.64)],
    }
}

/// The measures of one of the seven kinds, in the order of the comment at [`car`].
fn measures(s: &mut Sketch, kind: usize) -> Car {
    let base = sedan(s);
    match kind {
        0 => base,
        1 => Car { rear: [-s.range(0.94, 0.98), -s.range(0.7, 0.88)], roof: s.range(0.6, 0.7), ..base },
        2 => raised(
            Car { rear: [-0.97, -s.range(0.86, 0.94)], roof: s.range(0.74, 0.86), ..base },
            s.range(0.0, 0.06),
        ),
        3 => {
            let (roof, nose) = (s.range(0.48, 0.54), s.range(0.22, 0.28));
            Car { roof, nose, floor: 0.06, belt: 0.34, deck: 0.36, ..base }
        }
        4 => {
            let rear = [-s.range(0.1, 0.2), -s.range(0.05, 0.12)];
            let car = Car { rear, roof: s.range(0.7, 0.82), deck: base.belt - 0.08, ..base };
            raised(car, s.range(-0.02, 0.05))
        }
        5 => Car {
            screen: [s.range(0.7, 0.86), s.range(0.45, 0.6)],
            rear: [-0.98, -s.range(0.9, 0.96)],
            roof: s.range(0.78, 0.98),
            axles: [s.range(0.6, 0.7), base.axles[1]],
            ..base
        },
        _ => bus(s, base),
    }
}

/// The same car higher above the road, on larger wheels, its bonnet `nose` above the old belt.
fn raised(car: Car, nose: f64) -> Car {
    let wheel = car.wheel + 0.025;
    Car { floor: car.floor + 0.055, nose: car.belt + nose, belt: car.belt + 0.075, wheel, ..car }
}

fn bus(s: &mut Sketch, base: Car) -> Car {
    Car {
        width: s.range(0.45, 0.55),
        floor: 0.06,
        nose: 0.3,
        belt: s.range(0.3, 0.36),
        roof: s.range(0.55, 0.7),
        screen: [0.985, s.range(0.9, 0.97)],
        rear: [-0.985, -0.96],
        wheel: s.range(0.08, 0.105),
        axles: [s.range(0.6, 0.72), -s.range(0.5, 0.62)],
        ..base
    }
}

/// Outline of the lower body seen from the side, counter-clockwise, x here is the car's z.
fn side_view(car: &Car) -> Vec<DVec2> {
    let mut outline = vec![dvec2(-0.99, car.floor + 0.04), dvec2(-0.96, car.floor)];
    for z in [car.axles[1], car.axles[0]] {
        let r = 1.14 * car.wheel;
        let rise = (car.floor - car.wheel) / r;
        let from = libm::acos(rise.clamp(-1.0, 1.0)) + FRAC_PI_2;
        let (start, end) = (from, std::f64::consts::PI - from);
        for i in 0..=10 {
            let a = start + (end - start) * f64::from(i) / 10.0;
            outline.push(dvec2(z + r * libm::cos(a), car.wheel + r * libm::sin(a)));
        }
    }
    let belt = car.belt.max(2.2 * car.wheel + 0.02);
    outline.extend([dvec2(0.96, car.floor), dvec2(1.0, car.floor + 0.06)]);
    let nose = car.nose.max(2.2 * car.wheel - 0.03);
    outline.extend([
        dvec2(0.99, 0.8 * nose),
        dvec2(0.95, nose),
        dvec2(0.7, 0.4 * nose + 0.6 * belt.max(nose)),
    ]);
    outline.extend([dvec2(car.screen[0].min(0.69), belt), dvec2(car.rear[0].max(-0.9), belt)]);
    outline.extend([dvec2(-0.96, car.deck.max(2.2 * car.wheel)), dvec2(-1.0, 0.7 * car.belt)]);
    outline
}

/// Rounds the plan view and leans the sides in above the belt.
fn finish(car: &Car, solid: Solid) -> Solid {
    let (belt, roof) = (car.belt, car.roof);
    solid.map(|p| {
        let end = p.z * p.z * p.z * p.z;
        let up = ((p.y - belt) / (roof - belt)).max(0.0);
        dvec3(p.x * (1.0 - 0.14 * end - 0.2 * up), p.y, p.z)
    })
}

/// The roof on the belt, and windows that stand out from it by a little.
fn cabin(s: &mut Sketch, car: &Car, coat: MaterialId) {
    let glass = s.paint(&[Pane]);
    let (low, high) = (car.belt - 0.04, car.roof);
    let outline = |inset: f64, low: f64, high: f64| {
        let at =
            |edge: [f64; 2], y: f64| edge[0] + (edge[1] - edge[0]) * (y - car.belt) / (car.roof - car.belt);
        vec![
            dvec2(at(car.rear, low) + inset, low),
            dvec2(at(car.screen, low) - inset, low),
            dvec2(at(car.screen, high) - inset, high),
            dvec2(at(car.rear, high) + inset, high),
        ]
    };
    let extrude =
        |points: &[DVec2], width: f64| finish(car, slab(points, width, 0.0).turned(DVec3::Y, -FRAC_PI_2));
    let mut roof = outline(0.0, low, high);
    roof.insert(3, dvec2(0.5 * (car.screen[1] + car.rear[1]), high + 0.02));
    s.add(BODY, coat, extrude(&roof, 0.97 * car.width));
    let (sill, head) = (car.belt + 0.03, car.roof - 0.045);
    s.add(WINDOW, glass, extrude(&outline(-0.008, sill, head), 0.8 * car.width));
    let panes = 1 + s.index(3) + usize::from(car.screen[0] - car.rear[0] > 1.5) * 2;
    let (front, rear) = (car.screen[0].min(car.screen[1] + 0.1), car.rear[0].max(car.rear[1] - 0.1));
    for i in 0..panes {
        let cut = |t: f64| rear + (front - rear) * t;
        let (from, to) = (cut(i as f64 / panes as f64) + 0.02, cut((i + 1) as f64 / panes as f64) - 0.02);
        let clip = |p: DVec2| dvec2(p.x.clamp(from, to), p.y);
        let pane: Vec<DVec2> = outline(0.05, sill, head).into_iter().map(clip).collect();
        if pane[1].x - pane[0].x > 0.05 && pane[2].x - pane[3].x > 0.02 {
            s.add(WINDOW, glass, extrude(&pane, 1.0 * car.width));
        }
    }
}

/// Four wheels, each a tyre and a hub, on axles under struts.
fn wheels(s: &mut Sketch, car: &Car) {
    let (tyre, hub) = (s.paint(&[Dark]), s.paint(&[Metal, Metal, White]));
    let r = car.wheel;
    let wide = s.range(0.09, 0.13);
    let rim = r * s.range(0.55, 0.75);
    let section = [(r, -0.4), (r, 0.4), (0.94 * r, 0.5), (rim, 0.5), (rim, -0.5), (0.94 * r, -0.5)];
    let ring = lathe_ring(&section.map(|(x, y)| dvec2(x, y * wide)), 22);
    let plate = disc(rim + 0.004, -0.35 * wide, 0.35 * wide, 18);
    for z in car.axles {
        let x = 0.5 * car.width * (1.0 - 0.14 * z * z * z * z) - 0.42 * wide;
        let stand = |solid: &Solid| solid.clone().turned(DVec3::Z, FRAC_PI_2).moved(x, r, z);
        s.add_pair(WHEEL, tyre, stand(&ring));
        s.add_pair(WHEEL, hub, stand(&plate));
        let (low, high) = (r - 0.02, 2.14 * r + 0.03);
        let strut = block(0.06, high - low, 0.06).moved(0.3 * car.width, (low + high) / 2.0, z);
        s.add_pair(TRIM, tyre, strut);
        s.add(TRIM, tyre, rod(dvec3(-x, r, z), dvec3(x, r, z), [0.02, 0.02], 6));
    }
}

fn lights(s: &mut Sketch, car: &Car) {
    let (white, red) = (s.paint(&[White]), s.paint(&[Lacquer]));
    let (w, h) = (car.width * s.range(0.12, 0.24), s.range(0.03, 0.07));
    let x = 0.84 * car.width / 2.0 - w / 2.0;
    let front = car.nose.max(2.2 * car.wheel - 0.03) * 0.8 - 0.3 * h;
    s.add_pair(LIGHT, white, rounded(w, h, 0.05, 0.012).moved(x, front, 0.975));
    s.add_pair(LIGHT, red, rounded(0.8 * w, 1.2 * h, 0.05, 0.012).moved(x, 0.68 * car.belt, -0.975));
}

fn bumpers(s: &mut Sketch, car: &Car, dark: MaterialId) {
    let y = car.floor + 0.06;
    let high = s.range(0.04, 0.08);
    for side in [-1.0, 1.0] {
        s.add(TRIM, dark, rounded(0.84 * car.width, high, 0.06, 0.015).moved(0.0, y, 0.99 * side));
    }
    let mirror = rounded(0.06, 0.05, 0.03, 0.012);
    let z = 0.6 * car.screen[0] + 0.4 * car.screen[1];
    let mirror = mirror.moved(0.49 * car.width + 0.02, car.belt + 0.03, z - 0.05);
    s.add_pair(TRIM, dark, finish(car, mirror));
}

/// The walls of a pickup's open bed.
fn cargo_bed(s: &mut Sketch, car: &Car, coat: MaterialId) {
    let top = car.belt + 0.03;
    let low = car.deck - 0.05;
    let (from, to) = (-0.97, car.rear[0] + 0.02);
    let side = block(0.03, top - low, to - from);
    let x = 0.5 * car.width - 0.03;
    s.add_pair(BODY, coat, finish(car, side.moved(x, (top + low) / 2.0, (from + to) / 2.0)));
    s.add(
        BODY,
        coat,
        finish(car, block(0.97 * car.width, top - low, 0.03).moved(0.0, (top + low) / 2.0, from)),
    );
}
