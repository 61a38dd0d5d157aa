//! What furniture stands on: four legs, pedestals, sleds, trestles, shared by seats, tables and beds.

use glam::{DVec2, DVec3, dvec3};

use super::sketch::{MaterialId, Sketch};
use super::solids::{block, disc, lathe, rod, rounded, tube};

/// The rectangle that supports carry: half sizes, and the height of its underside above the floor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Footprint {
    pub(super) half_x: f64,
    pub(super) half_z: f64,
    pub(super) height: f64,
}

/// Part and paint of the supports.
#[derive(Clone, Copy, Debug)]
pub(super) struct Use {
    pub(super) part: i16,
    pub(super) paint: MaterialId,
}

/// How far supports reach up into what they carry, so that the two meet.
const OVERLAP: f64 = 0.012;

/// Where four legs stand: half distances of their centres at the top, and how far each foot is out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stance {
    x: f64,
    z: f64,
    splay: f64,
    height: f64,
}

impl Stance {
    /// Half distances between the centres of the legs at height `y`.
    pub(super) fn at(&self, y: f64) -> [f64; 2] {
        let out = self.splay * (1.0 - y / self.height);
        [self.x + out, self.z + out]
    }
}

/// Four legs at the corners: square, round or tapered, upright or splayed, maybe with stretchers.
pub(super) fn four_legs(s: &mut Sketch, on: Use, f: Footprint) -> Stance {
    let sides = s.pick(&[4, 4, 8, 12]);
    let top = s.range(0.014, 0.034) * (0.6 + f.half_x.max(f.half_z));
    let bottom = top * if s.chance(0.5) { 1.0 } else { s.range(0.45, 1.3) };
    let inset = top + s.range(0.0, 0.12) * f.half_x.min(f.half_z);
    let (x, z) = (f.half_x - inset, f.half_z - inset);
    let splay = if s.chance(0.45) { s.range(0.04, 0.24) * f.height.min(0.7) } else { 0.0 };
    let stance = Stance { x, z, splay, height: f.height };
    let foot = |sx: f64, sz: f64, y: f64| {
        let [x, z] = stance.at(y);
        dvec3(sx * x, y, sz * z)
    };
    let corners = [(1.0, 1.0), (1.0, -1.0), (-1.0, -1.0), (-1.0, 1.0)];
    for (sx, sz) in corners {
        let leg = rod(foot(sx, sz, 0.0), foot(sx, sz, f.height + OVERLAP), [bottom, top], sides);
        s.add(on.part, on.paint, leg);
    }
    if s.chance(0.35) {
        let y = f.height * s.range(0.15, 0.7);
        let r = 0.5 * top.min(bottom);
        let crossed = s.chance(0.25);
        for i in 0..4 {
            let (a, b) = (corners[i], corners[(i + if crossed { 2 } else { 1 }) % 4]);
            s.add(on.part, on.paint, rod(foot(a.0, a.1, y), foot(b.0, b.1, y), [r, r], sides));
        }
    }
    stance
}

/// Three legs around the axis, splayed.
pub(super) fn three_legs(s: &mut Sketch, on: Use, f: Footprint) {
    let r = s.range(0.018, 0.04) * (0.6 + f.half_x);
    let foot = r * s.range(0.5, 1.0);
    let reach = f.half_x.min(f.half_z);
    let (inner, outer) = (reach * s.range(0.45, 0.8), reach * s.range(0.85, 1.25));
    let sides = s.pick(&[4, 8, 10]);
    for i in 0..3 {
        let a = std::f64::consts::TAU * (f64::from(i) / 3.0 + 0.25);
        let out = dvec3(libm::cos(a), 0.0, libm::sin(a));
        let top = out * inner + DVec3::Y * (f.height + OVERLAP);
        s.add(on.part, on.paint, rod(out * outer, top, [foot, r], sides));
    }
}

/// One column in the middle on a disc, a cross or a star (maybe on casters).
pub(super) fn pedestal(s: &mut Sketch, on: Use, f: Footprint) {
    let reach = f.half_x.min(f.half_z);
    let r = s.range(0.06, 0.14) * reach.min(0.5);
    let base = reach * s.range(0.55, 0.95);
    let knob = r * if s.chance(0.4) { s.range(1.3, 2.6) } else { 1.0 };
    let top = f.height + OVERLAP;
    let profile = [
        (r, 0.02),
        (r, 0.3 * f.height),
        (knob, 0.45 * f.height),
        (r, 0.6 * f.height),
        (r, 0.9 * f.height),
        (1.8 * r, f.height),
        (1.8 * r, top),
    ];
    s.add(on.part, on.paint, lathe(&profile.map(DVec2::from), 14));
    let arms = s.pick(&[0, 0, 4, 5, 5]);
    if arms == 0 {
        let thick = s.range(0.012, 0.035);
        let cone = s.range(0.0, 0.06);
        let profile = [(base, 0.0), (base, thick), (1.5 * r, thick + cone), (0.9 * r, thick + 2.0 * cone)];
        s.add(on.part, on.paint, lathe(&profile.map(DVec2::from), 20));
        return;
    }
    let (casters, bar) = (s.chance(0.6), 0.35 * r + 0.012);
    let floor = if casters { 0.055 } else { 0.0 };
    for i in 0..arms {
        let a = std::f64::consts::TAU * (f64::from(i) / f64::from(arms) + 0.25);
        let out = dvec3(libm::cos(a), 0.0, libm::sin(a));
        let (hub, tip) = (DVec3::Y * (floor + 0.05 + bar), out * base + DVec3::Y * (floor + bar));
        s.add(on.part, on.paint, rod(hub, tip, [1.3 * bar, bar], 6));
        if casters {
            let wheel = disc(0.032, -0.014, 0.014, 10).turned(DVec3::X, std::f64::consts::FRAC_PI_2);
            s.add(on.part, on.paint, wheel.turned(DVec3::Y, -a).moved(tip.x, 0.032, tip.z));
        }
    }
}

/// Two bent bars, each a runner on the floor with two uprights; open at the back if `cantilever`.
pub(super) fn sled(s: &mut Sketch, on: Use, f: Footprint, cantilever: bool) {
    let r = s.range(0.01, 0.022);
    let sides = s.pick(&[4, 8]);
    let (x, z, top) = (f.half_x - r, f.half_z - r, f.height - r + OVERLAP);
    let lean = s.range(-0.1, 0.25) * z;
    let mut path = vec![dvec3(x, top, -z), dvec3(x, top, z - lean), dvec3(x, r, z), dvec3(x, r, -z)];
    if !cantilever {
        path.push(dvec3(x, top, -z + lean));
    }
    let mut bends = vec![path[0]];
    bends.extend(path.windows(2).flat_map(|w| rounded_bend(w[0], w[1])));
    bends.extend(path.last());
    s.add_pair(on.part, on.paint, tube(&bends, [r, r], sides));
    let (low, high) = (dvec3(-x, r, -z), dvec3(x, r, -z));
    s.add(on.part, on.paint, rod(low, high, [r, r], sides));
    let rail = DVec3::Y * (top - r);
    s.add(on.part, on.paint, rod(low + rail, high + rail, [r, r], sides));
}

/// Points just after `a`, between, and just before `b`, so that a path bends softly at its corners.
fn rounded_bend(a: DVec3, b: DVec3) -> [DVec3; 4] {
    [0.06, 0.35, 0.65, 0.94].map(|t| a.lerp(b, t))
}

/// Two trestles (A-frames or boards) with a beam between them.
pub(super) fn trestles(s: &mut Sketch, on: Use, f: Footprint) {
    let x = f.half_x * s.range(0.6, 0.92);
    let thick = s.range(0.025, 0.05);
    let top = f.height + OVERLAP;
    let beam = f.height * s.range(0.35, 0.9);
    if s.chance(0.5) {
        let board = block(thick, top, 2.0 * f.half_z * s.range(0.7, 0.98)).moved(x, top / 2.0, 0.0);
        s.add_pair(on.part, on.paint, board);
    } else {
        let (low, high) = (f.half_z * s.range(0.75, 1.0), f.half_z * s.range(0.0, 0.6));
        let r = 0.8 * thick;
        for side in [-1.0, 1.0] {
            let leg = rod(dvec3(x, 0.0, side * low), dvec3(x, top, side * high), [r, r], 4);
            s.add_pair(on.part, on.paint, leg);
        }
        let half = low + (high - low) * beam / top;
        let bar = rod(dvec3(x, beam, -half), dvec3(x, beam, half), [0.8 * r, 0.8 * r], 4);
        s.add_pair(on.part, on.paint, bar);
    }
    s.add(on.part, on.paint, block(2.0 * x, 1.5 * thick, thick).moved(0.0, beam, 0.0));
}

/// Small feet under a heavy body.
pub(super) fn feet(s: &mut Sketch, on: Use, f: Footprint) {
    let r = s.range(0.02, 0.04);
    let kind = s.index(3);
    for (sx, sz) in [(1.0, 1.0), (1.0, -1.0), (-1.0, -1.0), (-1.0, 1.0)] {
        let (x, z) = (sx * (f.half_x - 1.5 * r), sz * (f.half_z - 1.5 * r));
        let high = f.height + OVERLAP;
        let foot = match kind {
            0 => rounded(2.2 * r, high, 2.2 * r, 0.3 * r).moved(x, high / 2.0, z),
            1 => disc(r, 0.0, high, 12).moved(x, 0.0, z),
            _ => rod(dvec3(x, 0.0, z), dvec3(x, high, z), [0.5 * r, 1.2 * r], 8),
        };
        s.add(on.part, on.paint, foot);
    }
}
