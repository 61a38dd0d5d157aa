//! The header of a PLY file: its encoding, elements and properties.

use crate::error::ParseError;
use crate::formats::ascii::{Lines, fields, integer, quote};
use crate::formats::colors::ColorType;

/// How one number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlyScalar {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    F32,
    F64,
}

impl PlyScalar {
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
    pub(super) fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// What colours of this type range over.
    pub(super) fn color_type(self) -> ColorType {
        match self {
            Self::U8 => ColorType::Byte,
            Self::U16 => ColorType::Word,
            Self::F32 | Self::F64 => ColorType::Float,
            Self::I8 | Self::I16 | Self::I32 | Self::U32 => ColorType::Integer,
        }
    }
}

/// A property of an element: one number, or a list of them.
#[derive(Clone, Debug)]
pub(super) struct PlyProperty {
    pub(super) name: String,
    pub(super) kind: PlyScalar,
    /// For a list: how its length is stored.
    pub(super) list_count: Option<PlyScalar>,
}

impl PlyProperty {
    /// Whether it lists the corners of a face.
    pub(super) fn is_index_list(&self) -> bool {
        self.list_count.is_some() && matches!(self.name.as_str(), "vertex_indices" | "vertex_index")
    }
}

/// A table of the file: `count` rows of `properties`.
#[derive(Clone, Debug)]
pub(super) struct PlyElement {
    pub(super) name: String,
    pub(super) count: usize,
    pub(super) properties: Vec<PlyProperty>,
    /// Line of the header that declares it.
    pub(super) line: usize,
}

/// How the rows are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlyEncoding {
    Ascii,
    Little,
    Big,
}

/// What the header of a file says, and where it ends.
#[derive(Clone, Debug)]
pub(super) struct PlyHeader<'a> {
    pub(super) encoding: PlyEncoding,
    pub(super) elements: Vec<PlyElement>,
    /// Name of the picture that a comment gives (`TextureFile`, by custom of MeshLab).
    pub(super) texture_file: Option<Vec<u8>>,
    /// What follows the line end of `end_header`; line numbers go on from the header's.
    pub(super) rows: Lines<'a>,
}

impl<'a> PlyHeader<'a> {
    /// Reads the header of a file.
    ///
    /// # Errors
    /// Fails (naming the line) if it is not one, has no format, or does not end.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let mut lines = Lines::new(bytes);
        let first = lines.next().map_or(&[][..], |(_, line)| line);
        if first != b"ply" {
            return Err(ParseError::line(1, "a first line \"ply\"", quote(first)));
        }
        let mut encoding = None;
        let mut elements: Vec<PlyElement> = Vec::new();
        let mut texture_file = None;
        while let Some((number, line)) = lines.next() {
            let words: Vec<&[u8]> = fields(line).collect();
            match words[..] {
                [b"comment", b"TextureFile", ref name @ ..] => texture_file = Some(name.join(&b' ')),
                [] | [b"comment" | b"obj_info", ..] => {}
                [b"format", name, _] => encoding = Some(parse_encoding(number, name)?),
                [b"element", name, count] => elements.push(parse_element(number, name, count)?),
                [b"property", ref words @ ..] => {
                    let wrong = || ParseError::line(number, "a property of an element", quote(line));
                    let element = elements.last_mut().ok_or_else(wrong)?;
                    element.properties.push(parse_property(words).ok_or_else(wrong)?);
                }
                [b"end_header"] => {
                    let encoding = encoding
                        .ok_or_else(|| ParseError::line(number, "a format line above end_header", "none"))?;
                    return Ok(Self { encoding, elements, texture_file, rows: lines });
                }
                _ => return Err(ParseError::line(number, "a PLY header line", quote(line))),
            }
        }
        Err(ParseError::file("a PLY header that ends with end_header", "the end of the file"))
    }
}

fn parse_encoding(line: usize, name: &[u8]) -> Result<PlyEncoding, ParseError> {
    match name {
        b"ascii" => Ok(PlyEncoding::Ascii),
        b"binary_little_endian" => Ok(PlyEncoding::Little),
        b"binary_big_endian" => Ok(PlyEncoding::Big),
        _ => Err(ParseError::line(
            line,
            "format ascii, binary_little_endian or binary_big_endian",
            quote(name),
        )),
    }
}

fn parse_element(line: usize, name: &[u8], count: &[u8]) -> Result<PlyElement, ParseError> {
    let name = String::from_utf8_lossy(name).into_owned();
    let count = integer(count).ok_or_else(|| ParseError::line(line, "a number of elements", quote(count)))?;
    Ok(PlyElement { name, count, properties: Vec::new(), line })
}

fn parse_property(words: &[&[u8]]) -> Option<PlyProperty> {
    let (list_count, kind, name) = match *words {
        [b"list", count, kind, name] => (Some(PlyScalar::from_name(count)?), kind, name),
        [kind, name] => (None, kind, name),
        _ => return None,
    };
    let name = String::from_utf8_lossy(name).into_owned();
    Some(PlyProperty { name, kind: PlyScalar::from_name(kind)?, list_count })
}
