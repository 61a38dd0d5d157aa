//! Tables and desks, and bookshelves.

use std::f64::consts::FRAC_PI_2;

use glam::{DVec3, dvec2, dvec3};

use super::curves::{ring, rounded_rectangle};
use super::palette::Finish::{Dark, Fabric, Glass, Lacquer, Metal, White, Wood};
use super::sketch::{MaterialId, Sketch};
use super::solids::{Solid, block, rod, rounded, slab};
use super::supports::{Footprint, Stance, Use, four_legs, pedestal, sled, three_legs, trestles};

pub(super) const TABLE: [&str; 4] = ["top", "leg", "drawer", "shelf"];
pub(super) const BOOKSHELF: [&str; 5] = ["side", "shelf", "back", "book", "door"];

/// Coffee, side, dining and writing tables: round or angular tops on six kinds of support.
pub(super) fn table(s: &mut Sketch) {
    let kind = s.index(4);
    let (width, depth, height) = match kind {
        0 => (s.range(0.7, 1.4), s.range(0.45, 0.8), s.range(0.28, 0.5)),
        1 => (s.range(0.35, 0.6), s.range(0.35, 0.55), s.range(0.4, 0.75)),
        2 => (s.range(0.8, 2.1), s.range(0.7, 1.05), s.range(0.68, 0.8)),
        _ => (s.range(0.9, 1.7), s.range(0.5, 0.8), s.range(0.68, 0.85)),
    };
    let thick = s.range(0.015, 0.07);
    let frame = s.paint(&[Wood, Wood, Metal, White, Dark]);
    let plate = if s.chance(0.4) { s.paint(&[Wood, Glass, White, Lacquer]) } else { frame };
    let round = kind < 3 && s.chance(0.35);
    let depth = if round && s.chance(0.6) { width } else { depth };
    let (top, corner) = table_top(s, width, depth, thick, round);
    s.add(0, plate, top.moved(0.0, height - thick / 2.0, 0.0));
    let shrink = if round { 0.7 } else { 0.98 };
    let (half_x, half_z) = (shrink * width / 2.0 - corner, shrink * depth / 2.0 - corner);
    let under = Footprint { half_x, half_z, height: height - thick };
    if kind == 3 && s.chance(0.6) {
        desk(s, under, frame);
        return;
    }
    table_supports(s, under, frame, round);
}

/// The top, and how far supports must keep inside its bounding box to be under its corners.
fn table_top(s: &mut Sketch, width: f64, depth: f64, thick: f64, round: bool) -> (Solid, f64) {
    let lie = |solid: Solid| solid.turned(DVec3::X, -FRAC_PI_2);
    if round {
        let outline: Vec<_> =
            ring(32, 0.0).iter().map(|p| dvec2(p.x * width / 2.0, p.y * depth / 2.0)).collect();
        return (lie(slab(&outline, thick, 0.02)), 0.0);
    }
    match s.index(3) {
        0 => (block(width, thick, depth), 0.0),
        1 => (rounded(width, thick, depth, 0.3 * thick), 0.0),
        _ => {
            let r = s.range(0.1, 0.45) * depth.min(width);
            (lie(slab(&rounded_rectangle(width, depth, r), thick, 0.01)), 0.3 * r)
        }
    }
}

fn table_supports(s: &mut Sketch, under: Footprint, frame: MaterialId, round: bool) {
    let on = Use { part: 1, paint: frame };
    match s.index(8) {
        0 | 1 => {
            let wide = Footprint { half_x: 1.1 * under.half_x, half_z: 1.1 * under.half_z, ..under };
            pedestal(s, on, if round { wide } else { under });
        }
        2 if !round => trestles(s, on, under),
        3 if !round => sled(s, on, under, false),
        2 | 3 => three_legs(s, on, under),
        4 => crossed_legs(s, on, under),
        _ => {
            let stance = four_legs(s, on, under);
            if !round {
                apron_and_shelf(s, under, stance, frame);
            }
        }
    }
}

/// An apron under the top (maybe a drawer front in it) and maybe a lower shelf.
fn apron_and_shelf(s: &mut Sketch, under: Footprint, stance: Stance, frame: MaterialId) {
    let Footprint { half_x, half_z, height } = under;
    if s.chance(0.6) {
        let high = s.range(0.04, 0.12);
        let (x, z) = (0.9 * half_x, 0.88 * half_z);
        s.add(1, frame, block(2.0 * x, high, 2.0 * z).moved(0.0, height - high / 2.0 + 0.004, 0.0));
        if s.chance(0.5) {
            let n = 1 + s.index(2);
            let (low, high) = (height - 0.9 * high, height - 0.1 * high);
            let fronts = DrawerFronts { left: -0.8 * x, right: 0.8 * x, low, high, z, columns: n, rows: 1 };
            drawers(s, frame, &fronts);
        }
    }
    if s.chance(0.3) {
        let y = height * s.range(0.2, 0.45);
        let [x, z] = stance.at(y);
        s.add(3, frame, block(2.0 * x, 0.02, 2.0 * z).moved(0.0, y, 0.0));
    }
}

/// A rectangle on the plane `z` that drawer fronts share.
struct DrawerFronts {
    left: f64,
    right: f64,
    low: f64,
    high: f64,
    z: f64,
    columns: usize,
    rows: usize,
}

/// Drawer fronts with knobs.
fn drawers(s: &mut Sketch, paint: MaterialId, fronts: &DrawerFronts) {
    let DrawerFronts { left, right, low, high, z, columns, rows } = *fronts;
    let knob = s.paint(&[Metal, Wood]);
    let (w, h) = ((right - left) / columns as f64, (high - low) / rows as f64);
    for i in 0..columns * rows {
        let (column, row) = (i % columns, i / columns);
        let (x, y) = (left + w * (column as f64 + 0.5), low + h * (row as f64 + 0.5));
        s.add(2, paint, block(0.94 * w, 0.9 * h, 0.03).moved(x, y, z + 0.004));
        s.add(2, knob, rounded(0.25 * w, 0.018, 0.03, 0.006).moved(x, y, z + 0.028));
    }
}

/// Side panels or drawer boxes left and right, a panel at the rear.
fn desk(s: &mut Sketch, under: Footprint, frame: MaterialId) {
    let Footprint { half_x, half_z, height } = under;
    let high = height + 0.01;
    let boxed = s.index(3);
    for (side, filled) in [(-1.0, boxed > 0), (1.0, boxed > 1)] {
        if filled {
            let w = half_x * s.range(0.45, 0.6);
            let x = side * (half_x - w / 2.0);
            s.add(2, frame, block(w, high - 0.04, 1.9 * half_z).moved(x, high / 2.0 + 0.02, 0.0));
            let rows = 2 + s.index(3);
            let (left, right) = (x - 0.48 * w, x + 0.48 * w);
            let (low, high, z) = (0.06, height, 0.95 * half_z);
            drawers(s, frame, &DrawerFronts { left, right, low, high, z, columns: 1, rows });
            s.add(1, frame, block(0.9 * w, 0.045, 1.7 * half_z).moved(x, 0.0225, 0.0));
        } else {
            s.add(1, frame, block(0.03, high, 1.9 * half_z).moved(side * (half_x - 0.015), high / 2.0, 0.0));
        }
    }
    let panel = height * s.range(0.3, 0.9);
    s.add(1, frame, block(2.0 * half_x - 0.02, panel, 0.02).moved(0.0, high - panel / 2.0, -0.8 * half_z));
}

/// Two pairs of legs crossed like an X.
fn crossed_legs(s: &mut Sketch, on: Use, under: Footprint) {
    let r = s.range(0.018, 0.035);
    let top = under.height + 0.01;
    let (x, z) = (0.85 * under.half_x, 0.8 * under.half_z);
    for side in [-1.0, 1.0] {
        let leg = rod(dvec3(x, 0.0, -side * z), dvec3(x, top, side * z), [r, r], 4);
        s.add_pair(on.part, on.paint, leg);
    }
    let y = 0.5 * top;
    s.add(on.part, on.paint, rod(dvec3(-x, y, 0.0), dvec3(x, y, 0.0), [0.8 * r, 0.8 * r], 8));
}

/// The carcass of a bookshelf: full sizes, board thickness, floor of the lowest shelf.
struct Bookcase {
    width: f64,
    height: f64,
    depth: f64,
    board: f64,
    floor: f64,
}

/// Bookshelves: boxed or open frames, one to three bays, books, doors.
pub(super) fn bookshelf(s: &mut Sketch) {
    let shelves = 2 + s.index(5);
    let case = Bookcase {
        width: s.range(0.45, 1.5),
        height: shelves as f64 * s.range(0.26, 0.4) + 0.1,
        depth: s.range(0.2, 0.42),
        board: s.range(0.014, 0.04),
        floor: if s.chance(0.5) { s.range(0.03, 0.15) } else { 0.012 },
    };
    let frame = s.paint(&[Wood, Wood, White, Dark]);
    let open = s.chance(0.3);
    carcass(s, &case, open, frame);
    let bays = if case.width > 0.8 && !open { 1 + s.index(3) } else { 1 };
    let (w, h) = (case.width - 2.0 * case.board, case.height - case.floor - case.board);
    for i in 1..bays {
        let x = w * (i as f64 / bays as f64 - 0.5);
        s.add(0, frame, block(case.board, h, 0.98 * case.depth).moved(x, case.floor + h / 2.0, 0.0));
    }
    for i in 0..=shelves {
        let y = case.floor + h * i as f64 / shelves as f64 + case.board / 2.0;
        let wide = if i == shelves && !open { case.width } else { w + 0.008 };
        s.add(1, frame, block(wide, case.board, case.depth).moved(0.0, y, 0.0));
    }
    let doors = if !open && shelves > 2 && s.chance(0.3) { 1 + s.index(2) } else { 0 };
    if doors > 0 {
        shelf_doors(s, &case, case.floor + h * doors as f64 / shelves as f64, frame);
    }
    let fill = if s.chance(0.75) { s.range(0.2, 0.95) } else { 0.0 };
    let bindings: Vec<MaterialId> = (0..5).map(|_| s.paint(&[Lacquer, Fabric, Wood, White])).collect();
    for i in 0..bays * (shelves - doors) {
        let (bay, row) = (i % bays, i / bays + doors);
        let left = w * (bay as f64 / bays as f64 - 0.5) + case.board;
        let low = case.floor + h * row as f64 / shelves as f64 + case.board;
        let right = left + w / bays as f64 - 1.6 * case.board;
        let room = Compartment { left, right, low, high: h / shelves as f64 - case.board };
        if s.chance(fill) {
            books(s, &case, &room, &bindings);
        }
    }
}

fn carcass(s: &mut Sketch, case: &Bookcase, open: bool, frame: MaterialId) {
    let x = (case.width - case.board) / 2.0;
    if open {
        let post = 0.9 * case.board + 0.008;
        for z in [-0.46 * case.depth, 0.46 * case.depth] {
            let (low, high) = (dvec3(x, 0.0, z), dvec3(x, case.height, z));
            s.add_pair(0, frame, rod(low, high, [post, post], 4));
        }
        if s.chance(0.4) {
            let (a, b) = (dvec3(-x, 0.08, -0.48 * case.depth), dvec3(x, case.height, -0.48 * case.depth));
            s.add(2, frame, rod(a, b, [0.006, 0.006], 6));
            s.add(2, frame, rod(dvec3(x, a.y, a.z), dvec3(-x, b.y, b.z), [0.006, 0.006], 6));
        }
    } else {
        s.add_pair(0, frame, block(case.board, case.height, case.depth).moved(x, case.height / 2.0, 0.0));
        if s.chance(0.75) {
            let back = block(case.width - 0.01, case.height - case.floor, 0.01);
            let y = (case.height + case.floor) / 2.0;
            s.add(2, frame, back.moved(0.0, y, -case.depth / 2.0 + 0.004));
        }
    }
}

fn shelf_doors(s: &mut Sketch, case: &Bookcase, top: f64, frame: MaterialId) {
    let knob = s.paint(&[Metal, Dark]);
    let (w, h) = (case.width / 2.0, top - case.floor);
    let door = block(0.97 * w, h - 0.01, 0.018).moved(
        w / 2.0,
        case.floor + h / 2.0 + 0.01,
        case.depth / 2.0 + 0.007,
    );
    s.add_pair(4, frame, door);
    let handle = rounded(0.015, 0.09, 0.025, 0.005);
    s.add_pair(4, knob, handle.moved(0.12 * w, case.floor + 0.6 * h, case.depth / 2.0 + 0.024));
}

/// Room for books: its ends in x, its floor, and how high it is.
struct Compartment {
    left: f64,
    right: f64,
    low: f64,
    high: f64,
}

/// A row of upright books from the left of a compartment.
fn books(s: &mut Sketch, case: &Bookcase, room: &Compartment, bindings: &[MaterialId]) {
    let Compartment { left, right, low, high } = *room;
    let end = left + (right - left) * s.range(0.4, 1.0);
    let mut x = left;
    loop {
        let (thick, tall) = (s.range(0.025, 0.07), high * s.range(0.55, 0.92));
        if x + thick > end {
            break;
        }
        let deep = case.depth * s.range(0.6, 0.85);
        let paint = s.pick(bindings);
        let book = block(0.95 * thick, tall + 0.004, deep);
        s.add(
            3,
            paint,
            book.moved(x + thick / 2.0, low + tall / 2.0 - 0.002, (deep - case.depth) / 2.0 + 0.02),
        );
        x += thick;
    }
}
