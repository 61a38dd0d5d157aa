//! Settings that are out of range.

use jepa3d_schemas::ConfigError;

use crate::error::{Error, Result};

/// A setting that is out of range.
pub(crate) fn out_of_range(key: &str, expected: impl Into<String>, found: impl ToString) -> Error {
    ConfigError::setting(key, expected, found).into()
}

/// A whole number, and the bounds that it must be within.
pub(crate) struct BoundedCount {
    pub key: &'static str,
    pub found: usize,
    pub low: usize,
    pub high: usize,
}

impl BoundedCount {
    pub(crate) fn new(key: &'static str, found: usize, low: usize, high: usize) -> Self {
        Self { key, found, low, high }
    }

    /// Checks the bounds.
    ///
    /// # Errors
    /// Fails if the number is beyond one; the error names key, expected and found.
    pub(crate) fn check(&self) -> Result<()> {
        let Self { key, found, low, high } = self;
        match (low..=high).contains(&found) {
            true => Ok(()),
            false => Err(out_of_range(key, format!("{low} to {high}"), found)),
        }
    }
}

/// Checks rates by key: 0 or more, below 1.
///
/// # Errors
/// Fails if one is not; the error names key, expected and found.
pub(crate) fn check_rates(rates: &[(&'static str, f64)]) -> Result<()> {
    match rates.iter().find(|(_, rate)| !(0.0..1.0).contains(rate)) {
        None => Ok(()),
        Some((key, found)) => Err(out_of_range(key, "0 or more, below 1", found)),
    }
}

/// Whether a weight that may be left out is.
pub(super) fn is_nothing(weight: &f64) -> bool {
    *weight == 0.0
}
