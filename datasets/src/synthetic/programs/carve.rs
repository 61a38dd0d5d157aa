//! Boolean operations: the surface of a set of primitives, cut along the closed form of each.
//!
//! The surface so far is clipped against the next primitive's distance, and that primitive's surface against
//! the distance of the set so far; both are divided first where the other one passes. What results is
//! the boundary of the set but for the length of a small edge, with a hairline between the two sides of a cut.

use glam::DVec3;

use super::form::PosedForm;
use super::refine::{clip, refine};
use crate::synthetic::solids::Solid;

/// Edges along a cut are not divided below this, nor left above `COARSEST`.
const FINEST: f64 = 0.02;
const COARSEST: f64 = 0.09;
/// An operation that leaves less of the surface is refused.
const LEAST_LEFT: f64 = 0.2;

/// What a further primitive does to a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// Joins it.
    Union,
    /// Is taken away from it.
    Difference,
    /// Bounds it.
    Intersection,
}

/// A set made of primitives one after the other, with its surface.
#[derive(Clone, Debug)]
pub(super) struct Carving {
    first: PosedForm,
    steps: Vec<(Operation, PosedForm)>,
    thickness: f64,
    surface: Solid,
}

impl Carving {
    /// The set of one primitive.
    pub(super) fn new(first: PosedForm) -> Self {
        let (thickness, surface) = (first.form.thickness(), first.solid());
        Self { first, steps: Vec::new(), thickness, surface }
    }

    /// A bound of the distance to the boundary of the set, negative inside.
    pub(super) fn distance(&self, p: DVec3) -> f64 {
        self.steps.iter().fold(self.first.distance(p), |so_far, (operation, tool)| match operation {
            Operation::Union => so_far.min(tool.distance(p)),
            Operation::Difference => so_far.max(-tool.distance(p)),
            Operation::Intersection => so_far.max(tool.distance(p)),
        })
    }

    /// Applies an operation, unless it would change nothing or leave hardly anything; says whether it was applied.
    pub(super) fn apply(&mut self, operation: Operation, tool: PosedForm) -> bool {
        let fine = |thickness: f64| (0.5 * thickness).clamp(FINEST, COARSEST);
        let mut own = self.surface.clone();
        refine(&mut own, fine(tool.form.thickness()), |p, reach| tool.distance(p).abs() <= reach);
        let mut other = tool.solid();
        refine(&mut other, fine(self.thickness), |p, reach| self.distance(p).abs() <= reach);
        let is_common = operation == Operation::Intersection;
        let own = clip(&own, |p| if is_common { tool.distance(p) } else { -tool.distance(p) });
        let is_outer = operation == Operation::Union;
        let mut other = clip(&other, |p| if is_outer { -self.distance(p) } else { self.distance(p) });
        if operation == Operation::Difference {
            other.triangles.iter_mut().for_each(|t| t.swap(1, 2));
        }
        let own_area = area(&own);
        let left = own_area + if is_outer { 0.0 } else { area(&other) };
        if other.triangles.is_empty() || own_area == 0.0 || left < LEAST_LEFT * area(&self.surface) {
            return false;
        }
        self.surface = own;
        append(&mut self.surface, &other);
        self.thickness = self.thickness.min(tool.form.thickness());
        self.steps.push((operation, tool));
        true
    }

    /// The surface of the set.
    pub(super) fn into_surface(self) -> Solid {
        self.surface
    }
}

/// Adds the triangles of one surface to another.
pub(super) fn append(solid: &mut Solid, other: &Solid) {
    let first = solid.positions.len() as u32;
    solid.positions.extend(&other.positions);
    solid.triangles.extend(other.triangles.iter().map(|t| t.map(|i| first + i)));
}

/// Area of a surface.
pub(super) fn area(solid: &Solid) -> f64 {
    let at = |i: u32| solid.positions[i as usize];
    solid.triangles.iter().map(|&[a, b, c]| (at(b) - at(a)).cross(at(c) - at(a)).length() / 2.0).sum()
}
