//! Prepared sets in object stores, by the settings that the environment has when the first of them is opened.

use pyo3::PyResult;

/// Has URLs read in this process from now on, if `folder` is one and this build reads any.
///
/// # Errors
/// Fails if a variable of the environment is no setting.
#[cfg(feature = "object-store")]
pub(crate) fn serve_stores(folder: &str) -> PyResult<()> {
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

    static IS_SERVED: AtomicBool = AtomicBool::new(false);
    if jepa3d_schemas::is_remote(Path::new(folder)) && !IS_SERVED.load(Ordering::Relaxed) {
        let settings = jepa3d_store::StoreSettings::read(None, None).map_err(crate::errors::refuse)?;
        // Of two threads that come at once the first one's stay.
        jepa3d_store::serve_stores(settings);
        IS_SERVED.store(true, Ordering::Relaxed);
    }
    Ok(())
}

/// Nothing: this build reads none, and who opens one is told so.
#[cfg(not(feature = "object-store"))]
pub(crate) fn serve_stores(_: &str) -> PyResult<()> {
    Ok(())
}
