//! The header of a PLY file: its encoding, elements and properties.

use super::ascii::{Lines, fields, integer, quote};
use super::ply_body::Body;
use crate::error::{ParseError, Place};

/// How one number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scalar {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    F32,
    F64,
}

impl Scalar {
    fn from_name(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"char" | b"int8" => Self::I8,
            b"uchar" | b"uint8" => Self::U8,
            b"short" | b"int16" => Self::I16,
            b"ushort" | b"uint16" => Self::U16,
            b"int" | b"int32" => Self::I32,
            b"uint" | b"uint32" => Self::U32,
            b"float" | b"float32" => Self::F32,
            b"double" | b"float64" => Self::F64,
            _ => return None,
        })
    }

    /// Bytes in a binary file.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    pub(crate) fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }
}

/// A property of an element: one number, or a list of them.
#[derive(Clone, Debug)]
pub(crate) struct Property {
    pub(crate) name: String,
    pub(crate) kind: Scalar,
    /// For a list: how its length is stored.
    pub(crate) list_count: Option<Scalar>,
}

/// A table of the file: `count` rows of `properties`.
#[derive(Clone, Debug)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) count: usize,
    pub(crate) properties: Vec<Property>,
    /// Line of the header that declares it.
    pub(crate) line: usize,
}

/// How the rows are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Ascii,
    Little,
    Big,
}

/// The header.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    pub(crate) elements: Vec<Element>,
}

impl Header {
    /// Reads the header; the body starts behind the line end of `end_header`.
    pub(crate) fn read(bytes: &[u8]) -> Result<(Self, Body<'_>), ParseError> {
        let mut lines = Lines::new(bytes);
        let first = lines.next().map_or(&[][..], |(_, line)| line);
        if first != b"ply" {
            return Err(ParseError::line(1, "a first line \"ply\"", quote(first)));
        }
        let mut encoding = None;
        let mut elements: Vec<Element> = Vec::new();
        while let Some((number, line)) = lines.next() {
            let words: Vec<&[u8]> = fields(line).collect();
            match words[..] {
                [] | [b"comment" | b"obj_info", ..] => {}
                [b"format", name, _] => encoding = Some(encoding_of(number, name)?),
                [b"element", name, count] => elements.push(element(number, name, count)?),
                [b"property", ref words @ ..] => {
                    let wrong = || ParseError::line(number, "a property of an element", quote(line));
                    let element = elements.last_mut().ok_or_else(wrong)?;
                    element.properties.push(property(words).ok_or_else(wrong)?);
                }
                [b"end_header"] => {
                    let encoding = encoding
                        .ok_or_else(|| ParseError::line(number, "a format line above end_header", "none"))?;
                    let offset = bytes.len() - lines.rest().len();
                    return Ok((Self { elements }, Body::new(encoding, lines, offset)));
                }
                _ => return Err(ParseError::line(number, "a PLY header line", quote(line))),
            }
        }
        Err(ParseError::new(Place::File, "a PLY header that ends with end_header", "the end of the file"))
    }
}

fn encoding_of(line: usize, name: &[u8]) -> Result<Encoding, ParseError> {
    match name {
        b"ascii" => Ok(Encoding::Ascii),
        b"binary_little_endian" => Ok(Encoding::Little),
        b"binary_big_endian" => Ok(Encoding::Big),
        _ => Err(ParseError::line(
            line,
            "format ascii, binary_little_endian or binary_big_endian",
            quote(name),
        )),
    }
}

fn element(line: usize, name: &[u8], count: &[u8]) -> Result<Element, ParseError> {
    let name = String::from_utf8_lossy(name).into_owned();
    let count = integer(count).ok_or_else(|| ParseError::line(line, "a number of elements", quote(count)))?;
    Ok(Element { name, count, properties: Vec::new(), line })
}

fn property(words: &[&[u8]]) -> Option<Property> {
    let (list_count, kind, name) = match *words {
        [b"list", count, kind, name] => (Some(Scalar::from_name(count)?), kind, name),
        [kind, name] => (None, kind, name),
        _ => return None,
    };
    let name = String::from_utf8_lossy(name).into_owned();
    Some(Property { name, kind: Scalar::from_name(kind)?, list_count })
}
