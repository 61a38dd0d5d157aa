//! Stands in for `recording.rs` when the crate is built without the feature `rerun`.

use std::path::Path;

use super::run::Shown;
use crate::error::{Error, Result};

fn off<T>() -> Result<T> {
    Err(Error::Recording("expected a build with the feature `rerun`, found one without".to_owned()))
}

/// A viewer that is being served; without the feature there is none.
#[derive(Debug)]
pub enum Served {}

impl Served {
    /// What to open in a browser.
    pub fn url(&self) -> &str {
        match *self {}
    }

    /// Serves until the process ends.
    pub fn wait(self) -> ! {
        match self {}
    }
}

/// Would write a recording.
///
/// # Errors
/// Always fails, and names the feature.
pub fn save_recording<'a>(_: impl Into<Shown<'a>>, _: &Path) -> Result<u64> {
    off()
}

/// Would serve a recording with a web viewer.
///
/// # Errors
/// Always fails, and names the feature.
pub fn serve_recording<'a>(_: impl Into<Shown<'a>>) -> Result<Served> {
    off()
}

/// Would open a recording in the viewer.
///
/// # Errors
/// Always fails, and names the feature.
pub fn spawn_viewer<'a>(_: impl Into<Shown<'a>>) -> Result<()> {
    off()
}
