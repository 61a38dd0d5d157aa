//! What the statistics of a dataset begin with: its manifest and its catalog.

use std::path::Path;

use jepa3d_schemas::{CATALOG_FILE, CatalogRow, Manifest, read_catalog};

use crate::error::{Error, Result};

/// Manifest and catalog of a complete dataset.
pub(super) struct CompleteSet {
    pub manifest: Manifest,
    pub catalog: Vec<CatalogRow>,
}

impl CompleteSet {
    /// Reads both.
    ///
    /// # Errors
    /// Fails if there is no manifest, so that the dataset is not complete, or one cannot be read.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let Some(manifest) = Manifest::find(folder)? else {
            return Err(Error::Incomplete { folder: folder.to_owned() });
        };
        let mut catalog = read_catalog(&folder.join(CATALOG_FILE))?;
        if manifest.views.is_none() {
            // What the catalog says of views counts only if the manifest has any.
            catalog.iter_mut().for_each(|row| row.views = None);
        }
        Ok(Self { manifest, catalog })
    }
}
