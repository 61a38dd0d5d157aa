//! PCD (Point Cloud Library): a text header, then rows as text, bytes or LZF-compressed columns.
//!
//! Fields are taken by name (`x y z`, `normal_x..`, packed `rgb`/`rgba` or `r g b`, `intensity`,
//! `label`); all others, padding (`_`) and `COUNT` above 1 included, are stepped over. The
//! sensor pose (`VIEWPOINT`) is not applied. Rows that are not finite are dropped with a warning.

use std::borrow::Cow;

use jepa3d_schemas::PointCloud;

use super::ascii::{Lines, fields, integer, number, quote};
use super::columns::{ColorScale, ColumnRole, Columns};
use super::lzf;
use super::parsed::Parsed;
use crate::error::{FilePlace, ParseError};

/// Reads a PCD file.
///
/// # Errors
/// Fails if the header is incomplete or contradicts itself, x, y or z is missing, the data is
/// shorter than the header says, or no finite point is left.
pub fn parse(bytes: &[u8]) -> Result<Parsed<PointCloud>, ParseError> {
    let mut lines = Lines::new(bytes);
    let header = PcdHeader::read(&mut lines)?;
    let mut columns = Columns::default();
    match header.data {
        PcdData::Ascii => push_ascii_columns(&header, lines, &mut columns)?,
        PcdData::Binary => {
            let body = lines.rest();
            let needed = header.body_bytes()?;
            let body = body.get(..needed).ok_or_else(|| {
                ParseError::file(format!("{needed} bytes of data"), format!("{}", body.len()))
            })?;
            let layout = PcdLayout { body, row_stride: header.row_bytes(), columnar: false };
            push_binary_columns(&header, &layout, &mut columns);
        }
        PcdData::Compressed => {
            let body = decompress(&header, bytes.len() - lines.rest().len(), lines.rest())?;
            push_binary_columns(
                &header,
                &PcdLayout { body: &body, row_stride: 0, columnar: true },
                &mut columns,
            );
        }
    }
    columns.into_cloud(ColorScale::Byte)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum PcdData {
    Ascii,
    Binary,
    Compressed,
}

#[derive(Clone, Debug)]
struct PcdField {
    name: String,
    size: usize,
    kind: u8,
    count: usize,
}

impl PcdField {
    fn bytes(&self) -> usize {
        self.size * self.count
    }

    fn is_packed_color(&self) -> bool {
        matches!(self.name.as_str(), "rgb" | "rgba") && self.size == 4 && self.count == 1
    }

    fn role(&self) -> Option<ColumnRole> {
        (self.count == 1).then(|| ColumnRole::from_name(&self.name)).flatten()
    }
}

#[derive(Debug)]
struct PcdHeader {
    fields: Vec<PcdField>,
    points: usize,
    data: PcdData,
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
}

impl PcdHeader {
    fn read(lines: &mut Lines<'_>) -> Result<Self, ParseError> {
        let mut raw = RawPcdHeader::default();
        while let Some((line, text)) = lines.next_content() {
            let mut words = fields(text);
            let key = words.next().unwrap_or_default();
            let wrong = || ParseError::line(line, "whole numbers", quote(text));
            match key {
                b"VERSION" | b"VIEWPOINT" => {}
                b"FIELDS" | b"COLUMNS" => raw.names = words.collect(),
                b"TYPE" => raw.kinds = Some(words.collect()),
                b"SIZE" => raw.sizes = Some(words.map(integer).collect::<Option<_>>().ok_or_else(wrong)?),
                b"COUNT" => raw.counts = Some(words.map(integer).collect::<Option<_>>().ok_or_else(wrong)?),
                b"WIDTH" => raw.width = Some(words.next().and_then(integer).ok_or_else(wrong)?),
                b"HEIGHT" => raw.height = Some(words.next().and_then(integer).ok_or_else(wrong)?),
                b"POINTS" => raw.points = Some(words.next().and_then(integer).ok_or_else(wrong)?),
                b"DATA" => {
                    let data = match words.next().unwrap_or_default() {
                        b"ascii" => PcdData::Ascii,
                        b"binary" => PcdData::Binary,
                        b"binary_compressed" => PcdData::Compressed,
                        _ => {
                            return Err(ParseError::line(
                                line,
                                "DATA ascii, binary or binary_compressed",
                                quote(text),
                            ));
                        }
                    };
                    return raw.check(line, data);
                }
                _ => return Err(ParseError::line(line, "a PCD header line", quote(text))),
            }
        }
        Err(ParseError::file("a PCD header that ends with a DATA line", "the end of the file"))
    }

    fn row_bytes(&self) -> usize {
        self.fields.iter().map(PcdField::bytes).sum()
    }

    fn body_bytes(&self) -> Result<usize, ParseError> {
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
            let legal = matches!((kind, size), (b"F", 4 | 8) | (b"I" | b"U", 1 | 2 | 4 | 8));
            if !legal || counts[i] > 1 << 20 {
                let found = format!("{} {size} x {} of field {}", quote(kind), counts[i], quote(name));
                return Err(ParseError::line(line, "a field of TYPE F, I or U and SIZE 1, 2, 4 or 8", found));
            }
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            fields.push(PcdField { name, size, kind: kind[0], count: counts[i] });
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
        Ok(PcdHeader { fields, points, data })
    }
}

/// One field's values, by what they mean.
fn push_field(columns: &mut Columns, field: &PcdField, values: Vec<f64>) {
    if field.is_packed_color() {
        for (role, shift) in [(ColumnRole::R, 16), (ColumnRole::G, 8), (ColumnRole::B, 0)] {
            columns.push(role, values.iter().map(|&v| f64::from(((v as u32) >> shift) as u8)).collect());
        }
    } else if let Some(role) = field.role() {
        columns.push(role, values);
    }
}

fn push_ascii_columns(
    header: &PcdHeader,
    mut lines: Lines<'_>,
    columns: &mut Columns,
) -> Result<(), ParseError> {
    let width: usize = header.fields.iter().map(|f| f.count).sum();
    let longest = lines.rest().len() / (2 * width).max(1) + 1;
    if header.points > longest {
        let expected = format!("at most {longest} points in {} bytes", lines.rest().len());
        return Err(ParseError::file(expected, header.points.to_string()));
    }
    let mut wanted = Vec::new();
    let mut first = 0;
    for field in &header.fields {
        if field.is_packed_color() || field.role().is_some() {
            wanted.push(WantedColumn { column: first, field, values: Vec::with_capacity(header.points) });
        }
        first += field.count;
    }
    for done in 0..header.points {
        let Some((line, text)) = lines.next_content() else {
            let found = format!("the end of the file after {done}");
            return Err(ParseError::line(lines.number(), format!("{} points", header.points), found));
        };
        read_row(line, text, width, &mut wanted)?;
    }
    for WantedColumn { field, values, .. } in wanted {
        push_field(columns, field, values);
    }
    Ok(())
}

/// A column of a text row that means something, and its values so far.
struct WantedColumn<'a> {
    column: usize,
    field: &'a PcdField,
    values: Vec<f64>,
}

fn read_row(
    line: usize,
    text: &[u8],
    width: usize,
    wanted: &mut [WantedColumn<'_>],
) -> Result<(), ParseError> {
    let mut words = fields(text).enumerate();
    for WantedColumn { column, field, values } in wanted.iter_mut() {
        let word = words.by_ref().find(|(i, _)| i == column).map(|(_, word)| word);
        let word = word.ok_or_else(|| ParseError::line(line, format!("{width} numbers"), quote(text)))?;
        let value = number(word).ok_or_else(|| ParseError::line(line, "a number", quote(word)))?;
        values.push(if field.is_packed_color() { packed_color(field, word, value) } else { value });
    }
    let rest = words.last().map(|(i, _)| i + 1);
    let last = wanted.last().map_or(0, |last| last.column + 1);
    if rest.unwrap_or(last) == width {
        return Ok(());
    }
    Err(ParseError::line(line, format!("{width} numbers"), quote(text)))
}

/// A packed colour in text: a whole number, or a float whose bits are the colour.
fn packed_color(field: &PcdField, word: &[u8], value: f64) -> f64 {
    match integer::<u32>(word) {
        Some(bits) if field.kind != b'F' || bits > 0 => f64::from(bits),
        _ => f64::from((value as f32).to_bits()),
    }
}

/// Where binary data has the values of a field.
struct PcdLayout<'a> {
    body: &'a [u8],
    row_stride: usize,
    /// Field after field (`binary_compressed`) instead of row after row.
    columnar: bool,
}

fn push_binary_columns(header: &PcdHeader, layout: &PcdLayout<'_>, columns: &mut Columns) {
    let mut offset = 0;
    for field in &header.fields {
        let stride = if layout.columnar { field.bytes() } else { layout.row_stride };
        if field.is_packed_color() || field.role().is_some() {
            let data = layout.body.get(offset..).unwrap_or_default();
            push_field(columns, field, decode_values(field, data, stride, header.points));
        }
        offset += if layout.columnar { field.bytes() * header.points } else { field.bytes() };
    }
}

/// `points` values, `stride` bytes apart.
fn decode_values(field: &PcdField, data: &[u8], stride: usize, points: usize) -> Vec<f64> {
    let packed = field.is_packed_color();
    match (field.kind, field.size) {
        (_, 4) if packed => read_strided(data, stride, points, |b| f64::from(u32::from_le_bytes(b))),
        (b'F', 4) => read_strided(data, stride, points, |b| f64::from(f32::from_le_bytes(b))),
        (b'F', _) => read_strided(data, stride, points, f64::from_le_bytes),
        (b'U', 1) => read_strided(data, stride, points, |b: [u8; 1]| f64::from(b[0])),
        (b'U', 2) => read_strided(data, stride, points, |b| f64::from(u16::from_le_bytes(b))),
        (b'U', 4) => read_strided(data, stride, points, |b| f64::from(u32::from_le_bytes(b))),
        (b'U', _) => read_strided(data, stride, points, |b| u64::from_le_bytes(b) as f64),
        (_, 1) => read_strided(data, stride, points, |b: [u8; 1]| f64::from(b[0] as i8)),
        (_, 2) => read_strided(data, stride, points, |b| f64::from(i16::from_le_bytes(b))),
        (_, 4) => read_strided(data, stride, points, |b| f64::from(i32::from_le_bytes(b))),
        _ => read_strided(data, stride, points, |b| i64::from_le_bytes(b) as f64),
    }
}

/// Values of `N` bytes, `stride` bytes apart.
fn read_strided<const N: usize>(
    data: &[u8],
    stride: usize,
    points: usize,
    value: impl Fn([u8; N]) -> f64,
) -> Vec<f64> {
    let rows = data.chunks(stride.max(1)).take(points);
    let mut values = Vec::with_capacity(rows.len());
    values.extend(rows.filter_map(|row| row.first_chunk::<N>().map(|b| value(*b))));
    values
}

fn decompress<'a>(header: &PcdHeader, offset: usize, body: &'a [u8]) -> Result<Cow<'a, [u8]>, ParseError> {
    let sizes = body.first_chunk::<8>().ok_or_else(|| {
        ParseError::new(
            FilePlace::Byte(offset as u64),
            "two sizes of 4 bytes",
            format!("{} bytes", body.len()),
        )
    })?;
    let compressed = u32::from_le_bytes([sizes[0], sizes[1], sizes[2], sizes[3]]) as usize;
    let plain = u32::from_le_bytes([sizes[4], sizes[5], sizes[6], sizes[7]]) as usize;
    let at = |byte: usize, expected: String, found: String| {
        ParseError::new(FilePlace::Byte((offset + byte) as u64), expected, found)
    };
    let needed = header.body_bytes()?;
    if plain != needed {
        return Err(at(4, format!("an uncompressed size of {needed} bytes"), plain.to_string()));
    }
    let body = &body[8..];
    let body = body
        .get(..compressed)
        .ok_or_else(|| at(0, format!("{compressed} compressed bytes"), format!("{} bytes", body.len())))?;
    let output = lzf::decompress(body, plain)
        .map_err(|byte| at(8 + byte, format!("LZF data of {plain} bytes"), "a broken stream".into()))?;
    Ok(Cow::Owned(output))
}
