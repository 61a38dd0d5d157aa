//! What may go wrong while a file and its companions are read: a fault of the bytes, or an error with a path already.

use std::path::Path;

use crate::error::{Error, ParseError};

/// A fault of the main file's bytes, which know no path, or an error of another file or the machine.
#[derive(Debug)]
pub(crate) enum ReadFault {
    /// Of the main file.
    Parse(ParseError),
    /// Of whatever it names.
    Named(Error),
}

impl ReadFault {
    /// The error, where the main file is at `path`.
    pub(crate) fn in_file(self, path: &Path) -> Error {
        match self {
            Self::Parse(error) => error.in_file(path),
            Self::Named(error) => error,
        }
    }
}

impl From<ParseError> for ReadFault {
    fn from(error: ParseError) -> Self {
        Self::Parse(error)
    }
}

impl From<Error> for ReadFault {
    fn from(error: Error) -> Self {
        Self::Named(error)
    }
}
