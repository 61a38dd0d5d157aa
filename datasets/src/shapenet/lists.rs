//! The lists of ShapeNet: the split file of the meshes and the lists of the clouds, line by line.

use std::path::{Path, PathBuf};

use super::config::ShapeNetConfig;
use crate::error::{Error, ParseError, Result};
use crate::files::is_file;
use crate::listing::{ListOrigin, is_plain_name, read_lines};
use crate::split::Split;

/// Folders in which lists of ShapeNet55 are looked for.
const LIST_FOLDERS: [&str; 4] = ["", "ShapeNet-55", "data/ShapeNet-55", "data/ShapeNet55-34/ShapeNet-55"];

/// A model as lists and folders name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ModelName {
    pub(super) synset: String,
    pub(super) model: String,
}

/// A model to list.
pub(super) struct ListedModel {
    pub(super) name: ModelName,
    pub(super) split: Split,
    pub(super) origin: Option<ListOrigin>,
}

/// A list of clouds, all of one split.
pub(super) struct CloudList {
    pub(super) path: PathBuf,
    split: Split,
}

/// Whether a name has the form of a synset: eight digits.
pub(super) fn is_synset(name: &str) -> bool {
    name.len() == 8 && name.bytes().all(|b| b.is_ascii_digit())
}

/// Synset and model of `<synset>-<model>.npy`; the model may contain `-` itself.
pub(super) fn split_cloud_name(file: &str) -> Option<ModelName> {
    let (synset, model) = file.strip_suffix(".npy")?.split_once('-')?;
    (is_synset(synset) && !model.is_empty())
        .then(|| ModelName { synset: synset.to_owned(), model: model.to_owned() })
}

/// The lists of the clouds: those that were named, else those that are there.
pub(super) fn cloud_lists(root: &Path, config: &ShapeNetConfig) -> Result<Vec<CloudList>> {
    let mut lists = Vec::new();
    let named =
        [(&config.train_list, "train.txt", Split::Train), (&config.test_list, "test.txt", Split::Test)];
    for (path, name, split) in named {
        let path = match path {
            Some(path) => Some(root.join(path)),
            None => find_list(root, name)?,
        };
        lists.extend(path.map(|path| CloudList { path, split }));
    }
    Ok(lists)
}

/// The first list of that name in the folders where lists are looked for.
fn find_list(root: &Path, name: &str) -> Result<Option<PathBuf>> {
    for path in LIST_FOLDERS.iter().map(|folder| root.join(folder).join(name)) {
        if is_file(&path)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// The models that the lists of clouds name.
///
/// # Errors
/// Fails if a list is missing, or a line of it is no name of a cloud.
pub(super) fn read_cloud_lists(lists: &[CloudList]) -> Result<Vec<ListedModel>> {
    let mut models = Vec::new();
    for (list, CloudList { path, split }) in lists.iter().enumerate() {
        let expected = || "a list of ShapeNet55, one file name a line".into();
        for (line, text) in read_lines(path).map_err(|e| e.or_missing(expected))? {
            let Some(name) = split_cloud_name(&text).filter(|name| is_plain_name(&name.model)) else {
                return Err(ParseError::line(line, "<synset>-<model>.npy", format!("{text:?}")).in_file(path));
            };
            models.push(ListedModel { name, split: *split, origin: Some(ListOrigin { list, line }) });
        }
    }
    Ok(models)
}

/// The split file: the one that was named, else `all.csv` if it is there.
pub(super) fn split_csv(root: &Path, config: &ShapeNetConfig) -> Result<Option<PathBuf>> {
    let path = root.join(config.split_csv.as_deref().unwrap_or(Path::new("all.csv")));
    if is_file(&path)? {
        return Ok(Some(path));
    }
    if config.split_csv.is_none() {
        return Ok(None);
    }
    let expected = "the split file of ShapeNetCore (all.csv of the SHREC16 split)".into();
    Err(Error::Missing { path, expected })
}

/// Rows of a split file; columns are found by the names in its first line.
pub(super) fn read_split_csv(path: &Path) -> Result<Vec<ListedModel>> {
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
