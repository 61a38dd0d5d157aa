//! PCD (Point Cloud Library): a text header, then rows as text, bytes or LZF-compressed columns.
//!
//! Fields are taken by name (`x y z`, `normal_x..`, packed `rgb`/`rgba` or `r g b`, `intensity`,
//! `label`); all others, padding (`_`) and `COUNT` above 1 included, are stepped over. The
//! sensor pose (`VIEWPOINT`) is not applied, as in most readers; a warning says so where it is one. Rows that are
//! not finite are dropped with a warning.

mod header;
mod packed;
#[cfg(test)]
mod tests;

use jepa3d_schemas::{PointCloud, Warning, WarningKind};

use self::header::{PcdData, PcdField, PcdHeader};
use self::packed::PackedColors;
use super::ascii::{Lines, fields, number, quote};
use super::colors::ColorType;
use super::column_names::{ColumnRole, NamedColumns};
use super::columns::Columns;
use super::lzf;
use super::parsed::Parsed;
use crate::budget::Budget;
use crate::error::{FilePlace, ParseError};

/// Reads a PCD file within the default budget.
///
/// # Errors
/// Fails if the header is incomplete or contradicts itself, x, y or z is missing, the data is
/// shorter than the header says, or no finite point is left.
pub fn parse(bytes: &[u8]) -> Result<Parsed<PointCloud>, ParseError> {
    parse_within(bytes, &Budget::default())
}

/// Reads a PCD file.
///
/// # Errors
/// Fails as [`parse`] does, or if the budget does not suffice.
pub(crate) fn parse_within(bytes: &[u8], budget: &Budget) -> Result<Parsed<PointCloud>, ParseError> {
    let mut lines = Lines::new(bytes);
    let header = PcdHeader::read(&mut lines)?;
    let mut reader = PcdReader::new(&header)?;
    match header.data {
        PcdData::Ascii => reader.read_text(lines, budget)?,
        PcdData::Binary => {
            let body = lines.rest();
            let needed = header.body_bytes()?;
            let rows = body.get(..needed).ok_or_else(|| {
                ParseError::file(format!("{needed} bytes of data"), format!("{}", body.len()))
            })?;
            reader.warn_of_rest(&body[needed..]);
            reader.read_binary(&PcdLayout { body: rows, is_columnar: false }, budget)?;
        }
        PcdData::Compressed => {
            let body = decompress(&header, bytes.len() - lines.rest().len(), lines.rest(), budget)?;
            reader.read_binary(&PcdLayout { body: &body, is_columnar: true }, budget)?;
        }
    }
    let PcdReader { columns, color_type, warnings, .. } = reader;
    let mut parsed = columns.into_cloud(color_type)?;
    parsed.warnings.splice(0..0, warnings);
    Ok(parsed)
}

/// Where binary data has its rows.
struct PcdLayout<'a> {
    body: &'a [u8],
    /// Field after field (`binary_compressed`) instead of row after row.
    is_columnar: bool,
}

/// What a field of the rows means.
#[derive(Clone, Copy, PartialEq)]
enum FieldUse {
    Number(ColumnRole),
    PackedColor,
    PassOver,
}

/// The columns of a file while they are read.
struct PcdReader<'a> {
    header: &'a PcdHeader,
    uses: Vec<FieldUse>,
    columns: Columns,
    color_type: ColorType,
    warnings: Vec<Warning>,
}

impl<'a> PcdReader<'a> {
    /// Decides what each field means.
    ///
    /// # Errors
    /// Fails if x, y or z is missing.
    fn new(header: &'a PcdHeader) -> Result<Self, ParseError> {
        let names: Vec<Option<&str>> =
            header.fields.iter().map(|f| (f.count == 1).then_some(f.name.as_str())).collect();
        let named = NamedColumns::from_names(&names);
        named.require_position(&header.fields.iter().map(|f| Some(f.name.as_str())).collect::<Vec<_>>())?;
        let NamedColumns { roles, mut warnings } = named;
        let use_of = |(field, role): (&PcdField, &Option<ColumnRole>)| match role {
            _ if field.is_packed_color() => FieldUse::PackedColor,
            Some(role) => FieldUse::Number(*role),
            None => FieldUse::PassOver,
        };
        let uses: Vec<FieldUse> = header.fields.iter().zip(&roles).map(use_of).collect();
        warnings.extend(header.fields.iter().zip(&uses).filter_map(|(field, of)| warn_of_form(field, *of)));
        if header.is_posed {
            let text = "the sensor pose (VIEWPOINT) is not applied: points stay in the frame of the file";
            warnings.push(Warning::new(WarningKind::ViewpointIgnored, text));
        }
        let red = uses.iter().position(|of| *of == FieldUse::Number(ColumnRole::R));
        let color_type = red.map_or(ColorType::Byte, |at| header.fields[at].scalar.color_type());
        Ok(Self { header, uses, columns: Columns::default(), color_type, warnings })
    }

    fn charge(&self, budget: &Budget) -> Result<(), ParseError> {
        let wanted = |of: &FieldUse| match of {
            FieldUse::Number(_) => 1,
            FieldUse::PackedColor => 4,
            FieldUse::PassOver => 0,
        };
        Columns::charge(budget, self.uses.iter().map(wanted).sum(), self.header.points)
    }

    fn push_packed(&mut self, packed: PackedColors) {
        if packed.whole_floats > 0 {
            let text = format!(
                "{} colours are declared as floats and written as whole numbers; these were read as packed",
                packed.whole_floats
            );
            self.warnings.push(Warning::new(WarningKind::ColorsGuessed, text));
        }
        if self.columns.get(ColumnRole::R).is_none() {
            self.color_type = packed.push_to(&mut self.columns);
        }
    }

    fn warn_of_rest(&mut self, rest: &[u8]) {
        if rest.len() >= self.header.row_bytes() && rest.iter().any(|b| *b != 0) {
            let text = format!("{} bytes after the last point are ignored", rest.len());
            self.warnings.push(Warning::new(WarningKind::BytesIgnored, text));
        }
    }

    /// Reads rows of text.
    ///
    /// # Errors
    /// Fails (naming the line) if there are too few, a row has another number of fields, or a field is no number.
    fn read_text(&mut self, mut lines: Lines<'_>, budget: &Budget) -> Result<(), ParseError> {
        let header = self.header;
        let width: usize = header.fields.iter().map(|f| f.count).sum();
        let longest = lines.rest().len() / (2 * width).max(1) + 1;
        if header.points > longest {
            let expected = format!("at most {longest} points in {} bytes", lines.rest().len());
            return Err(ParseError::file(expected, header.points.to_string()));
        }
        self.charge(budget)?;
        let mut wanted = Vec::new();
        let mut first = 0;
        for (field, of) in header.fields.iter().zip(&self.uses) {
            if *of != FieldUse::PassOver {
                wanted.push(WantedColumn::new(first, field, *of, header.points));
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
        if let Some((line, _)) = lines.next_content() {
            let text = format!("lines after the last point are ignored, from line {line}");
            self.warnings.push(Warning::new(WarningKind::BytesIgnored, text));
        }
        for WantedColumn { of, values, packed, .. } in wanted {
            match of {
                FieldUse::Number(role) => self.columns.push(role, values),
                _ => self.push_packed(packed),
            }
        }
        Ok(())
    }

    /// Takes the columns out of binary rows.
    ///
    /// # Errors
    /// Fails if the budget does not suffice.
    fn read_binary(&mut self, layout: &PcdLayout<'_>, budget: &Budget) -> Result<(), ParseError> {
        self.charge(budget)?;
        let header = self.header;
        let row_bytes = header.row_bytes();
        let mut offset = 0;
        for (i, field) in header.fields.iter().enumerate() {
            let stride = if layout.is_columnar { field.bytes() } else { row_bytes };
            let data = layout.body.get(offset..).unwrap_or_default();
            match self.uses[i] {
                FieldUse::Number(role) => {
                    self.columns.push(role, field.scalar.read_strided(data, stride, header.points));
                }
                FieldUse::PackedColor => {
                    self.push_packed(PackedColors::from_binary(field, data, stride, header.points));
                }
                FieldUse::PassOver => {}
            }
            offset += if layout.is_columnar { field.bytes() * header.points } else { field.bytes() };
        }
        Ok(())
    }
}

/// Says so if a field means something but is stored in a form that is not read.
fn warn_of_form(field: &PcdField, of: FieldUse) -> Option<Warning> {
    let is_color = matches!(field.name.as_str(), "rgb" | "rgba");
    let has_meaning = is_color || (field.count > 1 && ColumnRole::from_name(&field.name).is_some());
    let text = format!(
        "field {} of {} x {} bytes is not read",
        quote(field.name.as_bytes()),
        field.count,
        field.scalar.size
    );
    (has_meaning && of == FieldUse::PassOver).then(|| Warning::new(WarningKind::ColumnsIgnored, text))
}

/// A column of a text row that means something, and its values so far.
struct WantedColumn<'a> {
    column: usize,
    field: &'a PcdField,
    of: FieldUse,
    values: Vec<f64>,
    packed: PackedColors,
}

impl<'a> WantedColumn<'a> {
    fn new(column: usize, field: &'a PcdField, of: FieldUse, points: usize) -> Self {
        let packed_points = if of == FieldUse::PackedColor { points } else { 0 };
        let packed = PackedColors { bits: Vec::with_capacity(packed_points), whole_floats: 0 };
        Self { column, field, of, values: Vec::with_capacity(points - packed_points), packed }
    }

    fn push_word(&mut self, word: &[u8]) -> Option<()> {
        if self.of == FieldUse::PackedColor {
            return self.packed.push_word(self.field, word);
        }
        self.values.push(number(word)?);
        Some(())
    }
}

fn read_row(
    line: usize,
    text: &[u8],
    width: usize,
    wanted: &mut [WantedColumn<'_>],
) -> Result<(), ParseError> {
    let mut words = fields(text).enumerate();
    for column in wanted.iter_mut() {
        let word = words.by_ref().find(|(i, _)| *i == column.column).map(|(_, word)| word);
        let word = word.ok_or_else(|| ParseError::line(line, format!("{width} numbers"), quote(text)))?;
        column.push_word(word).ok_or_else(|| ParseError::line(line, "a number", quote(word)))?;
    }
    let rest = words.last().map(|(i, _)| i + 1);
    let last = wanted.last().map_or(0, |last| last.column + 1);
    if rest.unwrap_or(last) == width {
        return Ok(());
    }
    Err(ParseError::line(line, format!("{width} numbers"), quote(text)))
}

fn decompress(
    header: &PcdHeader,
    offset: usize,
    body: &[u8],
    budget: &Budget,
) -> Result<Vec<u8>, ParseError> {
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
    budget.charge(plain.min(lzf::longest_output(body.len())) as u64, "decompressed points")?;
    lzf::decompress(body, plain)
        .map_err(|byte| at(8 + byte, format!("LZF data of {plain} bytes"), "a broken stream".into()))
}
