//! Chairs and stools.

use std::f64::consts::FRAC_PI_2;

use glam::{DVec3, dvec3};

use super::curves::rounded_rectangle;
use super::palette::Finish::{Dark, Fabric, Lacquer, Leather, Metal, White, Wood};
use super::sketch::{MaterialId, Sketch};
use super::solids::{Solid, block, disc, rod, rounded, slab};
use super::supports::{Footprint, Use, four_legs, pedestal, sled, three_legs};

pub(super) const CHAIR: [&str; 4] = ["seat", "back", "leg", "arm"];
const SEAT: i16 = 0;
const BACK: i16 = 1;
const LEG: i16 = 2;
const ARM: i16 = 3;

pub(super) const STOOL: [&str; 3] = ["seat", "leg", "back"];
const STOOL_LEG: i16 = 1;
const STOOL_BACK: i16 = 2;

/// Size of a seat: full width and depth, height of its top, thickness.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    pub(super) width: f64,
    pub(super) depth: f64,
    pub(super) top: f64,
    pub(super) thick: f64,
}

/// Chairs on four legs, a pedestal or a sled, with six kinds of back, some with arms.
pub(super) fn chair(s: &mut Sketch) {
    let width = s.range(0.38, 0.64);
    let seat = Seat {
        width,
        depth: width * s.range(0.8, 1.15),
        top: s.range(0.36, 0.56),
        thick: s.range(0.02, 0.11),
    };
    let frame = s.paint(&[Wood, Wood, Metal, Lacquer, White, Dark]);
    let cover = if s.chance(0.5) { s.paint(&[Fabric, Leather, Lacquer, White, Dark]) } else { frame };
    let round = s.chance(0.2);
    let SeatBody { solid, half_x, half_z } = seat_body(s, &seat, round);
    s.add(SEAT, cover, solid);
    let under = Footprint { half_x, half_z, height: seat.top - seat.thick };
    let on = Use { part: LEG, paint: frame };
    match s.index(6) {
        3 => pedestal(s, on, Footprint { half_x: 1.1 * under.half_x, half_z: 1.1 * under.half_z, ..under }),
        4 => sled(s, on, under, seat.thick < 0.06),
        _ => {
            four_legs(s, on, under);
        }
    }
    let recline = s.range(0.0, 0.35);
    let paints = ChairPaints { frame, cover };
    chair_back(s, &seat, under, recline, paints);
    if s.chance(0.35) {
        arms(s, &seat, half_x, recline, paints);
    }
}

/// What frame and cover of a chair are made of.
#[derive(Clone, Copy)]
struct ChairPaints {
    frame: MaterialId,
    cover: MaterialId,
}

/// A seat, and the half sizes of a rectangle whose corners lie under it.
struct SeatBody {
    solid: Solid,
    half_x: f64,
    half_z: f64,
}

fn seat_body(s: &mut Sketch, seat: &Seat, round: bool) -> SeatBody {
    let dish = if s.chance(0.4) { s.range(0.0, 0.03) } else { 0.0 };
    let narrow = if s.chance(0.4) { s.range(0.0, 0.2) } else { 0.0 };
    let (half_x, half_z) = (seat.width / 2.0, seat.depth / 2.0);
    let (solid, corner) = match s.index(3) {
        _ if round => {
            let plate = disc(half_x, -seat.thick / 2.0, seat.thick / 2.0, 24);
            (plate.scaled(1.0, 1.0, half_z / half_x), 0.28 * half_x.min(half_z))
        }
        0 => (block(seat.width, seat.thick, seat.depth), 0.0),
        1 => (rounded(seat.width, seat.thick, seat.depth, 0.45 * seat.thick), 0.2 * seat.thick),
        _ => {
            let r = s.range(0.2, 0.5) * seat.width.min(seat.depth);
            let outline = rounded_rectangle(seat.width, seat.depth, r);
            (slab(&outline, seat.thick, 0.03).turned(DVec3::X, -FRAC_PI_2), 0.3 * r)
        }
    };
    let shaped = solid.map(|p| {
        let (u, w) = (p.x / half_x, p.z / half_z);
        let hollow = dish * (1.0 - u * u).max(0.0) * (1.0 - w * w).max(0.0);
        dvec3(p.x * (1.0 - narrow * 0.5 * (1.0 - w)), p.y - hollow, p.z)
    });
    SeatBody {
        solid: shaped.moved(0.0, seat.top - seat.thick / 2.0, 0.0),
        half_x: (0.97 - narrow) * half_x - corner,
        half_z: 0.97 * half_z - corner,
    }
}

/// A back made upright at the origin, then bent around the sitter, reclined and put on the seat.
pub(super) struct BackPlace {
    bend: f64,
    recline: f64,
    y: f64,
    z: f64,
}

impl BackPlace {
    fn put(&self, solid: Solid) -> Solid {
        let bend = self.bend;
        solid
            .map(|p| dvec3(p.x, p.y, p.z + bend * p.x * p.x))
            .turned(DVec3::X, -self.recline)
            .moved(0.0, self.y, self.z)
    }
}

/// Size of a back before it is put in place: full width, y of its ends.
struct BackSize {
    width: f64,
    low: f64,
    high: f64,
}

/// The rear edge of what is `under` the seat carries the back.
fn chair_back(s: &mut Sketch, seat: &Seat, under: Footprint, recline: f64, paints: ChairPaints) {
    let ChairPaints { frame, cover } = paints;
    let bend = if s.chance(0.5) { s.range(0.0, 1.0) } else { 0.0 };
    let place = BackPlace { bend, recline, y: seat.top, z: 0.015 - under.half_z };
    let high = s.range(0.2, 0.75);
    let w = 2.0 * under.half_x * s.range(0.75, 1.03);
    let low = -0.7 * seat.thick;
    let size = BackSize { width: w, low, high };
    let kind = s.index(6);
    if kind == 0 {
        let thick = s.range(0.02, 0.09);
        let body = rounded(w, high - low, thick, 0.4 * thick);
        s.add(BACK, cover, place.put(body.moved(0.0, (high + low) / 2.0, 0.0)));
    } else if kind == 1 {
        shell(s, &place, &size, cover);
    } else {
        framed_back(s, &place, &size, frame);
        let filling = if kind == 5 { cover } else { frame };
        fill_back(s, &place, &size, kind, filling);
    }
}

/// A panel with a gap below it, on one or two posts.
fn shell(s: &mut Sketch, place: &BackPlace, size: &BackSize, paint: MaterialId) {
    let BackSize { width: w, high, .. } = *size;
    let gap = high * s.range(0.1, 0.4);
    let thick = s.range(0.015, 0.05);
    let r = s.range(0.1, 0.5) * w.min(high - gap);
    let outline = rounded_rectangle(w, high - gap, r);
    s.add(BACK, paint, place.put(slab(&outline, thick, 0.02).moved(0.0, (high + gap) / 2.0, 0.0)));
    let x = if s.chance(0.5) { 0.0 } else { 0.3 * w };
    let post = block(0.035, 1.6 * gap + 0.02, 0.6 * thick + 0.01).moved(x, 0.8 * gap - 0.01, -0.3 * thick);
    s.add(BACK, paint, place.put(post.clone()));
    if x > 0.0 {
        s.add(BACK, paint, place.put(post.mirrored()));
    }
}

/// Two posts and a top rail.
fn framed_back(s: &mut Sketch, place: &BackPlace, size: &BackSize, paint: MaterialId) {
    let BackSize { width: w, low, high } = *size;
    let r = s.range(0.012, 0.028);
    let x = w / 2.0 - r;
    let post = rod(dvec3(x, low, 0.0), dvec3(x, high, 0.0), [r, r], 8);
    s.add(BACK, paint, place.put(post.clone()));
    s.add(BACK, paint, place.put(post.mirrored()));
    let rail = s.range(0.03, 0.12);
    s.add(BACK, paint, place.put(block(w, rail, 1.2 * r).moved(0.0, high - rail / 2.0, 0.0)));
}

/// Upright spindles, rungs, a centre splat or a panel between the posts.
fn fill_back(s: &mut Sketch, place: &BackPlace, size: &BackSize, kind: usize, paint: MaterialId) {
    let BackSize { width: w, high, .. } = *size;
    match kind {
        2 => {
            let n = 2 + s.index(5);
            for i in 1..=n {
                let x = w * (i as f64 / (n + 1) as f64 - 0.5);
                let bar = rod(dvec3(x, -0.01, 0.0), dvec3(x, high - 0.01, 0.0), [0.008, 0.008], 6);
                s.add(BACK, paint, place.put(bar));
            }
        }
        3 => {
            let n = 1 + s.index(4);
            let rung = s.range(0.02, 0.05);
            for i in 1..=n {
                let y = high * i as f64 / (n + 1) as f64;
                s.add(BACK, paint, place.put(block(w - 0.01, rung, 0.014).moved(0.0, y, 0.0)));
            }
        }
        4 => {
            let wide = w * s.range(0.2, 0.4);
            let splat = block(wide, high, 0.014).map(|p| {
                let t = p.y / high;
                dvec3(p.x * (0.7 + 2.0 * t * t), p.y, p.z)
            });
            s.add(BACK, paint, place.put(splat.moved(0.0, high / 2.0 - 0.01, 0.0)));
        }
        _ => {
            let low = high * s.range(0.05, 0.35);
            let pad = rounded(w - 0.03, high - low - 0.02, 0.055, 0.015);
            s.add(BACK, paint, place.put(pad.moved(0.0, (high + low) / 2.0, 0.0)));
        }
    }
}

/// Arm rests: a board on a post, a solid side, or a bent bar.
fn arms(s: &mut Sketch, seat: &Seat, half_x: f64, recline: f64, paints: ChairPaints) {
    let ChairPaints { frame, cover } = paints;
    let up = s.range(0.16, 0.27);
    let thick = s.range(0.018, 0.05);
    let rear = -seat.depth / 2.0 + 0.02 - up * recline;
    let front = seat.depth * s.range(0.1, 0.28);
    let x = half_x - 0.2 * thick;
    let (middle, length) = ((front + rear) / 2.0, front - rear);
    let top = seat.top + up;
    match s.index(3) {
        0 => {
            s.add_pair(ARM, cover, rounded(1.8 * thick, thick, length, 0.3 * thick).moved(x, top, middle));
            let post = rod(
                dvec3(x, seat.top - 0.6 * seat.thick, front - thick),
                dvec3(x, top, front - thick),
                [0.5 * thick, 0.5 * thick],
                8,
            );
            s.add_pair(ARM, frame, post);
        }
        1 => {
            let deep = up + 0.7 * seat.thick;
            let side = rounded(1.3 * thick, deep, length, 0.4 * thick);
            s.add_pair(ARM, cover, side.moved(x, top - deep / 2.0, middle));
        }
        _ => {
            let corner = [(seat.top - 0.6 * seat.thick, front), (top, front * 0.8), (top, rear)];
            let [a, b, c] = corner.map(|(y, z)| dvec3(x, y, z));
            s.add_pair(ARM, frame, rod(a, b, [0.4 * thick, 0.4 * thick], 8));
            s.add_pair(ARM, frame, rod(b + DVec3::Z * 0.3 * thick, c, [0.5 * thick, 0.5 * thick], 8));
        }
    }
}

/// Stools: round, square or saddle seats, three or four legs or a pedestal; a few with a low back.
pub(super) fn stool(s: &mut Sketch) {
    let width = s.range(0.28, 0.5);
    let deep = if s.chance(0.7) { 1.0 } else { s.range(0.65, 1.0) };
    let seat = Seat { width, depth: width * deep, top: s.range(0.3, 0.82), thick: s.range(0.02, 0.12) };
    let frame = s.paint(&[Wood, Wood, Metal, Lacquer, White]);
    let cover = if s.chance(0.5) { s.paint(&[Fabric, Leather, Lacquer, Wood]) } else { frame };
    let round = s.chance(0.55);
    let SeatBody { solid, half_x, half_z } = seat_body(s, &seat, round);
    s.add(0, cover, solid);
    let under = Footprint { half_x, half_z, height: seat.top - seat.thick };
    let on = Use { part: STOOL_LEG, paint: frame };
    match s.index(6) {
        0 => three_legs(s, on, under),
        1 | 2 => pedestal(s, on, Footprint { half_x: 1.3 * half_x, half_z: 1.3 * half_z, ..under }),
        3 => sled(s, on, under, false),
        _ => {
            four_legs(s, on, under);
        }
    }
    if s.chance(0.15) {
        let high = s.range(0.08, 0.2);
        let place =
            BackPlace { bend: 0.8, recline: s.range(0.0, 0.2), y: seat.top, z: 0.03 - seat.depth / 2.0 };
        let pad = rounded(0.8 * width, 0.6 * high, 0.025, 0.01).moved(0.0, 0.75 * high, 0.0);
        s.add(STOOL_BACK, cover, place.put(pad));
        let post = rod(dvec3(0.15 * width, -0.015, 0.0), dvec3(0.15 * width, high, 0.0), [0.01, 0.01], 6);
        s.add(STOOL_BACK, frame, place.put(post.clone()));
        s.add(STOOL_BACK, frame, place.put(post.mirrored()));
    }
}
