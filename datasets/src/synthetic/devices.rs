//! Lamps, monitors and laptops.

use std::f64::consts::{FRAC_PI_2, PI};

use glam::{DVec2, DVec3, dvec2, dvec3};

use super::curves::spline;
use super::palette::Finish::{Ceramic, Coat, Dark, Glass, Lacquer, Metal, Screen, Shade, White, Wood};
use super::sketch::{MaterialId, Sketch};
use super::solids::{Solid, ball, block, disc, lathe, lathe_ring, rod, rounded, tube};

pub(super) const LAMP: [&str; 4] = ["base", "stem", "shade", "bulb"];
pub(super) const MONITOR: [&str; 4] = ["screen", "case", "stand", "foot"];
pub(super) const LAPTOP: [&str; 4] = ["base", "keyboard", "lid", "screen"];

/// Lamps: floor, table (some on a vase-like body), desk (jointed arm) and pendant lamps.
pub(super) fn lamp(s: &mut Sketch) {
    match s.index(5) {
        0 => {
            let (height, base) = (s.range(1.2, 1.7), s.range(0.12, 0.24));
            standing_lamp(s, height, base);
        }
        1 => {
            let (height, base) = (s.range(0.4, 0.9), s.range(0.1, 0.22));
            standing_lamp(s, height, base);
        }
        2 => bodied_lamp(s),
        3 => desk_lamp(s),
        _ => pendant(s),
    }
}

/// Adds a hollow shade of revolution around y that hangs from `top`; returns its radius there.
fn add_shade(s: &mut Sketch, top: f64, wide: f64, paint: MaterialId) -> f64 {
    let high = wide * s.range(0.6, 1.5);
    let crown = wide * s.range(0.25, 0.9);
    let low = top - high;
    let outer = match s.index(3) {
        0 => vec![dvec2(wide, low), dvec2(0.5 * (wide + crown), 0.5 * (low + top)), dvec2(crown, top)],
        1 => spline(
            &[(wide, low), (0.6 * wide + 0.4 * crown, low + 0.4 * high), (crown, top)].map(DVec2::from),
            5,
        ),
        _ => spline(&[(wide, low), (1.02 * wide, low + 0.3 * high), (0.5 * crown, top)].map(DVec2::from), 5),
    };
    let ring = outer[outer.len() - 1].x;
    let inner: Vec<DVec2> = outer.iter().rev().map(|p| dvec2(0.96 * p.x - 0.002, p.y)).collect();
    let outline: Vec<DVec2> = outer.into_iter().chain(inner).collect();
    s.add(2, paint, lathe_ring(&outline, 28));
    ring
}

/// The cross of wires that holds a shade, and the bulb below it.
fn fitting(s: &mut Sketch, y: f64, reach: f64, metal: MaterialId) {
    let bulb = s.paint(&[White]);
    for turn in [0.0, FRAC_PI_2] {
        let out = dvec3(libm::cos(turn), 0.0, libm::sin(turn)) * reach;
        let at = DVec3::Y * y;
        s.add(1, metal, rod(at - out, at + out, [0.005, 0.005], 5));
    }
    let size = s.range(0.025, 0.05);
    s.add(3, bulb, ball(12).scaled(size, 1.3 * size, size).moved(0.0, y - 1.1 * size, 0.0));
}

fn standing_lamp(s: &mut Sketch, height: f64, base: f64) {
    let (metal, cloth) = (s.paint(&[Metal, Wood, Dark, White]), s.paint(&[Shade, Shade, White, Lacquer]));
    let r = s.range(0.008, 0.02);
    let wide = s.range(0.14, 0.3) * (0.5 + 0.4 * height);
    if s.chance(0.25) {
        for i in 0..3 {
            let a = 2.0 * PI * (f64::from(i) / 3.0 + 0.25);
            let out = dvec3(libm::cos(a), 0.0, libm::sin(a));
            let foot = out * (base * 1.6 * (0.5 + 0.5 * height));
            s.add(0, metal, rod(foot, DVec3::Y * (0.75 * height), [r, r], 8));
        }
        s.add(1, metal, rod(DVec3::Y * (0.72 * height), DVec3::Y * height, [1.4 * r, r], 10));
    } else {
        let thick = s.range(0.015, 0.05);
        let dome = s.range(0.0, 0.06);
        let profile =
            [(base, 0.0), (base, thick), (0.5 * base, thick + 0.7 * dome), (1.5 * r, thick + dome + 0.01)];
        s.add(0, metal, lathe(&profile.map(DVec2::from), 24));
        s.add(1, metal, rod(DVec3::Y * (0.5 * thick), DVec3::Y * height, [r, r], 10));
    }
    if s.chance(0.15) {
        let size = 0.7 * wide;
        s.add(2, cloth, ball(20).scaled(size, size, size).moved(0.0, height + 0.9 * size, 0.0));
        return;
    }
    let ring = add_shade(s, height, wide, cloth);
    fitting(s, height - 0.006, ring, metal);
}

/// A table lamp whose base is a turned body, much like a vase or a bottle.
fn bodied_lamp(s: &mut Sketch) {
    let (clay, cloth) = (s.paint(&[Ceramic, Glass, Wood, Metal]), s.paint(&[Shade, White]));
    let high = s.range(0.25, 0.6);
    let r = high * s.range(0.2, 0.5);
    let points = [
        (r * s.range(0.5, 1.0), 0.0),
        (r, high * s.range(0.25, 0.6)),
        (0.3 * r, 0.92 * high),
        (0.25 * r, high),
    ];
    s.add(0, clay, lathe(&spline(&points.map(DVec2::from), 6), 28));
    let metal = s.paint(&[Metal]);
    let top = high + s.range(0.12, 0.3);
    s.add(1, metal, rod(DVec3::Y * (0.9 * high), DVec3::Y * top, [0.012, 0.01], 8));
    let wide = r * s.range(0.9, 1.5) + 0.06;
    let ring = add_shade(s, top, wide, cloth);
    fitting(s, top - 0.006, ring, metal);
}

/// A jointed arm on a disc that ends in a tilted cone.
fn desk_lamp(s: &mut Sketch) {
    let paint = s.paint(&[Lacquer, Metal, Dark, White]);
    let base = s.range(0.08, 0.15);
    let r = s.range(0.007, 0.014);
    let thick = s.range(0.015, 0.035);
    s.add(0, paint, disc(base, 0.0, thick, 24));
    let (low, high) = (s.range(0.2, 0.45), s.range(0.2, 0.45));
    let (lean, reach) = (s.range(-0.5, 0.1), s.range(0.3, 1.2));
    let elbow = dvec3(0.0, low * libm::cos(lean), low * libm::sin(lean)) + DVec3::Y * 0.01;
    let tip = elbow + dvec3(0.0, high * libm::cos(reach), high * libm::sin(reach));
    if s.chance(0.3) {
        let path = [DVec3::Y * 0.01, dvec3(0.0, low, 0.0), 0.5 * (elbow + tip) + DVec3::Y * 0.08, tip];
        s.add(1, paint, tube(&spline(&path, 8), [r, r], 8));
    } else {
        s.add(1, paint, rod(DVec3::Y * 0.01, elbow, [r, r], 8));
        s.add(1, paint, rod(elbow, tip, [r, r], 8));
        s.add(1, paint, ball(10).scaled(1.9 * r, 1.9 * r, 1.9 * r).moved(elbow.x, elbow.y, elbow.z));
    }
    let wide = s.range(0.06, 0.13);
    let long = wide * s.range(1.0, 1.9);
    let profile = [(wide, -long), (0.55 * wide, -0.45 * long), (0.35 * wide, 0.0), (0.3 * wide, 0.25 * wide)];
    let inner = profile.iter().rev().map(|p| dvec2(p.0 * 0.93, p.1));
    let outline: Vec<DVec2> = profile.iter().copied().map(DVec2::from).chain(inner).collect();
    let bulb = s.paint(&[White]);
    let nod = -s.range(0.1, 0.9);
    let hang = |solid: Solid| solid.turned(DVec3::X, nod).moved(tip.x, tip.y, tip.z);
    s.add(2, paint, hang(lathe_ring(&outline, 24)));
    let socket = disc(0.34 * wide, -0.1 * wide, 0.2 * wide, 16);
    s.add(2, paint, hang(socket));
    s.add(3, bulb, hang(ball(10).scaled(0.4 * wide, 0.5 * wide, 0.4 * wide).moved(0.0, -0.45 * wide, 0.0)));
}

/// A lamp that hangs from a rose at the ceiling.
fn pendant(s: &mut Sketch) {
    let (metal, cloth) = (s.paint(&[Metal, Dark]), s.paint(&[Shade, Lacquer, Metal, Glass]));
    let drop = s.range(0.25, 0.9);
    let wide = s.range(0.13, 0.32);
    let rose = s.range(0.04, 0.08);
    let lamps = if s.chance(0.2) { 3 } else { 1 };
    let ring = add_shade(s, 0.0, wide, cloth);
    fitting(s, -0.006, ring, metal);
    s.add(1, metal, rod(DVec3::Y * -0.03, DVec3::Y * drop, [0.006, 0.006], 6));
    s.add(0, metal, disc(rose, drop - 0.005, drop + 0.02, 20));
    if lamps == 3 {
        let arm = 1.5 * wide;
        for side in [-1.0, 1.0] {
            let path = [
                dvec3(0.0, 0.4 * drop, 0.0),
                dvec3(0.5 * side * arm, 0.3 * drop, 0.0),
                dvec3(side * arm, 0.45 * drop, 0.0),
            ];
            s.add(1, metal, tube(&spline(&path, 6), [0.008, 0.008], 6));
            let size = 0.35 * wide;
            let globe = ball(14).scaled(size, size, size).moved(side * arm, 0.45 * drop + 0.8 * size, 0.0);
            s.add(3, cloth, globe);
        }
    }
}

/// Monitors: flat or curved on a stand, wide on two feet, or a deep tube set.
pub(super) fn monitor(s: &mut Sketch) {
    let (w, ratio) = (s.range(0.42, 1.3), s.range(0.45, 0.8));
    let h = w * ratio;
    let case = s.paint(&[Dark, Dark, Metal, White, Coat]);
    let glass = s.paint(&[Screen]);
    let thick = s.range(0.02, 0.06);
    let tube_set = s.chance(0.2);
    let (w, h) = if tube_set { (0.5 * (w + 0.4), 0.4 * (w + 0.4)) } else { (w, h) };
    let curve = if !tube_set && s.chance(0.25) { s.range(0.1, 0.5) / w } else { 0.0 };
    let lift = s.range(0.05, 0.25) * (0.5 + h);
    let tilt = s.range(-0.05, 0.2);
    let put = |solid: Solid| {
        let bent = solid.map(|p| dvec3(p.x, p.y, p.z + curve * p.x * p.x));
        bent.turned(DVec3::X, -tilt).moved(0.0, lift + h / 2.0, 0.0)
    };
    let bezel = s.range(0.008, 0.035);
    s.add(1, case, put(rounded(w, h, thick, 0.3 * thick)));
    let face = block(w - 2.0 * bezel, h - 2.2 * bezel, 0.018);
    s.add(0, glass, put(face.moved(0.0, 0.1 * bezel, thick / 2.0)));
    if tube_set {
        let deep = h * s.range(0.6, 0.95);
        let taper = |p: DVec3| {
            let t = 0.5 - p.z / deep;
            dvec3(p.x * (1.0 - 0.4 * t), p.y * (1.0 - 0.3 * t), p.z)
        };
        let body = rounded(0.97 * w, 0.95 * h, deep, 0.02).map(taper);
        s.add(1, case, put(body.moved(0.0, 0.0, -deep / 2.0)));
    }
    let rear = if tube_set { -0.3 * h } else { -0.4 * thick };
    monitor_stand(s, &MonitorRear { width: w, height: h, lift, rear, curve, tilt }, case);
}

/// Where a stand meets a case that may be curved and tilted.
struct MonitorRear {
    width: f64,
    height: f64,
    /// Height of the lower edge.
    lift: f64,
    /// z of the rear.
    rear: f64,
    curve: f64,
    tilt: f64,
}

fn monitor_stand(s: &mut Sketch, monitor: &MonitorRear, case: MaterialId) {
    let MonitorRear { width: w, height: h, lift, rear, curve, tilt } = *monitor;
    let metal = if s.chance(0.4) { s.paint(&[Metal, Dark]) } else { case };
    let up = lift + 0.3 * h;
    let rear = rear + 0.2 * h * tilt;
    let slim = s.range(0.012, 0.03);
    match s.index(4) {
        0 => {
            let x = s.range(0.25, 0.42) * w;
            let rear = rear + curve * x * x + 0.22 * h * tilt;
            s.add_pair(2, metal, block(0.04, 1.3 * lift, 0.03).moved(x, 0.65 * lift, rear));
            let deep = s.range(0.15, 0.3);
            s.add_pair(3, metal, rounded(0.05, slim, deep, 0.3 * slim).moved(x, slim / 2.0, rear));
        }
        1 => {
            let r = s.range(0.09, 0.17);
            s.add(3, metal, disc(r, 0.0, slim, 28).moved(0.0, 0.0, rear));
            s.add(2, metal, rod(dvec3(0.0, 0.5 * slim, rear), dvec3(0.0, up, rear), [0.02, 0.02], 12));
        }
        2 => {
            let (reach, z) = (s.range(0.12, 0.22), rear - 0.01);
            for side in [-1.0, 1.0] {
                let toe = dvec3(side * reach, 0.01, z + 0.9 * reach);
                s.add(3, metal, rod(dvec3(0.0, 0.02, z), toe, [0.018, 0.01], 4));
            }
            s.add(2, metal, block(0.045, up, 0.03).moved(0.0, up / 2.0, z));
        }
        _ => {
            let (wide, deep) = (w * s.range(0.3, 0.6), s.range(0.14, 0.26));
            s.add(3, metal, rounded(wide, slim, deep, 0.4 * slim).moved(0.0, slim / 2.0, rear));
            let neck = wide * s.range(0.15, 0.7);
            s.add(2, metal, block(neck, up, 0.025).moved(0.0, up / 2.0, rear));
        }
    }
}

/// Laptops, closed to wide open, and some turned into a tent.
pub(super) fn laptop(s: &mut Sketch) {
    let (w, thick) = (s.range(0.8, 1.1), s.range(0.018, 0.06));
    let deep = w * s.range(0.58, 0.78);
    let case = s.paint(&[Metal, Dark, Coat, White]);
    let keys = s.paint(&[Dark, White]);
    let glass = s.paint(&[Screen]);
    let corner = 0.35 * thick;
    let wedge = if s.chance(0.4) { s.range(0.0, 0.6) } else { 0.0 };
    let narrow = move |p: DVec3| dvec3(p.x, p.y * (1.0 - wedge * (0.5 + p.z / deep)), p.z);
    s.add(0, case, rounded(w, thick, deep, corner).map(narrow).moved(0.0, thick / 2.0, 0.0));
    let slope = |z: f64| thick / 2.0 + thick / 2.0 * (1.0 - wedge * (0.5 + z / deep));
    keyboard(s, w, deep, keys, slope);
    let z = 0.3 * deep;
    s.add(1, case, block(0.3 * w, 0.008, 0.25 * deep).moved(0.0, slope(z), z));
    let lid = thick * s.range(0.3, 0.6);
    let open = s.range(50.0, 150.0).to_radians();
    let hinge = dvec3(0.0, thick + 0.2 * lid, 0.02 - deep / 2.0);
    let put = |solid: Solid| solid.turned(DVec3::X, FRAC_PI_2 - open).moved(hinge.x, hinge.y, hinge.z);
    s.add(2, case, put(rounded(w, deep, lid, 0.4 * lid).moved(0.0, deep / 2.0, 0.0)));
    let bezel = s.range(0.02, 0.06);
    let face = block(w - 2.0 * bezel, deep - 2.5 * bezel, 0.018);
    s.add(3, glass, put(face.moved(0.0, deep / 2.0, lid / 2.0)));
    let bar = rod(DVec3::X * -0.3 * w, DVec3::X * 0.3 * w, [0.45 * thick, 0.45 * thick], 8);
    s.add(2, case, bar.moved(0.0, 0.9 * thick, hinge.z));
}

/// Rows of keys on a base of size `w`, `deep`, whose upper side is at `top` of z.
fn keyboard(s: &mut Sketch, w: f64, deep: f64, keys: MaterialId, top: impl Fn(f64) -> f64) {
    let (rows, columns) = (4 + s.index(2), 8 + s.index(5));
    let area = [s.range(0.78, 0.92) * w, 0.46 * deep];
    let (kw, kd) = (area[0] / columns as f64, area[1] / rows as f64);
    for i in 0..rows * columns {
        let (row, column) = ((i / columns) as f64 + 0.5, (i % columns) as f64 + 0.5);
        let (x, z) = (area[0] * (column / columns as f64 - 0.5), kd * row - 0.38 * deep);
        s.add(1, keys, block(0.84 * kw, 0.014, 0.84 * kd).moved(x, top(z) + 0.003, z));
    }
}
