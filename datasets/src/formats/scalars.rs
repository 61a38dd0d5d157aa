//! Numbers as binary files store them: kind, size and byte order, read at any stride.

use super::colors::ColorType;

/// What the bits of a stored number mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScalarKind {
    Float,
    Signed,
    Unsigned,
}

/// A stored number: floats of 2, 4 or 8 bytes, integers of 1, 2, 4 or 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScalarType {
    pub(super) kind: ScalarKind,
    /// Bytes of one.
    pub(super) size: usize,
    pub(super) big_endian: bool,
}

impl ScalarType {
    /// A little-endian float of 4 bytes.
    pub(super) const F32: Self = Self { kind: ScalarKind::Float, size: 4, big_endian: false };

    /// The type, if there is one of this kind and size.
    pub(super) fn new(kind: ScalarKind, size: usize, big_endian: bool) -> Option<Self> {
        let sizes: &[usize] = if kind == ScalarKind::Float { &[2, 4, 8] } else { &[1, 2, 4, 8] };
        sizes.contains(&size).then_some(Self { kind, size, big_endian })
    }

    /// What colours of this type range over.
    pub(super) fn color_type(self) -> ColorType {
        match (self.kind, self.size) {
            (ScalarKind::Float, _) => ColorType::Float,
            (ScalarKind::Unsigned, 1) => ColorType::Byte,
            (ScalarKind::Unsigned, 2) => ColorType::Word,
            _ => ColorType::Integer,
        }
    }

    /// Up to `count` values, each at the start of `stride` bytes; fewer if the data ends before.
    pub(super) fn read_strided(self, data: &[u8], stride: usize, count: usize) -> Vec<f64> {
        use ScalarKind::{Float, Signed, Unsigned};
        let rows = StridedRows { data, stride, count, big_endian: self.big_endian };
        match (self.kind, self.size) {
            (Float, 2) => rows.map(|b| f64_from_half(u16::from_le_bytes(b))),
            (Float, 4) => rows.map(|b| f64::from(f32::from_le_bytes(b))),
            (Float, _) => rows.map(f64::from_le_bytes),
            (Unsigned, 1) => rows.map(|b: [u8; 1]| f64::from(b[0])),
            (Unsigned, 2) => rows.map(|b| f64::from(u16::from_le_bytes(b))),
            (Unsigned, 4) => rows.map(|b| f64::from(u32::from_le_bytes(b))),
            (Unsigned, _) => rows.map(|b| u64::from_le_bytes(b) as f64),
            (Signed, 1) => rows.map(|b: [u8; 1]| f64::from(b[0] as i8)),
            (Signed, 2) => rows.map(|b| f64::from(i16::from_le_bytes(b))),
            (Signed, 4) => rows.map(|b| f64::from(i32::from_le_bytes(b))),
            (Signed, _) => rows.map(|b| i64::from_le_bytes(b) as f64),
        }
    }
}

/// Where the values of one column lie.
#[derive(Clone, Copy)]
struct StridedRows<'a> {
    data: &'a [u8],
    stride: usize,
    count: usize,
    big_endian: bool,
}

impl StridedRows<'_> {
    /// The values, made of their `N` bytes in little-endian order.
    fn map<const N: usize>(self, value: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        let rows = self.data.chunks(self.stride.max(1)).take(self.count);
        let mut values = Vec::with_capacity(rows.len());
        let words = rows.filter_map(|row| row.first_chunk::<N>().copied());
        if self.big_endian {
            values.extend(words.map(|mut bytes| {
                bytes.reverse();
                value(bytes)
            }));
        } else {
            values.extend(words.map(value));
        }
        values
    }
}

/// The value of IEEE half precision bits.
fn f64_from_half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let size = match exponent {
        0 => libm::ldexp(fraction, -24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => libm::ldexp(fraction + 1024.0, exponent - 25),
    };
    if bits >> 15 == 1 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_both_byte_orders() {
        use ScalarKind::{Float, Signed, Unsigned};
        for (kind, size, little, value) in [
            (Float, 2, &[0, 0x3C][..], 1.0),
            (Float, 2, &[1, 0], libm::ldexp(1.0, -24)),
            (Float, 2, &[0, 0xFC], f64::NEG_INFINITY),
            (Float, 4, &1.5f32.to_le_bytes(), 1.5),
            (Float, 8, &(-2.5f64).to_le_bytes(), -2.5),
            (Signed, 1, &[0xFF], -1.0),
            (Signed, 2, &[0xFE, 0xFF], -2.0),
            (Signed, 4, &(-3i32).to_le_bytes(), -3.0),
            (Signed, 8, &(-4i64).to_le_bytes(), -4.0),
            (Unsigned, 1, &[0xFF], 255.0),
            (Unsigned, 2, &[0xFF, 0xFF], 65535.0),
            (Unsigned, 4, &u32::MAX.to_le_bytes(), 4_294_967_295.0),
            (Unsigned, 8, &7u64.to_le_bytes(), 7.0),
        ] {
            for big_endian in [false, true] {
                let scalar = ScalarType::new(kind, size, big_endian).unwrap();
                let mut bytes = little.to_vec();
                if big_endian {
                    bytes.reverse();
                }
                let two = [&bytes[..], &[9], &bytes[..]].concat();
                assert_eq!(scalar.read_strided(&two, size + 1, 9), [value; 2], "{scalar:?}");
            }
        }
        assert_eq!(ScalarType::new(Float, 1, false), None);
        assert_eq!(ScalarType::new(Unsigned, 3, false), None);
    }
}
