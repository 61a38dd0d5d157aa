//! The header of an npy file: a Python dictionary of the element type, the order and the shape.

use crate::error::{FilePlace, ParseError};
use crate::formats::ascii::quote;
use crate::formats::scalars::{ScalarKind, ScalarType};

/// One number of every element; plain arrays have one, structured ones several.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct NpyField {
    /// Empty in a plain array.
    pub(super) name: String,
    /// `None` for a type that is no real number (text, dates), which can only be passed over.
    pub(super) scalar: Option<ScalarType>,
    /// Bytes of one number.
    size: usize,
    /// Numbers that stand together under the name.
    pub(super) count: usize,
}

impl NpyField {
    /// Bytes of the field in an element.
    pub(super) fn bytes(&self) -> usize {
        self.size.saturating_mul(self.count)
    }
}

/// What the header says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct NpyHeader {
    pub(super) fields: Vec<NpyField>,
    /// Whether the elements have named fields.
    pub(super) is_structured: bool,
    /// Whether the first axis varies fastest.
    pub(super) fortran: bool,
    pub(super) shape: Vec<usize>,
}

impl NpyHeader {
    /// Reads a header, and hands on what follows it.
    ///
    /// # Errors
    /// Fails if the magic or the header is malformed, or a plain array holds no real numbers.
    pub(super) fn read(bytes: &[u8]) -> Result<(Self, &[u8]), ParseError> {
        let (header, data) = split_header(bytes)?;
        let wrong = || ParseError::file("an npy header with descr, fortran_order and shape", quote(header));
        let text = std::str::from_utf8(header).map_err(|_| wrong())?;
        let descr = dict_value(text, "descr").ok_or_else(wrong)?;
        let is_structured = descr.starts_with('[');
        let fields = if is_structured {
            parse_fields(descr).ok_or_else(|| {
                ParseError::file("fields of numbers without fields of their own", quote(descr.as_bytes()))
            })?
        } else {
            vec![parse_plain(descr)?]
        };
        let fortran = match dict_value(text, "fortran_order").ok_or_else(wrong)? {
            order if order.starts_with("False") => false,
            order if order.starts_with("True") => true,
            _ => return Err(wrong()),
        };
        let shape =
            dict_value(text, "shape").and_then(|mut value| take_tuple(&mut value)).ok_or_else(wrong)?;
        Ok((Self { fields, is_structured, fortran, shape }, data))
    }

    /// Bytes of one element.
    pub(super) fn element_bytes(&self) -> usize {
        self.fields.iter().fold(0, |sum: usize, field| sum.saturating_add(field.bytes()))
    }
}

fn split_header(bytes: &[u8]) -> Result<(&[u8], &[u8]), ParseError> {
    let wrong = || {
        ParseError::new(
            FilePlace::Byte(0),
            "an npy magic of version 1, 2 or 3",
            quote(&bytes[..bytes.len().min(8)]),
        )
    };
    let (version, rest) = match bytes {
        [0x93, b'N', b'U', b'M', b'P', b'Y', version, _, rest @ ..] => (*version, rest),
        _ => return Err(wrong()),
    };
    let (length, rest) = match (version, rest) {
        (1, [a, b, rest @ ..]) => (usize::from(u16::from_le_bytes([*a, *b])), rest),
        (2 | 3, [a, b, c, d, rest @ ..]) => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        _ => return Err(wrong()),
    };
    rest.split_at_checked(length).ok_or_else(|| {
        ParseError::new(FilePlace::Byte(8), format!("a header of {length} bytes"), format!("{}", rest.len()))
    })
}

/// What follows `'key':` in the header, which is a Python dictionary of literals.
fn dict_value<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let quoted = [format!("'{key}'"), format!("\"{key}\"")];
    let at = quoted.iter().find_map(|k| header.find(k.as_str()))?;
    Some(header[at + key.len() + 2..].trim_start().strip_prefix(':')?.trim_start())
}

/// The element type of a plain array.
fn parse_plain(descr: &str) -> Result<NpyField, ParseError> {
    let end = descr.find([',', '}']).unwrap_or(descr.len());
    let word = descr[..end].trim();
    let unquoted = word.strip_prefix(['\'', '"']).and_then(|word| word.strip_suffix(['\'', '"']));
    unquoted.and_then(parse_type).filter(|field| field.scalar.is_some()).ok_or_else(|| {
        ParseError::file("values of type f2, f4, f8, i1-i8, u1-u8 or b1", quote(word.as_bytes()))
    })
}

/// The type that a word like `<f4` means; `None` if not even its size is known.
fn parse_type(word: &str) -> Option<NpyField> {
    let order = word.chars().next().filter(|c| "<>|=".contains(*c))?;
    let kind = word[1..].chars().next().filter(char::is_ascii)?;
    let digits = word[2..].split('[').next()?;
    let size: usize = digits.parse().ok()?;
    let kind_of_number = match kind {
        'f' => Some(ScalarKind::Float),
        'i' => Some(ScalarKind::Signed),
        'u' => Some(ScalarKind::Unsigned),
        'b' if size == 1 => Some(ScalarKind::Unsigned),
        _ => None,
    };
    let scalar = kind_of_number.and_then(|kind| ScalarType::new(kind, size, order == '>'));
    let size = match kind {
        'U' => size.checked_mul(4)?,
        'f' | 'i' | 'u' | 'b' | 'c' | 'V' | 'S' | 'a' | 'M' | 'm' => size,
        _ => return None,
    };
    Some(NpyField { name: String::new(), scalar, size, count: 1 })
}

/// The fields of a list `[('x', '<f4'), ('rgb', '|u1', (3,))]`.
fn parse_fields(descr: &str) -> Option<Vec<NpyField>> {
    let mut rest = descr.strip_prefix('[')?;
    let mut fields = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if rest.starts_with(']') {
            return Some(fields);
        }
        rest = rest.strip_prefix('(')?;
        let name = take_string(&mut rest)?.to_owned();
        rest = rest.trim_start().strip_prefix(',')?;
        let mut field = NpyField { name, ..parse_type(take_string(&mut rest)?)? };
        rest = rest.trim_start_matches([' ', ',']);
        if rest.starts_with('(') {
            field.count = take_tuple(&mut rest)?.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
        } else if !rest.starts_with(')') {
            let end = rest.find(')')?;
            field.count = rest[..end].trim().parse().ok()?;
            rest = &rest[end..];
        }
        rest = rest.trim_start_matches([' ', ',']).strip_prefix(')')?;
        fields.push(field);
    }
}

/// Takes a Python string without escapes off the front.
fn take_string<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let text = rest.trim_start();
    let mark = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let end = text[1..].find(mark)? + 1;
    *rest = &text[end + 1..];
    Some(&text[1..end])
}

/// Takes the numbers of a Python tuple off the front.
fn take_tuple(rest: &mut &str) -> Option<Vec<usize>> {
    let inner = rest.trim_start().strip_prefix('(')?;
    let end = inner.find(')')?;
    *rest = &inner[end + 1..];
    inner[..end]
        .split(',')
        .map(str::trim)
        .filter(|n| !n.is_empty())
        .map(|n| n.trim_end_matches('L').parse().ok())
        .collect()
}
