//! Which clouds ShapeNetPart lists: its category list and its JSON splits against the folders.
//!
//! The official train and val lists name nine clouds that do not exist: they are listed, and
//! reading them fails with the list that names them.

use std::ops::Range;
use std::path::Path;

use super::config::ShapeNetPartLayout;
use super::parts::parts_of_synset;
use crate::budget::Budget;
use crate::error::{Error, FilePlace, ParseError, Result};
use crate::files::{is_file, is_folder, read_file};
use crate::listing::{ListOrigin, Listing, ListingEntry, is_plain_name, read_lines};
use crate::split::Split;
use crate::walk::list_readable_folder;

/// The categories in the order of the list, which is the order of the class numbers.
pub(super) struct Categories {
    pub(super) synsets: Vec<String>,
    pub(super) names: Vec<String>,
    pub(super) parts: Vec<Range<i16>>,
}

impl Categories {
    /// Reads `synsetoffset2category.txt`: a name and a synset a line.
    ///
    /// # Errors
    /// Fails if a line is not of that form, or if its synset is none of the benchmark or comes again.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let mut categories = Self { synsets: Vec::new(), names: Vec::new(), parts: Vec::new() };
        for (line, text) in read_lines(path)? {
            let fail = |expected: &str| ParseError::line(line, expected, format!("{text:?}")).in_file(path);
            let &[name, synset] = &text.split_whitespace().collect::<Vec<_>>()[..] else {
                return Err(fail("a category and its synset"));
            };
            let parts = parts_of_synset(synset).ok_or_else(|| fail("a synset of the 16 of ShapeNetPart"))?;
            if categories.synsets.iter().any(|s| s == synset) {
                return Err(fail("each synset once"));
            }
            categories.synsets.push(synset.to_owned());
            categories.names.push(name.to_owned());
            categories.parts.push(parts);
        }
        if categories.names.is_empty() {
            return Err(ParseError::line(1, "categories and their synsets", "none").in_file(path));
        }
        Ok(categories)
    }

    fn label(&self, synset: &str) -> Option<usize> {
        self.synsets.iter().position(|s| s == synset)
    }
}

/// The listing and what to tell about it.
pub(super) struct ShapeNetPartListing {
    pub(super) listing: Listing,
    pub(super) notes: Vec<String>,
}

/// Lists the clouds of a layout (not [`ShapeNetPartLayout::Auto`]).
///
/// # Errors
/// Fails if a list is malformed, or if it names a cloud that another list puts elsewhere.
pub(super) fn list_clouds(
    base: &Path,
    layout: ShapeNetPartLayout,
    categories: &Categories,
) -> Result<ShapeNetPartListing> {
    let (mut entries, mut lists, mut notes, mut absent) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let present: Result<Vec<bool>> = categories.synsets.iter().map(|s| is_folder(&base.join(s))).collect();
    let present = present?;
    for split in Split::ALL {
        let name = format!("shuffled_{}_file_list.json", split.name());
        let path = base.join("train_test_split").join(&name);
        if !is_file(&path)? {
            notes.push(format!("train_test_split/{name} is not there: no {} split from lists", split.name()));
            continue;
        }
        let origin = Some(ListOrigin { list: lists.len(), line: 0 });
        for model in read_list(&path, categories)? {
            if !present[model.label] {
                absent += 1;
                continue;
            }
            entries.push(make_entry(layout, categories, model, split, origin));
        }
        lists.push(path);
    }
    if lists.is_empty() {
        notes = vec!["no split lists were found: every cloud is in train".to_owned()];
        for (label, _) in present.iter().enumerate().filter(|(_, here)| **here) {
            let Some(names) = cloud_names(&base.join(&categories.synsets[label]), layout)? else {
                notes.push(format!(
                    "the folder {} cannot be read: one object, which fails",
                    categories.synsets[label]
                ));
                let model = PartModel { label, name: String::new() };
                entries.push(make_entry(layout, categories, model, Split::Train, None));
                continue;
            };
            for name in names {
                let model = PartModel { label, name };
                entries.push(make_entry(layout, categories, model, Split::Train, None));
            }
        }
    }
    if absent > 0 {
        notes.push(format!("{absent} listed clouds were left out: nothing of their synset is here"));
    }
    Ok(ShapeNetPartListing { listing: Listing::new(entries, lists)?, notes })
}

/// A cloud by its category and its name there.
struct PartModel {
    /// Class number.
    label: usize,
    name: String,
}

fn make_entry(
    layout: ShapeNetPartLayout,
    categories: &Categories,
    model: PartModel,
    split: Split,
    origin: Option<ListOrigin>,
) -> ListingEntry {
    let PartModel { label, name } = model;
    let synset = &categories.synsets[label];
    let file = match layout {
        // Whatever is in a folder that cannot be read.
        _ if name.is_empty() => synset.clone(),
        ShapeNetPartLayout::PtsSeg => format!("{synset}/points/{name}.pts"),
        _ => format!("{synset}/{name}.txt"),
    };
    ListingEntry { id: format!("{synset}/{name}"), split, label, file, origin }
}

/// The label file of a `.pts` file, both relative to the base.
pub(super) fn label_file(points: &str) -> String {
    let stem = points.strip_suffix(".pts").unwrap_or(points);
    format!("{}.seg", stem.replacen("/points/", "/points_label/", 1))
}

/// The clouds of a JSON list of `shape_data/<synset>/<id>`.
fn read_list(path: &Path, categories: &Categories) -> Result<Vec<PartModel>> {
    let bytes = read_file(path, &Budget::default())?;
    let names: Vec<String> = serde_json::from_slice(&bytes).map_err(|e| {
        ParseError::line(e.line(), "a JSON list of names shape_data/<synset>/<id>", e.to_string())
            .in_file(path)
    })?;
    let mut found = Vec::with_capacity(names.len());
    for (row, name) in names.iter().enumerate() {
        let parts: Vec<&str> = name.split('/').collect();
        let model = match parts[..] {
            ["shape_data", synset, model] if is_plain_name(model) => {
                categories.label(synset).map(|label| PartModel { label, name: model.to_owned() })
            }
            _ => None,
        };
        let Some(model) = model else {
            let expected = "shape_data/<synset>/<id> of a listed category";
            return Err(ParseError::new(FilePlace::Row(row), expected, format!("{name:?}")).in_file(path));
        };
        found.push(model);
    }
    Ok(found)
}

/// Names of the clouds in a synset's folder, `None` if it cannot be read.
fn cloud_names(folder: &Path, layout: ShapeNetPartLayout) -> Result<Option<Vec<String>>> {
    let (folder, end) = match layout {
        ShapeNetPartLayout::PtsSeg => (folder.join("points"), ".pts"),
        _ => (folder.to_owned(), ".txt"),
    };
    let Some(names) = list_readable_folder(&folder)? else { return Ok(None) };
    Ok(Some(names.files.iter().filter_map(|f| f.strip_suffix(end)).map(str::to_owned).collect()))
}

/// The layout of the first category folder that has one.
///
/// # Errors
/// Fails with [`Error::Missing`] if none has.
pub(super) fn find_layout(base: &Path, categories: &Categories) -> Result<ShapeNetPartLayout> {
    for synset in &categories.synsets {
        for layout in [ShapeNetPartLayout::PtsSeg, ShapeNetPartLayout::Txt] {
            let folder = base.join(synset);
            if cloud_names(&folder, layout)?.is_some_and(|names| !names.is_empty()) {
                return Ok(layout);
            }
        }
    }
    Err(Error::Missing {
        path: base.join(&categories.synsets[0]),
        expected: "clouds <id>.txt, or points/<id>.pts and points_label/<id>.seg, of ShapeNetPart".into(),
    })
}
