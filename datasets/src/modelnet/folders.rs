//! ModelNet as files: the OFF and PCD trees, and the normal-resampled text clouds with their lists.

use std::path::Path;

use super::config::{ModelNetLayout, ModelNetSet};
use crate::error::{Error, ParseError, Result};
use crate::listing::{Entry, Listing, Origin, Split, is_plain_name, names, read_lines};

/// Files, class names and what to tell about them.
pub(super) struct Files {
    pub(super) listing: Listing,
    pub(super) classes: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// Lists `<class>/{train,test}/<name>.<extension>`; classes are the folder names in byte order.
///
/// # Errors
/// Fails if a folder cannot be read, or if one name is in both splits of a class.
pub(super) fn list_tree(base: &Path, extension: &str) -> Result<Files> {
    let mut classes = Vec::new();
    let mut found = Vec::new();
    let mut others = 0;
    let mut strangers = 0;
    for class in names(base)?.0 {
        let mut any = false;
        for split in [Split::Train, Split::Test] {
            let folder = base.join(&class).join(split.name());
            if !folder.is_dir() {
                continue;
            }
            any = true;
            for file in names(&folder)?.1 {
                let Some(stem) = stem(&file, extension) else {
                    others += 1;
                    continue;
                };
                // Class names contain `_` themselves, so the number follows the last one.
                strangers += usize::from(stem.rsplit_once('_').is_none_or(|(name, _)| name != class));
                let path = format!("{class}/{}/{file}", split.name());
                found.push((classes.len(), format!("{class}/{stem}"), split, path));
            }
        }
        if any {
            classes.push(class);
        }
    }
    let entry = |(label, id, split, file)| Entry { id, split, label, file, origin: None };
    let listing = Listing::new(found.into_iter().map(entry).collect(), Vec::new())?;
    let mut notes = Vec::new();
    if others > 0 {
        notes.push(format!("{others} files that are no .{extension} were passed over"));
    }
    if strangers > 0 {
        notes.push(format!("{strangers} files are not named after their class folder; the folder decides"));
    }
    Ok(Files { listing, classes, notes })
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
pub(super) fn list_normal_resampled(base: &Path, set: ModelNetSet) -> Result<Files> {
    let prefix = prefix(set);
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
        for (line, name) in lines_of(&path)? {
            let class = name.rsplit_once('_').map(|(class, _)| class);
            let label = class.and_then(|class| classes.iter().position(|c| c == class));
            let (Some(class), Some(label), true) = (class, label, is_plain_name(&name)) else {
                let expected = "<class>_<number> of a class in the list of shape names";
                return Err(ParseError::line(line, expected, format!("{name:?}")).in_file(&path));
            };
            let (id, file) = (format!("{class}/{name}"), format!("{class}/{name}.txt"));
            let origin = Some(Origin { list: lists.len(), line });
            entries.push(Entry { id, split, label, file, origin });
        }
        lists.push(path);
    }
    Ok(Files { listing: Listing::new(entries, lists)?, classes, notes })
}

/// Start of the names of the list files.
pub(super) fn prefix(set: ModelNetSet) -> &'static str {
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
    for (line, name) in lines_of(path)? {
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
fn lines_of(path: &Path) -> Result<Vec<(usize, String)>> {
    if !path.is_file() {
        let expected = "a list that comes with the release of PointNet or PointNet++".into();
        return Err(Error::Missing { path: path.to_owned(), expected });
    }
    read_lines(path)
}

/// The tree layout of a folder: the first class folder with a mesh or cloud decides.
pub(super) fn tree_layout(base: &Path) -> Option<ModelNetLayout> {
    for class in names(base).ok()?.0 {
        for split in [Split::Train, Split::Test] {
            let files = names(&base.join(&class).join(split.name())).map(|n| n.1).unwrap_or_default();
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
