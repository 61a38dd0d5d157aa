//! Lists folders in the order of their names, following links: large releases are often linked into place.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use crate::error::{Error, Result, io_error};

/// What lies in one folder, by name in byte order; hidden entries are left out.
#[derive(Debug, Default)]
pub(crate) struct FolderNames {
    pub(crate) folders: Vec<String>,
    /// Whatever is no folder, links that lead nowhere included.
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
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        // Only a link needs another look at the disk.
        let kind = entry.file_type();
        let is_folder = if kind.is_symlink() { entry.path().is_dir() } else { kind.is_dir() };
        if is_folder { names.folders.push(name) } else { names.files.push(name) }
    }
    Ok(names)
}

/// A file with the parts of its path below the root.
#[derive(Debug)]
pub(crate) struct FoundFile {
    pub(crate) parts: Vec<String>,
    pub(crate) path: PathBuf,
}

/// The files below a folder.
#[derive(Debug, Default)]
pub(crate) struct FoundFiles {
    pub(crate) files: Vec<FoundFile>,
    /// How often a link led to a folder that was already listed, or is being listed.
    pub(crate) repeated_folders: usize,
}

/// Finds the files below `root` that are wanted, folder by folder in the order of names.
///
/// Links are followed, but a folder is listed once, under the first name that leads to it; a link
/// that leads nowhere counts as a file. Hidden entries and `__MACOSX` folders are passed over.
///
/// # Errors
/// Fails if a folder cannot be read.
pub(crate) fn find_files(root: &Path, is_wanted: impl Fn(&Path) -> bool) -> Result<FoundFiles> {
    // A walk would hand on a root that is a file as the one file found.
    std::fs::read_dir(root).map_err(|e| io_error(root, e))?;
    let mut found = FoundFiles::default();
    let mut visited = BTreeSet::new();
    let is_listed = |entry: &DirEntry| entry.depth() == 0 || !is_hidden(entry.file_name());
    let mut walk =
        WalkDir::new(root).follow_links(true).sort_by_file_name().into_iter().filter_entry(is_listed);
    while let Some(entry) = walk.next() {
        let path = match entry {
            Ok(entry) if entry.file_type().is_dir() => {
                let folder = entry.path().canonicalize().map_err(|e| io_error(entry.path(), e))?;
                if !visited.insert(folder) {
                    found.repeated_folders += 1;
                    walk.skip_current_dir();
                }
                continue;
            }
            Ok(entry) => entry.into_path(),
            Err(error) => match error.path().filter(|path| path.is_symlink()).map(Path::to_owned) {
                Some(link) if link.file_name().is_some_and(is_hidden) => continue,
                Some(_) if error.loop_ancestor().is_some() => {
                    found.repeated_folders += 1;
                    continue;
                }
                Some(link) if !link.is_dir() => link,
                _ => return Err(walk_error(root, error)),
            },
        };
        if is_wanted(&path) {
            let below = path.strip_prefix(root).unwrap_or(&path);
            let parts = below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            found.files.push(FoundFile { parts, path });
        }
    }
    Ok(found)
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
