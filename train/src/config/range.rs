//! Settings that are out of range.

use jepa3d_schemas::ConfigError;

use crate::error::Error;

/// A setting that is out of range.
pub(crate) fn out_of_range(key: &str, expected: impl Into<String>, found: impl ToString) -> Error {
    ConfigError::setting(key, expected, found).into()
}
