//! The number types of HDF5 arrays that are read here, and their decoding from stored bytes.

use hdf5_pure::{Datatype, DatatypeByteOrder};

/// A plain number as stored: a standard integer or IEEE float, of either byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct H5Number {
    kind: H5NumberKind,
    size: usize,
    big_endian: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum H5NumberKind {
    Float,
    Signed,
    Unsigned,
}

impl H5Number {
    /// The number that `datatype` describes, or `None` if it is no plain number of 1 to 8 bytes.
    pub(super) fn from_datatype(datatype: &Datatype) -> Option<Self> {
        let mut little = datatype.clone();
        let (Datatype::FixedPoint { byte_order, .. } | Datatype::FloatingPoint { byte_order, .. }) =
            &mut little
        else {
            return None;
        };
        let big_endian = *byte_order == DatatypeByteOrder::BigEndian;
        if big_endian {
            *byte_order = DatatypeByteOrder::LittleEndian;
        }
        // Equality includes bit offsets, precision and exponent bias, so types of odd layout fall through.
        let (_, kind, size) = standard_types().into_iter().find(|(standard, ..)| *standard == little)?;
        Some(Self { kind, size, big_endian })
    }

    /// Bytes of one element.
    pub(super) fn size(self) -> usize {
        self.size
    }

    /// All elements of `bytes` as f64.
    pub(super) fn reals(self, bytes: &[u8]) -> Vec<f64> {
        bytes.chunks_exact(self.size).map(|raw| self.real(self.word(raw))).collect()
    }

    /// All elements of `bytes` as i64, or what stands there instead of a whole number in range.
    pub(super) fn integers(self, bytes: &[u8]) -> Result<Vec<i64>, String> {
        bytes.chunks_exact(self.size).map(|raw| self.integer(self.word(raw))).collect()
    }

    /// The bits of one element, in the low bytes.
    fn word(self, raw: &[u8]) -> u64 {
        let push = |word: u64, &byte: &u8| word << 8 | u64::from(byte);
        if self.big_endian { raw.iter().fold(0, push) } else { raw.iter().rev().fold(0, push) }
    }

    fn real(self, word: u64) -> f64 {
        match (self.kind, self.size) {
            (H5NumberKind::Float, 4) => f64::from(f32::from_bits(word as u32)),
            (H5NumberKind::Float, _) => f64::from_bits(word),
            (H5NumberKind::Signed, _) => self.signed(word) as f64,
            (H5NumberKind::Unsigned, _) => word as f64,
        }
    }

    fn integer(self, word: u64) -> Result<i64, String> {
        match self.kind {
            H5NumberKind::Signed => Ok(self.signed(word)),
            H5NumberKind::Unsigned => i64::try_from(word).map_err(|_| word.to_string()),
            H5NumberKind::Float => {
                let x = self.real(word);
                // 2^53: up to here every whole number is exact.
                let whole = x.fract() == 0.0 && x.abs() <= 9_007_199_254_740_992.0;
                if whole { Ok(x as i64) } else { Err(x.to_string()) }
            }
        }
    }

    /// Sign extension from `size` bytes.
    fn signed(self, word: u64) -> i64 {
        let unused = 64 - 8 * self.size as u32;
        ((word << unused) as i64) >> unused
    }
}

/// Every type that is read, in its little-endian form.
fn standard_types() -> [(Datatype, H5NumberKind, usize); 10] {
    [
        (hdf5_pure::make_f32_type(), H5NumberKind::Float, 4),
        (hdf5_pure::make_f64_type(), H5NumberKind::Float, 8),
        (hdf5_pure::make_i8_type(), H5NumberKind::Signed, 1),
        (hdf5_pure::make_i16_type(), H5NumberKind::Signed, 2),
        (hdf5_pure::make_i32_type(), H5NumberKind::Signed, 4),
        (hdf5_pure::make_i64_type(), H5NumberKind::Signed, 8),
        (hdf5_pure::make_u8_type(), H5NumberKind::Unsigned, 1),
        (hdf5_pure::make_u16_type(), H5NumberKind::Unsigned, 2),
        (hdf5_pure::make_u32_type(), H5NumberKind::Unsigned, 4),
        (hdf5_pure::make_u64_type(), H5NumberKind::Unsigned, 8),
    ]
}
