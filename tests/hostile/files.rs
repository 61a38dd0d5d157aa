//! Folders that go away, copies of trees, and what a tree holds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A folder of its own below the system's temporary one, removed in the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("jepa3d-{name}-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        // The paths that the binary prints are those that the campaign looks for.
        Self(path.canonicalize().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have UTF-8 names")
}

/// Writes a file, and the folders above it.
pub(crate) fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

/// Removes a file or a tree, if it is there.
pub(crate) fn remove(path: &Path) {
    let gone = match path.symlink_metadata() {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(_) => Ok(()),
    };
    gone.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

/// Replaces `to` by a copy of the tree `from`.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    remove(to);
    std::fs::create_dir_all(to).unwrap();
    for name in names_below(from) {
        let target = to.join(&name);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(from.join(&name), &target).unwrap();
    }
}

/// Regular files below a folder, hidden ones too, as paths relative to it, in order.
pub(crate) fn names_below(folder: &Path) -> Vec<String> {
    fn walk(folder: &Path, root: &Path, names: &mut Vec<String>) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for entry in entries {
            let path = entry.unwrap().path();
            match path.symlink_metadata() {
                Ok(found) if found.is_dir() => walk(&path, root, names),
                Ok(found) if found.is_file() => {
                    names.push(text(path.strip_prefix(root).unwrap()).to_owned());
                }
                _ => {}
            }
        }
    }
    let mut names = Vec::new();
    walk(folder, folder, &mut names);
    names.sort();
    names
}

/// Every regular file of a tree with its bytes; of a file, itself.
pub(crate) type Tree = BTreeMap<String, Vec<u8>>;

pub(crate) fn read_tree(path: &Path) -> Tree {
    if path.is_file() {
        return Tree::from([(String::new(), std::fs::read(path).unwrap())]);
    }
    names_below(path)
        .into_iter()
        .map(|name| (name.clone(), std::fs::read(path.join(&name)).unwrap()))
        .collect()
}

/// What must be the same however a tree was made: the catalog and records of runs hold times, recordings for the viewer too,
/// and the files of locks are no content.
pub(crate) fn read_timeless(path: &Path) -> Tree {
    let mut tree = read_tree(path);
    tree.retain(|name, _| !name.ends_with("lock"));
    for (name, bytes) in &mut tree {
        if ["catalog.parquet", ".rrd", "times.png", "bytes.png"].iter().any(|end| name.ends_with(end)) {
            bytes.clear();
        }
        if name.ends_with("metrics.jsonl") {
            *bytes = without_times(&String::from_utf8_lossy(bytes)).into_bytes();
        }
    }
    // One a start of a run, named by its time.
    tree.retain(|name, _| !name.contains("tfevents"));
    tree
}

/// Lines of a run's record without what a clock said.
fn without_times(record: &str) -> String {
    record
        .lines()
        .map(|line| line.split(",\"samples_per_s\"").next().unwrap_or_default().to_owned() + "\n")
        .collect()
}

/// How two trees differ, in words; `None` if they do not.
pub(crate) fn describe_difference(found: &Tree, expected: &Tree) -> Option<String> {
    let lost = expected.keys().filter(|name| !found.contains_key(*name)).map(|name| format!("lost {name}"));
    let left = found.keys().filter(|name| !expected.contains_key(*name)).map(|name| format!("left {name}"));
    let other = found.iter().filter(|(name, bytes)| expected.get(*name).is_some_and(|want| want != *bytes));
    let other =
        other.map(|(name, _)| format!("other bytes in {}", if name.is_empty() { "the file" } else { name }));
    let all: Vec<String> = lost.chain(left).chain(other).collect();
    (!all.is_empty()).then(|| all.join(", "))
}
