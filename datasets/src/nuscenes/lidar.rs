//! Parses nuScenes lidar files: `.pcd.bin`, which is not PCD but bare little-endian f32 rows.
//!
//! A row is x, y, z (metres, lidar frame: x right, y forward, z up), intensity (0 to 255), ring
//! (0 to 31). There is no header; the number of points is the file length over 20.

use std::path::Path;

use crate::budget::Budget;
use crate::error::{ParseError, Result};
use crate::files::read_file;

/// Bytes of a row: x, y, z, intensity, ring.
const ROW: usize = 20;

/// One sweep of the lidar, in its own frame.
///
/// # Shapes
/// `positions [P,3]`, `intensity [P]`, `rows [P]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LidarSweep {
    /// Points in metres.
    pub positions: Vec<[f64; 3]>,
    /// Return intensity of each point.
    pub intensity: Vec<f32>,
    /// Row of the file of each point.
    pub rows: Vec<u32>,
    /// Rows left out because a coordinate or the intensity was not finite.
    pub dropped: usize,
}

/// The points of a `.pcd.bin` file.
///
/// # Errors
/// Fails if there are no bytes or their number is not a multiple of 20.
pub fn parse_lidar(bytes: &[u8]) -> Result<LidarSweep, ParseError> {
    if bytes.is_empty() || !bytes.len().is_multiple_of(ROW) {
        let expected = "rows of 5 little-endian f32 (x, y, z, intensity, ring), a multiple of 20 bytes";
        let found = format!("{} bytes", bytes.len());
        return Err(ParseError::file(expected, found));
    }
    let count = bytes.len() / ROW;
    let mut sweep = LidarSweep {
        positions: Vec::with_capacity(count),
        intensity: Vec::with_capacity(count),
        rows: Vec::with_capacity(count),
        dropped: 0,
    };
    for (number, row) in bytes.chunks_exact(ROW).enumerate() {
        let value =
            |i: usize| f32::from_le_bytes([row[4 * i], row[4 * i + 1], row[4 * i + 2], row[4 * i + 3]]);
        let [x, y, z, intensity] = [value(0), value(1), value(2), value(3)];
        if [x, y, z, intensity].iter().all(|v| v.is_finite()) {
            sweep.positions.push([f64::from(x), f64::from(y), f64::from(z)]);
            sweep.intensity.push(intensity);
            sweep.rows.push(number as u32);
        } else {
            sweep.dropped += 1;
        }
    }
    Ok(sweep)
}

/// Bytes of memory that the points of a file of `length` bytes take.
pub(super) fn sweep_bytes(length: usize) -> u64 {
    (length / ROW * size_of::<([f64; 3], f32, u32)>()) as u64
}

/// The bytes of a lidar file; `expected` says what a missing one would have been.
///
/// # Errors
/// Fails if the file is missing or cannot be read, or if the budget does not suffice.
pub(super) fn read_lidar_file(path: &Path, expected: &str, budget: &Budget) -> Result<Vec<u8>> {
    read_file(path, budget).map_err(|error| error.or_missing(|| expected.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(rows: &[[f32; 5]]) -> Vec<u8> {
        rows.iter().flatten().flat_map(|v| v.to_le_bytes()).collect()
    }

    #[test]
    fn reads_rows_and_drops_the_ones_that_are_not_finite() {
        let rows = [
            [1.5, -2.0, 0.25, 17.0, 3.0],
            [f32::NAN, 0.0, 0.0, 1.0, 4.0],
            [0.0, 0.0, 0.0, f32::INFINITY, 5.0],
            [0.1, 0.0, -1e30, 0.0, f32::NAN],
        ];
        let sweep = parse_lidar(&bytes(&rows)).unwrap();
        assert_eq!(sweep.positions, vec![[1.5, -2.0, 0.25], [f64::from(0.1_f32), 0.0, f64::from(-1e30_f32)]]);
        assert_eq!(sweep.intensity, vec![17.0, 0.0]);
        assert_eq!((sweep.rows, sweep.dropped), (vec![0, 3], 2));
    }

    #[test]
    fn refuses_lengths_that_are_no_multiple_of_a_row() {
        for length in [0, 1, 19, 21, 39] {
            assert_eq!(
                parse_lidar(&vec![0; length]).unwrap_err().to_string(),
                format!(
                    "expected rows of 5 little-endian f32 (x, y, z, intensity, ring), a multiple of 20 bytes, \
                     found {length} bytes"
                )
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_points_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(sweep) = parse_lidar(&bytes) {
                prop_assert_eq!(sweep.positions.len() + sweep.dropped, bytes.len() / ROW);
                prop_assert_eq!(sweep.positions.len(), sweep.intensity.len());
                prop_assert_eq!(sweep.positions.len(), sweep.rows.len());
            }
        }
    }
}
