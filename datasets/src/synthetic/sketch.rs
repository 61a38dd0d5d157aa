//! The drawing board a category is built on: random draws, paints, and the mesh as it grows.

use glam::DVec3;
use jepa3d_schemas::{Draws, Material, Mesh};

use super::palette::Finish;
use super::solids::Solid;

/// A mesh being put together from solids, with the random draws it is made of.
///
/// Shape and colour draw from streams of their own, so that a new paint leaves shapes as they were.
pub(super) struct Sketch {
    shape: Draws,
    color: Draws,
    first_part: i16,
    pub(super) mesh: Mesh,
}

/// A material of the sketch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MaterialId(u32);

impl Sketch {
    /// An empty board for the object `id`, whose category owns the part labels from `first_part` on.
    pub(super) fn new(seed: u64, id: &str, first_part: i16) -> Self {
        Self {
            shape: Draws::new(seed, id, "synthetic"),
            color: Draws::new(seed, id, "synthetic colors"),
            first_part,
            mesh: Mesh::default(),
        }
    }

    /// Uniform in `[low, high)`.
    pub(super) fn range(&mut self, low: f64, high: f64) -> f64 {
        self.shape.range(low, high)
    }

    /// True with probability `p`.
    pub(super) fn chance(&mut self, p: f64) -> bool {
        self.shape.chance(p)
    }

    /// Uniform in `0..n`.
    pub(super) fn index(&mut self, n: usize) -> usize {
        self.shape.index(n)
    }

    /// One of the items.
    pub(super) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.shape.index(items.len())]
    }

    /// A new material of one of the kinds.
    pub(super) fn paint(&mut self, kinds: &[Finish]) -> MaterialId {
        let finish = kinds[self.color.index(kinds.len())];
        let diffuse = finish.color(&mut self.color);
        let name = format!("{}-{}", finish.name(), self.mesh.materials.len());
        self.mesh.materials.push(Material { name, diffuse, texture: None });
        MaterialId(self.mesh.materials.len() as u32 - 1)
    }

    /// Adds a solid as (a piece of) one part, `part` counted from 0 within the category.
    pub(super) fn add(&mut self, part: i16, paint: MaterialId, solid: Solid) {
        self.add_split(solid, |_| (part, paint));
    }

    /// Adds a solid and its mirror image at the plane `x = 0`.
    pub(super) fn add_pair(&mut self, part: i16, paint: MaterialId, solid: Solid) {
        self.add(part, paint, solid.clone());
        self.add(part, paint, solid.mirrored());
    }

    /// Adds a solid whose triangles belong to different parts, told by the centres of their boxes
    /// (which the two halves of a quad along the axes share).
    pub(super) fn add_split(&mut self, solid: Solid, part_of: impl Fn(DVec3) -> (i16, MaterialId)) {
        let solid = solid.facing_out();
        let first = self.mesh.positions.len() as u32;
        for t in &solid.triangles {
            let corners = t.map(|i| solid.positions[i as usize]);
            let low = corners.into_iter().fold(corners[0], DVec3::min);
            let high = corners.into_iter().fold(corners[0], DVec3::max);
            let (part, paint) = part_of((low + high) / 2.0);
            self.mesh.triangles.push(t.map(|i| first + i));
            self.mesh.triangle_parts.push(self.first_part + part);
            self.mesh.triangle_materials.push(paint.0);
        }
        self.mesh.positions.extend(solid.positions.iter().map(|p| p.to_array()));
    }
}
