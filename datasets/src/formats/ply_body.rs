//! The rows of a PLY file, number by number, from text or binary data.
//!
//! Lengths are checked against what is left of the file before anything is read or allocated.

use super::ascii::{Lines, quote, skip_blanks, take_number};
use super::ply_header::{Element, Encoding, Property, Scalar};
use crate::error::{ParseError, Place};

/// A position in the rows.
pub(crate) struct Body<'a> {
    encoding: Encoding,
    /// Text: the lines behind the current one.
    lines: Lines<'a>,
    /// Text: what is left of the current line. Binary: what is left of the file.
    rest: &'a [u8],
    /// Numbers taken from the current text row.
    taken: usize,
    size: usize,
    /// Text rows with more numbers than properties, and the line of the first.
    long_rows: Option<(usize, usize)>,
}

impl<'a> Body<'a> {
    /// The rows in `lines`, behind a header of `offset` bytes.
    pub(crate) fn new(encoding: Encoding, lines: Lines<'a>, offset: usize) -> Self {
        let rest = if encoding == Encoding::Ascii { &[] } else { lines.rest() };
        Self { encoding, size: offset + lines.rest().len(), lines, rest, taken: 0, long_rows: None }
    }

    fn place(&self) -> Place {
        match self.encoding {
            Encoding::Ascii => Place::Line(self.lines.number()),
            _ => Place::Byte((self.size - self.rest.len()) as u64),
        }
    }

    fn error(&self, expected: impl Into<String>, found: impl Into<String>) -> ParseError {
        ParseError::new(self.place(), expected, found)
    }

    /// Fails if the rows of an element cannot fit what is left of the file.
    pub(crate) fn check_count(&self, element: &Element) -> Result<(), ParseError> {
        let bytes = |p: &Property| p.list_count.unwrap_or(p.kind).size();
        let (left, shortest): (usize, usize) = match self.encoding {
            // A number and a blank for each property; the last line needs no line end.
            Encoding::Ascii => (self.lines.rest().len() + 1, 2 * element.properties.len()),
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
    pub(crate) fn skip(&mut self, element: &Element) -> Result<(), ParseError> {
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
    pub(crate) fn begin_row(&mut self, element: &Element) -> Result<Place, ParseError> {
        if self.encoding == Encoding::Ascii {
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
    pub(crate) fn end_row(&mut self) {
        if self.encoding == Encoding::Ascii {
            skip_blanks(&mut self.rest);
            if !self.rest.is_empty() {
                let line = self.lines.number();
                self.long_rows.get_or_insert((line, 0)).1 += 1;
            }
        }
    }

    /// One number.
    #[inline]
    pub(crate) fn scalar(&mut self, kind: Scalar) -> Result<f64, ParseError> {
        match self.encoding {
            Encoding::Ascii => self.text_scalar(),
            Encoding::Little => self.binary_scalar(kind, false),
            Encoding::Big => self.binary_scalar(kind, true),
        }
    }

    fn text_scalar(&mut self) -> Result<f64, ParseError> {
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

    fn binary_scalar(&mut self, kind: Scalar, big: bool) -> Result<f64, ParseError> {
        Ok(match kind {
            Scalar::I8 => f64::from(i8::from_le_bytes(self.take(big)?)),
            Scalar::U8 => f64::from(u8::from_le_bytes(self.take(big)?)),
            Scalar::I16 => f64::from(i16::from_le_bytes(self.take(big)?)),
            Scalar::U16 => f64::from(u16::from_le_bytes(self.take(big)?)),
            Scalar::I32 => f64::from(i32::from_le_bytes(self.take(big)?)),
            Scalar::U32 => f64::from(u32::from_le_bytes(self.take(big)?)),
            Scalar::F32 => f64::from(f32::from_le_bytes(self.take(big)?)),
            Scalar::F64 => f64::from_le_bytes(self.take(big)?),
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
    pub(crate) fn list_length(&mut self, count: Scalar, kind: Scalar) -> Result<usize, ParseError> {
        let length = self.scalar(count)?;
        let shortest = if self.encoding == Encoding::Ascii { 2 } else { kind.size() };
        let most = (self.rest.len() + 1) / shortest;
        if length >= 0.0 && length.fract() == 0.0 && length <= most as f64 {
            return Ok(length as usize);
        }
        Err(self.error(format!("a list of at most {most} values"), length.to_string()))
    }

    /// Steps over one property of a row.
    pub(crate) fn skip_property(&mut self, property: &Property) -> Result<(), ParseError> {
        let Some(count) = property.list_count else {
            return self.scalar(property.kind).map(|_| ());
        };
        for _ in 0..self.list_length(count, property.kind)? {
            self.scalar(property.kind)?;
        }
        Ok(())
    }

    /// What was odd about the rows.
    pub(crate) fn warnings(&self) -> Option<String> {
        self.long_rows.map(|(line, count)| {
            format!(
                "{count} rows have more numbers than properties; the rest is ignored, first on line {line}"
            )
        })
    }
}
