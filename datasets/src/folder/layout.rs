//! What the folders of a tree mean: classes, splits, or only a part of the id.
//!
//! Layouts: `CLASS/FILE`, `CLASS/SPLIT/FILE`, `SPLIT/CLASS/FILE`, or a flat folder. A level holds
//! splits if every folder of it is named like one, or if two different ones are: `extra` beside `train` and `test` does
//! not make classes of them, while a class of locomotives called `train` beside other classes stays a class. Whatever
//! could have meant something else is said of the objects it concerns. Deeper folders are part of the id only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jepa3d_schemas::{Warning, WarningKind};

use crate::split::{FolderPart, Split};
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
    /// What the name of its folder leaves unclear.
    pub(super) doubt: Option<Warning>,
}

/// The objects in the order of their ids, and the sorted class names.
#[derive(Debug)]
pub(super) struct FolderObjects {
    pub(super) objects: Vec<FolderObject>,
    pub(super) classes: Vec<String>,
    /// What is to be known of the folders, one sentence each.
    pub(super) notes: Vec<String>,
}

/// Which levels of folders hold classes and splits, counted from 0.
#[derive(Clone, Copy)]
struct FolderLevels {
    class: usize,
    split: Option<usize>,
}

impl FolderLevels {
    fn find(files: &[FoundFile]) -> Self {
        let levels = |class, split| Self { class, split: Some(split) };
        let [first, second, third] = [0, 1, 2].map(|level| LevelNames::read(files, level));
        if first.are_splits() {
            levels(1, 0)
        } else if second.are_splits() {
            let is_wrapped = first.names.len() == 1 && has_recurring_names(files, 2);
            levels(if is_wrapped { 2 } else { 0 }, 1)
        } else if first.names.len() == 1 && third.are_splits() {
            levels(1, 2)
        } else {
            Self { class: 0, split: None }
        }
    }

    /// What the split folder of a file means.
    fn part(self, file: &FoundFile) -> Option<FolderPart> {
        FolderPart::from_name(folder_at(file, self.split?)?)
    }

    /// Name of the class of a file; what is unlabelled has none.
    fn class(self, file: &FoundFile) -> Option<&String> {
        let is_labeled = self.part(file) != Some(FolderPart::Unlabeled);
        folder_at(file, self.class).filter(|_| is_labeled)
    }

    /// What the names of the folders of a file leave unclear.
    fn doubt(self, file: &FoundFile, split: Split) -> Option<Warning> {
        let text = folders(file).iter().enumerate().find_map(|(level, folder)| {
            let names_part = FolderPart::from_name(folder).is_some();
            match (Some(level) == self.split, names_part) {
                (true, false) => {
                    let split = split.name();
                    Some(format!("the folder {folder:?} lies beside those of splits and names none: {split}"))
                }
                (false, true) => {
                    let role = if level == self.class { "the class" } else { "a part of the id" };
                    Some(format!("the folder {folder:?}, which could mean a split, is {role}"))
                }
                _ => None,
            }
        })?;
        Some(Warning::new(WarningKind::SplitUnclear, text))
    }
}

/// The names of the folders of one level.
struct LevelNames<'a> {
    names: BTreeSet<&'a str>,
}

impl<'a> LevelNames<'a> {
    fn read(files: &'a [FoundFile], level: usize) -> Self {
        Self { names: files.iter().filter_map(|file| folder_at(file, level)).map(String::as_str).collect() }
    }

    /// Whether they name splits: all of them, or two different ones at least.
    fn are_splits(&self) -> bool {
        let parts: Vec<_> = self.names.iter().filter_map(|name| FolderPart::from_name(name)).collect();
        let different: BTreeSet<_> = parts.iter().collect();
        different.len() > 1 || !parts.is_empty() && parts.len() == self.names.len()
    }
}

/// Whether a folder name of a level is found in two folders of the level above, as those of classes are in the folders
/// of splits.
fn has_recurring_names(files: &[FoundFile], level: usize) -> bool {
    let mut parents: BTreeMap<&str, &str> = BTreeMap::new();
    files.iter().any(|file| {
        let (Some(name), Some(parent)) = (folder_at(file, level), folder_at(file, level - 1)) else {
            return false;
        };
        *parents.entry(name).or_insert(parent) != parent.as_str()
    })
}

/// The folders on the way to a file; of a folder that cannot be read, it is one of them.
fn folders(file: &FoundFile) -> &[String] {
    if file.is_folder { &file.parts } else { &file.parts[..file.parts.len() - 1] }
}

/// Name of the folder at a level of a file's path.
fn folder_at(file: &FoundFile, level: usize) -> Option<&String> {
    folders(file).get(level)
}

/// Names the files: id, class and split of each; files in no split folder are of `default_split`.
pub(super) fn name_objects(files: Vec<FoundFile>, default_split: Split) -> FolderObjects {
    let levels = FolderLevels::find(&files);
    let classes: BTreeSet<String> = files.iter().filter_map(|file| levels.class(file).cloned()).collect();
    let classes: Vec<String> = classes.into_iter().collect();
    let notes = write_notes(levels, &files);
    let ids = distinct_ids(&files);
    let object = |(file, id): (FoundFile, String)| {
        let split = levels.part(&file).map_or(default_split, FolderPart::split);
        FolderObject {
            relative: file.parts.join("/"),
            id,
            split,
            label: levels.class(&file).and_then(|class| classes.binary_search(class).ok()),
            doubt: levels.doubt(&file, split),
            path: file.path,
        }
    };
    let mut objects: Vec<FolderObject> = files.into_iter().zip(ids).map(object).collect();
    objects.sort_by(|a, b| a.id.cmp(&b.id));
    FolderObjects { objects, classes, notes }
}

/// Ids without extensions where that keeps them apart; that of a folder ends in `/`, as no file's does.
fn distinct_ids(files: &[FoundFile]) -> Vec<String> {
    let full = |file: &FoundFile| file.parts.join("/") + if file.is_folder { "/" } else { "" };
    let full: Vec<String> = files.iter().map(full).collect();
    let stem = |id: &String| match id.rsplit_once('.') {
        Some((stem, _)) if !id.ends_with('/') => stem.to_owned(),
        _ => id.clone(),
    };
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

/// What became of folders that are no plain classes and splits, and of those that cannot be read.
fn write_notes(levels: FolderLevels, files: &[FoundFile]) -> Vec<String> {
    let count = |is_meant: &dyn Fn(&FoundFile) -> bool| files.iter().filter(|file| is_meant(file)).count();
    let unlabeled = count(&|file| levels.part(file) == Some(FolderPart::Unlabeled));
    let doubtful = count(&|file| levels.doubt(file, Split::Train).is_some());
    let barred = count(&|file| file.is_folder);
    let what = [
        (unlabeled, "files lie in folders called unlabeled: split train, no class"),
        (
            doubtful,
            "files lie in folders whose names leave their split unclear; a warning on each says how they are read",
        ),
        (barred, "folders cannot be read; each is listed as one object, which fails"),
    ];
    let found = what.into_iter().filter(|(count, _)| *count > 0);
    found.map(|(count, what)| format!("{count} {what}")).collect()
}
