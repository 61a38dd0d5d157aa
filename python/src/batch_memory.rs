//! The memory of a batch while Python looks at it: given back to the loader when the last array on it is gone.
//!
//! Fresh megabytes for every batch would cost more page faults than gathering the batch costs work.

use std::sync::{Arc, Mutex, PoisonError};

use jepa3d_loader::Batch;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

/// Batches that are free again.
pub(crate) type FreeBatches = Arc<Mutex<Vec<Batch>>>;

/// A batch that goes to `free` when nobody looks at it any more.
pub(crate) struct LentBatch {
    /// The batch.
    pub batch: Batch,
    /// Where it goes.
    pub free: FreeBatches,
}

impl Drop for LentBatch {
    fn drop(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(batch);
    }
}

/// Which numbers of a batch.
#[derive(Clone, Copy)]
pub(crate) enum BatchPart {
    /// `[B,G,K,3]`.
    Patches,
    /// `[B,G,3]`.
    Centers,
}

/// A part of a batch that numpy reads through the array interface, which keeps this object alive as long as an array is on it.
#[pyclass(frozen)]
pub(crate) struct BatchMemory {
    lent: Arc<LentBatch>,
    part: BatchPart,
    /// `K`.
    group_size: usize,
}

#[pymethods]
impl BatchMemory {
    /// Where the values are and how they are arranged; see numpy's array interface, version 3.
    #[getter(__array_interface__)]
    fn describe<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let Batch { rows, groups, patches, centers, .. } = &self.lent.batch;
        let out = PyDict::new(py);
        out.set_item("version", 3)?;
        out.set_item("typestr", if cfg!(target_endian = "little") { "<f4" } else { ">f4" })?;
        let values = match self.part {
            BatchPart::Patches => {
                out.set_item("shape", (*rows, *groups, self.group_size, 3))?;
                patches
            }
            BatchPart::Centers => {
                out.set_item("shape", (*rows, *groups, 3))?;
                centers
            }
        };
        out.set_item("data", (values.as_ptr() as usize, false))?;
        Ok(out)
    }
}

/// A part of a batch as an array on the batch's own memory.
///
/// # Errors
/// Fails if numpy refuses.
pub(crate) fn lend_array<'py>(
    py: Python<'py>,
    lent: &Arc<LentBatch>,
    part: BatchPart,
    group_size: usize,
) -> PyResult<Bound<'py, PyAny>> {
    static AS_ARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let as_array = AS_ARRAY.get_or_try_init(py, || -> PyResult<Py<PyAny>> {
        Ok(py.import("numpy")?.getattr("asarray")?.unbind())
    })?;
    let memory = Py::new(py, BatchMemory { lent: Arc::clone(lent), part, group_size })?;
    as_array.bind(py).call1((memory,))
}
