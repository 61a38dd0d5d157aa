//! Sofas, benches and beds.

use glam::{DVec3, dvec3};

use super::palette::Finish::{Dark, Fabric, Lacquer, Leather, Metal, White, Wood};
use super::sketch::{MaterialId, Sketch};
use super::solids::{Solid, block, disc, rod, rounded};
use super::supports::{Footprint, Use, feet, four_legs, sled, trestles};

pub(super) const SOFA: [&str; 5] = ["base", "cushion", "back", "arm", "leg"];
pub(super) const BENCH: [&str; 4] = ["seat", "back", "leg", "arm"];
pub(super) const BED: [&str; 6] = ["frame", "mattress", "headboard", "footboard", "pillow", "leg"];

/// Sofas with one to four seats, some with a chaise, with box, rolled, thin or no arms.
pub(super) fn sofa(s: &mut Sketch) {
    let seats = 1 + s.index(4);
    let arm = if s.chance(0.85) { s.range(0.07, 0.26) } else { 0.0 };
    let width = seats as f64 * s.range(0.5, 0.72) + 2.0 * arm;
    let depth = s.range(0.7, 1.05);
    let feet_high = s.range(0.03, 0.2);
    let base_top = feet_high + s.range(0.1, 0.25);
    let cover = s.paint(&[Fabric, Fabric, Leather]);
    let leg = s.paint(&[Wood, Metal, Dark]);
    let accent = if s.chance(0.3) { s.paint(&[Fabric, Lacquer]) } else { cover };
    let base = base_top - feet_high;
    s.add(0, cover, rounded(width, base, depth, 0.04).moved(0.0, (base_top + feet_high) / 2.0, 0.0));
    let under = Footprint { half_x: 0.97 * width / 2.0, half_z: 0.97 * depth / 2.0, height: feet_high };
    feet(s, Use { part: 4, paint: leg }, under);
    let cushion = s.range(0.08, 0.2);
    let back_thick = s.range(0.1, 0.28);
    let inner = width - 2.0 * arm;
    let room = Room { seats, inner, front: depth / 2.0, back: back_thick - depth / 2.0, base_top, cushion };
    cushions(s, &room, cover, accent);
    sofa_back(s, &room, cover, accent);
    if arm > 0.0 {
        let top = base_top + cushion + s.range(0.0, 0.28);
        let x = inner / 2.0 + arm / 2.0;
        sofa_arms(s, SofaArm { thick: arm, x, depth, low: feet_high + 0.01, top }, cover);
    }
    if seats > 1 && s.chance(0.2) {
        chaise(s, &room, feet_high, cover, leg);
    }
}

/// Where the cushions of a sofa go: how many, width between the arms, front and back ends, heights.
struct Room {
    seats: usize,
    inner: f64,
    front: f64,
    back: f64,
    base_top: f64,
    cushion: f64,
}

fn cushions(s: &mut Sketch, room: &Room, cover: MaterialId, accent: MaterialId) {
    let n = if s.chance(0.7) { room.seats } else { 1 };
    let (w, d) = (room.inner / n as f64, room.front - room.back + 0.02);
    let (soft, puff) = (s.range(0.25, 0.5) * room.cushion, s.range(0.0, 0.05));
    for i in 0..n {
        let x = room.inner * ((i as f64 + 0.5) / n as f64 - 0.5);
        let pad = puffed(rounded(w - 0.012, room.cushion + 0.02, d, soft), w, d, puff);
        let paint = if i % 2 == 1 { accent } else { cover };
        s.add(
            1,
            paint,
            pad.moved(x, room.base_top + room.cushion / 2.0 - 0.01, (room.front + room.back) / 2.0),
        );
    }
}

/// A cushion swollen in the middle of its upper side.
fn puffed(solid: Solid, w: f64, d: f64, puff: f64) -> Solid {
    solid.map(|p| {
        let (u, v) = (2.0 * p.x / w, 2.0 * p.z / d);
        let rise = puff * (1.0 - u * u).max(0.0) * (1.0 - v * v).max(0.0);
        dvec3(p.x, if p.y > 0.0 { p.y + rise } else { p.y }, p.z)
    })
}

fn sofa_back(s: &mut Sketch, room: &Room, cover: MaterialId, accent: MaterialId) {
    let seats = room.seats;
    let high = room.cushion + s.range(0.25, 0.55);
    let rear = -room.front;
    let thick = room.back - rear;
    let lean = s.range(0.0, 0.25);
    let body = rounded(room.inner + 0.02, high, thick, 0.35 * thick);
    let put = |solid: Solid| solid.map(|p| dvec3(p.x, p.y + room.base_top, p.z - lean * p.y.max(0.0)));
    s.add(2, cover, put(body.moved(0.0, high / 2.0 - 0.02, rear + thick / 2.0)));
    if s.chance(0.5) {
        let w = room.inner / seats as f64;
        let (tall, deep) = ((high - room.cushion) * s.range(0.6, 1.0), s.range(0.08, 0.16));
        for i in 0..seats {
            let x = room.inner * ((i as f64 + 0.5) / seats as f64 - 0.5);
            let pad = rounded(w * 0.92, tall, deep, 0.45 * deep);
            s.add(1, accent, put(pad.moved(x, room.cushion + tall / 2.0 - 0.01, room.back + 0.35 * deep)));
        }
    }
}

/// An arm of a sofa: its thickness, the x of its middle, its depth, y of its ends.
#[derive(Clone, Copy)]
struct SofaArm {
    thick: f64,
    x: f64,
    depth: f64,
    low: f64,
    top: f64,
}

fn sofa_arms(s: &mut Sketch, arm: SofaArm, cover: MaterialId) {
    let SofaArm { thick: arm, x, depth, low, top } = arm;
    let kind = s.index(3);
    let (high, middle) = (top - low, (top + low) / 2.0);
    let soft = if kind == 0 { 0.15 } else { 0.49 } * arm;
    s.add_pair(3, cover, rounded(arm, high, depth, soft).moved(x, middle, 0.0));
    if kind == 2 {
        let r = arm * 0.62;
        let roll =
            disc(r, -depth / 2.0, depth / 2.0 + 0.01, 16).turned(DVec3::X, std::f64::consts::FRAC_PI_2);
        s.add_pair(3, cover, roll.moved(x + 0.1 * arm, top - 0.5 * r, 0.0));
    }
}

/// The seat at one end drawn out to the front.
fn chaise(s: &mut Sketch, room: &Room, floor: f64, cover: MaterialId, leg: MaterialId) {
    let side = s.pick(&[-1.0, 1.0]);
    let (w, long) = (room.inner / room.seats as f64, s.range(0.4, 0.8));
    let x = side * (room.inner - w) / 2.0;
    let z = room.front + long / 2.0 - 0.02;
    let base = room.base_top - floor;
    s.add(0, cover, rounded(w, base, long + 0.04, 0.03).moved(x, room.base_top - base / 2.0, z));
    let pad = rounded(w - 0.012, room.cushion + 0.02, long + 0.04, 0.4 * room.cushion);
    s.add(1, cover, pad.moved(x, room.base_top + room.cushion / 2.0 - 0.01, z));
    for dx in [-0.4 * w, 0.4 * w] {
        s.add(4, leg, disc(0.025, 0.0, floor + 0.02, 10).moved(x + dx, 0.0, room.front + long - 0.06));
    }
}

/// Benches: plank or slatted seats, with or without back and arms.
pub(super) fn bench(s: &mut Sketch) {
    let (width, depth) = (s.range(0.8, 1.9), s.range(0.28, 0.55));
    let (top, thick) = (s.range(0.36, 0.52), s.range(0.02, 0.09));
    let frame = s.paint(&[Wood, Metal, Dark, Lacquer]);
    let plank = if s.chance(0.6) { s.paint(&[Wood, Wood, Lacquer, Leather]) } else { frame };
    let slats = if s.chance(0.5) { 2 + s.index(5) } else { 1 };
    planks(s, slats, dvec3(width, thick, depth), plank, |solid| solid.moved(0.0, top - thick / 2.0, 0.0));
    let under = Footprint { half_x: 0.97 * width / 2.0, half_z: 0.97 * depth / 2.0, height: top - thick };
    let on = Use { part: 2, paint: frame };
    match s.index(4) {
        0 => trestles(s, on, under),
        1 => sled(s, on, under, false),
        _ => {
            four_legs(s, on, under);
        }
    }
    if slats > 1 {
        for x in [-0.38, 0.0, 0.38] {
            let bar = block(0.04, 0.02, depth).moved(x * width, top - thick - 0.005, 0.0);
            s.add(2, frame, bar);
        }
    }
    if s.chance(0.45) {
        bench_back(s, BenchSeat { width, depth, top }, frame, plank);
    }
}

/// Planks side by side along z, one solid each, then put where they belong.
fn planks(s: &mut Sketch, n: usize, size: DVec3, paint: MaterialId, put: impl Fn(Solid) -> Solid) {
    let DVec3 { x: w, y: t, z: d } = size;
    let each = d / n as f64;
    let gap = if n > 1 { 0.2 * each } else { 0.0 };
    for i in 0..n {
        let z = d * ((i as f64 + 0.5) / n as f64 - 0.5);
        s.add(0, paint, put(rounded(w, t, each - gap, 0.15 * t).moved(0.0, 0.0, z)));
    }
}

/// Size of the seat of a bench, and the height of its top.
struct BenchSeat {
    width: f64,
    depth: f64,
    top: f64,
}

fn bench_back(s: &mut Sketch, seat: BenchSeat, frame: MaterialId, plank: MaterialId) {
    let BenchSeat { width, depth, top } = seat;
    let (high, lean) = (s.range(0.25, 0.5), s.range(0.0, 0.3));
    let put = |solid: Solid| solid.map(|p| dvec3(p.x, p.y + top, p.z - depth / 2.0 + 0.02 - lean * p.y));
    let n = 1 + s.index(4);
    let low = s.range(0.1, 0.4) * high;
    for i in 0..n {
        let each = (high - low) / n as f64;
        let y = low + each * (i as f64 + 0.5);
        s.add(1, plank, put(rounded(width, 0.82 * each, 0.025, 0.006).moved(0.0, y, 0.02)));
    }
    for x in [-0.42 * width, 0.42 * width] {
        s.add(1, frame, put(block(0.045, high + 0.03, 0.03).moved(x, high / 2.0 - 0.02, 0.0)));
    }
    if s.chance(0.6) {
        let (x, up) = (width / 2.0 - 0.03, s.range(0.15, 0.24));
        let rear = dvec3(x, top + up, 0.01 - depth / 2.0 - lean * up);
        let front = dvec3(x, top + up, 0.4 * depth);
        s.add_pair(3, frame, rod(rear, front, [0.025, 0.025], 4));
        s.add_pair(3, frame, rod(dvec3(x, top - 0.02, 0.38 * depth), front, [0.022, 0.022], 4));
        s.add_pair(3, frame, rod(dvec3(x, top - 0.02, -0.45 * depth), rear, [0.02, 0.02], 4));
    }
}

/// Beds: single to king size, platform or on legs, headboards, footboards, some four-posters.
pub(super) fn bed(s: &mut Sketch) {
    let (width, length) = (s.range(0.85, 1.95), s.range(1.85, 2.2));
    let (low, rail) = (if s.chance(0.75) { s.range(0.06, 0.35) } else { 0.0 }, s.range(0.06, 0.22));
    let frame = s.paint(&[Wood, Wood, Metal, White, Fabric]);
    let sheet = s.paint(&[White, Fabric]);
    let blanket = s.paint(&[Fabric, Lacquer, White]);
    let deck = low + rail;
    s.add(0, frame, block(width, rail, length).moved(0.0, low + rail / 2.0, 0.0));
    if low > 0.0 {
        let under = Footprint { half_x: 0.98 * width / 2.0, half_z: 0.98 * length / 2.0, height: low };
        four_corner_legs(s, under, frame);
    }
    let thick = s.range(0.12, 0.32);
    let inset = s.range(0.0, 0.05);
    let soft = rounded(width - 2.0 * inset, thick + 0.02, length - 2.0 * inset, 0.35 * thick);
    let fold = length * s.range(0.05, 0.3);
    s.add_split(soft.moved(0.0, deck + thick / 2.0 - 0.01, 0.0), |c| {
        (1, if c.z > fold - length / 2.0 + 0.3 { blanket } else { sheet })
    });
    pillows(s, width, length, deck + thick, sheet);
    let top = deck + thick + s.range(0.12, 0.75);
    let posts = s.chance(0.15);
    end_board(s, Use { part: 2, paint: frame }, EndBoard { width, top, z: -length / 2.0, deck });
    if s.chance(0.45) || posts {
        let foot = deck + thick * s.range(0.2, 1.0) + if s.chance(0.3) { 0.25 } else { 0.0 };
        end_board(s, Use { part: 3, paint: frame }, EndBoard { width, top: foot, z: length / 2.0, deck });
    }
    if posts {
        canopy(s, width, length, frame);
    }
}

fn four_corner_legs(s: &mut Sketch, under: Footprint, frame: MaterialId) {
    let on = Use { part: 5, paint: frame };
    if s.chance(0.5) {
        feet(s, on, under);
    } else {
        four_legs(s, on, under);
    }
}

fn pillows(s: &mut Sketch, width: f64, length: f64, top: f64, paint: MaterialId) {
    let n = if width < 1.15 { 1 } else { 2 };
    let (w, d, h) = (0.82 * width / n as f64, s.range(0.3, 0.45), s.range(0.08, 0.16));
    for i in 0..n {
        let x = width * ((i as f64 + 0.5) / n as f64 - 0.5);
        let pillow = rounded(w, h, d, 0.48 * h).map(|p| {
            let edge = (2.0 * p.x / w).abs().max((2.0 * p.z / d).abs());
            dvec3(p.x, p.y * (1.0 - 0.45 * edge * edge), p.z)
        });
        s.add(4, paint, pillow.moved(x, top + 0.3 * h, 0.12 + d / 2.0 - length / 2.0));
    }
}

/// Where a head- or footboard stands: width of the bed, its own top, z, and the height of the deck.
struct EndBoard {
    width: f64,
    top: f64,
    z: f64,
    deck: f64,
}

/// A head- or footboard: a panel, an upholstered panel, or posts with bars.
fn end_board(s: &mut Sketch, on: Use, board: EndBoard) {
    let (Use { part, paint }, EndBoard { width, top, z, deck }) = (on, board);
    let thick = s.range(0.03, 0.09);
    let inner = z.abs();
    let z = z + z.signum() * (thick / 2.0 - 0.01);
    let wide = width + s.range(0.0, 0.12);
    match s.index(3) {
        0 => {
            let arch = if s.chance(0.4) { s.range(0.0, 0.15) } else { 0.0 };
            let board = block(wide, top, thick).map(|p| {
                let u = 2.0 * p.x / wide;
                dvec3(p.x, p.y + arch * (1.0 - u * u) * (p.y / top + 0.5), p.z)
            });
            s.add(part, paint, board.moved(0.0, top / 2.0, z));
        }
        1 => {
            let low = 0.6 * deck;
            s.add(
                part,
                paint,
                rounded(wide, top - low, 1.4 * thick, 0.6 * thick).moved(0.0, (top + low) / 2.0, z),
            );
        }
        _ => {
            let (x, z) = (wide / 2.0 - 0.02, z.signum() * (inner + 0.01));
            s.add_pair(part, paint, rod(dvec3(x, 0.0, z), dvec3(x, top, z), [0.04, 0.03], 10));
            s.add(part, paint, rod(dvec3(-x, top - 0.04, z), dvec3(x, top - 0.04, z), [0.025, 0.025], 8));
            s.add(part, paint, rod(dvec3(-x, deck, z), dvec3(x, deck, z), [0.02, 0.02], 8));
            let n = 3 + s.index(8);
            for i in 1..=n {
                let u = wide * (i as f64 / (n + 1) as f64 - 0.5);
                s.add(part, paint, rod(dvec3(u, deck, z), dvec3(u, top - 0.04, z), [0.011, 0.011], 6));
            }
        }
    }
}

/// Four tall posts joined at the top; they belong to the frame.
fn canopy(s: &mut Sketch, width: f64, length: f64, paint: MaterialId) {
    let high = s.range(1.5, 2.1);
    let (x, z) = (width / 2.0 + 0.01, length / 2.0 + 0.01);
    let corners = [(x, z), (x, -z), (-x, -z), (-x, z)];
    for i in 0..4 {
        let (a, b) = (corners[i], corners[(i + 1) % 4]);
        s.add(0, paint, rod(dvec3(a.0, 0.0, a.1), dvec3(a.0, high, a.1), [0.04, 0.03], 8));
        s.add(0, paint, rod(dvec3(a.0, high, a.1), dvec3(b.0, high, b.1), [0.028, 0.028], 8));
    }
}
