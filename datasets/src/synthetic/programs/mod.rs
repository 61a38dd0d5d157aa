//! Objects without a name: random assemblies of primitives, cut, bent, repeated and mirrored.
//!
//! What is seen in them locally is what is seen in made and grown things: flat and curved faces, edges, corners,
//! rims, holes, bars, plates, symmetric and repeated parts. The idea that such shapes teach as much as
//! real ones: arXiv 2411.17467. An object is a pure function of (seed, index).

mod carve;
mod cluster;
mod deform;
mod form;
mod grown;
mod legs;
mod outlines;
mod parts;
mod refine;
mod sheets;
mod slabs;
mod stacks;
mod stand;
mod storage;
mod thin;

#[cfg(test)]
mod cut_tests;
#[cfg(test)]
mod tests;

use jepa3d_schemas::{Draws, Material, Mesh};

use crate::synthetic::palette::Finish::{
    self, Ceramic, Coat, Dark, Fabric, Glass, Lacquer, Leather, Metal, Plant, White, Wood,
};
use cluster::Cluster;

/// Start of the ids, and the folder that they seem to lie in.
pub(super) const PROGRAMS: &str = "programs";
/// Paints an object may have.
const PAINTS: usize = 3;
/// An object of fewer triangles than this, or more, is drawn again.
const TRIANGLES: std::ops::RangeInclusive<usize> = 40..=9000;

/// A way to put parts together, and how often it is taken.
struct Layout {
    weight: usize,
    draw: fn(&mut Draws) -> Cluster,
}

const LAYOUTS: [Layout; 14] = [
    Layout { weight: 20, draw: stand::draw_stand },
    Layout { weight: 9, draw: storage::draw_cabinet },
    Layout { weight: 7, draw: slabs::draw_panel_on_foot },
    Layout { weight: 7, draw: slabs::draw_cushions },
    Layout { weight: 16, draw: grown::draw_grown },
    Layout { weight: 8, draw: grown::draw_creature },
    Layout { weight: 4, draw: grown::draw_plant },
    Layout { weight: 8, draw: stacks::draw_tower },
    Layout { weight: 5, draw: stacks::draw_wheel },
    Layout { weight: 10, draw: stacks::draw_hollow },
    Layout { weight: 8, draw: stacks::draw_heap },
    Layout { weight: 5, draw: stacks::draw_array },
    Layout { weight: 4, draw: stacks::draw_frame },
    Layout { weight: 5, draw: stacks::draw_sheets },
];

/// The id of the object of an index.
pub(super) fn name_program(index: usize) -> String {
    format!("{PROGRAMS}/{index:06}")
}

/// The pieces of an object.
fn draw_object(draws: &mut Draws) -> Cluster {
    let total: usize = LAYOUTS.iter().map(|layout| layout.weight).sum();
    let mut left = draws.index(total);
    let chosen = LAYOUTS.iter().find(|layout| {
        let is_here = left < layout.weight;
        left = left.saturating_sub(layout.weight);
        is_here
    });
    let object = chosen.map_or_else(Cluster::default, |layout| (layout.draw)(draws));
    object.fitted(1.0)
}

/// The mesh of an object, without normals, its longest side 1 before it is disturbed; parts have no labels.
pub(super) fn build_program(seed: u64, id: &str) -> Mesh {
    let mut draws = Draws::new(seed, id, "programs");
    let mut object = draw_object(&mut draws);
    while !TRIANGLES.contains(&object.triangles()) {
        object = draw_object(&mut draws);
    }
    let mut colors = Draws::new(seed, id, "programs colors");
    let mut mesh = Mesh { materials: draw_materials(&mut colors), ..Mesh::default() };
    for piece in &object.pieces {
        let first = mesh.positions.len() as u32;
        mesh.positions.extend(piece.surface.positions.iter().map(|p| p.to_array()));
        mesh.triangles.extend(piece.surface.triangles.iter().map(|t| t.map(|i| first + i)));
        mesh.triangle_materials.resize(mesh.triangles.len(), u32::from(piece.paint) % PAINTS as u32);
    }
    mesh
}

fn draw_materials(colors: &mut Draws) -> Vec<Material> {
    const FINISHES: [Finish; 11] =
        [Wood, Metal, Fabric, Leather, Lacquer, Coat, Glass, Ceramic, Dark, White, Plant];
    let mut material = |i: usize| {
        let finish = FINISHES[colors.index(FINISHES.len())];
        Material { name: format!("{}-{i}", finish.name()), diffuse: finish.color(colors), texture: None }
    };
    (0..PAINTS).map(&mut material).collect()
}
