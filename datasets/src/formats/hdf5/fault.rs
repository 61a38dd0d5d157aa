//! Errors of the HDF5 crate in the words of this one.

use std::path::Path;

use hdf5_pure::FormatError;

use crate::error::{Error, ParseError, io_error};

/// Makes an error of this crate of one of the HDF5 crate: what the file lacks, what is broken, what is not read.
pub(super) fn convert_error(path: &Path, expected: &str, error: hdf5_pure::Error) -> Error {
    match error {
        hdf5_pure::Error::Io(source) => io_error(path, source),
        hdf5_pure::Error::Format(FormatError::PathNotFound(_)) => {
            ParseError::file(expected, "none of that name").in_file(path)
        }
        // Newer than the crate: data layout 5 came with HDF5 2.0 and its `libver=latest`.
        hdf5_pure::Error::Format(
            unread @ (FormatError::InvalidLayoutVersion(_) | FormatError::UnsupportedVersion(_)),
        ) => Error::Unsupported {
            path: path.to_owned(),
            what: format!("this version of the HDF5 format ({unread})"),
            instead: "write the file anew with an older format (h5py: libver=('earliest', 'v110'))".into(),
        },
        other => ParseError::file(expected, other.to_string()).in_file(path),
    }
}
