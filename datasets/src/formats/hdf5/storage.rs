//! Checks how an HDF5 array is stored against the file it is in, and plans how rows are read.
//!
//! Everything here looks at claims of the header before acting on them: sizes are multiplied with
//! overflow checks and compared with the length of the file, chunks must cover the array exactly
//! once and lie inside the file.

use std::path::Path;

use hdf5_pure::{Chunk, ChunkIndex, Dataset as H5Dataset, Layout};

use super::element::H5Number;
use super::fault::convert_error;
use crate::error::{Error, ParseError, Result};

/// Decoded bands kept for one array.
const KEPT_BYTES: usize = 128 << 20;
/// The largest band that is decoded; larger ones would need their chunks read in parts.
const BAND_BYTES_MAX: usize = 1 << 30;
/// Deflate cannot shrink data by more than a factor of 1032.
const EXPANSION_MAX: u64 = 1032;
/// Filters that are undone: deflate, shuffle, fletcher32, LZF.
const FILTERS_READ: [u16; 4] = [1, 2, 3, 32000];

/// How the rows of an array are read.
#[derive(Debug)]
pub(super) struct H5ReadPlan {
    /// Sizes, outermost first; never empty.
    pub(super) shape: Vec<usize>,
    /// Type of the numbers.
    pub(super) element: H5Number,
    /// Bytes of one decoded row.
    pub(super) row_bytes: usize,
    /// Rows that are decoded together; at least 1.
    pub(super) band_rows: usize,
    /// Bands to keep; 0 where a row costs no decoding.
    pub(super) bands_kept: usize,
}

/// An array of a file, while it is being checked.
struct ArrayClaim<'a> {
    path: &'a Path,
    file_bytes: u64,
    name: &'a str,
    stored: &'a H5Dataset,
}

/// Checks the array and plans its reading.
///
/// # Errors
/// Fails if the element type, the storage or a filter is not read here, or if the header does not
/// fit the file.
pub(super) fn plan_reading(
    path: &Path,
    file_bytes: u64,
    name: &str,
    stored: &H5Dataset,
) -> Result<H5ReadPlan> {
    let claim = ArrayClaim { path, file_bytes, name, stored };
    let element = claim.element()?;
    let (shape, row_bytes) = claim.shape(element)?;
    let total = row_bytes as u64 * shape[0] as u64;
    let layout = stored.layout().map_err(|e| claim.unreadable(e))?;
    let (band_rows, bands_kept) = match layout {
        Layout::Compact { size } => (1, claim.contiguous(Some(0), size, total)?),
        Layout::Contiguous { address, size } => (1, claim.contiguous(address, size, total)?),
        Layout::Chunked { chunk_shape, index } => claim.chunked(&chunk_shape, index, &shape, row_bytes)?,
        Layout::Virtual => return Err(claim.unsupported("a virtual array".into())),
        other => return Err(claim.unsupported(format!("storage {other}"))),
    };
    Ok(H5ReadPlan { shape, element, row_bytes, band_rows, bands_kept })
}

impl ArrayClaim<'_> {
    fn element(&self) -> Result<H5Number> {
        let datatype = self.stored.datatype().map_err(|e| self.unreadable(e))?;
        H5Number::from_datatype(&datatype).ok_or_else(|| self.unsupported(format!("element type {datatype}")))
    }

    /// Sizes and the bytes of a row; their product with the number of rows does not overflow and
    /// is no more than the file could hold if it were compressed as well as can be.
    fn shape(&self, element: H5Number) -> Result<(Vec<usize>, usize)> {
        let claimed = self.stored.shape().map_err(|e| self.unreadable(e))?;
        let limit = self.file_bytes.saturating_mul(EXPANSION_MAX);
        let (Some(&rows), inner) = (claimed.first(), claimed.get(1..).unwrap_or_default()) else {
            return Err(self.broken("an array with rows".into(), "a single number".into()));
        };
        let row_bytes = inner.iter().try_fold(element.size() as u64, |n, &d| n.checked_mul(d));
        let total = row_bytes.and_then(|n| n.checked_mul(rows));
        let shape: Option<Vec<usize>> = claimed.iter().map(|&d| usize::try_from(d).ok()).collect();
        match (shape, row_bytes, total) {
            // Rows of no bytes could be listed without end.
            (Some(shape), Some(row), Some(total)) if total <= limit && (row > 0 || rows == 0) => {
                Ok((shape, usize::try_from(row).unwrap_or(usize::MAX)))
            }
            _ => {
                let expected = format!("sizes that fit a file of {} bytes", self.file_bytes);
                Err(self.broken(expected, format!("{claimed:?} elements of {} bytes", element.size())))
            }
        }
    }

    /// Checks storage in one piece; returns the number of bands to keep, which is none.
    fn contiguous(&self, address: Option<u64>, size: u64, total: u64) -> Result<usize> {
        if total > 0 && size != total {
            return Err(self.broken(format!("{total} stored bytes"), size.to_string()));
        }
        match address {
            _ if total == 0 => Ok(0),
            Some(start) if start.checked_add(size).is_some_and(|end| end <= self.file_bytes) => Ok(0),
            Some(start) => {
                let expected = format!("data inside the file of {} bytes", self.file_bytes);
                Err(self.broken(expected, format!("{size} bytes at byte {start}")))
            }
            None => Err(self.broken("written data".into(), "storage that was never written".into())),
        }
    }

    /// Checks storage in chunks; returns the rows of a band and how many bands to keep.
    fn chunked(
        &self,
        chunk: &[u64],
        index: ChunkIndex,
        shape: &[usize],
        row_bytes: usize,
    ) -> Result<(usize, usize)> {
        self.filters()?;
        if chunk.len() != shape.len() || chunk.contains(&0) {
            return Err(self.broken(format!("chunks of an array {shape:?}"), format!("chunks {chunk:?}")));
        }
        if shape.contains(&0) {
            return Ok((1, 0));
        }
        if index == ChunkIndex::BTreeV2 {
            return Err(
                self.unsupported("a chunk index of type B-tree v2 (several unlimited dimensions)".into())
            );
        }
        self.coverage(chunk, shape)?;
        let band_rows = usize::try_from(chunk[0]).unwrap_or(usize::MAX).min(shape[0]);
        match band_rows.checked_mul(row_bytes) {
            Some(band) if band <= BAND_BYTES_MAX => Ok((band_rows, (KEPT_BYTES / band).max(1))),
            _ => Err(self.unsupported(format!("chunks over {band_rows} rows of {row_bytes} bytes"))),
        }
    }

    fn filters(&self) -> Result<()> {
        let pipeline = self.stored.filter_pipeline();
        match pipeline.iter().find(|f| !FILTERS_READ.contains(&f.id)) {
            None => Ok(()),
            Some(filter) => {
                let text = filter.to_string();
                let name = text.split(['(', ' ']).next().unwrap_or_default();
                Err(self.unsupported(format!("filter {name} (number {})", filter.id)))
            }
        }
    }

    /// Every chunk of the grid is stored exactly once, inside the file.
    fn coverage(&self, chunk: &[u64], shape: &[usize]) -> Result<()> {
        let grid: Vec<u64> = shape.iter().zip(chunk).map(|(&n, &c)| (n as u64).div_ceil(c)).collect();
        let expected = grid.iter().try_fold(1u64, |n, &d| n.checked_mul(d)).filter(|&n| n <= self.file_bytes);
        let Some(expected) = expected else {
            return Err(self.broken(
                format!("chunks that fit a file of {} bytes", self.file_bytes),
                format!("a grid of {grid:?} chunks"),
            ));
        };
        let chunks = self.stored.chunks().map_err(|e| self.unreadable(e))?;
        let mut seen = vec![false; usize::try_from(expected).unwrap_or(0)];
        for stored in &chunks {
            match self.find_place(stored, chunk, &grid) {
                Some(place) if !seen[place] => seen[place] = true,
                _ => {
                    return Err(
                        self.broken("one chunk at each place of the grid".into(), format!("{stored:?}"))
                    );
                }
            }
        }
        match seen.iter().filter(|&&s| !s).count() {
            0 => Ok(()),
            n => Err(self.broken("written data".into(), format!("{n} of {expected} chunks never written"))),
        }
    }

    /// Number of a stored chunk in the grid, if it is in the grid and in the file.
    fn find_place(&self, stored: &Chunk, chunk: &[u64], grid: &[u64]) -> Option<usize> {
        let end = stored.address.checked_add(stored.storage_size)?;
        if end > self.file_bytes || stored.offset.len() != grid.len() {
            return None;
        }
        let mut place = 0u64;
        for ((&offset, &size), &count) in stored.offset.iter().zip(chunk).zip(grid) {
            if offset % size != 0 || offset / size >= count {
                return None;
            }
            place = place * count + offset / size;
        }
        usize::try_from(place).ok()
    }

    fn unreadable(&self, error: hdf5_pure::Error) -> Error {
        convert_error(self.path, &format!("a readable array {:?}", self.name), error)
    }

    fn broken(&self, expected: String, found: String) -> Error {
        let expected = format!("array {:?} with {expected}", self.name);
        ParseError::file(expected, found).in_file(self.path)
    }

    fn unsupported(&self, what: String) -> Error {
        Error::Unsupported {
            path: self.path.to_owned(),
            what: format!("{what} of array {:?}", self.name),
            instead: "store the array anew as plain or gzip-compressed f32, f64 or integers".into(),
        }
    }
}
