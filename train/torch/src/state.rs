//! Named tensors as a file holds them: bytes, element type and shape, never computed with.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Element types that both PyTorch files and safetensors know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ElementType {
    F64,
    F32,
    F16,
    BF16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

impl ElementType {
    /// Bytes of an element.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::BF16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }
}

/// A tensor: little-endian elements, the last dimension running fastest.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TensorData {
    /// Type of the elements.
    pub element: ElementType,
    /// Elements each dimension; empty for a scalar.
    pub shape: Vec<usize>,
    /// The elements; tensors that are one in memory share them.
    pub bytes: Arc<Vec<u8>>,
}

impl TensorData {
    /// A tensor of 32-bit floats.
    ///
    /// # Panics
    /// If the values do not fill the shape.
    pub(crate) fn from_f32(shape: &[usize], values: &[f32]) -> Self {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "values fill the shape");
        let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        Self { element: ElementType::F32, shape: shape.to_vec(), bytes: Arc::new(bytes) }
    }

    /// The elements as 32-bit floats: exact for halves, rounded for doubles, `None` for integers.
    pub(crate) fn to_f32(&self) -> Option<Vec<f32>> {
        let word = |b: &[u8]| u16::from_le_bytes([b[0], b[1]]);
        let size = self.element.size();
        let each =
            |convert: &dyn Fn(&[u8]) -> f32| Some(self.bytes.chunks_exact(size).map(convert).collect());
        match self.element {
            ElementType::F32 => each(&|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
            ElementType::F64 => {
                each(&|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32)
            }
            ElementType::BF16 => each(&|b| f32::from_bits(u32::from(word(b)) << 16)),
            ElementType::F16 => each(&|b| f32_from_half(word(b))),
            _ => None,
        }
    }
}

/// The value of an IEEE half, which a float holds exactly.
fn f32_from_half(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let (exponent, fraction) = (u32::from(half >> 10 & 0x1f), u32::from(half & 0x3ff));
    match exponent {
        // Subnormal: a multiple of 2^-24.
        0 => f32::from_bits(sign | (fraction as f32 * f32::from_bits(0x3380_0000)).to_bits()),
        31 => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

/// Tensors by name.
pub(crate) type StateDict = BTreeMap<String, TensorData>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_exact() {
        let bits = |half: u16| f32_from_half(half).to_bits();
        let cases =
            [(0x0000, 0.0), (0x3c00, 1.0), (0xc500, -5.0), (0x7bff, 65504.0), (0x0001, 5.960_464_5e-8)];
        for (half, value) in cases {
            assert_eq!(bits(half), f32::to_bits(value), "{half:#06x}");
        }
        assert_eq!((bits(0x8000), bits(0x7c00)), ((-0.0_f32).to_bits(), f32::INFINITY.to_bits()));
        assert!(f32_from_half(0x7e00).is_nan());
        // Every finite half: scaled by powers of two from its own bits.
        for half in 0..0x7c00_u16 {
            let (exponent, fraction) = (i32::from(half >> 10), f64::from(half & 0x3ff));
            let value = if exponent == 0 {
                fraction * 2.0_f64.powi(-24)
            } else {
                (1.0 + fraction / 1024.0) * 2.0_f64.powi(exponent - 15)
            };
            assert_eq!(f64::from(f32_from_half(half)), value, "{half:#06x}");
        }
    }

    #[test]
    fn values_of_every_type() {
        let tensor =
            |element, bytes: &[u8]| TensorData { element, shape: vec![1], bytes: Arc::new(bytes.to_vec()) };
        assert_eq!(tensor(ElementType::BF16, &[0x80, 0x3f]).to_f32(), Some(vec![1.0]));
        assert_eq!(tensor(ElementType::F64, &0.1_f64.to_le_bytes()).to_f32(), Some(vec![0.1]));
        assert_eq!(tensor(ElementType::I32, &[1, 0, 0, 0]).to_f32(), None);
        let floats = TensorData::from_f32(&[2], &[1.5, -2.0]);
        assert_eq!(floats.to_f32(), Some(vec![1.5, -2.0]));
    }
}
