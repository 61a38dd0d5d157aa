//! Guitars and their kin: acoustic, electric (with horns or V-shaped), bass, ukulele, banjo.

use std::f64::consts::FRAC_PI_2;

use glam::{DVec2, DVec3, dvec2, dvec3};

use super::curves::{closed_spline, ring, spline, with_mirror_image};
use super::palette::Finish::{Coat, Dark, Lacquer, Metal, White, Wood};
use super::sketch::{MaterialId, Sketch};
use super::solids::{Solid, block, disc, rod, rounded, slab};

pub(super) const GUITAR: [&str; 4] = ["body", "neck", "head", "bridge"];
const BODY: i16 = 0;
const NECK: i16 = 1;
const HEAD: i16 = 2;
const BRIDGE: i16 = 3;

/// Where the neck starts (`top`), how long it is, and where the front of the body is.
struct NeckPlace {
    top: f64,
    neck: f64,
    front: f64,
    waist: f64,
}

/// Guitars stand upright, strings towards +z.
pub(super) fn guitar(s: &mut Sketch) {
    let wood = s.paint(&[Wood, Wood, Lacquer, Coat]);
    let neck = s.paint(&[Wood]);
    let dark = s.paint(&[Dark]);
    let long = s.range(0.35, 0.75);
    let (width, height) = (s.range(0.26, 0.44), s.range(0.38, 0.55));
    let kind = s.index(6);
    let (outline, thick) = match kind {
        0 | 1 => (figure_eight(s, width, height), s.range(0.07, 0.14)),
        2 | 3 => (horned(s, width, height), s.range(0.035, 0.06)),
        4 => (vee(s, width, height), s.range(0.03, 0.055)),
        _ => {
            let on_circle = |p: &DVec2| dvec2(0.0, 0.5 * height) + *p * (0.5 * width);
            (ring(32, 0.25).iter().map(on_circle).collect(), s.range(0.06, 0.11))
        }
    };
    let top = outline.iter().filter(|p| p.x.abs() < 0.03).map(|p| p.y).fold(0.0, f64::max);
    let scale = NeckPlace { top, neck: long, front: thick / 2.0, waist: 0.45 * height };
    let middle = dvec2(0.0, 0.4 * height);
    let shifted: Vec<DVec2> = outline.iter().map(|&p| p - middle).collect();
    s.add(BODY, wood, slab(&shifted, thick, 0.03).moved(0.0, middle.y, 0.0));
    if !matches!(kind, 2..=4) {
        let hole = disc(width * s.range(0.1, 0.16), -0.003, 0.003, 20).turned(DVec3::X, FRAC_PI_2);
        s.add(BODY, dark, hole.moved(0.0, 1.35 * scale.waist, scale.front));
    } else {
        pickups(s, &scale, width);
    }
    fretboard(s, &scale, neck, dark);
    headstock(s, &scale, neck);
    let bridge = rounded(width * s.range(0.25, 0.5), 0.03, 0.022, 0.006);
    s.add(BRIDGE, dark, bridge.moved(0.0, 0.5 * scale.waist, scale.front + 0.008));
}

/// Two bouts and a waist, one of the shoulders maybe cut away.
fn figure_eight(s: &mut Sketch, width: f64, height: f64) -> Vec<DVec2> {
    let half = width / 2.0;
    let (waist, upper) = (s.range(0.6, 0.85), s.range(0.7, 0.9));
    let points = [
        (0.0, 0.0),
        (0.6, 0.02),
        (0.98, 0.18),
        (0.95, 0.38),
        (waist, 0.58),
        (upper, 0.78),
        (0.75 * upper, 0.95),
        (0.2, 1.0),
        (0.0, 1.0),
    ];
    let right: Vec<DVec2> = points.iter().map(|&(x, y)| dvec2(x * half, y * height)).collect();
    let mut curve = spline(&right, 3);
    curve.iter_mut().for_each(|p| p.x = p.x.max(0.0));
    let mut outline = with_mirror_image(&curve);
    if s.chance(0.3) {
        let cut = |p: DVec2| p.x > 0.3 * half && p.y > 0.8 * height;
        outline
            .iter_mut()
            .filter(|p| cut(**p))
            .for_each(|p| p.y = 0.8 * height + 0.15 * (p.y - 0.8 * height));
    }
    outline
}

/// A solid body with two horns of different length.
fn horned(s: &mut Sketch, width: f64, height: f64) -> Vec<DVec2> {
    let half = width / 2.0;
    let (left, right) = (s.range(0.95, 1.2), s.range(0.9, 1.05));
    let waist = s.range(0.62, 0.8);
    let points = [
        (0.0, 0.0),
        (0.7, 0.04),
        (0.98, 0.25),
        (waist, 0.55),
        (0.85, 0.78),
        (0.72, right),
        (0.45, 0.88),
        (0.2, 0.82),
        (-0.2, 0.82),
        (-0.48, 0.9),
        (-0.75, left),
        (-0.92, 0.85),
        (-waist, 0.55),
        (-0.98, 0.25),
        (-0.7, 0.04),
    ];
    closed_spline(&points.map(|(x, y)| dvec2(x * half, y * height)), 3)
}

/// A body like an arrow head: two wings that point down.
fn vee(s: &mut Sketch, width: f64, height: f64) -> Vec<DVec2> {
    let half = 0.6 * width;
    let notch = s.range(0.25, 0.5);
    let points = [(0.0, notch), (0.65, 0.0), (1.0, 0.06), (0.2, 0.95), (0.0, 0.97)];
    let corners = with_mirror_image(&points.map(|(x, y)| dvec2(x * half, y * height)));
    let n = corners.len();
    (0..3 * n).map(|i| corners[i / 3].lerp(corners[(i / 3 + 1) % n], (i % 3) as f64 / 3.0)).collect()
}

fn pickups(s: &mut Sketch, scale: &NeckPlace, width: f64) {
    let metal = s.paint(&[Dark, Metal, White]);
    for i in 0..1 + s.index(3) {
        let y = scale.waist * (0.8 + 0.32 * i as f64);
        s.add(
            BRIDGE,
            metal,
            rounded(0.24 * width + 0.01, 0.03, 0.02, 0.005).moved(0.0, y, scale.front + 0.004),
        );
    }
    for i in 0..1 + s.index(3) {
        let knob = disc(0.013, -0.012, 0.012, 10).turned(DVec3::X, FRAC_PI_2);
        s.add(
            BRIDGE,
            metal,
            knob.moved(0.3 * width, scale.waist * (0.35 + 0.22 * i as f64), scale.front + 0.008),
        );
    }
}

/// The neck, which narrows upwards, with a fretboard that runs onto the body.
fn fretboard(s: &mut Sketch, scale: &NeckPlace, neck: MaterialId, dark: MaterialId) {
    let wide = s.range(0.042, 0.062);
    let low = scale.top - 0.06;
    let high = scale.top + scale.neck;
    let narrow = |solid: Solid| {
        solid.map(|p| dvec3(p.x * (1.0 - 0.25 * ((p.y - low) / (high - low)).clamp(0.0, 1.0)), p.y, p.z))
    };
    let z = scale.front - 0.008;
    s.add(NECK, neck, narrow(rounded(wide, high - low, 0.028, 0.012).moved(0.0, (low + high) / 2.0, z)));
    let from = 1.6 * scale.waist;
    let board = block(1.02 * wide, high - from, 0.008).moved(0.0, (from + high) / 2.0, z + 0.016);
    s.add(NECK, dark, narrow(board));
}

/// The head, bent back a little, with tuning pegs.
fn headstock(s: &mut Sketch, scale: &NeckPlace, paint: MaterialId) {
    let metal = s.paint(&[Metal, White]);
    let (tall, wide) = (s.range(0.11, 0.19), s.range(0.055, 0.085));
    let skew = if s.chance(0.4) { s.range(-0.3, 0.3) } else { 0.0 };
    let lean = s.range(0.0, 0.25);
    let put = |solid: Solid| {
        solid.map(|p| dvec3(p.x + skew * p.y, p.y, p.z)).turned(DVec3::X, -lean).moved(
            0.0,
            scale.top + scale.neck - 0.01,
            scale.front - 0.008,
        )
    };
    let points = [
        (0.3, 0.0),
        (0.5, 0.25),
        (0.45, 0.9),
        (0.2, 1.0),
        (-0.2, 1.0),
        (-0.45, 0.9),
        (-0.5, 0.25),
        (-0.3, 0.0),
    ];
    let outline = points.map(|(x, y)| dvec2(x * wide * 1.2, y * tall));
    s.add(HEAD, paint, put(slab(&outline, 0.02, 0.0)));
    let pegs = 2 + s.index(2);
    for i in 0..pegs {
        let y = tall * (0.28 + 0.55 * i as f64 / (pegs - 1) as f64);
        for side in [-1.0, 1.0] {
            let peg = rod(
                dvec3(0.3 * side * wide, y, 0.0),
                dvec3(side * (0.6 * wide + 0.018), y, 0.0),
                [0.006, 0.01],
                8,
            );
            s.add(HEAD, metal, put(peg));
        }
    }
}
