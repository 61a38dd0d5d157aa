//! What of the Python package `jepa3d` is written in Rust: geometry and the loader, on numpy arrays.
//!
//! Every function takes contiguous arrays of one type, which `jepa3d/_arrays.py` makes of what a user has, and works without
//! Python's lock. The package's own modules say what each of them promises.

mod arrays;
mod batch_memory;
mod cloud_functions;
mod columns;
mod dataset;
mod errors;
mod loader;
mod loader_settings;
mod mesh_functions;
mod remote_sets;
mod threads;

use pyo3::prelude::*;

/// Batches of megabytes come and go: the system's allocator would hand each back to the kernel.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The module `jepa3d._jepa3d`.
#[pymodule(gil_used = false)]
fn _jepa3d(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_function(wrap_pyfunction!(cloud_functions::fps, module)?)?;
    module.add_function(wrap_pyfunction!(cloud_functions::knn, module)?)?;
    module.add_function(wrap_pyfunction!(cloud_functions::neighborly, module)?)?;
    module.add_function(wrap_pyfunction!(cloud_functions::group, module)?)?;
    module.add_function(wrap_pyfunction!(cloud_functions::voxels, module)?)?;
    module.add_function(wrap_pyfunction!(mesh_functions::sample_surface, module)?)?;
    module.add_function(wrap_pyfunction!(mesh_functions::place_cameras, module)?)?;
    module.add_function(wrap_pyfunction!(mesh_functions::render, module)?)?;
    module.add_class::<dataset::Shards>()?;
    module.add_class::<loader::BatchStream>()
}
