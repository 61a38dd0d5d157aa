//! Clouds that are rows of an HDF5 file: `data [n,P,3]`, `label [n]` or `[n,1]`, and arrays beside them.

use std::path::{Path, PathBuf};

use jepa3d_schemas::{PointCloud, Warning, source_hash};

use crate::budget::Budget;
use crate::error::{FilePlace, ParseError, Result};
use crate::finite::keep_finite;
use crate::formats::hdf5::{H5Array, H5File, H5Row};
use crate::formats::normals::keep_unit_normals;

/// The arrays of one file; read from any thread.
pub(crate) struct H5Clouds {
    path: PathBuf,
    data: H5Array,
    label: H5Array,
    normal: Option<H5Array>,
    mask: Option<H5Array>,
}

/// One row of a file.
pub(crate) struct H5Cloud {
    /// Finite points, with normals if the file has unit ones and mask values as point labels if asked for.
    pub(crate) cloud: PointCloud,
    /// The class number, within the classes of the dataset.
    pub(crate) label: usize,
    /// Hash of the bytes of the row in all arrays that were read.
    pub(crate) source_hash: String,
    /// What was odd.
    pub(crate) warnings: Vec<Warning>,
}

impl H5Clouds {
    /// Opens a file; reads headers only. `normal` is read where it exists, `mask` must exist if asked for.
    ///
    /// # Errors
    /// Fails if an array is missing, is stored in a way that is not read, or has other sizes.
    pub(crate) fn open(path: &Path, with_mask: bool) -> Result<Self> {
        let file = H5File::open(path)?;
        let data = file.array("data")?;
        let &[rows, points, 3] = data.shape() else {
            return Err(wrong_shape(path, "data", "[n,P,3]", data.shape()));
        };
        let label = file.array("label")?;
        if label.shape() != [rows] && label.shape() != [rows, 1] {
            return Err(wrong_shape(path, "label", &format!("[{rows}] or [{rows},1]"), label.shape()));
        }
        let normal = if file.has("normal")? { Some(file.array("normal")?) } else { None };
        if let Some(normal) = normal.as_ref().filter(|n| n.shape() != [rows, points, 3]) {
            return Err(wrong_shape(path, "normal", &format!("[{rows},{points},3]"), normal.shape()));
        }
        let mask = if with_mask { Some(file.array("mask")?) } else { None };
        if let Some(mask) = mask.as_ref().filter(|m| m.shape() != [rows, points]) {
            return Err(wrong_shape(path, "mask", &format!("[{rows},{points}]"), mask.shape()));
        }
        Ok(Self { path: path.to_owned(), data, label, normal, mask })
    }

    /// Number of clouds.
    pub(crate) fn len(&self) -> usize {
        self.data.rows()
    }

    /// Reads one cloud.
    ///
    /// # Errors
    /// Fails if the row cannot be read, if its label is not below `classes`, or if the budget does not suffice.
    pub(crate) fn read(&self, row: usize, classes: usize, budget: &Budget) -> Result<H5Cloud> {
        let data = self.data.row(row, budget)?;
        let label = self.label.row(row, budget)?;
        let normal = self.normal.as_ref().map(|a| a.row(row, budget)).transpose()?;
        let mask = self.mask.as_ref().map(|a| a.row(row, budget)).transpose()?;
        let mut parts = vec![data.bytes(), label.bytes()];
        parts.extend([&normal, &mask].into_iter().flatten().map(H5Row::bytes));
        let source_hash = source_hash(&parts);
        let mask = mask.map(|m| m.integers()).transpose()?;
        let mut cloud = PointCloud {
            positions: triples(&data.reals()),
            normals: normal.map(|n| triples(&n.reals()).iter().map(|v| v.map(|x| x as f32)).collect()),
            point_labels: mask.map(|m| self.point_labels(row, &m)).transpose()?,
            ..PointCloud::default()
        };
        let label = self.check_class(row, label.integers()?[0], classes)?;
        let mut warnings = keep_finite(&mut cloud, FilePlace::Row(row)).map_err(|e| e.in_file(&self.path))?;
        warnings.extend(keep_unit_normals(&mut cloud));
        Ok(H5Cloud { cloud, label, source_hash, warnings })
    }

    fn point_labels(&self, row: usize, mask: &[i64]) -> Result<Vec<i16>> {
        let label = |&value: &i64| {
            i16::try_from(value).map_err(|_| {
                let expected = "mask values of 16 bits";
                ParseError::new(FilePlace::Row(row), expected, value.to_string()).in_file(&self.path)
            })
        };
        mask.iter().map(label).collect()
    }

    fn check_class(&self, row: usize, label: i64, classes: usize) -> Result<usize> {
        match usize::try_from(label) {
            Ok(class) if class < classes => Ok(class),
            _ => {
                let expected = format!("a label from 0 to {}", classes - 1);
                Err(ParseError::new(FilePlace::Row(row), expected, label.to_string()).in_file(&self.path))
            }
        }
    }
}

fn triples(values: &[f64]) -> Vec<[f64; 3]> {
    values.chunks_exact(3).map(|p| [p[0], p[1], p[2]]).collect()
}

fn wrong_shape(path: &Path, name: &str, expected: &str, found: &[usize]) -> crate::error::Error {
    let expected = format!("array {name:?} of shape {expected}");
    ParseError::file(expected, format!("{found:?}")).in_file(path)
}
