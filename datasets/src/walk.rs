//! Lists folders in the order of their names, following links: large releases are often linked into place.
//!
//! A folder that may not be read, or a link that leads nowhere, says nothing about its neighbours: it is listed, so that
//! reading it fails by name. An error of the machine ends the listing: what it hides would be missing for good.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use crate::error::{Error, Result, io_error};
use crate::files::is_folder;
use crate::names::name_text;

/// What lies in one folder, by name in byte order; hidden entries are left out.
#[derive(Debug, Default)]
pub(crate) struct FolderNames {
    pub(crate) folders: Vec<String>,
    /// Whatever is no folder: pipes, devices and links that lead nowhere included.
    pub(crate) files: Vec<String>,
}

/// Lists one folder, not what is below it; a link counts as what it leads to.
///
/// # Errors
/// Fails if the folder cannot be read.
pub(crate) fn list_folder(folder: &Path) -> Result<FolderNames> {
    let mut names = FolderNames::default();
    for entry in WalkDir::new(folder).min_depth(1).max_depth(1).sort_by_file_name() {
        let entry = entry.map_err(|e| walk_error(folder, e))?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        // Only a link needs another look at the disk.
        let kind = entry.file_type();
        let is_folder = if kind.is_symlink() { is_folder(entry.path())? } else { kind.is_dir() };
        let name = name_text(entry.file_name());
        if is_folder { names.folders.push(name) } else { names.files.push(name) }
    }
    Ok(names)
}

/// Lists one folder as [`list_folder`] does; one that is not there is empty, `None` if it may not be read.
///
/// # Errors
/// Fails if the machine does.
pub(crate) fn list_readable_folder(folder: &Path) -> Result<Option<FolderNames>> {
    match list_folder(folder) {
        Ok(names) => Ok(Some(names)),
        Err(error) if error.is_of_machine() => Err(error),
        Err(error) if error.is_absence() => Ok(Some(FolderNames::default())),
        Err(_) => Ok(None),
    }
}

/// A file with the parts of its path below the root.
#[derive(Debug)]
pub(crate) struct FoundFile {
    /// Never empty; texts of names.
    pub(crate) parts: Vec<String>,
    pub(crate) path: PathBuf,
    /// Whether it is a folder that cannot be read, and stands for whatever is in it.
    pub(crate) is_folder: bool,
}

/// The files below a folder.
#[derive(Debug, Default)]
pub(crate) struct FoundFiles {
    pub(crate) files: Vec<FoundFile>,
    /// How often a link led to a folder that was already listed, or is being listed.
    pub(crate) repeated_folders: usize,
}

impl FoundFiles {
    fn push(&mut self, root: &Path, path: PathBuf, is_folder: bool) {
        let parts = path.strip_prefix(root).unwrap_or(&path).iter().map(name_text).collect();
        self.files.push(FoundFile { parts, path, is_folder });
    }
}

/// Finds the files below `root` that are wanted, folder by folder in the order of names.
///
/// Links are followed, but a folder is listed once, under the first name that leads to it; a link
/// that leads nowhere counts as a file, and so does whatever else has a wanted name and is no folder. A folder that
/// cannot be read is listed itself. Hidden entries and `__MACOSX` folders are passed over.
///
/// # Errors
/// Fails if `root` cannot be read, or the machine fails.
pub(crate) fn find_files(root: &Path, is_wanted: impl Fn(&Path) -> bool) -> Result<FoundFiles> {
    // A walk would hand on a root that is a file as the one file found.
    std::fs::read_dir(root).map_err(|e| io_error(root, e))?;
    let mut found = FoundFiles::default();
    let mut visited = BTreeSet::new();
    let is_listed = |entry: &DirEntry| entry.depth() == 0 || !is_hidden(entry.file_name());
    let mut walk =
        WalkDir::new(root).follow_links(true).sort_by_file_name().into_iter().filter_entry(is_listed);
    while let Some(entry) = walk.next() {
        match entry {
            Ok(entry) if entry.file_type().is_dir() => match visit(&entry, &mut visited)? {
                Visit::First => {}
                Visit::Again => {
                    found.repeated_folders += 1;
                    walk.skip_current_dir();
                }
                Visit::Barred => {
                    found.push(root, entry.into_path(), true);
                    walk.skip_current_dir();
                }
            },
            Ok(entry) if is_wanted(entry.path()) => found.push(root, entry.into_path(), false),
            Ok(_) => {}
            Err(error) => sort_out(root, error, &is_wanted, &mut found)?,
        }
    }
    Ok(found)
}

/// How a walk comes to a folder.
enum Visit {
    First,
    Again,
    /// It, or the way to it, may not be read.
    Barred,
}

fn visit(folder: &DirEntry, visited: &mut BTreeSet<PathBuf>) -> Result<Visit> {
    match folder.path().canonicalize().map_err(|e| io_error(folder.path(), e)) {
        Ok(place) => Ok(if visited.insert(place) { Visit::First } else { Visit::Again }),
        Err(error) if error.is_of_machine() => Err(error),
        Err(_) => Ok(Visit::Barred),
    }
}

/// Lists what a walk could not enter or follow, unless the machine is at fault.
fn sort_out(
    root: &Path,
    error: walkdir::Error,
    is_wanted: impl Fn(&Path) -> bool,
    found: &mut FoundFiles,
) -> Result<()> {
    let is_circle = error.loop_ancestor().is_some();
    let Some(path) = error.path().filter(|path| *path != root).map(Path::to_owned) else {
        return Err(walk_error(root, error));
    };
    let error = walk_error(root, error);
    if error.is_of_machine() {
        return Err(error);
    }
    if path.file_name().is_some_and(is_hidden) {
        return Ok(());
    }
    let leads_nowhere = path.is_symlink() && !is_folder(&path)?;
    if is_circle {
        found.repeated_folders += 1;
    } else if !leads_nowhere {
        found.push(root, path, true);
    } else if is_wanted(&path) {
        found.push(root, path, false);
    }
    Ok(())
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".") || name == "__MACOSX"
}

/// An error of the walk with its path, or that of `folder` where the walk knows none.
fn walk_error(folder: &Path, error: walkdir::Error) -> Error {
    let path = error.path().unwrap_or(folder).to_owned();
    let source = error.into_io_error().unwrap_or_else(|| std::io::Error::other("a link leads back to it"));
    io_error(&path, source)
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;

    /// A folder whose path is longer than the system takes, below `root`: nobody may read it, root included.
    fn bury(root: &Path, file: &str) {
        let name = "d".repeat(250);
        let deep = |start: &Path| (0..10).fold(start.to_owned(), |path, _| path.join(&name));
        let (upper, lower) = (root.join("upper"), root.join("lower"));
        std::fs::create_dir_all(deep(&upper)).unwrap();
        std::fs::create_dir_all(deep(&lower)).unwrap();
        std::fs::write(deep(&lower).join(file), "").unwrap();
        std::fs::rename(&lower, deep(&upper).join("lower")).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_read_is_listed_and_stops_nothing() {
        let dir = tempfile::tempdir().unwrap();
        bury(dir.path(), "x.npy");
        std::fs::write(dir.path().join("a.npy"), "").unwrap();
        std::fs::create_dir(dir.path().join("zebra")).unwrap();
        std::fs::write(dir.path().join("zebra/b.npy"), "").unwrap();
        let found = find_files(dir.path(), |path| path.extension().is_some_and(|e| e == "npy")).unwrap();
        let kinds: Vec<bool> = found.files.iter().map(|file| file.is_folder).collect();
        assert_eq!(kinds, [false, true, false]);
        let barred = &found.files[1];
        assert_eq!((barred.parts[0].as_str(), barred.parts[11].as_str()), ("upper", "lower"));
        assert_eq!(found.files[2].parts, ["zebra", "b.npy"]);
        assert!(list_readable_folder(&barred.path).unwrap().is_none());
    }

    #[test]
    fn pipes_and_links_count_as_files_by_their_names() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.npy", "b.txt", "c.txt"] {
            assert!(
                std::process::Command::new("mkfifo").arg(dir.path().join(name)).status().unwrap().success()
            );
        }
        std::os::unix::fs::symlink("/dev/zero", dir.path().join("d.npy")).unwrap();
        std::os::unix::fs::symlink("e.npy", dir.path().join("e.npy")).unwrap();
        std::os::unix::fs::symlink("gone", dir.path().join("f.txt")).unwrap();
        let found = find_files(dir.path(), |path| path.extension().is_some_and(|e| e == "npy")).unwrap();
        let names: Vec<_> = found.files.iter().map(|file| file.parts.join("/")).collect();
        assert_eq!(names, ["a.npy", "d.npy", "e.npy"]);
        assert_eq!(list_folder(dir.path()).unwrap().files.len(), 6);
    }
}
