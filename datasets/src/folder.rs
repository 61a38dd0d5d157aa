//! Any folder of meshes or clouds as a dataset: classes and splits from the names of its folders.
//!
//! Layouts: `CLASS/FILE`, `CLASS/SPLIT/FILE`, `SPLIT/CLASS/FILE`, or a flat folder. A level holds
//! splits only if *every* folder of that level is named like one, so a class of locomotives called
//! `train` beside other classes stays a class. Deeper folders are part of the id only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jepa3d_schemas::{Object, UpAxis};
use serde::{Deserialize, Serialize};

use crate::dataset::Dataset;
use crate::error::{Error, Result, io_error};
use crate::formats::{ColumnSpec, EXTENSIONS, Loaded, ReadOptions, extension, read_columns};

/// Extensions that also name lists and notes; read only when asked for.
const ONLY_WHEN_LISTED: [&str; 2] = ["txt", "csv"];

/// Settings of a [`Folder`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FolderConfig {
    /// Extensions to read, without dot, any case. Empty (default): all that can be read, but for
    /// `txt` and `csv`, which also name lists and notes; list these to read them.
    pub extensions: Vec<String>,
    /// Only objects whose id matches: `*` stands for any run of characters (also `/`), `?` for one.
    /// Empty (default): all.
    pub pattern: String,
    /// Split of files that lie in no split folder: `train` (default), `val` or `test`.
    pub split: String,
    /// The axis that points up: `x`, `y` (default) or `z`.
    pub up_axis: UpAxis,
    /// Column names of text tables and npy arrays: x, y, z, nx, ny, nz, r, g, b, intensity, label,
    /// or `_` for one to pass over. Empty (default): by header line, else xyz for three columns and
    /// xyz with normals for six.
    pub columns: Vec<String>,
    /// Whether to decode the textures that materials name (default true).
    pub textures: bool,
}

impl Default for FolderConfig {
    fn default() -> Self {
        Self {
            extensions: Vec::new(),
            pattern: String::new(),
            split: "train".to_owned(),
            up_axis: UpAxis::Y,
            columns: Vec::new(),
            textures: true,
        }
    }
}

/// The files of a folder, each one object.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    entries: Vec<Entry>,
    classes: Vec<String>,
    up_axis: UpAxis,
    columns: ColumnSpec,
    options: ReadOptions,
    notes: Vec<String>,
}

#[derive(Debug)]
struct Entry {
    /// Path below the root, parts joined by `/`.
    relative: String,
    path: PathBuf,
    id: String,
    split: &'static str,
    label: Option<usize>,
}

impl Folder {
    /// Lists the files of `root`; none is opened.
    ///
    /// Ids are paths below the root without extension, parts joined by `/`; files that differ in
    /// the extension only keep it. Hidden entries are passed over, symbolic links are followed, and
    /// a folder that links reach a second time is listed once.
    ///
    /// # Errors
    /// Fails if a folder cannot be read, no file has a wanted extension (and matches the pattern),
    /// or a setting is not legal.
    pub fn open(root: &Path, config: &FolderConfig) -> Result<Self> {
        let extensions = wanted_extensions(&config.extensions)?;
        let found = config.columns.join(",");
        let columns = ColumnSpec::new(&config.columns).map_err(|problem| Error::Config {
            key: "columns",
            expected: "x, y, z and any of nx, ny, nz, r, g, b, intensity, label, _".to_owned(),
            found: format!("{found:?} ({problem})"),
        })?;
        let default_split = split_name(&config.split).ok_or_else(|| Error::Config {
            key: "split",
            expected: "train, val or test".to_owned(),
            found: format!("{:?}", config.split),
        })?;
        let mut walk =
            Walk { extensions: &extensions, visited: BTreeSet::new(), files: Vec::new(), twice: 0 };
        walk.folder(root, &mut Vec::new())?;
        let Walk { files, twice, .. } = walk;
        let (mut entries, classes) = entries(files, default_split);
        if !config.pattern.is_empty() {
            entries.retain(|entry| matches(config.pattern.as_bytes(), entry.id.as_bytes()));
        }
        if entries.is_empty() {
            let matching = if config.pattern.is_empty() { "" } else { " whose id matches the pattern" };
            let expected = format!("at least one file{matching} with an extension {}", extensions.join(", "));
            return Err(Error::Missing { path: root.to_owned(), expected });
        }
        let notes = notes(&entries, &classes, twice);
        let options = ReadOptions { textures: config.textures };
        Ok(Self { root: root.to_owned(), entries, classes, up_axis: config.up_axis, columns, options, notes })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl Dataset for Folder {
    fn name(&self) -> &str {
        "folder"
    }

    fn len(&self) -> usize {
        self.entries.len()
    }

    fn id(&self, index: usize) -> &str {
        &self.entries[index].id
    }

    fn split(&self, index: usize) -> &str {
        self.entries[index].split
    }

    fn source(&self, index: usize) -> String {
        self.entries[index].relative.clone()
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

    fn get(&self, index: usize) -> Result<Object> {
        let entry = &self.entries[index];
        let Loaded { shape, source_hash, warnings } =
            read_columns(&entry.path, &self.options, &self.columns)?;
        Ok(Object {
            id: entry.id.clone(),
            category: entry.label.map(|label| self.classes[label].clone()),
            label: entry.label.map(|label| label as i32),
            shape,
            photos: Vec::new(),
            boxes: Vec::new(),
            source_hash,
            warnings,
        })
    }
}

fn wanted_extensions(listed: &[String]) -> Result<Vec<String>> {
    if listed.is_empty() {
        return Ok(EXTENSIONS
            .iter()
            .filter(|e| !ONLY_WHEN_LISTED.contains(e))
            .map(|&e| e.to_owned())
            .collect());
    }
    let mut wanted = Vec::with_capacity(listed.len());
    for name in listed {
        let lower = name.trim_start_matches('.').to_ascii_lowercase();
        if !EXTENSIONS.contains(&lower.as_str()) {
            return Err(Error::Config {
                key: "extensions",
                expected: format!("some of {}", EXTENSIONS.join(", ")),
                found: format!("{name:?}"),
            });
        }
        wanted.push(lower);
    }
    Ok(wanted)
}

/// The split that a folder name means.
fn split_name(name: &str) -> Option<&'static str> {
    match name.to_ascii_lowercase().as_str() {
        "train" | "training" => Some("train"),
        "val" | "valid" | "validation" => Some("val"),
        "test" | "testing" => Some("test"),
        _ => None,
    }
}

/// A file with the parts of its path below the root.
struct Found {
    parts: Vec<String>,
    path: PathBuf,
}

struct Walk<'a> {
    extensions: &'a [String],
    /// Folders by their canonical path, so that links cannot lead round in circles.
    visited: BTreeSet<PathBuf>,
    files: Vec<Found>,
    twice: usize,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, parts: &mut Vec<String>) -> Result<()> {
        let canonical = folder.canonicalize().map_err(|e| io_error(folder, e))?;
        if !self.visited.insert(canonical) {
            self.twice += 1;
            return Ok(());
        }
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(|e| io_error(folder, e))? {
            entries.push(entry.map_err(|e| io_error(folder, e))?);
        }
        // Sorted, so that which of two links to one folder counts does not depend on the disk.
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') || name == "__MACOSX" {
                continue;
            }
            let path = entry.path();
            parts.push(name);
            // Links count as what they lead to; only they need another look at the disk.
            let kind = entry.file_type().map_err(|e| io_error(&path, e))?;
            let is_folder = if kind.is_symlink() { path.is_dir() } else { kind.is_dir() };
            if is_folder {
                self.folder(&path, parts)?;
            } else if self.extensions.contains(&extension(&path)) {
                self.files.push(Found { parts: parts.clone(), path });
            }
            parts.pop();
        }
        Ok(())
    }
}

/// Which levels of folders hold classes and splits, counted from 0.
#[derive(Clone, Copy)]
struct Layout {
    class: usize,
    split: Option<usize>,
}

/// Whether there are folders at this level and all are named like splits.
fn is_split_level(files: &[Found], level: usize) -> bool {
    let mut names = files.iter().filter(|f| f.parts.len() > level + 1).map(|f| &f.parts[level]).peekable();
    names.peek().is_some() && names.all(|name| split_name(name).is_some())
}

fn layout(files: &[Found]) -> Layout {
    if is_split_level(files, 0) {
        Layout { class: 1, split: Some(0) }
    } else {
        Layout { class: 0, split: is_split_level(files, 1).then_some(1) }
    }
}

/// Entries in the order of their ids, and the sorted class names.
fn entries(files: Vec<Found>, default_split: &'static str) -> (Vec<Entry>, Vec<String>) {
    let layout = layout(&files);
    let folder = |file: &Found, level: usize| file.parts[..file.parts.len() - 1].get(level).cloned();
    let classes: BTreeSet<String> = files.iter().filter_map(|f| folder(f, layout.class)).collect();
    let classes: Vec<String> = classes.into_iter().collect();
    let ids = ids(&files);
    let entry = |(file, id): (Found, String)| {
        let class = folder(&file, layout.class);
        let split = layout.split.and_then(|level| split_name(&folder(&file, level)?));
        Entry {
            relative: file.parts.join("/"),
            id,
            split: split.unwrap_or(default_split),
            label: class.and_then(|class| classes.binary_search(&class).ok()),
            path: file.path,
        }
    };
    let mut entries: Vec<Entry> = files.into_iter().zip(ids).map(entry).collect();
    entries.sort_by(|a, b| a.id.cmp(&b.id));
    (entries, classes)
}

/// Ids without extensions where that keeps them apart.
fn ids(files: &[Found]) -> Vec<String> {
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

fn notes(entries: &[Entry], classes: &[String], twice: usize) -> Vec<String> {
    let mut splits: BTreeMap<&str, usize> = BTreeMap::new();
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for entry in entries {
        *splits.entry(entry.split).or_default() += 1;
        *kinds.entry(extension(&entry.path)).or_default() += 1;
    }
    let list = |counts: Vec<String>| counts.join(", ");
    let splits = list(splits.iter().map(|(name, n)| format!("{name} {n}")).collect());
    let kinds = list(kinds.iter().map(|(name, n)| format!("{n} {name}")).collect());
    let mut notes = vec![format!("files: {kinds}; classes: {}; splits: {splits}", classes.len())];
    if twice > 0 {
        notes.push(format!("{twice} folders are reached a second time through links; listed once"));
    }
    notes
}

/// Whether `text` matches `pattern` with `*` and `?`, in time `O(pattern * text)`.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on when the text behind the last star does not fit.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((star_p, star_t)) = star else { return false };
                star = Some((star_p, star_t + 1));
                p = star_p + 1;
                t = star_t + 1;
            }
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use jepa3d_schemas::Shape;

    use super::*;
    use crate::test_data::test_data;

    const TRIANGLE: &str = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n";

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, TRIANGLE).unwrap();
        }
        dir
    }

    /// (id, split, class) of every object.
    fn listed(dir: &tempfile::TempDir) -> Vec<(String, String, Option<String>)> {
        let folder = Folder::open(dir.path(), &FolderConfig::default()).unwrap();
        let class = |i: usize| folder.entries[i].label.map(|label| folder.classes()[label].clone());
        (0..folder.len()).map(|i| (folder.id(i).into(), folder.split(i).into(), class(i))).collect()
    }

    fn row(id: &str, split: &str, class: Option<&str>) -> (String, String, Option<String>) {
        (id.into(), split.into(), class.map(Into::into))
    }

    #[test]
    fn layouts() {
        let dir = tree(&["b.obj", "a.obj", ".hidden.obj", "notes.txt", "a.mtl"]);
        assert_eq!(listed(&dir), [row("a", "train", None), row("b", "train", None)]);
        let dir = tree(&["cup/x.obj", "car/deep/y.obj", "car/.git/z.obj"]);
        assert_eq!(
            listed(&dir),
            [row("car/deep/y", "train", Some("car")), row("cup/x", "train", Some("cup"))]
        );
        let dir = tree(&["cup/train/x.obj", "cup/Test/y.obj", "car/valid/z.obj"]);
        assert_eq!(
            listed(&dir),
            [
                row("car/valid/z", "val", Some("car")),
                row("cup/Test/y", "test", Some("cup")),
                row("cup/train/x", "train", Some("cup"))
            ]
        );
        let dir = tree(&["train/cup/x.obj", "test/cup/y.obj"]);
        assert_eq!(
            listed(&dir),
            [row("test/cup/y", "test", Some("cup")), row("train/cup/x", "train", Some("cup"))]
        );
        let dir = tree(&["train/x.obj", "plane/y.obj"]);
        assert_eq!(
            listed(&dir),
            [row("plane/y", "train", Some("plane")), row("train/x", "train", Some("train"))]
        );
    }

    #[test]
    fn ids_keep_extensions_only_to_stay_apart() {
        let dir = tree(&["a.obj", "a.off", "b.v2.obj"]);
        let ids: Vec<String> = listed(&dir).into_iter().map(|r| r.0).collect();
        assert_eq!(ids, ["a.obj", "a.off", "b.v2"]);
        let dir = tree(&["a.obj", "a.off", "a.obj.off"]);
        let ids: Vec<String> = listed(&dir).into_iter().map(|r| r.0).collect();
        assert_eq!(ids, ["a.obj", "a.obj.off", "a.off"]);
    }

    #[test]
    fn settings_are_checked() {
        let dir = tree(&["a.obj", "b.txt"]);
        let open = |config: &str| {
            let config: FolderConfig = serde_json::from_str(config).unwrap();
            Folder::open(dir.path(), &config)
        };
        let error = |config: &str| open(config).unwrap_err().to_string();
        assert_eq!(open(r#"{"extensions": [".TXT", "obj"]}"#).unwrap().len(), 2);
        assert_eq!(open(r#"{"pattern": "*a"}"#).unwrap().len(), 1);
        assert_eq!(error(r#"{"split": "dev"}"#), "dataset.split: expected train, val or test, found \"dev\"");
        assert!(error(r#"{"extensions": ["exe"]}"#).ends_with("found \"exe\""));
        assert!(error(r#"{"columns": ["x", "y"]}"#).ends_with("found \"x,y\" (no column \"z\")"));
        let none = error(r#"{"extensions": ["ply", "off"]}"#);
        assert!(none.starts_with(&dir.path().display().to_string()), "{none}");
        assert!(none.ends_with("missing: expected at least one file with an extension ply, off"), "{none}");
        assert!(serde_json::from_str::<FolderConfig>(r#"{"splits": "train"}"#).is_err());
        let gone = Folder::open(&dir.path().join("gone"), &FolderConfig::default()).unwrap_err().to_string();
        assert!(gone.contains("gone: cannot read"), "{gone}");
    }

    #[cfg(unix)]
    #[test]
    fn links_in_circles_are_listed_once() {
        let dir = tree(&["cup/x.obj"]);
        std::os::unix::fs::symlink(dir.path(), dir.path().join("cup/loop")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("cup"), dir.path().join("also")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("gone"), dir.path().join("cup/y.obj")).unwrap();
        let folder = Folder::open(dir.path(), &FolderConfig::default()).unwrap();
        let ids: Vec<&str> = (0..folder.len()).map(|i| folder.id(i)).collect();
        assert_eq!(ids, ["also/x", "also/y"]);
        assert!(folder.get(1).is_err());
        assert_eq!(folder.notes()[1], "2 folders are reached a second time through links; listed once");
    }

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("*/train/*", "cup/train/x", true),
            ("?b", "ab", true),
            ("?b", "b", false),
            ("a**b*", "acb", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn modelnet10_as_a_folder() {
        let Some(root) = test_data("modelnet10") else { return };
        let folder = Folder::open(&root, &FolderConfig::default()).unwrap();
        assert_eq!((folder.len(), folder.classes().len()), (3991, 10));
        assert_eq!(folder.notes(), ["files: 3991 pcd; classes: 10; splits: train 3991"]);
        let object = folder.get(0).unwrap();
        assert_eq!(object.id, "bathtub/train/bathtub_0001");
        assert_eq!((object.category.as_deref(), object.label), (Some("bathtub"), Some(0)));
        let Shape::Points(points) = object.shape else { panic!("a mesh") };
        assert_eq!(points.len(), 1024);
        assert_eq!(folder.source(0), "bathtub/train/bathtub_0001.pcd");
    }

    #[test]
    fn every_mesh_of_a_real_folder_is_read() {
        let Some(root) = test_data("shapedb") else { return };
        let folder = Folder::open(&root, &FolderConfig::default()).unwrap();
        assert_eq!(folder.len(), 500);
        for i in 0..folder.len() {
            let object = folder.get(i).unwrap();
            assert!(matches!(object.shape, Shape::Mesh(_)), "{}", object.id);
        }
    }
}
