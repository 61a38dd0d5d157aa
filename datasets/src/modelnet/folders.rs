//! ModelNet as files: the OFF and PCD trees, and the normal-resampled text clouds with their lists.

use std::path::Path;

use super::config::{ModelNetLayout, ModelNetSet};
use crate::error::{Error, ParseError, Result};
use crate::listing::{ListOrigin, Listing, ListingEntry, is_plain_name, read_lines};
use crate::split::Split;
use crate::walk::list_folder;

/// The objects, class names and what to tell about them.
pub(super) struct ModelNetFiles {
    pub(super) listing: Listing,
    pub(super) classes: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// Lists `<class>/{train,test}/<name>.<extension>`; classes are the folder names in byte order.
///
/// # Errors
/// Fails if a folder cannot be read, or if one name is in both splits of a class.
pub(super) fn list_tree(base: &Path, extension: &str) -> Result<ModelNetFiles> {
    let (mut classes, mut entries, mut others) = (Vec::new(), Vec::new(), 0);
    for class in list_folder(base)?.folders {
        let splits = [Split::Train, Split::Test];
        if !splits.iter().any(|split| base.join(&class).join(split.name()).is_dir()) {
            continue;
        }
        for split in splits.into_iter().filter(|split| base.join(&class).join(split.name()).is_dir()) {
            for file in list_folder(&base.join(&class).join(split.name()))?.files {
                let Some(stem) = stem(&file, extension) else {
                    others += 1;
                    continue;
                };
                let (id, file) = (format!("{class}/{stem}"), format!("{class}/{}/{file}", split.name()));
                entries.push(ListingEntry { id, split, label: classes.len(), file, origin: None });
            }
        }
        classes.push(class);
    }
    let strangers = entries.iter().filter(|e| !is_named_after_class(&e.id)).count();
    let listing = Listing::new(entries, Vec::new())?;
    let mut notes = Vec::new();
    if others > 0 {
        notes.push(format!("{others} files that are no .{extension} were passed over"));
    }
    if strangers > 0 {
        notes.push(format!("{strangers} files are not named after their class folder; the folder decides"));
    }
    Ok(ModelNetFiles { listing, classes, notes })
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
        if !path.is_file() && split == Split::Test {
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
    if !path.is_file() {
        let expected = "a list that comes with the release of PointNet or PointNet++".into();
        return Err(Error::Missing { path: path.to_owned(), expected });
    }
    read_lines(path)
}

/// The tree layout of a folder: the first class folder with a mesh or cloud decides.
pub(super) fn find_tree_layout(base: &Path) -> Option<ModelNetLayout> {
    for class in list_folder(base).ok()?.folders {
        for split in [Split::Train, Split::Test] {
            let files = list_folder(&base.join(&class).join(split.name())).unwrap_or_default().files;
            if files.iter().any(|f| stem(f, "off").is_some()) {
                return Some(ModelNetLayout::Off);
            }
            if files.iter().any(|f| stem(f, "pcd").is_some()) {
                return Some(ModelNetLayout::Pcd);
            }
        }
    }
    None
}
