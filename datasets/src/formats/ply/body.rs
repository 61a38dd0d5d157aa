//! The rows of a PLY file, number by number, from text or binary data.
//!
//! Lengths are checked against what is left of the file before anything is read or allocated.

use jepa3d_schemas::{Warning, WarningKind};

use super::header::{PlyElement, PlyEncoding, PlyHeader, PlyProperty, PlyScalar};
use crate::error::{FilePlace, ParseError};
use crate::formats::ascii::{Lines, quote, skip_blanks, take_number};

/// A position in the rows.
pub(super) struct PlyBody<'a> {
    encoding: PlyEncoding,
    /// Text: the lines behind the current one.
    lines: Lines<'a>,
    /// Text: what is left of the current line. Binary: what is left of the file.
    rest: &'a [u8],
    /// Numbers taken from the current text row.
    taken: usize,
    /// Bytes of the whole file.
    size: usize,
    /// Text rows with more numbers than properties, and the line of the first.
    long_rows: Option<(usize, usize)>,
}

impl<'a> PlyBody<'a> {
    /// The rows behind the header of a file of `size` bytes.
    pub(super) fn new(header: &PlyHeader<'a>, size: usize) -> Self {
        let (encoding, lines) = (header.encoding, header.rows.clone());
        let rest = if encoding == PlyEncoding::Ascii { &[] } else { lines.rest() };
        Self { encoding, size, lines, rest, taken: 0, long_rows: None }
    }

    fn place(&self) -> FilePlace {
        match self.encoding {
            PlyEncoding::Ascii => FilePlace::Line(self.lines.number()),
            _ => FilePlace::Byte((self.size - self.rest.len()) as u64),
        }
    }

    fn error(&self, expected: impl Into<String>, found: impl Into<String>) -> ParseError {
        ParseError::new(self.place(), expected, found)
    }

    /// Fails if the rows of an element cannot fit what is left of the file.
    pub(super) fn check_count(&self, element: &PlyElement) -> Result<(), ParseError> {
        let bytes = |p: &PlyProperty| p.list_count.unwrap_or(p.kind).size();
        let (left, shortest): (usize, usize) = match self.encoding {
            // A number and a blank for each property; the last line needs no line end.
            PlyEncoding::Ascii => (self.lines.rest().len() + 1, 2 * element.properties.len()),
            _ => (self.rest.len(), element.properties.iter().map(bytes).sum()),
        };
        let most = left / shortest.max(1);
        if element.count <= most {
            return Ok(());
        }
        let expected = format!("at most {most} elements {} in the rest of the file", element.name);
        Err(ParseError::line(element.line, expected, element.count.to_string()))
    }

    /// Steps over all rows of an element.
    pub(super) fn skip(&mut self, element: &PlyElement) -> Result<(), ParseError> {
        for _ in 0..element.count {
            self.begin_row(element)?;
            for property in &element.properties {
                self.skip_property(property)?;
            }
            self.end_row();
        }
        Ok(())
    }

    /// Goes to the next row and says where it is.
    pub(super) fn begin_row(&mut self, element: &PlyElement) -> Result<FilePlace, ParseError> {
        if self.encoding == PlyEncoding::Ascii {
            self.taken = 0;
            self.rest = loop {
                let Some((_, line)) = self.lines.next() else {
                    return Err(self.error(
                        format!("{} elements {}", element.count, element.name),
                        "the end of the file",
                    ));
                };
                if !line.is_empty() {
                    break line;
                }
            };
        }
        Ok(self.place())
    }

    /// Ends a row: numbers of a text row that no property asked for are passed over.
    pub(super) fn end_row(&mut self) {
        if self.encoding == PlyEncoding::Ascii {
            skip_blanks(&mut self.rest);
            if !self.rest.is_empty() {
                let line = self.lines.number();
                self.long_rows.get_or_insert((line, 0)).1 += 1;
            }
        }
    }

    /// One number.
    #[inline]
    pub(super) fn read_scalar(&mut self, kind: PlyScalar) -> Result<f64, ParseError> {
        match self.encoding {
            PlyEncoding::Ascii => self.read_text_scalar(),
            PlyEncoding::Little => self.read_binary_scalar(kind, false),
            PlyEncoding::Big => self.read_binary_scalar(kind, true),
        }
    }

    fn read_text_scalar(&mut self) -> Result<f64, ParseError> {
        let value = take_number(&mut self.rest).ok_or_else(|| {
            if self.rest.is_empty() {
                self.error(format!("{} values", self.taken + 1), self.taken.to_string())
            } else {
                self.error("a number", quote(self.rest))
            }
        })?;
        self.taken += 1;
        Ok(value)
    }

    fn read_binary_scalar(&mut self, kind: PlyScalar, big: bool) -> Result<f64, ParseError> {
        Ok(match kind {
            PlyScalar::I8 => f64::from(i8::from_le_bytes(self.take(big)?)),
            PlyScalar::U8 => f64::from(u8::from_le_bytes(self.take(big)?)),
            PlyScalar::I16 => f64::from(i16::from_le_bytes(self.take(big)?)),
            PlyScalar::U16 => f64::from(u16::from_le_bytes(self.take(big)?)),
            PlyScalar::I32 => f64::from(i32::from_le_bytes(self.take(big)?)),
            PlyScalar::U32 => f64::from(u32::from_le_bytes(self.take(big)?)),
            PlyScalar::F32 => f64::from(f32::from_le_bytes(self.take(big)?)),
            PlyScalar::F64 => f64::from_le_bytes(self.take(big)?),
        })
    }

    #[inline]
    fn take<const N: usize>(&mut self, big: bool) -> Result<[u8; N], ParseError> {
        let Some((head, tail)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.error(format!("{N} bytes more"), format!("{}", self.rest.len())));
        };
        self.rest = tail;
        let mut bytes = *head;
        if big {
            bytes.reverse();
        }
        Ok(bytes)
    }

    /// The length of a list, checked against what is left.
    pub(super) fn read_list_length(
        &mut self,
        count: PlyScalar,
        kind: PlyScalar,
    ) -> Result<usize, ParseError> {
        let length = self.read_scalar(count)?;
        let shortest = if self.encoding == PlyEncoding::Ascii { 2 } else { kind.size() };
        let most = (self.rest.len() + 1) / shortest;
        if length >= 0.0 && length.fract() == 0.0 && length <= most as f64 {
            return Ok(length as usize);
        }
        Err(self.error(format!("a list of at most {most} values"), length.to_string()))
    }

    /// Steps over one property of a row.
    pub(super) fn skip_property(&mut self, property: &PlyProperty) -> Result<(), ParseError> {
        let Some(count) = property.list_count else {
            return self.read_scalar(property.kind).map(|_| ());
        };
        for _ in 0..self.read_list_length(count, property.kind)? {
            self.read_scalar(property.kind)?;
        }
        Ok(())
    }

    /// What was odd about the rows, and whether something stands behind the last.
    pub(super) fn warnings(&mut self) -> Vec<Warning> {
        let long = self.long_rows.map(|(line, count)| {
            format!(
                "{count} rows have more numbers than properties; the rest is ignored, first on line {line}"
            )
        });
        let rest = match self.encoding {
            PlyEncoding::Ascii => self
                .lines
                .find(|(_, text)| !text.is_empty())
                .map(|(line, _)| format!("lines after the last element are ignored, from line {line}")),
            _ if self.rest.iter().any(|b| !b.is_ascii_whitespace() && *b != 0) => {
                Some(format!("{} bytes after the last element are ignored", self.rest.len()))
            }
            _ => None,
        };
        long.into_iter().chain(rest).map(|text| Warning::new(WarningKind::BytesIgnored, text)).collect()
    }
}
