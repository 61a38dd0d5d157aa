//! Errors of the HDF5 crate in the words of this one.

use std::io;
use std::path::Path;

use hdf5_pure::FormatError;

use crate::error::{Error, ParseError, io_error};

/// Makes an error of this crate of one of the HDF5 crate: what the file lacks, what is broken, what is not read.
pub(super) fn convert_error(path: &Path, expected: &str, error: hdf5_pure::Error) -> Error {
    if let Some(source) = find_os_error(&error.to_string()) {
        return io_error(path, source);
    }
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

/// The error of the operating system that a sentence ends in: the crate hands on the words alone, and whether a disk
/// failed or a file is damaged must not be mixed up.
fn find_os_error(text: &str) -> Option<io::Error> {
    let (_, rest) = text.rsplit_once("(os error ")?;
    rest.split_once(')')?.0.parse().ok().map(io::Error::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn errors_of_the_disk_keep_their_number() {
        let failing = io::Error::from_raw_os_error(libc::EIO).to_string();
        let error = hdf5_pure::Error::Format(FormatError::Source(failing));
        let error = convert_error(Path::new("a.h5"), "an array", error);
        assert!(error.is_of_machine(), "{error}");
        let damaged = hdf5_pure::Error::Format(FormatError::Source("short".to_owned()));
        assert!(!convert_error(Path::new("a.h5"), "an array", damaged).is_of_machine());
    }
}
