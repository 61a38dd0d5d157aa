//! Colours of 8 bits from numbers of any range: by their declared type, else by the values of the whole column.
//!
//! What cannot be told is no colour: the column is not kept, and a warning says why.

use jepa3d_schemas::{Warning, WarningKind};

/// What the numbers of a colour are declared to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ColorType {
    /// Unsigned, 8 bits: 0 to 255.
    Byte,
    /// Unsigned, 16 bits: 0 to 65535, unless none is above 255 (writers that kept 8 bits).
    Word,
    /// An integer of a type that no colour has: 0 to 255 or 0 to 65535.
    Integer,
    /// A float: 0 to 1, 0 to 255 or 0 to 65535.
    Float,
    /// Digits of no declared type: as a float, but zeros and ones alone may mean either range.
    Text,
}

/// Colours as they are stored, or why there are none.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ScaledColors {
    /// sRGB, one a row; `None` if they are unknown.
    pub(crate) colors: Option<Vec<[u8; 3]>>,
    /// What was guessed, or what is wrong with them.
    pub(crate) warning: Option<Warning>,
}

/// The step of a spherical harmonic of degree 0, which splats store their colour with.
const SH_DEGREE_0: f64 = 0.282_094_791_773_878_14;

/// Values this little outside 0 to 1 come from rounding.
const ROUNDING: f64 = 0.01;

/// Values between this and 1 + [`ROUNDING`] that are not whole belong to neither range.
const DIMMEST_BYTES: f64 = 16.0;

/// The least maximum that tells colours of 16 bits from those of 9 to 12 bits, whose range is not known.
const DIMMEST_WORDS: f64 = 4096.0;

/// What the values of a colour column range over.
struct ColorRange {
    lowest: f64,
    highest: f64,
    whole: bool,
    /// Rows with a value that is NaN or infinite.
    unknown: usize,
}

impl ColorRange {
    fn measure(rows: &[[f64; 3]], of: ColorType) -> Self {
        let mut range = Self { lowest: 0.0, highest: 0.0, whole: true, unknown: 0 };
        for row in rows {
            if !row.iter().all(|v| v.is_finite()) {
                range.unknown += 1;
                continue;
            }
            if of == ColorType::Byte {
                continue;
            }
            for &v in row {
                range.lowest = range.lowest.min(v);
                range.highest = range.highest.max(v);
                range.whole &= v.fract() == 0.0;
            }
        }
        range
    }

    /// How the values are scaled, or why that is not known.
    fn scale(&self, of: ColorType) -> Result<ColorScaling, &'static str> {
        use ColorType::{Byte, Float, Integer, Text, Word};
        let highest = self.highest;
        match of {
            _ if self.unknown > 0 => Err("are NaN or infinite"),
            Byte => Ok(ColorScaling::Byte),
            Word if highest > 255.0 || highest == 0.0 => Ok(ColorScaling::Word),
            Word => Ok(ColorScaling::ByteGuessed),
            _ if self.lowest < -ROUNDING => Err("are negative"),
            Float | Text if highest <= 1.0 || (!self.whole && highest <= 1.0 + ROUNDING) => {
                let either = of == Text && self.whole && highest > 0.0;
                Ok(if either { ColorScaling::UnitGuessed } else { ColorScaling::Unit })
            }
            Integer | Float | Text => match highest {
                _ if !self.whole && highest <= DIMMEST_BYTES => {
                    Err("are neither from 0 to 1 nor from 0 to 255")
                }
                ..=256.0 => Ok(ColorScaling::Byte),
                DIMMEST_WORDS..=65535.5 => Ok(ColorScaling::WordGuessed),
                _ => Err("are of an unknown range"),
            },
        }
    }
}

/// How numbers become colours of 8 bits.
#[derive(Clone, Copy, PartialEq)]
enum ColorScaling {
    Unit,
    UnitGuessed,
    Byte,
    ByteGuessed,
    Word,
    WordGuessed,
}

impl ColorScaling {
    fn bytes(self, rows: &[[f64; 3]]) -> Vec<[u8; 3]> {
        // `as` saturates.
        match self {
            Self::Unit | Self::UnitGuessed => map_channels(rows, |v| (v * 255.0).round() as u8),
            Self::Byte | Self::ByteGuessed => map_channels(rows, |v| v.round() as u8),
            // The upper byte: right for 8 bits times 256 (LAS) and for 8 bits times 257 (images) alike.
            Self::Word | Self::WordGuessed => map_channels(rows, |v| (v / 256.0) as u8),
        }
    }

    fn guess(self) -> Option<&'static str> {
        match self {
            Self::Unit | Self::Byte | Self::Word => None,
            Self::UnitGuessed => Some("colours of 0 and 1 only were read as from 0 to 1"),
            Self::ByteGuessed => Some("colours of 16 bits none of which is above 255 were read as of 8 bits"),
            Self::WordGuessed => Some("colours were read as of 16 bits"),
        }
    }
}

fn map_channels(rows: &[[f64; 3]], byte: impl Fn(f64) -> u8) -> Vec<[u8; 3]> {
    rows.iter().map(|row| row.map(&byte)).collect()
}

/// 8-bit colours of numeric ones.
pub(crate) fn bytes_from_colors(rows: &[[f64; 3]], of: ColorType) -> ScaledColors {
    let range = ColorRange::measure(rows, of);
    match range.scale(of) {
        Ok(scale) => {
            let guess = scale.guess().map(|guess| {
                Warning::new(WarningKind::ColorsGuessed, format!("{guess}; the highest is {}", range.highest))
            });
            ScaledColors { colors: Some(scale.bytes(rows)), warning: guess }
        }
        Err(reason) => {
            let found = match range.unknown {
                0 => format!("{} to {}", range.lowest, range.highest),
                unknown => format!("{unknown} of {}", rows.len()),
            };
            let text = format!("colours {reason} ({found}); none are kept");
            let warning = Warning::new(WarningKind::ColorsUnknown, text);
            ScaledColors { colors: None, warning: Some(warning) }
        }
    }
}

/// The colours of Gaussian splats as seen from all sides alike: the coefficients of degree 0.
pub(crate) fn bytes_from_harmonics(coefficients: &[[f64; 3]]) -> ScaledColors {
    let unit = |v: f64| if v.is_finite() { (0.5 + SH_DEGREE_0 * v).clamp(0.0, 1.0) } else { f64::NAN };
    let rows: Vec<[f64; 3]> = coefficients.iter().map(|row| row.map(unit)).collect();
    bytes_from_colors(&rows, ColorType::Float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ColorType::{Byte, Float, Integer, Text, Word};

    /// The colours, and the kind of the warning.
    fn scaled(rows: &[[f64; 3]], of: ColorType) -> (Option<Vec<[u8; 3]>>, Option<WarningKind>) {
        let ScaledColors { colors, warning } = bytes_from_colors(rows, of);
        (colors, warning.map(|w| w.kind))
    }

    #[test]
    fn declared_types_decide() {
        let one = |row, of| scaled(&[row], of);
        assert_eq!(one([0.0, 1.0, 255.0], Byte), (Some(vec![[0, 1, 255]]), None));
        for step in [256.0, 257.0] {
            let row = [200.0, 100.0, 50.0].map(|v| v * step);
            assert_eq!(one(row, Word), (Some(vec![[200, 100, 50]]), None));
            for of in [Integer, Float, Text] {
                assert_eq!(one(row, of), (Some(vec![[200, 100, 50]]), Some(WarningKind::ColorsGuessed)));
            }
        }
        assert_eq!(one([65535.0, 0.0, 300.0], Word), (Some(vec![[255, 0, 1]]), None));
        let eight = (Some(vec![[200, 100, 50]]), Some(WarningKind::ColorsGuessed));
        assert_eq!(one([200.0, 100.0, 50.0], Word), eight);
        assert_eq!(one([1.0, 0.0, 1.0], Integer), (Some(vec![[1, 0, 1]]), None));
        assert_eq!(one([1.0, 0.0, 1.0], Float), (Some(vec![[255, 0, 255]]), None));
        assert_eq!(one([1.0, 0.0, 1.0], Text), (Some(vec![[255, 0, 255]]), Some(WarningKind::ColorsGuessed)));
    }

    #[test]
    fn the_whole_column_decides_else() {
        for of in [Float, Text] {
            assert_eq!(scaled(&[[0.0, 0.5, 1.0]], of), (Some(vec![[0, 128, 255]]), None));
            assert_eq!(scaled(&[[-0.001, 0.5, 1.005]], of), (Some(vec![[0, 128, 255]]), None));
            assert_eq!(scaled(&[[0.0, 1.0, 0.0], [9.0, 1.0, 2.0]], of).0.unwrap(), [[0, 1, 0], [9, 1, 2]]);
            assert_eq!(scaled(&[[127.5, 20.25, 256.0]], of), (Some(vec![[128, 20, 255]]), None));
            for odd in [[0.2, 1.2, 0.0], [0.0, 0.0, 1023.0], [70000.0, 0.0, 0.0], [-1.0, 3.0, 0.0]] {
                assert_eq!(scaled(&[odd], of), (None, Some(WarningKind::ColorsUnknown)), "{odd:?}");
            }
        }
        assert_eq!(scaled(&[[-56.0, 0.0, 0.0]], Integer).0, None);
    }

    #[test]
    fn what_is_not_known_is_counted() {
        let rows = [[f64::NAN, 3.0, 2.0], [1.0, f64::INFINITY, 2.0], [1.0; 3]];
        let ScaledColors { colors, warning } = bytes_from_colors(&rows, Byte);
        assert_eq!(colors, None);
        assert_eq!(warning.unwrap(), "colours are NaN or infinite (2 of 3); none are kept");
        let warning = bytes_from_colors(&[[0.0, 0.0, 900.0]], Text).warning.unwrap();
        assert_eq!(warning, "colours are of an unknown range (0 to 900); none are kept");
    }

    #[test]
    fn splats_have_their_colour_at_degree_0() {
        let of = |rgb: [f64; 3]| rgb.map(|v| (v / 255.0 - 0.5) / SH_DEGREE_0);
        assert_eq!(bytes_from_harmonics(&[of([200.0, 100.0, 50.0])]).colors.unwrap(), [[200, 100, 50]]);
        assert_eq!(bytes_from_harmonics(&[[9.0, -9.0, 0.0]]).colors.unwrap(), [[255, 0, 128]]);
        assert_eq!(bytes_from_harmonics(&[[f64::NAN; 3]]).colors, None);
    }
}
