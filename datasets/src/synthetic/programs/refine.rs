//! Divides triangles where a condition asks for it, and clips a surface where a function changes its sign.
//!
//! Both keep a surface whole: neighbours share the vertices that are made on an edge.

use glam::DVec3;

use crate::synthetic::solids::{Solid, divide};

/// An edge is halved at most this often.
const ROUNDS: usize = 7;
/// A surface of more triangles is divided no further.
const MOST_TRIANGLES: usize = 1600;
/// Steps of the search for the place where an edge crosses the surface.
const CROSSING_STEPS: usize = 6;

/// An edge as one number, the same from both sides.
fn edge_key(a: u32, b: u32) -> u64 {
    (u64::from(a.min(b)) << 32) | u64::from(a.max(b))
}

fn sorted_once(mut keys: Vec<u64>) -> Vec<u64> {
    keys.sort_unstable_by_key(|&key| key);
    keys.dedup();
    keys
}

/// Halves edges longer than `longest` of triangles of which `is_near` holds, given a ball around each.
pub(super) fn refine(solid: &mut Solid, longest: f64, is_near: impl Fn(DVec3, f64) -> bool) {
    let mut is_settled = vec![false; solid.triangles.len()];
    for _ in 0..ROUNDS {
        let edges = edges_to_halve(solid, &mut is_settled, longest, &is_near);
        if edges.is_empty() || solid.triangles.len() > MOST_TRIANGLES {
            break;
        }
        is_settled = halve_edges(solid, &edges, &is_settled);
    }
}

fn edges_to_halve(
    solid: &Solid,
    is_settled: &mut [bool],
    longest: f64,
    is_near: impl Fn(DVec3, f64) -> bool,
) -> Vec<u64> {
    let mut edges = Vec::new();
    for (t, is_settled) in solid.triangles.iter().zip(is_settled).filter(|(_, settled)| !**settled) {
        let corners = t.map(|i| solid.positions[i as usize]);
        let lengths = [0, 1, 2].map(|i| (corners[(i + 1) % 3] - corners[i]).length());
        let most = lengths.into_iter().fold(0.0, f64::max);
        let middle = corners.iter().sum::<DVec3>() / 3.0;
        let reach = corners.iter().map(|c| (*c - middle).length()).fold(0.0, f64::max);
        if most <= longest || !is_near(middle, reach) {
            *is_settled = true;
            continue;
        }
        let long = |i: &usize| lengths[*i] > longest.max(0.6 * most);
        edges.extend((0..3).filter(long).map(|i| edge_key(t[i], t[(i + 1) % 3])));
    }
    sorted_once(edges)
}

/// Halves the edges of a sorted list, and says which triangles are as settled as they were.
fn halve_edges(solid: &mut Solid, edges: &[u64], was_settled: &[bool]) -> Vec<bool> {
    let first = solid.positions.len() as u32;
    let mut is_touched = vec![false; solid.positions.len()];
    for &edge in edges {
        let ends = [(edge >> 32) as usize, (edge & 0xffff_ffff) as usize];
        ends.iter().for_each(|&i| is_touched[i] = true);
        solid.positions.push((solid.positions[ends[0]] + solid.positions[ends[1]]) / 2.0);
    }
    let middle = |a: u32, b: u32| {
        let is_possible = is_touched[a as usize] && is_touched[b as usize];
        let found = is_possible.then(|| edges.binary_search(&edge_key(a, b)).ok()).flatten();
        found.map(|place| first + place as u32)
    };
    let mut triangles = Vec::with_capacity(solid.triangles.len() + 3 * edges.len());
    let mut is_settled = Vec::with_capacity(triangles.capacity());
    for (&t, &settled) in solid.triangles.iter().zip(was_settled) {
        let cuts = [0, 1, 2].map(|i| middle(t[i], t[(i + 1) % 3]));
        divide(t, cuts, &mut triangles);
        is_settled.resize(triangles.len(), settled && cuts == [None; 3]);
    }
    solid.triangles = triangles;
    is_settled
}

/// The part of a surface on which `side` is not positive.
pub(super) fn clip(solid: &Solid, side: impl Fn(DVec3) -> f64) -> Solid {
    let values: Vec<f64> = solid.positions.iter().map(|p| side(*p)).collect();
    let is_in = |i: u32| values[i as usize] <= 0.0;
    let mut crossed = Vec::new();
    for t in &solid.triangles {
        let ends = [0, 1, 2].map(|i| (t[i], t[(i + 1) % 3]));
        crossed.extend(ends.iter().filter(|e| is_in(e.0) != is_in(e.1)).map(|e| edge_key(e.0, e.1)));
    }
    let crossed = sorted_once(crossed);
    let first = solid.positions.len() as u32;
    let mut out = Solid { positions: solid.positions.clone(), triangles: Vec::new() };
    for edge in &crossed {
        let [a, b] = [(edge >> 32) as usize, (edge & 0xffff_ffff) as usize];
        let end = |i: usize| EdgeEnd { at: solid.positions[i], value: values[i] };
        out.positions.push(find_crossing(end(a), end(b), &side));
    }
    let crossing =
        |a: u32, b: u32| crossed.binary_search(&edge_key(a, b)).map_or(a, |place| first + place as u32);
    for &t in &solid.triangles {
        let turn = |by: usize| [t[by % 3], t[(by + 1) % 3], t[(by + 2) % 3]];
        match t.iter().filter(|i| is_in(**i)).count() {
            3 => out.triangles.push(t),
            2 => {
                let [a, b, c] = (0..3).map(turn).find(|t| !is_in(t[2])).unwrap_or(t);
                let (far, near) = (crossing(b, c), crossing(c, a));
                out.triangles.extend([[a, b, far], [a, far, near]]);
            }
            1 => {
                let [a, b, c] = (0..3).map(turn).find(|t| is_in(t[0])).unwrap_or(t);
                out.triangles.push([a, crossing(a, b), crossing(c, a)]);
            }
            _ => {}
        }
    }
    without_unused(&out)
}

/// An end of an edge, and the value of a function there.
#[derive(Clone, Copy)]
struct EdgeEnd {
    at: DVec3,
    value: f64,
}

/// Where a function is zero between two points at which its signs differ (regula falsi, Illinois).
fn find_crossing(a: EdgeEnd, b: EdgeEnd, side: impl Fn(DVec3) -> f64) -> DVec3 {
    let (mut low, mut high) = (a.value, b.value);
    let (mut from, mut to, mut at) = (0.0, 1.0, 0.5);
    // Which end moved last: the other one's value is halved where it stays twice.
    let mut moved = None;
    for _ in 0..CROSSING_STEPS {
        let share: f64 = low / (low - high);
        at = from + (to - from) * if share.is_finite() { share } else { 0.5 };
        let value = side(a.at.lerp(b.at, at));
        if value.abs() < 1e-5 {
            break;
        }
        let is_low = (value <= 0.0) == (low <= 0.0);
        if is_low {
            (from, low) = (at, value);
            high *= if moved == Some(is_low) { 0.5 } else { 1.0 };
        } else {
            (to, high) = (at, value);
            low *= if moved == Some(is_low) { 0.5 } else { 1.0 };
        }
        moved = Some(is_low);
    }
    a.at.lerp(b.at, at)
}

/// The same surface without vertices that no triangle has, and without triangles that have no area.
pub(super) fn without_unused(solid: &Solid) -> Solid {
    let mut place = vec![u32::MAX; solid.positions.len()];
    let mut out = Solid::default();
    for t in &solid.triangles {
        let [a, b, c] = t.map(|i| solid.positions[i as usize]);
        if (b - a).cross(c - a).length_squared() < 1e-20 {
            continue;
        }
        out.triangles.push(t.map(|i| {
            let place = &mut place[i as usize];
            if *place == u32::MAX {
                *place = out.positions.len() as u32;
                out.positions.push(solid.positions[i as usize]);
            }
            *place
        }));
    }
    out
}
