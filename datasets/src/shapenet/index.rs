//! Which models ShapeNet lists: the split file or lists against the folders that are there.
//!
//! Partial downloads are common. Rows of a synset of which nothing is there are left out and
//! counted; a row whose synset is there but whose model is not is listed, so that reading it
//! fails and names the list.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::config::{ShapeNetConfig, ShapeNetLayout, Unlisted};
use super::lists::{
    ListedModel, ModelName, cloud_lists, is_synset, read_cloud_lists, read_split_csv, split_cloud_name,
    split_csv,
};
use super::synsets;
use crate::error::{Error, Result};
use crate::listing::{Listing, ListingEntry};
use crate::split::Split;
use crate::walk::{list_folder, list_readable_folder};

/// Folders in which the clouds of ShapeNet55 are looked for.
pub(super) const CLOUD_FOLDERS: [&str; 6] = [
    "shapenet_pc",
    "ShapeNet55/shapenet_pc",
    "ShapeNet55-34/shapenet_pc",
    "data/ShapeNet55-34/shapenet_pc",
    "data/ShapeNet55/shapenet_pc",
    "",
];

/// The listing and what to tell about it.
pub(super) struct ShapeNetListing {
    pub(super) listing: Listing,
    pub(super) notes: Vec<String>,
}

/// The models that are there.
struct ModelsOnDisk {
    models: BTreeSet<ModelName>,
    /// Of the models, and those whose folder cannot be read.
    synsets: BTreeSet<String>,
    barred: BTreeSet<String>,
}

impl ModelsOnDisk {
    fn new(models: BTreeSet<ModelName>, barred: BTreeSet<String>) -> Self {
        let synsets = models.iter().map(|name| name.synset.clone()).chain(barred.iter().cloned()).collect();
        Self { models, synsets, barred }
    }

    /// Finds synset folders and their model folders.
    fn find_folders(root: &Path) -> Result<Self> {
        let (mut models, mut barred) = (BTreeSet::new(), BTreeSet::new());
        for synset in list_folder(root)?.folders.into_iter().filter(|name| is_synset(name)) {
            let Some(names) = list_readable_folder(&root.join(&synset))? else {
                barred.insert(synset);
                continue;
            };
            models.extend(names.folders.into_iter().map(|model| ModelName { synset: synset.clone(), model }));
        }
        Ok(Self::new(models, barred))
    }

    /// Finds files `<synset>-<model>.npy`.
    fn find_clouds(folder: &Path) -> Result<Self> {
        let files = list_folder(folder)?.files;
        Ok(Self::new(files.iter().filter_map(|file| split_cloud_name(file)).collect(), BTreeSet::new()))
    }
}

/// What the lists of a layout say and what is on disk.
struct Sources {
    disk: ModelsOnDisk,
    lists: Vec<PathBuf>,
    listed: Vec<ListedModel>,
    /// Folder of the clouds; empty for meshes.
    clouds: &'static str,
}

impl Sources {
    fn read(root: &Path, layout: ShapeNetLayout, config: &ShapeNetConfig) -> Result<Self> {
        if layout == ShapeNetLayout::Points {
            let clouds = cloud_folder(root)?.ok_or_else(|| missing_clouds(root))?;
            let lists = cloud_lists(root, config)?;
            let listed = read_cloud_lists(&lists)?;
            let disk = ModelsOnDisk::find_clouds(&root.join(clouds))?;
            return Ok(Self {
                disk,
                lists: lists.into_iter().map(|list| list.path).collect(),
                listed,
                clouds,
            });
        }
        let csv = split_csv(root, config)?;
        let listed = csv.as_deref().map(read_split_csv).transpose()?.unwrap_or_default();
        Ok(Self {
            disk: ModelsOnDisk::find_folders(root)?,
            lists: csv.into_iter().collect(),
            listed,
            clouds: "",
        })
    }

    /// File of a model, relative to the root.
    fn file(&self, layout: ShapeNetLayout, name: &ModelName) -> String {
        let ModelName { synset, model } = name;
        match layout {
            // Whatever is in a folder that cannot be read.
            _ if model.is_empty() => synset.clone(),
            ShapeNetLayout::CoreV1 => format!("{synset}/{model}/model.obj"),
            ShapeNetLayout::CoreV2 => format!("{synset}/{model}/models/model_normalized.obj"),
            _ if self.clouds.is_empty() => format!("{synset}-{model}.npy"),
            _ => format!("{}/{synset}-{model}.npy", self.clouds),
        }
    }
}

/// Lists the models of a layout (not [`ShapeNetLayout::Auto`]).
///
/// # Errors
/// Fails if a list that was named is missing, or if a list is malformed.
pub(super) fn list_models(
    root: &Path,
    layout: ShapeNetLayout,
    config: &ShapeNetConfig,
) -> Result<ShapeNetListing> {
    let keep = wanted_synsets(config)?;
    let mut sources = Sources::read(root, layout, config)?;
    let mut notes = Vec::new();
    let listed = std::mem::take(&mut sources.listed);
    let models = choose_models(listed, !sources.lists.is_empty(), &sources.disk, config.unlisted, &mut notes);
    let mut strange = 0;
    let mut entries = Vec::new();
    for model in models.iter().filter(|m| keep.is_empty() || keep.contains(m.name.synset.as_str())) {
        let Some(label) = synsets::find_label(&model.name.synset) else {
            strange += 1;
            continue;
        };
        let id = format!("{}/{}", model.name.synset, model.name.model);
        let file = sources.file(layout, &model.name);
        entries.push(ListingEntry { id, split: model.split, label, file, origin: model.origin });
    }
    if strange > 0 {
        notes.push(format!(
            "{strange} models are of synsets outside the 55 of ShapeNetCore v2 and were left out"
        ));
    }
    let listing = Listing::new(entries, sources.lists)?;
    if layout == ShapeNetLayout::Points {
        notes.push(compare_with_published(&listing));
    }
    Ok(ShapeNetListing { listing, notes })
}

/// The models to list: those of the lists, and on disk what they leave out if that is wanted.
fn choose_models(
    listed: Vec<ListedModel>,
    has_lists: bool,
    disk: &ModelsOnDisk,
    unlisted: Unlisted,
    notes: &mut Vec<String>,
) -> Vec<ListedModel> {
    let named: BTreeSet<ModelName> = listed.iter().map(|m| m.name.clone()).collect();
    let rows = listed.len();
    let mut models: Vec<ListedModel> =
        listed.into_iter().filter(|m| disk.synsets.contains(&m.name.synset)).collect();
    if models.len() < rows {
        let absent = rows - models.len();
        notes
            .push(format!("{absent} of {rows} listed models were left out: nothing of their synset is here"));
    }
    let extra: Vec<_> = disk.models.difference(&named).collect();
    if let Some(first) = disk.barred.first() {
        let count = disk.barred.len();
        notes.push(format!("{count} synset folders cannot be read, first {first:?}: what is in them fails"));
    }
    if !has_lists {
        notes.push("no split lists were found: every model is in train".to_owned());
    } else if !extra.is_empty() {
        let fate = if unlisted == Unlisted::Skip { "left out" } else { "put into train" };
        notes.push(format!("{} models on disk are in no list and were {fate}", extra.len()));
    }
    if !has_lists || unlisted == Unlisted::Train {
        let barred =
            disk.barred.iter().map(|synset| ModelName { synset: synset.clone(), model: String::new() });
        let names = extra.into_iter().cloned().chain(barred);
        models.extend(names.map(|name| ListedModel { name, split: Split::Train, origin: None }));
    }
    models
}

/// The synsets that the config keeps; empty for all.
fn wanted_synsets(config: &ShapeNetConfig) -> Result<BTreeSet<&'static str>> {
    let find = |name: &String| {
        synsets::find_synset(name).ok_or_else(|| Error::Config {
            key: "synsets",
            expected: "synsets or class names of ShapeNetCore v2".into(),
            found: format!("{name:?}"),
        })
    };
    config.synsets.iter().map(find).collect()
}

/// The folder of the clouds, if there is one with at least one cloud.
///
/// # Errors
/// Fails if the machine does.
pub(super) fn cloud_folder(root: &Path) -> Result<Option<&'static str>> {
    for folder in CLOUD_FOLDERS {
        let names = list_readable_folder(&root.join(folder))?.unwrap_or_default();
        if names.files.iter().any(|file| split_cloud_name(file).is_some()) {
            return Ok(Some(folder));
        }
    }
    Ok(None)
}

fn missing_clouds(root: &Path) -> Error {
    Error::Missing {
        path: root.join(CLOUD_FOLDERS[0]),
        expected: "clouds <synset>-<model>.npy, the ShapeNet55 archive of Point-BERT".into(),
    }
}

/// How many clouds there are, beside the published numbers.
fn compare_with_published(listing: &Listing) -> String {
    let (train, test) = (listing.count(Split::Train), listing.count(Split::Test));
    format!("ShapeNet55 as published: train 41952, test 10518; here: train {train}, test {test}")
}
