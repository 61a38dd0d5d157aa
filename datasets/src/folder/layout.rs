//! What the folders of a tree mean: classes, splits, or only a part of the id.
//!
//! Layouts: `CLASS/FILE`, `CLASS/SPLIT/FILE`, `SPLIT/CLASS/FILE`, or a flat folder. A level holds
//! splits only if *every* folder of that level is named like one, so a class of locomotives called
//! `train` beside other classes stays a class. Deeper folders are part of the id only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::split::Split;
use crate::walk::FoundFile;

/// One file as an object of the dataset.
#[derive(Debug)]
pub(super) struct FolderObject {
    /// Path below the root, parts joined by `/`.
    pub(super) relative: String,
    pub(super) path: PathBuf,
    pub(super) id: String,
    pub(super) split: Split,
    /// Index into the classes; `None` for a file that lies in no class folder.
    pub(super) label: Option<usize>,
}

/// The objects in the order of their ids, and the sorted class names.
#[derive(Debug)]
pub(super) struct FolderObjects {
    pub(super) objects: Vec<FolderObject>,
    pub(super) classes: Vec<String>,
}

/// Which levels of folders hold classes and splits, counted from 0.
#[derive(Clone, Copy)]
struct FolderLevels {
    class: usize,
    split: Option<usize>,
}

impl FolderLevels {
    fn find(files: &[FoundFile]) -> Self {
        if is_split_level(files, 0) {
            Self { class: 1, split: Some(0) }
        } else {
            Self { class: 0, split: is_split_level(files, 1).then_some(1) }
        }
    }
}

/// Whether there are folders at this level and all are named like splits.
fn is_split_level(files: &[FoundFile], level: usize) -> bool {
    let mut names = files.iter().filter_map(|file| folder_at(file, level)).peekable();
    names.peek().is_some() && names.all(|name| Split::from_folder_name(name).is_some())
}

/// Name of the folder at a level of a file's path.
fn folder_at(file: &FoundFile, level: usize) -> Option<&String> {
    file.parts[..file.parts.len() - 1].get(level)
}

/// Names the files: id, class and split of each; files in no split folder are of `default_split`.
pub(super) fn name_objects(files: Vec<FoundFile>, default_split: Split) -> FolderObjects {
    let levels = FolderLevels::find(&files);
    let classes: BTreeSet<String> =
        files.iter().filter_map(|file| folder_at(file, levels.class).cloned()).collect();
    let classes: Vec<String> = classes.into_iter().collect();
    let ids = distinct_ids(&files);
    let object = |(file, id): (FoundFile, String)| {
        let split = levels.split.and_then(|level| Split::from_folder_name(folder_at(&file, level)?));
        FolderObject {
            relative: file.parts.join("/"),
            id,
            split: split.unwrap_or(default_split),
            label: folder_at(&file, levels.class).and_then(|class| classes.binary_search(class).ok()),
            path: file.path,
        }
    };
    let mut objects: Vec<FolderObject> = files.into_iter().zip(ids).map(object).collect();
    objects.sort_by(|a, b| a.id.cmp(&b.id));
    FolderObjects { objects, classes }
}

/// Ids without extensions where that keeps them apart.
fn distinct_ids(files: &[FoundFile]) -> Vec<String> {
    let full: Vec<String> = files.iter().map(|f| f.parts.join("/")).collect();
    let stem = |id: &String| id.rsplit_once('.').map_or(id.clone(), |(stem, _)| stem.to_owned());
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for id in &full {
        *counts.entry(stem(id)).or_default() += 1;
    }
    let ids: Vec<String> =
        full.iter().map(|id| if counts[&stem(id)] == 1 { stem(id) } else { id.clone() }).collect();
    let distinct = ids.iter().collect::<BTreeSet<_>>().len();
    // "a.obj", "a.off" and "a.obj.off" still meet: then all keep their extension.
    if distinct == ids.len() { ids } else { full }
}
