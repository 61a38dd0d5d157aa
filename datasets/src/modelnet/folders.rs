//! ModelNet as files: the OFF and PCD trees, and the normal-resampled text clouds with their lists.

use std::path::Path;

use super::config::{ModelNetLayout, ModelNetSet};
use crate::error::{ParseError, Result};
use crate::files::is_file;
use crate::listing::{ListOrigin, Listing, ListingEntry, is_plain_name, read_lines};
use crate::names::path_below;
use crate::split::Split;
use crate::walk::{FolderNames, list_folder, list_readable_folder};

/// The objects, class names and what to tell about them.
pub(super) struct ModelNetFiles {
    pub(super) listing: Listing,
    pub(super) classes: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// Lists `<class>/{train,test}/<name>.<extension>`, splits in any spelling; classes are the folder names in byte order.
///
/// # Errors
/// Fails if a folder cannot be read, or if one name is in both splits of a class.
pub(super) fn list_tree(base: &Path, extension: &str) -> Result<ModelNetFiles> {
    let mut tree = ModelNetTree::default();
    for class in list_folder(base)?.folders {
        let label = tree.classes.len();
        let Some(names) = list_readable_folder(&path_below(base, &class))? else {
            tree.add_barred(Split::Train, label, class.clone());
            tree.classes.push(class);
            continue;
        };
        let splits = split_folders(&names);
        tree.other_folders += names.folders.len() - splits.len();
        for folder in &splits {
            let place = format!("{class}/{}", folder.name);
            match list_readable_folder(&path_below(base, &place))? {
                None => tree.add_barred(folder.split, label, place),
                Some(names) => tree.add_files(folder.split, &class, &place, names.files, extension),
            }
        }
        if !splits.is_empty() {
            tree.classes.push(class);
        }
    }
    tree.finish(extension)
}

/// A split of a class on disk.
struct SplitFolder {
    name: String,
    split: Split,
}

/// The folders whose names mean splits, in any spelling.
fn split_folders(names: &FolderNames) -> Vec<SplitFolder> {
    let split =
        |name: &String| Some(SplitFolder { name: name.clone(), split: Split::from_folder_name(name)? });
    names.folders.iter().filter_map(split).collect()
}

/// What a tree has been found to hold so far.
#[derive(Default)]
struct ModelNetTree {
    classes: Vec<String>,
    entries: Vec<ListingEntry>,
    other_files: usize,
    other_folders: usize,
    barred: usize,
}

impl ModelNetTree {
    /// Lists a folder that cannot be read as one object, so that what is in it is missed by name.
    fn add_barred(&mut self, split: Split, label: usize, folder: String) {
        self.barred += 1;
        let (id, file) = (format!("{folder}/"), folder);
        self.entries.push(ListingEntry { id, split, label, file, origin: None });
    }

    fn add_files(&mut self, split: Split, class: &str, place: &str, files: Vec<String>, extension: &str) {
        let label = self.classes.len();
        for file in files {
            let Some(stem) = stem(&file, extension) else {
                self.other_files += 1;
                continue;
            };
            let (id, file) = (format!("{class}/{stem}"), format!("{place}/{file}"));
            self.entries.push(ListingEntry { id, split, label, file, origin: None });
        }
    }

    fn finish(self, extension: &str) -> Result<ModelNetFiles> {
        let strangers = self.entries.iter().filter(|e| !is_named_after_class(&e.id)).count() - self.barred;
        let listing = Listing::new(self.entries, Vec::new())?;
        let what = [
            (self.other_files, format!("files that are no .{extension} were passed over")),
            (
                self.other_folders,
                "folders of classes are named like no split and were passed over".to_owned(),
            ),
            (strangers, "files are not named after their class folder; the folder decides".to_owned()),
            (self.barred, "folders cannot be read; each is listed as one object, which fails".to_owned()),
        ];
        let notes = what.into_iter().filter(|(count, _)| *count > 0);
        let notes = notes.map(|(count, what)| format!("{count} {what}")).collect();
        Ok(ModelNetFiles { listing, classes: self.classes, notes })
    }
}

/// Whether an id has the form `<class>/<class>_<number>`; the last `_` counts, since class names contain it.
fn is_named_after_class(id: &str) -> bool {
    let class_and_name = id.split_once('/').and_then(|(class, stem)| Some((class, stem.rsplit_once('_')?.0)));
    class_and_name.is_some_and(|(class, name)| class == name)
}

/// A file name without its extension, if that is `extension` in any case.
pub(super) fn stem<'a>(file: &'a str, extension: &str) -> Option<&'a str> {
    let (stem, found) = file.rsplit_once('.')?;
    found.eq_ignore_ascii_case(extension).then_some(stem)
}

/// Lists the clouds of `modelnet{10,40}_{train,test}.txt`, classes in the order of `..._shape_names.txt`.
///
/// # Errors
/// Fails if the class list or the training list is missing, if a name is not `<class>_<number>` of
/// a listed class, or if one is in both lists.
pub(super) fn list_normal_resampled(base: &Path, set: ModelNetSet) -> Result<ModelNetFiles> {
    let prefix = list_prefix(set);
    let classes = class_names(&base.join(format!("{prefix}_shape_names.txt")))?;
    let mut lists = Vec::new();
    let mut entries = Vec::new();
    let mut notes = Vec::new();
    for split in [Split::Train, Split::Test] {
        let path = base.join(format!("{prefix}_{}.txt", split.name()));
        if split == Split::Test && !is_file(&path)? {
            notes.push(format!("{prefix}_test.txt is not there: no test split"));
            continue;
        }
        for (line, name) in release_lines(&path)? {
            let class = name.rsplit_once('_').map(|(class, _)| class);
            let label = class.and_then(|class| classes.iter().position(|c| c == class));
            let (Some(class), Some(label), true) = (class, label, is_plain_name(&name)) else {
                let expected = "<class>_<number> of a class in the list of shape names";
                return Err(ParseError::line(line, expected, format!("{name:?}")).in_file(&path));
            };
            let (id, file) = (format!("{class}/{name}"), format!("{class}/{name}.txt"));
            let origin = Some(ListOrigin { list: lists.len(), line });
            entries.push(ListingEntry { id, split, label, file, origin });
        }
        lists.push(path);
    }
    Ok(ModelNetFiles { listing: Listing::new(entries, lists)?, classes, notes })
}

/// Start of the names of the list files.
pub(super) fn list_prefix(set: ModelNetSet) -> &'static str {
    match set {
        ModelNetSet::Ten => "modelnet10",
        ModelNetSet::Forty => "modelnet40",
    }
}

/// The class names of a list, one a line.
///
/// # Errors
/// Fails if the list is missing or empty, or names a class twice.
pub(super) fn class_names(path: &Path) -> Result<Vec<String>> {
    let mut classes = Vec::new();
    for (line, name) in release_lines(path)? {
        if classes.contains(&name) {
            return Err(ParseError::line(line, "each class once", format!("{name:?} again")).in_file(path));
        }
        classes.push(name);
    }
    if classes.is_empty() {
        return Err(ParseError::line(1, "class names, one a line", "none").in_file(path));
    }
    Ok(classes)
}

/// The lines of a list of the release.
fn release_lines(path: &Path) -> Result<Vec<(usize, String)>> {
    let expected = || "a list that comes with the release of PointNet or PointNet++".into();
    read_lines(path).map_err(|e| e.or_missing(expected))
}

/// The tree layout of a folder: the first class folder with a mesh or cloud decides.
///
/// # Errors
/// Fails if the machine does.
pub(super) fn find_tree_layout(base: &Path) -> Result<Option<ModelNetLayout>> {
    for class in list_readable_folder(base)?.unwrap_or_default().folders {
        let class = path_below(base, &class);
        for folder in split_folders(&list_readable_folder(&class)?.unwrap_or_default()) {
            let files = list_readable_folder(&class.join(folder.name))?.unwrap_or_default().files;
            if files.iter().any(|f| stem(f, "off").is_some()) {
                return Ok(Some(ModelNetLayout::Off));
            }
            if files.iter().any(|f| stem(f, "pcd").is_some()) {
                return Ok(Some(ModelNetLayout::Pcd));
            }
        }
    }
    Ok(None)
}
