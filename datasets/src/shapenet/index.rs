//! Which models ShapeNet lists: the split file or lists against the folders that are there.
//!
//! Partial downloads are common. Rows of a synset of which nothing is there are left out and
//! counted; a row whose synset is there but whose model is not is listed, so that reading it
//! fails and names the list.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::config::{ShapeNetConfig, ShapeNetLayout, Unlisted};
use super::synsets;
use crate::error::{Error, ParseError, Result};
use crate::listing::{ListOrigin, Listing, ListingEntry, is_plain_name, read_lines};
use crate::split::Split;
use crate::walk::list_folder;

/// Folders in which lists of ShapeNet55 are looked for.
const LIST_FOLDERS: [&str; 4] = ["", "ShapeNet-55", "data/ShapeNet-55", "data/ShapeNet55-34/ShapeNet-55"];
/// Folders in which the clouds of ShapeNet55 are looked for.
pub(super) const CLOUD_FOLDERS: [&str; 6] = [
    "shapenet_pc",
    "ShapeNet55/shapenet_pc",
    "ShapeNet55-34/shapenet_pc",
    "data/ShapeNet55-34/shapenet_pc",
    "data/ShapeNet55/shapenet_pc",
    "",
];

/// A model as lists and folders name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ModelName {
    pub(super) synset: String,
    pub(super) model: String,
}

/// A model to list.
struct ListedModel {
    name: ModelName,
    split: Split,
    origin: Option<ListOrigin>,
}

/// A list of clouds, all of one split.
struct CloudList {
    path: PathBuf,
    split: Split,
}

/// The listing and what to tell about it.
pub(super) struct ShapeNetListing {
    pub(super) listing: Listing,
    pub(super) notes: Vec<String>,
}

/// The models that are there.
struct ModelsOnDisk {
    models: BTreeSet<ModelName>,
    synsets: BTreeSet<String>,
}

impl ModelsOnDisk {
    fn new(models: BTreeSet<ModelName>) -> Self {
        let synsets = models.iter().map(|name| name.synset.clone()).collect();
        Self { models, synsets }
    }

    /// Finds synset folders and their model folders.
    fn find_folders(root: &Path) -> Result<Self> {
        let mut models = BTreeSet::new();
        for synset in list_folder(root)?.folders.into_iter().filter(|name| is_synset(name)) {
            let folders = list_folder(&root.join(&synset))?.folders;
            models.extend(folders.into_iter().map(|model| ModelName { synset: synset.clone(), model }));
        }
        Ok(Self::new(models))
    }

    /// Finds files `<synset>-<model>.npy`.
    fn find_clouds(folder: &Path) -> Result<Self> {
        let files = list_folder(folder)?.files;
        Ok(Self::new(files.iter().filter_map(|file| split_cloud_name(file)).collect()))
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
            let clouds = cloud_folder(root).ok_or_else(|| missing_clouds(root))?;
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
    if !has_lists {
        notes.push("no split lists were found: every model is in train".to_owned());
    } else if !extra.is_empty() {
        let fate = if unlisted == Unlisted::Skip { "left out" } else { "put into train" };
        notes.push(format!("{} models on disk are in no list and were {fate}", extra.len()));
    }
    if !has_lists || unlisted == Unlisted::Train {
        models.extend(extra.into_iter().map(|name| ListedModel {
            name: name.clone(),
            split: Split::Train,
            origin: None,
        }));
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

/// Whether a name has the form of a synset: eight digits.
pub(super) fn is_synset(name: &str) -> bool {
    name.len() == 8 && name.bytes().all(|b| b.is_ascii_digit())
}

/// Synset and model of `<synset>-<model>.npy`; the model may contain `-` itself.
pub(super) fn split_cloud_name(file: &str) -> Option<ModelName> {
    let (synset, model) = file.strip_suffix(".npy")?.split_once('-')?;
    (is_synset(synset) && is_plain_name(model))
        .then(|| ModelName { synset: synset.to_owned(), model: model.to_owned() })
}

/// The folder of the clouds, if there is one with at least one cloud.
pub(super) fn cloud_folder(root: &Path) -> Option<&'static str> {
    CLOUD_FOLDERS.into_iter().find(|folder| {
        let listed = std::fs::read_dir(root.join(folder));
        listed.is_ok_and(|mut items| {
            items.any(|item| item.is_ok_and(|i| split_cloud_name(&i.file_name().to_string_lossy()).is_some()))
        })
    })
}

fn missing_clouds(root: &Path) -> Error {
    Error::Missing {
        path: root.join(CLOUD_FOLDERS[0]),
        expected: "clouds <synset>-<model>.npy, the ShapeNet55 archive of Point-BERT".into(),
    }
}

/// The lists of the clouds that are there, with their splits.
fn cloud_lists(root: &Path, config: &ShapeNetConfig) -> Result<Vec<CloudList>> {
    let mut lists = Vec::new();
    let named =
        [(&config.train_list, "train.txt", Split::Train), (&config.test_list, "test.txt", Split::Test)];
    for (path, name, split) in named {
        let found = match path {
            Some(path) => Some(root.join(path)),
            None => LIST_FOLDERS.iter().map(|f| root.join(f).join(name)).find(|p| p.is_file()),
        };
        match found {
            Some(path) if path.is_file() => lists.push(CloudList { path, split }),
            Some(path) => {
                let expected = "a list of ShapeNet55, one file name a line".into();
                return Err(Error::Missing { path, expected });
            }
            None => {}
        }
    }
    Ok(lists)
}

fn read_cloud_lists(lists: &[CloudList]) -> Result<Vec<ListedModel>> {
    let mut models = Vec::new();
    for (list, CloudList { path, split }) in lists.iter().enumerate() {
        for (line, text) in read_lines(path)? {
            let Some(name) = split_cloud_name(&text) else {
                return Err(ParseError::line(line, "<synset>-<model>.npy", format!("{text:?}")).in_file(path));
            };
            models.push(ListedModel { name, split: *split, origin: Some(ListOrigin { list, line }) });
        }
    }
    Ok(models)
}

/// The split file: the one that was named, else `all.csv` if it is there.
fn split_csv(root: &Path, config: &ShapeNetConfig) -> Result<Option<PathBuf>> {
    let path = root.join(config.split_csv.as_deref().unwrap_or(Path::new("all.csv")));
    if path.is_file() {
        return Ok(Some(path));
    }
    if config.split_csv.is_none() {
        return Ok(None);
    }
    let expected = "the split file of ShapeNetCore (all.csv of the SHREC16 split)".into();
    Err(Error::Missing { path, expected })
}

/// Rows of a split file; columns are found by the names in its first line.
fn read_split_csv(path: &Path) -> Result<Vec<ListedModel>> {
    let lines = read_lines(path)?;
    let fail = |line, expected: &str, found: &str| {
        Err(ParseError::line(line, expected, format!("{found:?}")).in_file(path))
    };
    const HEADER: &str = "a header with synsetId, modelId and split";
    let Some((_, header)) = lines.first() else { return fail(1, HEADER, "") };
    let columns: Vec<&str> = header.split(',').map(unquote).collect();
    let place = |name| columns.iter().position(|c| *c == name);
    let (Some(synset), Some(model), Some(split)) = (place("synsetId"), place("modelId"), place("split"))
    else {
        return fail(1, HEADER, header);
    };
    let mut models = Vec::with_capacity(lines.len());
    for (line, text) in &lines[1..] {
        let fields: Vec<&str> = text.split(',').map(unquote).collect();
        if fields.len() != columns.len() {
            return fail(*line, &format!("{} fields", columns.len()), text);
        }
        let Some(part) = Split::from_name(fields[split]) else {
            return fail(*line, "train, val or test", fields[split]);
        };
        if !is_synset(fields[synset]) {
            return fail(*line, "a synset of eight digits", fields[synset]);
        }
        if !is_plain_name(fields[model]) {
            return fail(*line, "a model id", fields[model]);
        }
        let origin = Some(ListOrigin { list: 0, line: *line });
        let name = ModelName { synset: fields[synset].into(), model: fields[model].into() };
        models.push(ListedModel { name, split: part, origin });
    }
    Ok(models)
}

fn unquote(field: &str) -> &str {
    let field = field.trim();
    field.strip_prefix('"').and_then(|f| f.strip_suffix('"')).unwrap_or(field)
}

/// How many clouds there are, beside the published numbers.
fn compare_with_published(listing: &Listing) -> String {
    let (train, test) = (listing.count(Split::Train), listing.count(Split::Test));
    format!("ShapeNet55 as published: train 41952, test 10518; here: train {train}, test {test}")
}
