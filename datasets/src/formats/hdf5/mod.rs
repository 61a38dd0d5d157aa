//! Numeric arrays of an HDF5 file, read a row at a time: the form in which ModelNet40 and ScanObjectNN are released.
//!
//! Opening an array checks everything that its header claims against the size of the file, so a
//! header cannot make us allocate or list what the file does not hold, and storage that was never
//! written (which HDF5 would read as zeros) is an error. A row of a contiguous array is one small
//! read. A row of a chunked array needs all chunks across it; the chunks that share their rows
//! (a *band*) are decoded together and the most recent bands are kept, at most 128 MiB an array.
//! The bytes are parsed by `hdf5-pure`, which needs no C library; what it does not read, or
//! what is not a plain number, is refused by name.

mod bands;
mod element;
mod fault;
mod storage;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hdf5_pure::{ChunkCacheConfig, Dataset as H5Dataset, DatasetAccessProperties, ReadSeekSource};

use crate::budget::Budget;
use crate::error::{Error, FilePlace, ParseError, Result};
use crate::files::open_file;
use bands::Bands;
use fault::convert_error;

/// Bytes of a number of a row as it is read: f64, and its place in the points.
const NUMBER_BYTES: usize = 16;

/// An open HDF5 file.
pub(crate) struct H5File {
    path: PathBuf,
    file: hdf5_pure::File,
    bytes: u64,
}

impl H5File {
    /// Opens a file; reads its superblock only.
    ///
    /// # Errors
    /// Fails if the file cannot be read, is not HDF5, or is shorter than its superblock says.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let broken = |e: hdf5_pure::Error| convert_error(path, "an HDF5 file", e);
        let (file, bytes) = open_file(path)?;
        let source = ReadSeekSource::new(file).map_err(|e| broken(e.into()))?;
        let file = hdf5_pure::File::from_source(source).map_err(broken)?;
        Ok(Self { path: path.to_owned(), file, bytes })
    }

    /// The array `name` (a path inside the file).
    ///
    /// # Errors
    /// Fails if there is no such array, if it is not of plain numbers, if its storage is of a kind
    /// that is not read here, or if it claims more than the file can hold.
    pub(crate) fn array(&self, name: &str) -> Result<H5Array> {
        // The bands keep what the crate's own chunk cache would keep a second time.
        let cache = ChunkCacheConfig::new().with_max_bytes(0).with_max_slots(0);
        let access = DatasetAccessProperties::new().with_chunk_cache(cache);
        let stored = self
            .file
            .dataset_with_options(name, access)
            .map_err(|e| convert_error(&self.path, &format!("an array {name:?}"), e))?;
        let plan = storage::plan_reading(&self.path, self.bytes, name, &stored)?;
        Ok(H5Array { path: self.path.clone(), name: name.to_owned(), stored, plan, bands: Bands::default() })
    }

    /// Whether the root group has an array `name`.
    ///
    /// # Errors
    /// Fails if the root group cannot be read.
    pub(crate) fn has(&self, name: &str) -> Result<bool> {
        let names =
            self.file.root().datasets().map_err(|e| convert_error(&self.path, "a readable root group", e))?;
        Ok(names.iter().any(|n| n == name))
    }
}

/// Reads every row of the arrays `data`, `label` and `mask` that the file at `path` has, and says
/// how many rows that were: what the fuzz target of this parser calls.
///
/// # Errors
/// Fails as the readers of HDF5 datasets do: the file, array and row are named.
pub fn count_rows(path: &Path) -> Result<usize> {
    let file = H5File::open(path)?;
    let mut rows = 0;
    for name in ["data", "label", "mask"] {
        if !file.has(name)? {
            continue;
        }
        let array = file.array(name)?;
        for row in 0..array.rows() {
            array.row(row, &Budget::default())?;
            rows += 1;
        }
    }
    Ok(rows)
}

/// An array of plain numbers; `&self` reads, from any thread.
pub(crate) struct H5Array {
    path: PathBuf,
    name: String,
    stored: H5Dataset,
    plan: storage::H5ReadPlan,
    bands: Bands,
}

impl H5Array {
    /// Sizes, outermost first; never empty.
    pub(crate) fn shape(&self) -> &[usize] {
        &self.plan.shape
    }

    /// Number of rows (size of the first dimension).
    pub(crate) fn rows(&self) -> usize {
        self.plan.shape[0]
    }

    /// One row. What is decoded with it is charged too, whether another row has had it decoded or not.
    ///
    /// # Errors
    /// Fails if there is no such row, if its bytes cannot be read or decoded, or if the budget does not suffice.
    pub(crate) fn row(&self, row: usize, budget: &Budget) -> Result<H5Row<'_>> {
        if row >= self.rows() {
            let found = format!("{} rows", self.rows());
            return Err(self.error(row, format!("more than {row} rows in {:?}", self.name), found));
        }
        let band_rows = self.plan.band_rows;
        let band = row / band_rows;
        let first = band * band_rows;
        let count = band_rows.min(self.rows() - first);
        let (decoded, numbers) =
            (count * self.plan.row_bytes, self.plan.row_bytes / self.plan.element.size());
        budget
            .charge(decoded as u64, "rows that are decoded together")
            .and_then(|()| budget.charge_values(numbers as u64, NUMBER_BYTES, "a row of numbers"))
            .map_err(|e| e.in_file(&self.path))?;
        let bytes = self.bands.get(band, self.plan.bands_kept, || self.read(first, count))?;
        let start = (row - first) * self.plan.row_bytes;
        Ok(H5Row { array: self, row, bytes, start })
    }

    /// The stored bytes of `count` rows from `first` on.
    fn read(&self, first: usize, count: usize) -> Result<Vec<u8>> {
        let wanted = count * self.plan.row_bytes;
        let bytes =
            self.stored.read_raw_rows(first as u64, count as u64).map_err(|e| self.unreadable(first, e))?;
        if bytes.len() != wanted {
            let expected = format!("{wanted} bytes in {count} rows of {:?}", self.name);
            return Err(self.error(first, expected, bytes.len().to_string()));
        }
        Ok(bytes)
    }

    /// Why rows from `row` on could not be read: the file is damaged there, or the disk failed.
    fn unreadable(&self, row: usize, error: hdf5_pure::Error) -> Error {
        let reason = error.to_string();
        match convert_error(&self.path, "", error) {
            failure @ Error::Io { .. } => failure,
            _ => self.error(row, format!("readable rows of {:?}", self.name), reason),
        }
    }

    /// A problem in a row of this array.
    fn error(&self, row: usize, expected: String, found: String) -> Error {
        ParseError::new(FilePlace::Row(row), expected, found).in_file(&self.path)
    }
}

/// One row of an array, shared with the other rows of its band.
pub(crate) struct H5Row<'a> {
    array: &'a H5Array,
    row: usize,
    bytes: Arc<Vec<u8>>,
    start: usize,
}

impl H5Row<'_> {
    /// The bytes as stored (after decompression), for hashing.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.array.plan.row_bytes]
    }

    /// The numbers, exact for every type but 64-bit integers beyond 2^53.
    pub(crate) fn reals(&self) -> Vec<f64> {
        self.array.plan.element.reals(self.bytes())
    }

    /// The numbers as integers.
    ///
    /// # Errors
    /// Fails if one is not a whole number or does not fit `i64`.
    pub(crate) fn integers(&self) -> Result<Vec<i64>> {
        self.array.plan.element.integers(self.bytes()).map_err(|found| {
            self.array.error(self.row, format!("whole numbers in {:?}", self.array.name), found)
        })
    }
}
