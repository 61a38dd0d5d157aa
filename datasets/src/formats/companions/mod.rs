//! Files beside the main one: finding them as real data names them, and reading them.
//!
//! Names in data files were written on other systems: backslashes, other case, other encodings, paths of the machine
//! of origin. Whatever they say, nothing outside the data folder is read: a name is put together with the folder of
//! the file that holds it, `.` and `..` are taken out of the result as text, and what is left must lie below the
//! root. Links are not looked at: where the user linked a folder or file into the root, it is part of it.

#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jepa3d_schemas::{Warning, WarningKind, is_error_of_machine};

use crate::budget::Budget;
use crate::error::{Error, Result, io_error};
use crate::files::read_file;

/// Where a name leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Located {
    /// To this file; it may still turn out to be no regular one.
    At(PathBuf),
    /// To nothing.
    Missing,
    /// Out of the data folder.
    Outside,
}

/// A file beside the main one.
pub(crate) enum Companion {
    /// Its bytes.
    Read(Arc<Vec<u8>>),
    /// Why there are none.
    Unread(Unread),
}

/// Why a companion was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unread {
    /// What follows its name in a sentence.
    pub(crate) why: String,
    is_outside: bool,
}

impl Unread {
    /// The reason that follows a name in a sentence.
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), is_outside: false }
    }

    /// A warning in this sentence, of `kind` unless the file lies outside the data folder.
    pub(crate) fn warn(&self, kind: WarningKind, sentence: String) -> Warning {
        Warning::new(if self.is_outside { WarningKind::CompanionOutside } else { kind }, sentence)
    }
}

impl From<Unread> for Companion {
    fn from(unread: Unread) -> Self {
        Self::Unread(unread)
    }
}

/// Finds and reads the files that lie beside one main file.
pub(crate) struct Companions<'a> {
    /// The data folder.
    root: &'a Path,
    /// Folder of the main file.
    pub(crate) folder: &'a Path,
    pub(crate) budget: &'a Budget,
    /// Bytes of every file read, in the order of reading.
    pub(crate) read: Vec<Arc<Vec<u8>>>,
}

impl<'a> Companions<'a> {
    /// Of the file at `path`; without a `root` its own folder is the data folder.
    pub(crate) fn new(path: &'a Path, root: Option<&'a Path>, budget: &'a Budget) -> Self {
        let folder = path.parent().unwrap_or(Path::new(""));
        let root = root.filter(|root| folder.starts_with(root)).unwrap_or(folder);
        Self { root, folder, budget, read: Vec::new() }
    }

    /// Where `name` leads, seen from `folder` (below the root).
    ///
    /// Backslashes become slashes where no file has them in its name, case is ignored where it must be, and of a
    /// path that leads nowhere, or to another machine, the last part is looked for in `folder`.
    ///
    /// # Errors
    /// Fails if the machine does, which says nothing about the file.
    pub(crate) fn locate(&self, folder: &Path, name: &[u8]) -> Result<Located> {
        let name = name.trim_ascii();
        // In some encodings a backslash is the second byte of a letter.
        let exact = folder.join(&*file_name(name));
        if cfg!(unix) && name.contains(&b'\\') && !name.contains(&b'/') && is_file(&exact)? {
            return Ok(Located::At(exact));
        }
        let name: Vec<u8> = name.iter().map(|&b| if b == b'\\' { b'/' } else { b }).collect();
        let place = match absolute_path(&name) {
            Some(path) => match self.below_root(path) {
                Some(rest) => self.descend(self.root, &rest)?,
                None => Located::Outside,
            },
            None => match self.descend(folder, &name)? {
                Located::Outside => return Ok(Located::Outside),
                place => place,
            },
        };
        if let Located::At(_) = place {
            return Ok(place);
        }
        let last = name.rsplit(|&b| b == b'/').next().unwrap_or_default();
        Ok(match self.descend(folder, last)? {
            Located::At(path) => Located::At(path),
            _ => place,
        })
    }

    /// What an absolute path says below the root, if it lies there.
    fn below_root(&self, path: &[u8]) -> Option<Vec<u8>> {
        let root = std::path::absolute(self.root).ok()?;
        let rest = path.strip_prefix(root.as_os_str().as_encoded_bytes())?;
        rest.strip_prefix(b"/").map(<[u8]>::to_vec)
    }

    /// Descends part by part, exactly where possible, else without regard to case.
    fn descend(&self, folder: &Path, name: &[u8]) -> Result<Located> {
        let Some((mut path, parts)) = self.start_of(folder, name) else { return Ok(Located::Outside) };
        if parts.is_empty() {
            return Ok(Located::Missing);
        }
        for part in parts {
            let exact = path.join(&*file_name(part));
            path = match exists(&exact)? {
                Some(_) => exact,
                None => match entry_any_case(&path, part)? {
                    Some(entry) => entry,
                    None => return Ok(Located::Missing),
                },
            };
        }
        Ok(if is_file(&path)? { Located::At(path) } else { Located::Missing })
    }

    /// The folder to descend from and the parts to descend by: `name` without `.` and `..`, which are taken out of
    /// the text, so that a link cannot lead a `..` elsewhere. `None` if it leaves the root on its way.
    fn start_of<'n>(&self, folder: &Path, name: &'n [u8]) -> Option<(PathBuf, Vec<&'n [u8]>)> {
        let (mut path, mut parts) = (folder.to_owned(), Vec::new());
        for part in name.split(|&b| b == b'/') {
            match part {
                b"" | b"." => {}
                b".." if parts.pop().is_some() => {}
                b".." => {
                    if path == self.root || !path.pop() {
                        return None;
                    }
                }
                part => parts.push(part),
            }
        }
        path.starts_with(self.root).then_some((path, parts))
    }

    /// Reads a file that was located, charging it to the budget.
    ///
    /// # Errors
    /// Fails if the machine does, or if the budget does not suffice. What is wrong with the file itself is told in
    /// the result.
    pub(crate) fn read(&mut self, place: &Located) -> Result<Companion> {
        let path = match place {
            Located::At(path) => path,
            Located::Missing => return Ok(Unread::new("is missing").into()),
            Located::Outside => {
                let why = "lies outside the data folder".to_owned();
                return Ok(Unread { why, is_outside: true }.into());
            }
        };
        match read_file(path, self.budget) {
            Ok(bytes) => {
                let bytes = Arc::new(bytes);
                self.read.push(Arc::clone(&bytes));
                Ok(Companion::Read(bytes))
            }
            Err(Error::Io { source, .. }) if !is_error_of_machine(&source) => {
                Ok(Unread::new(format!("cannot be read: {source}")).into())
            }
            Err(error) => Err(error),
        }
    }
}

/// The path that a name gives from the root of a machine: `/x`, `C:/x` or `file:///x`; `None` for a relative name.
fn absolute_path(name: &[u8]) -> Option<&[u8]> {
    if let Some(at) = name.windows(3).position(|three| three == b"://") {
        return Some(&name[at + 3..]);
    }
    (name.starts_with(b"/") || name.get(1) == Some(&b':')).then_some(name)
}

/// What is at `path`, links followed; `None` if nothing is.
fn exists(path: &Path) -> Result<Option<fs::Metadata>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if is_error_of_machine(&error) => Err(io_error(path, error)),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            // Something is there: reading it will say what is wrong.
            fs::symlink_metadata(path).map(Some).or(Ok(None))
        }
        Err(_) => Ok(None),
    }
}

/// Whether something that is no folder is at `path`.
fn is_file(path: &Path) -> Result<bool> {
    Ok(exists(path)?.is_some_and(|metadata| !metadata.is_dir()))
}

/// The first entry (in byte order) of a folder that is `name` but for the case of ASCII letters.
fn entry_any_case(folder: &Path, name: &[u8]) -> Result<Option<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if is_error_of_machine(&error) => return Err(io_error(folder, error)),
        Err(_) => return Ok(None),
        Ok(entries) => entries,
    };
    let mut first: Option<PathBuf> = None;
    for entry in entries {
        let path = entry.map_err(|error| io_error(folder, error))?.path();
        let found = path.file_name().map(OsStr::as_encoded_bytes).unwrap_or_default();
        if found.eq_ignore_ascii_case(name) && first.as_ref().is_none_or(|first| path < *first) {
            first = Some(path);
        }
    }
    Ok(first)
}

/// A file name as the operating system takes it: the bytes themselves where it takes any.
fn file_name(name: &[u8]) -> std::borrow::Cow<'_, OsStr> {
    #[cfg(unix)]
    {
        std::borrow::Cow::Borrowed(std::os::unix::ffi::OsStrExt::from_bytes(name))
    }
    #[cfg(not(unix))]
    std::borrow::Cow::Owned(String::from_utf8_lossy(name).into_owned().into())
}
