//! Batches of clouds as numpy has them, and vectors handed to numpy without a copy.

use numpy::ndarray::{ArrayD, IxDyn};
use numpy::{Element, IntoPyArray, PyArrayDyn, PyReadonlyArray1, PyReadonlyArray3, PyUntypedArrayMethods};
use pyo3::prelude::*;

use crate::errors::refuse;

/// An array that is handed to Python.
pub(crate) type Array<'py, T> = Bound<'py, PyArrayDyn<T>>;

/// Clouds `[B,N,3]` of which the first `lengths [B]` points count.
pub(crate) struct CloudBatch<'a> {
    points: &'a [[f32; 3]],
    lengths: &'a [i64],
    /// `B`.
    pub count: usize,
    /// `N`.
    pub points_each: usize,
}

impl<'a> CloudBatch<'a> {
    /// # Errors
    /// Fails if the arrays are not contiguous, or lengths are not `B` numbers of 1 to `N`.
    pub(crate) fn new(
        clouds: &'a PyReadonlyArray3<'_, f32>,
        lengths: &'a PyReadonlyArray1<'_, i64>,
    ) -> PyResult<Self> {
        let shape = clouds.shape();
        let (count, points_each) = (shape[0], shape[1]);
        if shape[2] != 3 {
            return Err(refuse(format!("expected three coordinates a point, found {}", shape[2])));
        }
        let points = clouds.as_slice().map_err(refuse)?.as_chunks::<3>().0;
        let lengths = lengths.as_slice().map_err(refuse)?;
        let is_legal = |&length: &i64| (1..=points_each as i64).contains(&length);
        if lengths.len() != count || !lengths.iter().all(is_legal) {
            let expected = format!("{count} lengths of 1 to {points_each}");
            return Err(refuse(format!("lengths: expected {expected}, found {lengths:?}")));
        }
        Ok(Self { points, lengths, count, points_each })
    }

    /// The points of cloud `at` that count.
    pub(crate) fn cloud(&self, at: usize) -> &'a [[f32; 3]] {
        &self.points[at * self.points_each..][..self.lengths[at] as usize]
    }
}

/// A vector as an array of this shape: numpy takes its memory over.
///
/// # Errors
/// Fails if the shape holds another number of values.
pub(crate) fn shape_array<'py, T: Element>(
    py: Python<'py>,
    values: Vec<T>,
    shape: &[usize],
) -> PyResult<Array<'py, T>> {
    let array = ArrayD::from_shape_vec(IxDyn(shape), values);
    Ok(array.map_err(|e| refuse(format!("an array of shape {shape:?}: {e}")))?.into_pyarray(py))
}
