//! Errors of the crates as Python's exceptions, with their own text.

use std::fmt::Display;

use jepa3d_loader::Error;
use pyo3::PyErr;
use pyo3::exceptions::{PyFileNotFoundError, PyRuntimeError, PyValueError};

/// What the caller gave is not what was expected.
pub(crate) fn refuse(reason: impl Display) -> PyErr {
    PyValueError::new_err(reason.to_string())
}

/// Something else went wrong.
pub(crate) fn fail(reason: impl Display) -> PyErr {
    PyRuntimeError::new_err(reason.to_string())
}

/// Settings are the caller's, and so are names of splits and columns; files are not.
pub(crate) fn raise(error: Error) -> PyErr {
    match error {
        Error::Config(_) | Error::NoSplit { .. } | Error::NoViews { .. } => refuse(error),
        Error::NotPrepared { .. } | Error::NoTeacher { .. } => {
            PyFileNotFoundError::new_err(error.to_string())
        }
        error => fail(error),
    }
}
