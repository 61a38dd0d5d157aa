//! The procedural dataset: labelled triangle meshes with parts and colours, made from a seed.
//!
//! It needs no download and no rights, so every command of jepa3d can run on it. An object is a
//! pure function of (seed, id): `chair-000017` is the same object whatever the count, the list
//! of categories or the machine (all transcendental functions come from `libm`).

mod cars;
mod catalog;
mod config;
mod containers;
mod curves;
mod devices;
mod disturb;
mod guitar;
mod palette;
mod programs;
mod seating;
mod sketch;
mod solids;
mod supports;
mod tables;
mod upholstery;
mod vehicles;

#[cfg(test)]
mod tests;

use jepa3d_schemas::{Draws, Mesh, Object, PointClasses, Shape, UpAxis, source_hash};

use crate::budget::Budget;
use crate::dataset::Dataset;
use crate::error::Result;
use crate::split::Split;
use catalog::{Category, first_part, part_names};
pub use config::SyntheticConfig;
use disturb::{add_normals, disturb};
use programs::{PROGRAMS, build_program, name_program};
use sketch::Sketch;

/// Objects of one category whose splits are drawn together.
const SPLIT_BLOCK: usize = 10;

/// The procedural dataset. See [`SyntheticConfig`] for what can be set.
pub(crate) struct Synthetic {
    config: SyntheticConfig,
    categories: Vec<&'static Category>,
    classes: Vec<String>,
    /// Ids in ascending order, with the label of each; programs have none.
    ids: Vec<(String, Option<i32>)>,
    splits: Vec<Split>,
}

impl Synthetic {
    /// Lists the objects; none is generated yet.
    ///
    /// # Errors
    /// Fails if a category is unknown or listed twice, or a number is out of its range.
    pub(crate) fn new(config: &SyntheticConfig) -> Result<Self> {
        let categories = config.chosen()?;
        config.check(categories.len())?;
        let (mut ids, mut splits) = (Vec::with_capacity(config.count), Vec::with_capacity(config.count));
        let (programs, named) = (config.programs(), config.count - config.programs());
        // In byte order programs stand after the categories whose names are before theirs.
        let before = categories.partition_point(|category| category.name < PROGRAMS);
        for (label, category) in categories.iter().enumerate() {
            if label == before {
                ids.extend((0..programs).map(|n| (name_program(n), None)));
                splits.extend(category_splits(config, PROGRAMS, programs));
            }
            let extra = usize::from(label < named % categories.len());
            let count = named / categories.len() + extra;
            ids.extend((0..count).map(|n| (format!("{}-{n:06}", category.name), Some(label as i32))));
            splits.extend(category_splits(config, category.name, count));
        }
        if before == categories.len() {
            ids.extend((0..programs).map(|n| (name_program(n), None)));
            splits.extend(category_splits(config, PROGRAMS, programs));
        }
        let categories = if named > 0 { categories } else { Vec::new() };
        let classes = categories.iter().map(|c| c.name.to_owned()).collect();
        Ok(Self { config: config.clone(), categories, classes, ids, splits })
    }
}

impl Dataset for Synthetic {
    fn name(&self) -> &str {
        "synthetic"
    }

    fn len(&self) -> usize {
        self.ids.len()
    }

    fn id(&self, index: usize) -> &str {
        &self.ids[index].0
    }

    fn split(&self, index: usize) -> &str {
        self.splits[index].name()
    }

    fn source(&self, index: usize) -> String {
        format!("synthetic/{}", self.id(index))
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn point_classes(&self) -> Option<PointClasses> {
        if self.categories.is_empty() {
            return None;
        }
        let range = |category: &&Category| {
            let first = first_part(category.name);
            (first..first + category.parts.len() as i16).into()
        };
        let parts = self.categories.iter().map(range).collect();
        Some(PointClasses { names: part_names(), parts, ignored: None })
    }

    fn up_axis(&self) -> UpAxis {
        UpAxis::Y
    }

    fn notes(&self) -> Vec<String> {
        let (classes, seed, programs) = (self.classes.len(), self.config.seed, self.config.programs());
        let named = self.len() - programs;
        let count = |n: usize, what: &str| (n > 0).then(|| format!("{n} {what}"));
        let kinds = [count(named, &format!("objects of {classes} categories")), count(programs, PROGRAMS)];
        let kinds: Vec<String> = kinds.into_iter().flatten().collect();
        vec![format!("procedural: {} from seed {seed}", kinds.join(" and "))]
    }

    fn get_within(&self, index: usize, _: &Budget) -> Result<Object> {
        let (id, label) = &self.ids[index];
        let category = label.map(|label| self.categories[label as usize]);
        let mut mesh = match category {
            Some(category) => generate(&self.config, category, id),
            None => generate_program(&self.config, id),
        };
        let source_hash = mesh_hash(&mesh);
        if category.is_none() && !self.categories.is_empty() {
            // Among objects whose points have labels, those of programs are of no class.
            mesh.triangle_parts = vec![-1; mesh.triangles.len()];
        }
        Ok(Object {
            category: category.map(|category| category.name.to_owned()),
            label: *label,
            source_hash,
            ..Object::new(id, Shape::Mesh(mesh))
        })
    }
}

/// The mesh of an object: built, disturbed, with normals.
fn generate(config: &SyntheticConfig, category: &Category, id: &str) -> Mesh {
    let mut sketch = Sketch::new(config.seed, id, first_part(category.name));
    (category.build)(&mut sketch);
    let mut mesh = sketch.mesh;
    disturb(&mut mesh, config, id);
    add_normals(&mut mesh);
    mesh
}

/// The mesh of a program: built, disturbed, with normals. It has no bumps: programs draw how rough they are, and
/// where a cut made vertices dense, bumps would show on what is flat.
fn generate_program(config: &SyntheticConfig, id: &str) -> Mesh {
    let mut mesh = build_program(config.seed, id);
    disturb(&mut mesh, &SyntheticConfig { bumps: 0.0, ..config.clone() }, id);
    add_normals(&mut mesh);
    mesh
}

/// Hash over the little-endian bytes of positions, triangles and parts, one after the other.
fn mesh_hash(mesh: &Mesh) -> String {
    let positions: Vec<u8> = mesh.positions.iter().flatten().flat_map(|x| x.to_le_bytes()).collect();
    let triangles: Vec<u8> = mesh.triangles.iter().flatten().flat_map(|i| i.to_le_bytes()).collect();
    let parts: Vec<u8> = mesh.triangle_parts.iter().flat_map(|p| p.to_le_bytes()).collect();
    source_hash(&[&positions, &triangles, &parts])
}

/// The splits of the first `count` objects of a category.
///
/// Each block of ten shares out its places so that after every full block the splits have the
/// wanted sizes to within one object; which places they are is drawn. The split of an object
/// thus depends on the seed, its id and the fractions, not on the count.
fn category_splits(config: &SyntheticConfig, name: &str, count: usize) -> Vec<Split> {
    let upto = |fraction: f64, blocks: usize| (fraction * (blocks * SPLIT_BLOCK) as f64).round() as usize;
    let held_out = config.val_fraction + config.test_fraction;
    let mut splits = Vec::with_capacity(count + SPLIT_BLOCK);
    for block in 0..count.div_ceil(SPLIT_BLOCK) {
        let share = |fraction: f64| upto(fraction, block + 1) - upto(fraction, block);
        let (val, rest) = (share(config.val_fraction), share(held_out));
        let mut places = [Split::Train; SPLIT_BLOCK];
        places[..rest.min(SPLIT_BLOCK)].fill(Split::Test);
        places[..val.min(rest)].fill(Split::Val);
        let mut draws = Draws::new(config.seed, &format!("{name}/{block}"), "synthetic split");
        draws.shuffle(&mut places);
        splits.extend(places);
    }
    splits.truncate(count);
    splits
}
