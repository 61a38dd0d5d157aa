//! Everything that can go wrong while reading a dataset, with the file, what was expected and what was found.

use std::path::{Path, PathBuf};

/// Where in a file a problem was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilePlace {
    /// The file as a whole.
    File,
    /// A line of a text file, counted from 1.
    Line(usize),
    /// A byte offset in a binary file.
    Byte(u64),
    /// A row of a table or array, counted from 0.
    Row(usize),
}

impl std::fmt::Display for FilePlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File => Ok(()),
            Self::Line(n) => write!(f, ", line {n}"),
            Self::Byte(n) => write!(f, ", byte {n}"),
            Self::Row(n) => write!(f, ", row {n}"),
        }
    }
}

/// What a format parser found wrong; it knows no path, its caller adds it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found}{place}")]
pub struct ParseError {
    /// Where.
    pub place: FilePlace,
    /// What the format asks for.
    pub expected: String,
    /// What stands there.
    pub found: String,
}

impl ParseError {
    /// A problem at a place.
    pub(crate) fn new(place: FilePlace, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self { place, expected: expected.into(), found: found.into() }
    }

    /// A problem of the file as a whole.
    pub(crate) fn file(expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(FilePlace::File, expected, found)
    }

    /// A problem on a line (counted from 1).
    pub(crate) fn line(line: usize, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(FilePlace::Line(line), expected, found)
    }

    /// The same problem, in the file at `path`.
    pub(crate) fn in_file(self, path: &Path) -> Error {
        let Self { place, expected, found } = self;
        Error::Parse { path: path.to_owned(), place, expected, found }
    }
}

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("{path}: cannot read: {source}", path = path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file that must exist does not.
    #[error("{path}: missing: expected {expected}", path = path.display())]
    Missing {
        /// File or folder.
        path: PathBuf,
        /// What it is and where it usually comes from, or which list names it.
        expected: String,
    },
    /// The bytes are not what the format asks for.
    #[error("{path}{place}: expected {expected}, found {found}", path = path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where in it.
        place: FilePlace,
        /// What the format asks for.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A legal file of a kind that is not read here.
    #[error("{path}: {what} is not supported; {instead}", path = path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The feature.
        what: String,
        /// What to do about it.
        instead: String,
    },
    /// A setting has no meaning for this dataset.
    #[error("dataset.{key}: expected {expected}, found {found}")]
    Config {
        /// Key below `[dataset]`.
        key: &'static str,
        /// Legal values.
        expected: String,
        /// The value given.
        found: String,
    },
}

/// Result of this crate.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// An operating system error about `path`.
pub(crate) fn io_error(path: &Path, source: std::io::Error) -> Error {
    Error::Io { path: path.to_owned(), source }
}
