//! Airplanes.

use std::f64::consts::{FRAC_PI_2, TAU};

use glam::{DVec2, DVec3, dvec2, dvec3};

use super::curves::{ring, spline};
use super::palette::Finish::{Coat, Dark, Lacquer, Metal, Pane};
use super::sketch::{MaterialId, Sketch};
use super::solids::{Solid, ball, block, disc, lathe, lathe_ring, loft, rod};

pub(super) const AIRPLANE: [&str; 5] = ["fuselage", "wing", "tail", "engine", "wheel"];
const FUSELAGE: i16 = 0;
const WING: i16 = 1;
const TAIL: i16 = 2;
const ENGINE: i16 = 3;
const WHEEL: i16 = 4;

/// A wing or fin from its root to its tip; chords lie along z.
#[derive(Clone, Copy, Debug)]
struct Airfoil {
    root: DVec3,
    tip: DVec3,
    chords: [f64; 2],
    thick: f64,
}

/// The body of an airplane along z (nose at +z): half length, radius.
#[derive(Clone, Copy, Debug)]
struct Hull {
    half: f64,
    r: f64,
}

/// Airliners, fighters, light propeller planes, gliders and biplanes.
pub(super) fn airplane(s: &mut Sketch) {
    let coat = s.paint(&[Coat, Coat, Metal, Lacquer]);
    let accent = if s.chance(0.5) { s.paint(&[Lacquer, Coat]) } else { coat };
    match s.index(5) {
        0 | 1 => airliner(s, coat, accent),
        2 => fighter(s, coat, accent),
        3 => light_plane(s, coat, accent),
        _ => glider(s, coat, accent),
    }
}

fn airliner(s: &mut Sketch, coat: MaterialId, accent: MaterialId) {
    let body = Hull { half: 1.0, r: s.range(0.08, 0.15) };
    fuselage(s, body, 0.35, 0.75, coat);
    let (span, sweep) = (s.range(0.75, 1.15), s.range(0.2, 0.65));
    let root = s.range(0.28, 0.42);
    let wing = Airfoil {
        root: dvec3(0.3 * body.r, -0.55 * body.r, 0.15),
        tip: dvec3(span, -0.55 * body.r + s.range(0.0, 0.15), 0.15 - sweep),
        chords: [root, root * s.range(0.25, 0.5)],
        thick: 0.11,
    };
    s.add_pair(WING, coat, lifting_surface(&wing));
    if s.chance(0.35) {
        let up = wing.tip + dvec3(0.03, s.range(0.06, 0.14), -0.06);
        let winglet =
            Airfoil { root: wing.tip, tip: up, chords: [wing.chords[1], 0.5 * wing.chords[1]], thick: 0.1 };
        s.add_pair(WING, accent, lifting_surface(&winglet));
    }
    let shape = if s.chance(0.25) { TailShape::High } else { TailShape::Low };
    tail(s, body, shape, accent);
    let engine = s.range(0.045, 0.075);
    if s.chance(0.25) {
        let at = dvec3(body.r + 0.9 * engine, 0.35 * body.r, -0.55);
        nacelle(s, at, engine, DVec3::X * -(0.8 * engine + 0.4 * body.r));
    } else {
        for k in 0..1 + s.index(2) {
            let t = 0.33 + 0.28 * k as f64;
            let under = wing.root.lerp(wing.tip, t) + dvec3(0.0, -1.25 * engine, 0.5 * wing.chords[0]);
            nacelle(s, under, engine, dvec3(0.0, 1.3 * engine, -0.12));
        }
    }
    if s.chance(0.3) {
        let (track, drop) = (0.6 * body.r + 0.05, body.r + engine + 0.16);
        landing_gear(s, LandingGear { single: 0.55, main: -0.12, track, drop });
    }
    cockpit(s, body);
}

/// The body: a nose, a straight middle, and a tail cone that rises to the level of the roof.
fn fuselage(s: &mut Sketch, body: Hull, nose: f64, rear: f64, paint: MaterialId) {
    let Hull { half, r } = body;
    let (tip, stretch) = (s.range(0.02, 0.3), s.range(0.9, 1.15));
    let end = s.range(0.08, 0.25);
    let table = [
        (half, tip),
        (half - 0.12 * nose, 0.45 + 0.4 * tip),
        (half - 0.5 * nose, 0.85),
        (half - nose, 1.0),
        (0.0, 1.0),
        (-half + rear, 1.0),
        (-half + 0.5 * rear, 0.68),
        (-half, end),
    ];
    let profile = spline(&table.map(DVec2::from), 3);
    let circle = ring(20, 0.0);
    let section = |q: &DVec2| -> Vec<DVec3> {
        let size = r * q.y.clamp(0.02, 1.05);
        let lift = if q.x < 0.0 { 0.8 * (r - size) } else { -0.25 * (r - size) };
        circle.iter().map(|c| dvec3(size * c.x, size * stretch * c.y + lift, q.x)).collect()
    };
    s.add(FUSELAGE, paint, loft(&profile.iter().map(section).collect::<Vec<_>>()));
}

/// A wing or fin as a loft of lens-shaped sections; the thin direction is across root-to-tip and z.
fn lifting_surface(f: &Airfoil) -> Solid {
    let along = (f.tip - f.root) * dvec3(1.0, 1.0, 0.0);
    let across = DVec3::Z.cross(along).normalize_or_zero();
    let foil: Vec<DVec2> = [0.0_f64, 0.08, 0.3, 0.6, 1.0, 0.6, 0.3, 0.08]
        .iter()
        .enumerate()
        .map(|(i, &u)| {
            let bulge = 2.4 * u.sqrt() * (1.0 - u) + 0.03;
            dvec2(0.5 - u, if i <= 4 { bulge } else { -bulge } * 0.5)
        })
        .collect();
    let section = |i: i32| {
        let t = f64::from(i) / 5.0;
        let chord = f.chords[0] + (f.chords[1] - f.chords[0]) * t;
        let at = f.root.lerp(f.tip, t);
        foil.iter().map(|p| at + DVec3::Z * (p.x * chord) + across * (p.y * chord * f.thick)).collect()
    };
    loft(&(0..=5).map(section).collect::<Vec<Vec<DVec3>>>())
}

/// How the fins and the tailplanes stand to each other.
#[derive(Clone, Copy, PartialEq)]
enum TailShape {
    /// One fin, tailplanes at the body.
    Low,
    /// A T-tail: the tailplanes are on top of the fin.
    High,
    /// Two fins.
    Twin,
}

/// Fins and tailplanes.
fn tail(s: &mut Sketch, body: Hull, shape: TailShape, paint: MaterialId) {
    let Hull { half, r } = body;
    let (high, twin) = (shape == TailShape::High, shape == TailShape::Twin);
    let tall = s.range(0.2, 0.36);
    let chord = s.range(0.18, 0.3);
    let back = s.range(0.05, 0.25);
    let z = -half + 0.55 * chord;
    let x = if twin { 0.7 * r } else { 0.0 };
    let lean = if twin { s.range(0.0, 0.1) } else { 0.0 };
    let fin = Airfoil {
        root: dvec3(x, 0.5 * r, z + 0.05),
        tip: dvec3(x + lean, 0.9 * r + tall, z - back),
        chords: [1.2 * chord, chord * s.range(0.4, 0.8)],
        thick: 0.09,
    };
    s.add(TAIL, paint, lifting_surface(&fin));
    if twin {
        s.add(TAIL, paint, lifting_surface(&fin).mirrored());
    }
    let y = if high { fin.tip.y - 0.01 } else { 0.6 * r };
    let z = if high { fin.tip.z } else { z };
    let plane = Airfoil {
        root: dvec3(0.0, y, z),
        tip: dvec3(s.range(0.25, 0.42), y + s.range(-0.02, 0.06), z - back * 0.8),
        chords: [0.9 * chord, chord * s.range(0.35, 0.7)],
        thick: 0.09,
    };
    s.add_pair(TAIL, paint, lifting_surface(&plane));
}

/// A jet engine left and right: a hollow cowl with a cone, and a pylon towards `to`.
fn nacelle(s: &mut Sketch, at: DVec3, r: f64, to: DVec3) {
    let paint = s.paint(&[Coat, Metal]);
    let dark = s.paint(&[Dark]);
    let outline = [(0.9, 1.4), (1.0, 1.0), (1.0, -0.6), (0.65, -1.7), (0.55, -1.7), (0.7, 0.0), (0.82, 1.3)];
    let cowl = lathe_ring(&outline.map(|(x, y)| dvec2(x * r, y * r)), 18);
    let core =
        lathe(&[(0.75, -0.8), (0.75, 0.5), (0.2, 0.8), (0.0, 1.2)].map(|(x, y)| dvec2(x * r, y * r)), 14);
    let lie = |solid: Solid| solid.turned(DVec3::X, FRAC_PI_2).moved(at.x, at.y, at.z);
    s.add_pair(ENGINE, paint, lie(cowl));
    s.add_pair(ENGINE, dark, lie(core));
    let pylon = Airfoil { root: at + to * 0.5, tip: at + to * 1.25, chords: [1.8 * r, 1.8 * r], thick: 0.12 };
    s.add_pair(ENGINE, paint, lifting_surface(&pylon));
}

fn fighter(s: &mut Sketch, coat: MaterialId, accent: MaterialId) {
    let body = Hull { half: 1.0, r: s.range(0.09, 0.14) };
    fuselage(s, body, 0.8, 0.5, coat);
    let root = s.range(0.6, 1.0);
    let wing = Airfoil {
        root: dvec3(0.3 * body.r, -0.1 * body.r, -0.25),
        tip: dvec3(s.range(0.5, 0.75), -0.1 * body.r, -0.25 - s.range(0.15, 0.4)),
        chords: [root, root * s.range(0.1, 0.35)],
        thick: 0.05,
    };
    s.add_pair(WING, coat, lifting_surface(&wing));
    let twin = s.chance(0.5);
    tail(s, body, if twin { TailShape::Twin } else { TailShape::Low }, accent);
    let metal = s.paint(&[Metal, Dark]);
    let jets = if twin { vec![-0.5 * body.r, 0.5 * body.r] } else { vec![0.0] };
    let r = if twin { 0.45 } else { 0.62 } * body.r;
    for x in jets {
        let nozzle = disc(r, -0.1, 0.25, 16).turned(DVec3::X, FRAC_PI_2);
        s.add(ENGINE, metal, nozzle.moved(x, 0.25 * body.r, -body.half));
    }
    let glass = s.paint(&[Pane]);
    let canopy = ball(14).scaled(0.5 * body.r, 0.6 * body.r, s.range(0.16, 0.26));
    s.add(FUSELAGE, glass, canopy.moved(0.0, 0.75 * body.r, 0.35));
    if s.chance(0.4) {
        let pod = lathe(
            &[(0.1, -1.0), (1.0, -0.5), (1.0, 0.6), (0.1, 1.0)].map(|(x, y)| dvec2(0.025 * x, 0.22 * y)),
            10,
        );
        let at = wing.root.lerp(wing.tip, 0.6);
        s.add_pair(WING, accent, pod.turned(DVec3::X, FRAC_PI_2).moved(at.x, at.y - 0.03, at.z));
    }
}

fn light_plane(s: &mut Sketch, coat: MaterialId, accent: MaterialId) {
    let body = Hull { half: s.range(0.65, 0.85), r: s.range(0.1, 0.15) };
    fuselage(s, body, 0.3, 0.85, coat);
    let double = s.chance(0.35);
    let level = s.pick(&[-0.8, 0.9]);
    let (span, chord) = (s.range(0.8, 1.2), s.range(0.22, 0.34));
    let decks = if double { vec![-0.85, 2.3] } else { vec![level] };
    for y in &decks {
        let wing = Airfoil {
            root: dvec3(0.0, y * body.r, 0.18),
            tip: dvec3(span, y * body.r + s.range(0.0, 0.06), 0.18 - s.range(0.0, 0.06)),
            chords: [chord, chord * s.range(0.7, 1.0)],
            thick: 0.12,
        };
        s.add_pair(WING, accent, lifting_surface(&wing));
    }
    if double {
        for (x, z) in [(0.12, 0.22), (0.65 * span, 0.22), (0.65 * span, 0.1)] {
            let strut = rod(dvec3(x, -0.8 * body.r, z), dvec3(x, 2.35 * body.r, z), [0.01, 0.01], 6);
            s.add_pair(WING, coat, strut);
        }
    }
    tail(s, body, TailShape::Low, accent);
    propeller(s, dvec3(0.0, -0.02, body.half), 0.9 * body.r);
    let (main, drop) = (-0.75 * body.half, body.r + 0.14);
    landing_gear(s, LandingGear { single: 0.3, main, track: 0.22, drop });
    cockpit(s, body);
    if !double && level > 0.0 {
        let (low, high) = (dvec3(0.5 * body.r, -0.7 * body.r, 0.18), dvec3(0.5 * span, level * body.r, 0.18));
        s.add_pair(WING, coat, rod(low, high, [0.01, 0.01], 6));
    }
}

/// A spinner with two to four blades, turned by a random angle.
fn propeller(s: &mut Sketch, at: DVec3, r: f64) {
    let dark = s.paint(&[Dark, Metal]);
    let blades = 2 + s.index(3);
    let (phase, long) = (s.range(0.0, 1.0), s.range(0.2, 0.3));
    s.add(ENGINE, dark, ball(12).scaled(0.4 * r, 0.4 * r, 0.7 * r).moved(at.x, at.y, at.z));
    for k in 0..blades {
        let blade = block(0.04, long, 0.012).moved(0.0, long / 2.0, 0.2 * r);
        let angle = TAU * (k as f64 / blades as f64 + phase);
        s.add(ENGINE, dark, blade.turned(DVec3::Z, angle).moved(at.x, at.y, at.z));
    }
}

fn glider(s: &mut Sketch, coat: MaterialId, accent: MaterialId) {
    let body = Hull { half: s.range(0.5, 0.75), r: s.range(0.055, 0.085) };
    fuselage(s, body, 0.3, 0.9 * body.half, coat);
    let wing = Airfoil {
        root: dvec3(0.0, 0.6 * body.r, 0.12),
        tip: dvec3(s.range(1.0, 1.35), 0.6 * body.r + s.range(0.02, 0.12), 0.1),
        chords: [s.range(0.11, 0.17), 0.06],
        thick: 0.13,
    };
    s.add_pair(WING, coat, lifting_surface(&wing));
    let shape = if s.chance(0.7) { TailShape::High } else { TailShape::Low };
    tail(s, Hull { r: 0.8 * body.r, ..body }, shape, accent);
    if s.chance(0.4) {
        for x in [0.35, 0.6].iter().take(1 + s.index(2)) {
            let at = wing.root.lerp(wing.tip, *x) + DVec3::Z * 0.09;
            for side in [-1.0, 1.0] {
                let pod = ball(10).scaled(0.035, 0.04, 0.12);
                s.add(ENGINE, accent, pod.moved(side * at.x, at.y, at.z - 0.03));
                propeller(s, dvec3(side * at.x, at.y, at.z + 0.07), 0.05);
            }
        }
    }
    let tyre = s.paint(&[Dark]);
    let wheel = disc(0.04, -0.015, 0.015, 14).turned(DVec3::Z, FRAC_PI_2);
    s.add(WHEEL, tyre, wheel.moved(0.0, -0.95 * body.r, 0.1));
    cockpit(s, body);
}

/// Where wheels go: z of the single one and of the main axle (swapped if that lies far back), half
/// the track of the main wheels, and how far below the axis of the body all stand.
struct LandingGear {
    single: f64,
    main: f64,
    track: f64,
    drop: f64,
}

/// A nose (or tail) wheel and two main wheels on struts.
fn landing_gear(s: &mut Sketch, gear: LandingGear) {
    let LandingGear { single, main, track, drop } = gear;
    let (tyre, metal) = (s.paint(&[Dark]), s.paint(&[Metal]));
    let r = s.range(0.03, 0.05);
    let (main, single) = if main < -0.4 { (single, main) } else { (main, single) };
    let wheel = |x: f64, z: f64| disc(r, -0.015, 0.015, 14).turned(DVec3::Z, FRAC_PI_2).moved(x, r - drop, z);
    s.add_pair(WHEEL, tyre, wheel(track, main));
    s.add_pair(
        WHEEL,
        metal,
        rod(dvec3(track, r - drop, main), dvec3(0.4 * track, -0.03, main), [0.01, 0.012], 6),
    );
    s.add(WHEEL, tyre, wheel(0.0, single));
    s.add(WHEEL, metal, rod(dvec3(0.0, r - drop, single), dvec3(0.0, 0.0, single), [0.01, 0.012], 6));
}

/// The windows of the cockpit: a dark band around the nose.
fn cockpit(s: &mut Sketch, body: Hull) {
    let glass = s.paint(&[Pane]);
    let Hull { half, r } = body;
    let dome = ball(14).scaled(0.62 * r, 0.62 * r, 0.9 * r + 0.04);
    s.add(FUSELAGE, glass, dome.moved(0.0, 0.55 * r, half - 0.3));
}
