//! The header of a PCD file: its fields, the number of points, and how they are stored.

use crate::error::ParseError;
use crate::formats::ascii::{Lines, fields, integer, number, quote};
use crate::formats::scalars::{ScalarKind, ScalarType};

/// The most values of one field in a row.
const MAX_COUNT: usize = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum PcdData {
    Ascii,
    Binary,
    Compressed,
}

#[derive(Clone, Debug)]
pub(super) struct PcdField {
    pub(super) name: String,
    pub(super) scalar: ScalarType,
    pub(super) count: usize,
}

impl PcdField {
    /// Bytes of the field in a row.
    pub(super) fn bytes(&self) -> usize {
        self.scalar.size * self.count
    }

    /// Whether it holds a colour in the bits of one number.
    pub(super) fn is_packed_color(&self) -> bool {
        matches!(self.name.as_str(), "rgb" | "rgba") && self.scalar.size == 4 && self.count == 1
    }
}

#[derive(Debug)]
pub(super) struct PcdHeader {
    pub(super) fields: Vec<PcdField>,
    pub(super) points: usize,
    pub(super) data: PcdData,
    /// Whether the sensor had another pose than that of the points' frame.
    pub(super) is_posed: bool,
}

/// Header lines as they stand, before they are checked against each other.
#[derive(Default)]
struct RawPcdHeader<'a> {
    names: Vec<&'a [u8]>,
    sizes: Option<Vec<usize>>,
    kinds: Option<Vec<&'a [u8]>>,
    counts: Option<Vec<usize>>,
    width: Option<usize>,
    height: Option<usize>,
    points: Option<usize>,
    is_posed: bool,
}

impl PcdHeader {
    /// Reads the lines up to `DATA`.
    ///
    /// # Errors
    /// Fails (naming the line) if one is unknown, is missing or contradicts another.
    pub(super) fn read(lines: &mut Lines<'_>) -> Result<Self, ParseError> {
        let mut raw = RawPcdHeader::default();
        while let Some((line, text)) = lines.next_content() {
            let mut words = fields(text);
            let key = words.next().unwrap_or_default();
            let wrong = || ParseError::line(line, "whole numbers", quote(text));
            match key {
                b"VERSION" => {}
                b"VIEWPOINT" => raw.is_posed = is_pose(words),
                b"FIELDS" | b"COLUMNS" => raw.names = words.collect(),
                b"TYPE" => raw.kinds = Some(words.collect()),
                b"SIZE" => raw.sizes = Some(words.map(integer).collect::<Option<_>>().ok_or_else(wrong)?),
                b"COUNT" => raw.counts = Some(words.map(integer).collect::<Option<_>>().ok_or_else(wrong)?),
                b"WIDTH" => raw.width = Some(words.next().and_then(integer).ok_or_else(wrong)?),
                b"HEIGHT" => raw.height = Some(words.next().and_then(integer).ok_or_else(wrong)?),
                b"POINTS" => raw.points = Some(words.next().and_then(integer).ok_or_else(wrong)?),
                b"DATA" => return raw.check(line, parse_data(line, words.next().unwrap_or_default())?),
                _ => return Err(ParseError::line(line, "a PCD header line", quote(text))),
            }
        }
        Err(ParseError::file("a PCD header that ends with a DATA line", "the end of the file"))
    }

    /// Bytes of a row.
    pub(super) fn row_bytes(&self) -> usize {
        self.fields.iter().map(PcdField::bytes).sum()
    }

    /// Bytes of all rows.
    ///
    /// # Errors
    /// Fails if that is beyond the address space.
    pub(super) fn body_bytes(&self) -> Result<usize, ParseError> {
        self.row_bytes()
            .checked_mul(self.points)
            .ok_or_else(|| ParseError::file("a number of points that fits the file", self.points.to_string()))
    }
}

impl RawPcdHeader<'_> {
    fn check(self, line: usize, data: PcdData) -> Result<PcdHeader, ParseError> {
        let n = self.names.len();
        let sizes = self.sizes.unwrap_or_else(|| vec![4; n]);
        let kinds = self.kinds.unwrap_or_else(|| vec![b"F"; n]);
        let counts = self.counts.unwrap_or_else(|| vec![1; n]);
        if n == 0 || [sizes.len(), kinds.len(), counts.len()] != [n; 3] {
            let found = format!("{n}, {}, {} and {}", sizes.len(), kinds.len(), counts.len());
            return Err(ParseError::line(line, "FIELDS, SIZE, TYPE and COUNT of one length above it", found));
        }
        let mut fields = Vec::with_capacity(n);
        for (i, name) in self.names.iter().enumerate() {
            let (size, kind) = (sizes[i], kinds[i]);
            let Some(scalar) = parse_scalar(kind, size).filter(|_| counts[i] <= MAX_COUNT) else {
                let found = format!("{} {size} x {} of field {}", quote(kind), counts[i], quote(name));
                return Err(ParseError::line(line, "a field of TYPE F, I or U and SIZE 1, 2, 4 or 8", found));
            };
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            fields.push(PcdField { name, scalar, count: counts[i] });
        }
        let product = self.width.zip(self.height.or(Some(1))).and_then(|(w, h)| w.checked_mul(h));
        let points = match (self.points, product) {
            (Some(points), Some(product)) if points != product => {
                let expected = format!("POINTS = WIDTH x HEIGHT = {product}");
                return Err(ParseError::line(line, expected, points.to_string()));
            }
            (points, product) => points.or(product),
        };
        let points = points.ok_or_else(|| ParseError::line(line, "POINTS above it", "none"))?;
        Ok(PcdHeader { fields, points, data, is_posed: self.is_posed })
    }
}

fn parse_data(line: usize, name: &[u8]) -> Result<PcdData, ParseError> {
    match name {
        b"ascii" => Ok(PcdData::Ascii),
        b"binary" => Ok(PcdData::Binary),
        b"binary_compressed" => Ok(PcdData::Compressed),
        _ => Err(ParseError::line(line, "DATA ascii, binary or binary_compressed", quote(name))),
    }
}

fn parse_scalar(kind: &[u8], size: usize) -> Option<ScalarType> {
    let kind = match kind {
        b"F" if size == 4 || size == 8 => ScalarKind::Float,
        b"I" => ScalarKind::Signed,
        b"U" => ScalarKind::Unsigned,
        _ => return None,
    };
    ScalarType::new(kind, size, false)
}

/// Whether a sensor pose (position, then a quaternion w, x, y, z) moves or turns anything.
fn is_pose<'a>(words: impl Iterator<Item = &'a [u8]>) -> bool {
    let values: Vec<f64> = words.filter_map(number).collect();
    let [x, y, z, _w, i, j, k] = values[..] else { return !values.is_empty() };
    [x, y, z, i, j, k].iter().any(|v| *v != 0.0)
}
