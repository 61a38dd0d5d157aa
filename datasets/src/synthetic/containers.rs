//! Bottles, vases and mugs: bodies of revolution with necks, handles and lids.

use std::f64::consts::{FRAC_PI_2, TAU};
use std::ops::Range;

use glam::{DVec2, DVec3, dvec2, dvec3};

use super::curves::{ring, spline};
use super::palette::Finish::{Ceramic, Coat, Dark, Fabric, Glass, Lacquer, Metal, Plant, White};
use super::sketch::{MaterialId, Sketch};
use super::solids::{Solid, ball, disc, lathe, lathe_ring, tube};

pub(super) const BOTTLE: [&str; 4] = ["body", "neck", "cap", "handle"];
pub(super) const VASE: [&str; 5] = ["body", "neck", "foot", "handle", "plant"];
pub(super) const MUG: [&str; 4] = ["body", "handle", "saucer", "lid"];

/// Bottles: wine, beer, water, flask, jug; round, oval or squarish; with or without a cap.
pub(super) fn bottle(s: &mut Sketch) {
    let height = s.range(0.7, 1.2);
    let r = height * s.range(0.12, 0.27);
    let neck_r = r * s.range(0.25, 0.6);
    let shoulder = height * s.range(0.45, 0.75);
    let neck = shoulder + (height - shoulder) * s.range(0.15, 0.7);
    let waist = if s.chance(0.3) { s.range(0.8, 0.97) } else { 1.0 };
    let bulge = s.range(0.9, 1.05);
    let lip = neck_r * s.range(1.0, 1.3);
    let mut profile: Vec<DVec2> = [(0.86 * r, 0.0), (r, 0.025)].map(DVec2::from).into();
    let side = [(r, 0.03), (waist * r, 0.5 * shoulder), (bulge * r, shoulder), (neck_r, neck)];
    let mut wall = spline(&side.map(DVec2::from), 6);
    wall.iter_mut().for_each(|p| p.x = p.x.max(0.8 * neck_r));
    profile.extend(&wall[1..]);
    profile.extend([(neck_r, 0.5 * (neck + height)), (neck_r, height - 0.05)].map(DVec2::from));
    profile.extend([(lip, height - 0.04), (lip, height - 0.005), (0.9 * lip, height)].map(DVec2::from));
    let glass = s.paint(&[Glass, Glass, Lacquer, White]);
    let label = if s.chance(0.5) { s.paint(&[White, Fabric, Lacquer]) } else { glass };
    let flat = draw_cross_section(s);
    let band = [shoulder * 0.2, shoulder * s.range(0.5, 0.9)];
    s.add_split(flat.shape(lathe(&profile, 28)), |c| match c.y {
        y if y > neck => (1, glass),
        y if y > band[0] && y < band[1] => (0, label),
        _ => (0, glass),
    });
    if s.chance(0.6) {
        let cap = s.paint(&[Lacquer, Dark, Metal, White]);
        let solid = bottle_cap(s, lip, height);
        s.add(2, cap, flat.shape(solid));
    }
    if s.chance(0.15) {
        let path = [(0.9 * neck_r, neck + 0.02), (2.2 * r, neck), (0.97 * bulge * r, shoulder)];
        let path = path.map(|(x, y)| dvec3(x.min(1.5 * r + 0.05), y, 0.0));
        let bar = 0.12 * r;
        s.add(3, glass, flat.shape(tube(&spline(&path, 8), [bar, bar], 8)));
    }
}

fn bottle_cap(s: &mut Sketch, lip: f64, height: f64) -> Solid {
    let wide = lip * s.range(1.03, 1.35);
    let tall = s.range(0.03, 0.16);
    match s.index(3) {
        0 => disc(wide, height - 0.035, height + 0.4 * tall, 20),
        1 => {
            let profile = [
                (wide, height - 0.035),
                (wide, height),
                (0.45 * wide, height + tall),
                (0.3 * wide, height + tall),
            ];
            lathe(&profile.map(DVec2::from), 20)
        }
        _ => {
            let profile = [
                (0.7 * lip, height - 0.02),
                (0.7 * lip, height + 0.02),
                (wide, height + 0.03),
                (wide, height + tall),
            ];
            lathe(&profile.map(DVec2::from), 20)
        }
    }
}

/// A horizontal cross-section other than a circle: flattened, squarish, fluted or twisted.
#[derive(Clone, Copy, Debug)]
struct CrossSection {
    flat: f64,
    lobes: f64,
    depth: f64,
    twist: f64,
}

fn draw_cross_section(s: &mut Sketch) -> CrossSection {
    let flat = if s.chance(0.3) { s.range(0.5, 0.95) } else { 1.0 };
    let lobed = s.chance(0.3);
    let lobes = s.pick(&[4.0, 4.0, 6.0, 8.0]);
    let depth = s.range(0.03, 0.11) * 4.0 / lobes;
    let twist = if s.chance(0.4) { s.range(-1.5, 1.5) } else { 0.0 };
    CrossSection { flat, lobes, depth: if lobed { depth } else { 0.0 }, twist }
}

impl CrossSection {
    fn shape(self, solid: Solid) -> Solid {
        solid.map(|p| {
            let angle = libm::atan2(p.z, p.x) + self.twist * p.y;
            let k = 1.0 - self.depth * (1.0 + libm::cos(self.lobes * angle)) / 2.0;
            dvec3(p.x * k, p.y, p.z * k * self.flat)
        })
    }
}

/// Adds the inner wall to an outer profile that ends at the rim.
fn hollow(outer: &[DVec2], wall: f64, floor: f64) -> Vec<DVec2> {
    let mut profile = outer.to_vec();
    let inner =
        outer.iter().rev().filter(|p| p.y > floor + 0.01).map(|p| dvec2((p.x - wall).max(0.3 * p.x), p.y));
    profile.extend(inner);
    let inside = profile[profile.len() - 1].x;
    profile.extend([dvec2(0.85 * inside, floor), dvec2(0.0, floor)]);
    profile
}

/// Radius of a profile at a height, between its points.
fn radius_at(profile: &[DVec2], y: f64) -> f64 {
    let between = |w: &[DVec2]| {
        let t = (y - w[0].y) / (w[1].y - w[0].y);
        (w[0].y <= y && y < w[1].y).then(|| w[0].x + (w[1].x - w[0].x) * t)
    };
    profile.windows(2).find_map(between).unwrap_or(profile[profile.len() - 1].x)
}

/// Vases: bulbous, waisted, flared or straight, some fluted, with handles or with a plant.
pub(super) fn vase(s: &mut Sketch) {
    let height = s.range(0.6, 1.15);
    let r = height * s.range(0.16, 0.42);
    let foot = s.range(0.35, 0.9) * r;
    let belly = s.range(0.25, 0.75);
    let neck = s.range(0.25, 0.95) * r;
    let neck_at = belly + (0.97 - belly) * s.range(0.4, 0.9);
    let rim = neck * s.range(0.9, 1.7);
    let points = [(foot, 0.02), (r, belly), (neck, neck_at), (rim, 1.0)];
    let mut outer = vec![dvec2(foot, 0.0)];
    outer.extend(spline(&points.map(|(x, y)| dvec2(x, y * height)), 7));
    outer.iter_mut().for_each(|p| p.x = p.x.max(0.2 * r));
    let clay = s.paint(&[Ceramic, Ceramic, Glass, Lacquer]);
    let trim = if s.chance(0.3) { s.paint(&[Ceramic, Metal]) } else { clay };
    let flat = draw_cross_section(s);
    let wall = s.range(0.05, 0.12) * r;
    let from = neck_at * height;
    s.add_split(flat.shape(lathe(&hollow(&outer, wall, 0.05), 32)), |c| {
        if c.y > from { (1, trim) } else { (0, clay) }
    });
    if s.chance(0.35) {
        let thick = s.range(0.02, 0.07);
        let out = foot * s.range(1.0, 1.5);
        let profile = [(out, -thick), (out, -0.6 * thick), (0.8 * foot, 0.03)];
        s.add(2, trim, flat.shape(lathe(&profile.map(DVec2::from), 28)));
    }
    if s.chance(0.25) {
        vase_handles(s, &outer, belly * height..0.5 * (neck_at + 1.0) * height, clay, flat);
    }
    if s.chance(0.3) {
        plant(s, height, radius_at(&outer, from));
    }
}

/// Two handles that meet the vase at both ends of a range of heights.
fn vase_handles(s: &mut Sketch, outer: &[DVec2], heights: Range<f64>, clay: MaterialId, flat: CrossSection) {
    let Range { start: low, end: high } = heights;
    let (a, b) = (0.97 * radius_at(outer, low), 0.96 * radius_at(outer, high));
    let out = a.max(b) + s.range(0.04, 0.16);
    let path =
        [(a, low), (out, low + 0.35 * (high - low)), (out, high), (b, high)].map(|(x, y)| dvec3(x, y, 0.0));
    let bar = s.range(0.014, 0.03);
    let handle = flat.shape(tube(&spline(&path, 6), [bar, bar], 8));
    s.add_pair(3, clay, handle);
}

/// A few stems with leaves or blossoms that rise from the inside.
fn plant(s: &mut Sketch, height: f64, room: f64) {
    let green = s.paint(&[Plant]);
    let bloom = s.paint(&[Lacquer, White, Plant]);
    let leaves = s.chance(0.5);
    for _ in 0..3 + s.index(6) {
        let (a, lean, tall) = (s.range(0.0, TAU), s.range(0.1, 0.45), height * s.range(1.15, 1.7));
        let out = dvec3(libm::cos(a), 0.0, libm::sin(a));
        let at = |t: f64| {
            out * (0.5 * room * t.min(0.6) + lean * t * t * 0.7) + DVec3::Y * (0.04 + (tall - 0.04) * t)
        };
        let path: Vec<DVec3> = (0..=6).map(|i| at(f64::from(i) / 6.0)).collect();
        s.add(4, green, tube(&path, [0.009, 0.006], 5));
        let tip = path[6];
        let size = s.range(0.04, 0.09);
        let shape = if leaves { [0.35, 1.7, 0.12] } else { [1.0, 0.6, 1.0] };
        let blossom = ball(8).scaled(size * shape[0], size * shape[1], size * shape[2]);
        s.add(4, bloom, blossom.turned(DVec3::Y, -a).moved(tip.x, tip.y, tip.z));
    }
}

/// Mugs and cups: straight, tapered, barrelled or bowl-shaped; some with a saucer or a lid.
pub(super) fn mug(s: &mut Sketch) {
    let height = s.range(0.55, 1.1);
    let r = s.range(0.32, 0.52);
    let foot = r * s.range(0.6, 1.05);
    let belly = r * s.range(0.9, 1.15);
    let points = [(foot, 0.02), (0.5 * (foot + belly), 0.2), (belly, 0.6), (r, 1.0)];
    let mut outer = vec![dvec2(0.92 * foot, 0.0)];
    outer.extend(spline(&points.map(|(x, y)| dvec2(x, y * height)), 5));
    let wall = s.range(0.02, 0.05);
    let clay = s.paint(&[Ceramic, Ceramic, White, Lacquer, Metal]);
    let inner = if s.chance(0.4) { s.paint(&[White, Ceramic]) } else { clay };
    let inside = |c: DVec3| c.y > 0.05 && dvec2(c.x, c.z).length() < radius_at(&outer, c.y) - 0.6 * wall;
    let flat =
        CrossSection { flat: 1.0, lobes: 8.0, depth: if s.chance(0.15) { 0.04 } else { 0.0 }, twist: 0.0 };
    let body = flat.shape(lathe(&hollow(&outer, wall, 0.05), 32));
    s.add_split(body, |c| (0, if inside(c) { inner } else { clay }));
    handle(s, &outer, height, clay);
    if s.chance(0.25) {
        let out = r * s.range(1.4, 1.8);
        let dish = [(0.6 * foot, -0.06), (out, 0.01), (out, 0.035), (0.95 * foot, 0.004)];
        s.add(2, clay, lathe(&dish.map(DVec2::from), 32));
    }
    if s.chance(0.2) {
        let lid = s.paint(&[Dark, Ceramic, Coat]);
        let top = height + s.range(0.03, 0.1);
        let profile = [
            (r - wall, height - 0.06),
            (1.03 * r, height - 0.002),
            (1.03 * r, height + 0.02),
            (0.5 * r, top),
        ];
        s.add(3, lid, lathe(&profile.map(DVec2::from), 28));
        if s.chance(0.5) {
            s.add(3, lid, ball(10).scaled(0.06, 0.06, 0.06).moved(0.0, top + 0.03, 0.0));
        }
    }
}

/// A handle at +x: round, angular, an ear, or a ring.
fn handle(s: &mut Sketch, outer: &[DVec2], height: f64, paint: MaterialId) {
    let (low, high) = (height * s.range(0.12, 0.35), height * s.range(0.65, 0.92));
    let reach = s.range(0.16, 0.38);
    let bar = s.range(0.028, 0.065);
    let wide = s.range(1.0, 1.9);
    let (a, b) = (radius_at(outer, low) - 0.01, radius_at(outer, high) - 0.01);
    let out = a.max(b) + reach;
    let solid = match s.index(4) {
        0 => {
            let path = [(b, high), (out, high), (out, low), (a, low)].map(|(x, y)| dvec3(x, y, 0.0));
            tube(&spline(&path, 7), [bar, bar], 10)
        }
        1 => {
            let soft = 0.25 * reach;
            let corner = [
                (b, high),
                (out - soft, high),
                (out, high - soft),
                (out, low + soft),
                (out - soft, low),
                (a, low),
            ];
            tube(&corner.map(|(x, y)| dvec3(x, y, 0.0)), [bar, bar], 4)
        }
        2 => {
            let path = [(b, high), (out, high + 0.02), (0.5 * (out + a), 0.6 * low + 0.4 * high), (a, low)];
            tube(&spline(&path.map(|(x, y)| dvec3(x, y, 0.0)), 7), [1.1 * bar, 0.8 * bar], 10)
        }
        _ => {
            let middle = 0.5 * (low + high);
            let big = (0.5 * (high - low)).min(reach);
            let outline: Vec<DVec2> =
                ring(10, 0.0).iter().map(|p| dvec2(big + bar * p.x, bar * p.y)).collect();
            let at = radius_at(outer, middle) + 0.75 * big;
            lathe_ring(&outline, 24).turned(DVec3::X, FRAC_PI_2).moved(at, middle, 0.0)
        }
    };
    s.add(1, paint, solid.scaled(1.0, 1.0, wide));
}
