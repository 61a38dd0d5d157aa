//! The memory of a batch's patches while Python looks at it: given back to the loader when the last array on it is gone.
//!
//! Fresh megabytes for every batch would cost more page faults than gathering the batch costs work.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Vectors that are free again.
pub(crate) type FreeVectors = Arc<Mutex<Vec<Vec<f32>>>>;

/// A vector that numpy reads through the array interface, which keeps this object alive as long as an array is on it.
#[pyclass(frozen)]
pub(crate) struct BatchMemory {
    values: Vec<f32>,
    shape: [usize; 4],
    free: FreeVectors,
}

#[pymethods]
impl BatchMemory {
    /// Where the values are and how they are arranged; see numpy's array interface, version 3.
    #[getter(__array_interface__)]
    fn describe<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let [b, g, k, axes] = self.shape;
        let out = PyDict::new(py);
        out.set_item("version", 3)?;
        out.set_item("typestr", if cfg!(target_endian = "little") { "<f4" } else { ">f4" })?;
        out.set_item("shape", (b, g, k, axes))?;
        out.set_item("data", (self.values.as_ptr() as usize, false))?;
        Ok(out)
    }
}

impl Drop for BatchMemory {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(values);
    }
}

/// `values` as an array of this shape, on memory that goes to `free` when nobody looks at it any more.
///
/// # Errors
/// Fails if numpy refuses.
pub(crate) fn lend_array<'py>(
    py: Python<'py>,
    values: Vec<f32>,
    shape: [usize; 4],
    free: &FreeVectors,
) -> PyResult<Bound<'py, PyAny>> {
    let free = Arc::clone(free);
    let memory = Py::new(py, BatchMemory { values, shape, free })?;
    py.import("numpy")?.call_method1("asarray", (memory,))
}
