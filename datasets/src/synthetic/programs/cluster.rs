//! Pieces that belong together, and what is done to all of them: moved, fitted, mirrored, repeated.

use glam::{DMat3, DVec3, dvec3};
use std::f64::consts::TAU;

use crate::synthetic::solids::{Solid, rotation};

/// A surface of one paint; a sheet has an edge and is seen from both sides.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) surface: Solid,
    /// Which of the object's paints.
    pub(super) paint: u8,
}

/// An axis-aligned box.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) low: DVec3,
    pub(super) high: DVec3,
}

impl Bounds {
    pub(super) fn size(&self) -> DVec3 {
        self.high - self.low
    }

    pub(super) fn middle(&self) -> DVec3 {
        (self.low + self.high) / 2.0
    }

    /// Smallest box around some points.
    pub(super) fn around<'a>(points: impl Iterator<Item = &'a DVec3>) -> Self {
        let empty = Self { low: DVec3::INFINITY, high: DVec3::NEG_INFINITY };
        points.fold(empty, |b, p| Self { low: b.low.min(*p), high: b.high.max(*p) })
    }
}

/// Pieces that belong together.
#[derive(Clone, Debug, Default)]
pub(super) struct Cluster {
    pub(super) pieces: Vec<Piece>,
}

impl Cluster {
    /// A cluster of one closed surface.
    pub(super) fn solid(surface: Solid, paint: u8) -> Self {
        Self { pieces: vec![Piece { surface: surface.facing_out(), paint }] }
    }

    /// A cluster of one open surface.
    pub(super) fn sheet(surface: Solid, paint: u8) -> Self {
        Self { pieces: vec![Piece { surface, paint }] }
    }

    /// Adds a closed surface.
    pub(super) fn add(&mut self, surface: Solid, paint: u8) {
        self.extend(Self::solid(surface, paint));
    }

    /// Adds the pieces of another cluster.
    pub(super) fn extend(&mut self, other: Self) {
        self.pieces.extend(other.pieces);
    }

    /// Every piece in another paint.
    pub(super) fn painted(mut self, paint: u8) -> Self {
        self.pieces.iter_mut().for_each(|piece| piece.paint = paint);
        self
    }

    /// Every vertex replaced.
    pub(super) fn map(mut self, f: impl Fn(DVec3) -> DVec3) -> Self {
        for piece in &mut self.pieces {
            piece.surface.positions.iter_mut().for_each(|p| *p = f(*p));
        }
        self
    }

    pub(super) fn moved(self, by: DVec3) -> Self {
        self.map(|p| p + by)
    }

    pub(super) fn turned(self, turn: DMat3) -> Self {
        self.map(|p| turn * p)
    }

    /// The mirror image at the plane through the origin across an axis.
    pub(super) fn mirrored(mut self, axis: usize) -> Self {
        for piece in &mut self.pieces {
            piece.surface.positions.iter_mut().for_each(|p| p[axis] = -p[axis]);
            piece.surface.triangles.iter_mut().for_each(|t| t.swap(1, 2));
        }
        self
    }

    /// The cluster and its mirror image across an axis.
    pub(super) fn with_mirror_image(self, axis: usize) -> Self {
        let mut both = self.clone();
        both.extend(self.mirrored(axis));
        both
    }

    /// `n` copies, each moved on by `step`, about the origin.
    pub(super) fn in_row(&self, n: usize, step: DVec3) -> Self {
        let mut row = Self::default();
        for i in 0..n {
            row.extend(self.clone().moved(step * (i as f64 - (n as f64 - 1.0) / 2.0)));
        }
        row
    }

    /// `n` copies around the vertical.
    pub(super) fn around_axis(&self, n: usize) -> Self {
        let mut ring = Self::default();
        for i in 0..n {
            ring.extend(self.clone().turned(rotation(DVec3::Y, TAU * i as f64 / n as f64)));
        }
        ring
    }

    pub(super) fn bounds(&self) -> Bounds {
        Bounds::around(self.pieces.iter().flat_map(|piece| &piece.surface.positions))
    }

    /// Moved to the origin and scaled evenly so that the longest side is `size`.
    pub(super) fn fitted(self, size: f64) -> Self {
        let bounds = self.bounds();
        let (middle, longest) = (bounds.middle(), bounds.size().max_element().max(1e-6));
        self.map(|p| (p - middle) * (size / longest))
    }

    /// Moved and stretched so that its box is `size` about the origin.
    pub(super) fn stretched(self, size: DVec3) -> Self {
        let bounds = self.bounds();
        let (middle, scale) = (bounds.middle(), size / bounds.size().max(DVec3::splat(1e-6)));
        self.map(|p| (p - middle) * scale)
    }

    /// Moved so that it stands on the plane `y = level`, its middle above the origin.
    pub(super) fn standing(self, level: f64) -> Self {
        let bounds = self.bounds();
        let (low, middle) = (bounds.low, bounds.middle());
        self.moved(dvec3(-middle.x, level - low.y, -middle.z))
    }

    pub(super) fn triangles(&self) -> usize {
        self.pieces.iter().map(|piece| piece.surface.triangles.len()).sum()
    }
}
