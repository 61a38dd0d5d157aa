//! Colours in the bits of one number (`0xAARRGGBB`), which files declare as a float or an integer.
//!
//! A float cannot hold all of them: with an alpha of 255 most are NaN, whose bits text loses. What is lost is unknown.

use super::header::PcdField;
use crate::formats::ascii::{integer, number};
use crate::formats::colors::ColorType;
use crate::formats::column_names::ColumnRole;
use crate::formats::columns::Columns;
use crate::formats::scalars::{ScalarKind, ScalarType};

/// The NaN that arithmetic gives on most machines.
const NAN: u32 = 0x7FC0_0000;

/// The NaN that it gives on x86; also the bits of an opaque dark red.
const NEGATIVE_NAN: u32 = 0xFFC0_0000;

/// The bits of packed colours, NaN where they are unknown.
#[derive(Debug, Default)]
pub(super) struct PackedColors {
    pub(super) bits: Vec<f64>,
    /// Colours declared as floats but written as whole numbers.
    pub(super) whole_floats: usize,
}

impl PackedColors {
    /// The colours of binary data whose numbers start every `stride` bytes.
    pub(super) fn from_binary(field: &PcdField, data: &[u8], stride: usize, points: usize) -> Self {
        let word = ScalarType { kind: ScalarKind::Unsigned, ..field.scalar };
        let mut bits = word.read_strided(data, stride, points);
        if field.scalar.kind == ScalarKind::Float {
            let is_opaque = |v: &f64| (*v as u32) >> 24 == 0xFF && *v as u32 != NEGATIVE_NAN;
            let may_be_red = bits.iter().any(is_opaque);
            for v in &mut bits {
                if *v as u32 == NAN || (*v as u32 == NEGATIVE_NAN && !may_be_red) {
                    *v = f64::NAN;
                }
            }
        }
        Self { bits, whole_floats: 0 }
    }

    /// Adds the colour that a word of text spells; `None` if it is no number.
    pub(super) fn push_word(&mut self, field: &PcdField, word: &[u8]) -> Option<()> {
        let is_float = field.scalar.kind == ScalarKind::Float;
        if let Some(whole) = integer::<i64>(word) {
            self.whole_floats += usize::from(is_float && whole != 0);
            let signed = i32::try_from(whole).map(|v| v as u32);
            let bits = signed.or_else(|_| u32::try_from(whole));
            self.bits.push(bits.map_or(f64::NAN, f64::from));
            return Some(());
        }
        let value = number(word)?;
        // Digits of an integer that were cut to a power of ten are lost, as are the bits of a NaN.
        let is_lost = !value.is_finite() || (!is_float && value.fract() == 0.0);
        self.bits.push(if is_lost { f64::NAN } else { f64::from((value as f32).to_bits()) });
        Some(())
    }

    /// Adds red, green and blue to the columns; they are of this type then.
    pub(super) fn push_to(self, columns: &mut Columns) -> ColorType {
        for (role, shift) in [(ColumnRole::R, 16), (ColumnRole::G, 8), (ColumnRole::B, 0)] {
            let channel =
                |v: &f64| if v.is_nan() { f64::NAN } else { f64::from(((*v as u32) >> shift) as u8) };
            columns.push(role, self.bits.iter().map(channel).collect());
        }
        ColorType::Byte
    }
}
