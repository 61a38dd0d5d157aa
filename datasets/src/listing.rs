//! What a dataset of files lists when it is opened: ids, splits, labels and files, in byte order of the ids.
//!
//! Lists are read line by line and remember which line named an object, so that a file that is
//! missing can be reported with the list that promises it. An object that two lists put into
//! different splits is an error, since test data would leak into training.

use std::path::{Path, PathBuf};

use crate::budget::Budget;
use crate::error::{Error, FilePlace, ParseError, Result};
use crate::files::{exists, is_folder, read_file};
use crate::names::path_below;
use crate::split::Split;

/// The line of a list that names an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListOrigin {
    /// Index into the lists of the [`Listing`].
    pub(crate) list: usize,
    /// Line, counted from 1; 0 where the list has no lines to speak of.
    pub(crate) line: usize,
}

/// One object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListingEntry {
    pub(crate) id: String,
    pub(crate) split: Split,
    pub(crate) label: usize,
    /// Main file relative to the root, `/` between the parts.
    pub(crate) file: String,
    /// `None` for objects that were found on disk.
    pub(crate) origin: Option<ListOrigin>,
}

/// All objects, ids ascending and unique.
#[derive(Debug)]
pub(crate) struct Listing {
    entries: Vec<ListingEntry>,
    lists: Vec<PathBuf>,
    repeated: usize,
}

impl Listing {
    /// Sorts the entries; an object that is named again with the same split is kept once.
    ///
    /// # Errors
    /// Fails if an id has two splits, or two files.
    pub(crate) fn new(mut entries: Vec<ListingEntry>, lists: Vec<PathBuf>) -> Result<Self> {
        entries.sort_by(|a, b| a.id.cmp(&b.id));
        if let Some(pair) = entries.windows(2).find(|p| p[0].id == p[1].id && !same_object(&p[0], &p[1])) {
            return Err(contradiction(pair, &lists));
        }
        let named = entries.len();
        entries.dedup_by(|b, a| a.id == b.id);
        let repeated = named - entries.len();
        Ok(Self { entries, lists, repeated })
    }

    /// Number of objects.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// One object.
    pub(crate) fn entry(&self, index: usize) -> &ListingEntry {
        &self.entries[index]
    }

    /// The main file of an object.
    ///
    /// # Errors
    /// Fails with [`Error::Missing`] if nothing is there, naming the list that promises it.
    pub(crate) fn file(&self, root: &Path, index: usize) -> Result<PathBuf> {
        self.require_file(path_below(root, &self.entry(index).file), index)
    }

    /// The path of a file of an object.
    ///
    /// # Errors
    /// Fails as [`Listing::file`] does.
    pub(crate) fn require_file(&self, path: PathBuf, index: usize) -> Result<PathBuf> {
        // What is there and cannot be read says so itself when it is opened.
        if exists(&path)? { Ok(path) } else { Err(self.missing(path, index)) }
    }

    /// The error about a file of an object that is not there.
    pub(crate) fn missing(&self, path: PathBuf, index: usize) -> Error {
        let entry = self.entry(index);
        let expected = match entry.origin {
            Some(origin) => {
                format!("the file of {}, which {} names", entry.id, describe_origin(origin, &self.lists))
            }
            None => format!("the file of {}, whose folder is there", entry.id),
        };
        Error::Missing { path, expected }
    }

    /// Counts of the splits that are not empty, and of names given twice.
    pub(crate) fn notes(&self) -> Vec<String> {
        let count = |split| self.entries.iter().filter(|e| e.split == split).count();
        let counts: Vec<String> = Split::ALL
            .into_iter()
            .filter(|&split| count(split) > 0)
            .map(|split| format!("{} {}", split.name(), count(split)))
            .collect();
        let mut notes = vec![format!("objects: {} ({})", self.len(), counts.join(", "))];
        if self.repeated > 0 {
            notes.push(format!("{} names are listed more than once and were kept once", self.repeated));
        }
        notes
    }

    /// Number of objects of a split.
    pub(crate) fn count(&self, split: Split) -> usize {
        self.entries.iter().filter(|e| e.split == split).count()
    }
}

fn same_object(a: &ListingEntry, b: &ListingEntry) -> bool {
    a.split == b.split && a.file == b.file && a.label == b.label
}

/// Two entries of one id that do not agree.
fn contradiction(pair: &[ListingEntry], lists: &[PathBuf]) -> Error {
    let from = |e: &ListingEntry| {
        e.origin.map_or_else(|| "on disk".to_owned(), |o| format!("in {}", describe_origin(o, lists)))
    };
    let (a, b) = (&pair[0], &pair[1]);
    let path = a.origin.or(b.origin).map_or_else(|| PathBuf::from(&a.file), |o| lists[o.list].clone());
    let expected = format!("object {:?} once", a.id);
    let say = |e: &ListingEntry| format!("{} {} ({})", e.split.name(), e.file, from(e));
    ParseError::file(expected, format!("{} and {}", say(a), say(b))).in_file(&path)
}

/// The list and line that name an object.
fn describe_origin(origin: ListOrigin, lists: &[PathBuf]) -> String {
    let list = lists[origin.list].display();
    if origin.line > 0 { format!("{list}, line {}", origin.line) } else { list.to_string() }
}

/// The lines of a text list that are not blank, trimmed, with their numbers from 1.
///
/// # Errors
/// Fails if the file cannot be read or is not UTF-8.
pub(crate) fn read_lines(path: &Path) -> Result<Vec<(usize, String)>> {
    let bytes = read_file(path, &Budget::default())?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let place = FilePlace::Byte(e.utf8_error().valid_up_to() as u64);
        ParseError::new(place, "UTF-8 text", "other bytes").in_file(path)
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let numbered = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim().to_owned()));
    Ok(numbered.filter(|(_, line)| !line.is_empty()).collect())
}

/// Whether a name from a list can be a single file or folder name, so that it cannot lead out of the root.
pub(crate) fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', '\0', ':'])
}

/// Checks that the root of a dataset is a folder.
///
/// # Errors
/// Fails with [`Error::Missing`] if it is not.
pub(crate) fn check_root(root: &Path, what: &str) -> Result<()> {
    if is_folder(root)? {
        return Ok(());
    }
    Err(Error::Missing { path: root.to_owned(), expected: format!("the folder of {what}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, split: Split, line: usize) -> ListingEntry {
        let origin = (line > 0).then_some(ListOrigin { list: 0, line });
        ListingEntry { id: id.into(), split, label: 0, file: format!("{id}.txt"), origin }
    }

    #[test]
    fn entries_are_sorted_and_unique() {
        let entries =
            vec![entry("b", Split::Test, 1), entry("a-b", Split::Train, 2), entry("b", Split::Test, 3)];
        let listing = Listing::new(entries, vec!["list.txt".into()]).unwrap();
        assert_eq!(
            (listing.len(), listing.entry(0).id.as_str(), listing.entry(1).id.as_str()),
            (2, "a-b", "b")
        );
        assert_eq!(
            listing.notes(),
            ["objects: 2 (train 1, test 1)", "1 names are listed more than once and were kept once"]
        );
        let error = listing.file(Path::new("/nowhere"), 1).unwrap_err().to_string();
        assert_eq!(error, "/nowhere/b.txt: missing: expected the file of b, which list.txt, line 1 names");
    }

    #[test]
    fn an_object_cannot_be_in_two_splits() {
        let entries = vec![entry("a", Split::Train, 4), entry("a", Split::Test, 7)];
        let error = Listing::new(entries, vec!["list.txt".into()]).unwrap_err().to_string();
        assert_eq!(
            error,
            "list.txt: expected object \"a\" once, found train a.txt (in list.txt, line 4) and \
             test a.txt (in list.txt, line 7)"
        );
    }

    #[test]
    fn names_cannot_lead_out_of_the_root() {
        for bad in ["", ".", "..", "a/b", "..\\x", "c:x"] {
            assert!(!is_plain_name(bad), "{bad}");
        }
        assert!(is_plain_name("u-1-2_a.b") && is_plain_name("000772"));
    }
}
