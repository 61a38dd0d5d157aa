//! Any folder of meshes or clouds as a dataset: classes and splits from the names of its folders.

mod config;
mod layout;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use jepa3d_schemas::{Object, UpAxis};

use self::layout::{FolderObject, FolderObjects, name_objects};
use crate::budget::Budget;
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::formats::{ColumnSpec, Loaded, ReadOptions, extension, read_columns};
use crate::walk::find_files;

pub use self::config::FolderConfig;

/// The files of a folder, each one object.
#[derive(Debug)]
pub(crate) struct Folder {
    objects: Vec<FolderObject>,
    classes: Vec<String>,
    up_axis: UpAxis,
    columns: ColumnSpec,
    options: ReadOptions,
    notes: Vec<String>,
}

impl Folder {
    /// Lists the files of `root`; none is opened.
    ///
    /// Ids are paths below the root without extension, parts joined by `/`; files that differ in
    /// the extension only keep it. Hidden entries are passed over, symbolic links are followed, and
    /// a folder that links reach a second time is listed once. One that cannot be read is an object that fails.
    ///
    /// # Errors
    /// Fails if a folder cannot be read, no file has a wanted extension (and matches the pattern),
    /// or a setting is not legal.
    pub(crate) fn open(root: &Path, config: &FolderConfig) -> Result<Self> {
        let extensions = config.wanted_extensions()?;
        let columns = config.column_spec()?;
        let default_split = config.default_split()?;
        let pattern = config.id_pattern()?;
        let found = find_files(root, |path| extensions.contains(&extension(path)))?;
        let FolderObjects { mut objects, classes, notes: more } = name_objects(found.files, default_split);
        if let Some(pattern) = &pattern {
            objects.retain(|object| pattern.matches(&object.id));
        }
        if objects.is_empty() {
            let matching = if pattern.is_some() { " whose id matches the pattern" } else { "" };
            let expected = format!("at least one file{matching} with an extension {}", extensions.join(", "));
            return Err(Error::Missing { path: root.to_owned(), expected });
        }
        let mut notes = write_notes(&objects, classes.len(), found.repeated_folders);
        notes.extend(more);
        let options = ReadOptions { textures: config.textures, root: Some(root.to_owned()) };
        Ok(Self { objects, classes, up_axis: config.up_axis, columns, options, notes })
    }
}

impl Dataset for Folder {
    fn name(&self) -> &str {
        "folder"
    }

    fn len(&self) -> usize {
        self.objects.len()
    }

    fn id(&self, index: usize) -> &str {
        &self.objects[index].id
    }

    fn split(&self, index: usize) -> &str {
        self.objects[index].split.name()
    }

    fn source(&self, index: usize) -> String {
        self.objects[index].relative.clone()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn up_axis(&self) -> UpAxis {
        self.up_axis
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn get_within(&self, index: usize, budget: &Budget) -> Result<Object> {
        let FolderObject { path, id, label, doubt, .. } = &self.objects[index];
        let Loaded { shape, source_hash, mut warnings } =
            read_columns(path, &self.options, &self.columns, budget)?;
        warnings.extend(doubt.clone());
        Ok(Object {
            id: id.clone(),
            category: label.map(|label| self.classes[label].clone()),
            label: label.map(|label| label as i32),
            shape,
            photos: Vec::new(),
            boxes: Vec::new(),
            source_hash,
            warnings,
        })
    }
}

/// What there is of each kind and split, and how often links led to a folder a second time.
fn write_notes(objects: &[FolderObject], classes: usize, repeated_folders: usize) -> Vec<String> {
    let mut splits: BTreeMap<&str, usize> = BTreeMap::new();
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for object in objects {
        *splits.entry(object.split.name()).or_default() += 1;
        // An id that ends so is that of a folder that cannot be read.
        if !object.id.ends_with('/') {
            *kinds.entry(extension(&object.path)).or_default() += 1;
        }
    }
    let splits: Vec<String> = splits.iter().map(|(name, n)| format!("{name} {n}")).collect();
    let kinds: Vec<String> = kinds.iter().map(|(name, n)| format!("{n} {name}")).collect();
    let mut notes =
        vec![format!("files: {}; classes: {classes}; splits: {}", kinds.join(", "), splits.join(", "))];
    if repeated_folders > 0 {
        notes
            .push(format!("{repeated_folders} folders are reached a second time through links; listed once"));
    }
    notes
}
