//! The columns of a row group as arrays; every one is decoded once and cut into rows on Python's side, without a copy.

use jepa3d_schemas::{ListColumn, RowGroup, ViewGroup};
use numpy::{Element, IntoPyArray};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

/// A decoded column that Python takes over.
trait IntoColumn {
    fn into_column(self, py: Python<'_>) -> PyResult<Py<PyAny>>;
}

/// A list column: its values, where each row ends, and which rows are there.
impl<T: Element> IntoColumn for ListColumn<T> {
    fn into_column(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let ends: Vec<i64> = self.ends.iter().map(|&end| end as i64).collect();
        let parts = (self.values.into_pyarray(py), ends.into_pyarray(py), self.valid.into_pyarray(py));
        Ok(parts.into_pyobject(py)?.into_any().unbind())
    }
}

macro_rules! into_list {
    ($($value:ty),*) => {$(
        impl IntoColumn for Vec<$value> {
            fn into_column(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
                Ok(PyList::new(py, self)?.into_any().unbind())
            }
        }
    )*};
}

into_list!(String, Option<String>, Option<i32>, f64, u16, u32);

/// Files, each as bytes.
impl IntoColumn for Vec<Vec<u8>> {
    fn into_column(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let files = self.iter().map(|file| PyBytes::new(py, file));
        Ok(PyList::new(py, files)?.into_any().unbind())
    }
}

impl IntoColumn for Vec<Option<Vec<u8>>> {
    fn into_column(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let files: Vec<_> =
            self.iter().map(|file| file.as_ref().map(|file| PyBytes::new(py, file))).collect();
        Ok(PyList::new(py, files)?.into_any().unbind())
    }
}

macro_rules! take_columns {
    ($py:expr, $group:expr, $($name:ident),* $(,)?) => {{
        let out = PyDict::new($py);
        $(if let Some(column) = $group.$name {
            out.set_item(stringify!($name), column.into_column($py)?)?;
        })*
        Ok(out)
    }};
}

/// The columns of a row group of `points` that were read.
pub(crate) fn take_points(py: Python<'_>, group: RowGroup) -> PyResult<Bound<'_, PyDict>> {
    take_columns!(
        py,
        group,
        sample_id,
        dataset,
        category,
        label,
        points,
        normals,
        colors,
        intensity,
        point_labels,
        subset,
        center_indices,
        patch_indices,
        patch_counts,
        centers,
        boxes,
        box_labels,
        norm_center,
        norm_scale,
        source,
        source_hash,
    )
}

/// The columns of a row group of `views` that were read.
pub(crate) fn take_views(py: Python<'_>, group: ViewGroup) -> PyResult<Bound<'_, PyDict>> {
    take_columns!(
        py,
        group,
        sample_id,
        view,
        name,
        image,
        width,
        height,
        fx,
        fy,
        cx,
        cy,
        camera_from_world,
        depth,
        depth_scale,
        corr_point,
        corr_u,
        corr_v,
        corr_depth,
    )
}
