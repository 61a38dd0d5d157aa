//! npy and npz (NumPy): one numeric array of points, as Point-BERT packages ShapeNet.
//!
//! The header is parsed here and the data is bounded by the file, so a false shape cannot
//! allocate. Values are widened to f64; C and Fortran order, both byte orders.

use jepa3d_schemas::PointCloud;

use super::ascii::quote;
use super::columns::ColumnSpec;
use super::parsed::Parsed;
use super::text::TextTable;
use crate::error::{FilePlace, ParseError};

/// A numeric array of any number of axes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct NpyArray {
    /// Length of each axis.
    pub(crate) shape: Vec<usize>,
    /// Values in row-major order (last axis fastest), whatever the order in the file.
    pub(crate) values: Vec<f64>,
}

/// Reads the points of an npy file: `[N,3]` is x,y,z and `[N,6]` is x,y,z,nx,ny,nz.
///
/// # Errors
/// Fails as `parse_columns` does.
pub fn parse(bytes: &[u8]) -> Result<Parsed<PointCloud>, ParseError> {
    parse_columns(bytes, &ColumnSpec::default())
}

/// Reads the points of an npy file `[N,C]`, its columns named by `spec`.
///
/// # Errors
/// Fails as [`parse_array`] does, or if the array has not two axes (leading axes of length 1 aside), the
/// columns are not as named, a label is no whole number of 16 bits, or no finite point is left.
pub(crate) fn parse_columns(bytes: &[u8], spec: &ColumnSpec) -> Result<Parsed<PointCloud>, ParseError> {
    cloud_from_array(parse_array(bytes)?, spec)
}

/// The points of an array `[N,C]`.
fn cloud_from_array(array: NpyArray, spec: &ColumnSpec) -> Result<Parsed<PointCloud>, ParseError> {
    let leading =
        array.shape.iter().take(array.shape.len().saturating_sub(2)).take_while(|&&n| n == 1).count();
    match array.shape[leading..] {
        [_, width] if width > 0 => TextTable { header: None, width, values: array.values }.make_cloud(spec),
        _ => Err(ParseError::file("an array [N,C] of points", format!("shape {:?}", array.shape))),
    }
}

/// How one value is stored.
#[derive(Clone, Copy, Debug, PartialEq)]
struct NpyType {
    kind: u8,
    size: usize,
    big_endian: bool,
}

/// Reads an npy array of numbers or booleans.
///
/// # Errors
/// Fails if the magic or header is malformed, the values are no real numbers, or the data is not
/// exactly as long as the shape says.
pub(crate) fn parse_array(bytes: &[u8]) -> Result<NpyArray, ParseError> {
    let (header, data) = split_header(bytes)?;
    let wrong = || ParseError::file("an npy header with descr, fortran_order and shape", quote(header));
    let text = std::str::from_utf8(header).map_err(|_| wrong())?;
    let descr = dict_value(text, "descr").ok_or_else(wrong)?;
    let stored = parse_type(descr).ok_or_else(|| {
        ParseError::file("values of type f2, f4, f8, i1-i8, u1-u8 or b1", quote(first_word(descr)))
    })?;
    let fortran = match dict_value(text, "fortran_order").ok_or_else(wrong)? {
        order if order.starts_with("False") => false,
        order if order.starts_with("True") => true,
        _ => return Err(wrong()),
    };
    let shape = dict_value(text, "shape").and_then(parse_tuple).ok_or_else(wrong)?;
    let bytes_needed = shape.iter().try_fold(stored.size, |product, &n| product.checked_mul(n));
    if bytes_needed != Some(data.len()) {
        let expected = format!("data of shape {shape:?} ({} bytes a value)", stored.size);
        return Err(ParseError::file(expected, format!("{} bytes", data.len())));
    }
    let values = decode(data, stored);
    Ok(NpyArray { values: if fortran { row_major_from_fortran(&values, &shape) } else { values }, shape })
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

fn first_word(value: &str) -> &[u8] {
    let end = value.find([',', '}']).unwrap_or(value.len());
    value[..end].trim().as_bytes()
}

/// The type that a `descr` of the header means.
fn parse_type(descr: &str) -> Option<NpyType> {
    let word = std::str::from_utf8(first_word(descr)).ok()?;
    let word = word.strip_prefix(['\'', '"'])?.strip_suffix(['\'', '"'])?;
    let &[order, kind, size] = word.as_bytes() else { return None };
    let size = usize::from(size.checked_sub(b'0')?);
    let legal = matches!((kind, size), (b'f', 2 | 4 | 8) | (b'i' | b'u', 1 | 2 | 4 | 8) | (b'b', 1));
    let legal = legal && matches!(order, b'<' | b'>' | b'|' | b'=');
    legal.then_some(NpyType { kind, size, big_endian: order == b'>' })
}

/// The numbers of a Python tuple.
fn parse_tuple(value: &str) -> Option<Vec<usize>> {
    let inner = value.strip_prefix('(')?;
    let inner = &inner[..inner.find(')')?];
    inner
        .split(',')
        .map(str::trim)
        .filter(|n| !n.is_empty())
        .map(|n| n.trim_end_matches('L').parse().ok())
        .collect()
}

fn decode(data: &[u8], stored: NpyType) -> Vec<f64> {
    match (stored.kind, stored.size) {
        (b'f', 2) => decode_with(data, stored, |b| f64_from_half(u16::from_le_bytes(b))),
        (b'f', 4) => decode_with(data, stored, |b| f64::from(f32::from_le_bytes(b))),
        (b'f', _) => decode_with(data, stored, f64::from_le_bytes),
        (b'i', 1) => decode_with(data, stored, |b: [u8; 1]| f64::from(b[0] as i8)),
        (b'i', 2) => decode_with(data, stored, |b| f64::from(i16::from_le_bytes(b))),
        (b'i', 4) => decode_with(data, stored, |b| f64::from(i32::from_le_bytes(b))),
        (b'i', _) => decode_with(data, stored, |b| i64::from_le_bytes(b) as f64),
        (_, 1) => decode_with(data, stored, |b: [u8; 1]| f64::from(b[0])),
        (_, 2) => decode_with(data, stored, |b| f64::from(u16::from_le_bytes(b))),
        (_, 4) => decode_with(data, stored, |b| f64::from(u32::from_le_bytes(b))),
        _ => decode_with(data, stored, |b| u64::from_le_bytes(b) as f64),
    }
}

fn decode_with<const N: usize>(data: &[u8], stored: NpyType, value: fn([u8; N]) -> f64) -> Vec<f64> {
    let read = |chunk: &[u8]| {
        let mut bytes = [0; N];
        bytes.copy_from_slice(chunk);
        if stored.big_endian {
            bytes.reverse();
        }
        value(bytes)
    };
    data.chunks_exact(N).map(read).collect()
}

/// The value of IEEE half precision bits.
fn f64_from_half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let size = match exponent {
        0 => libm::ldexp(fraction, -24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => libm::ldexp(fraction + 1024.0, exponent - 25),
    };
    if bits >> 15 == 1 { -size } else { size }
}

/// Values in Fortran order (first axis fastest) put in row-major order.
fn row_major_from_fortran(values: &[f64], shape: &[usize]) -> Vec<f64> {
    let mut index = vec![0; shape.len()];
    let mut out = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        let at = index.iter().zip(shape).rev().fold(0, |at, (&i, &n)| at * n + i);
        out.push(values[at]);
        for (i, &n) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < n {
                break;
            }
            *i = 0;
        }
    }
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An npy file of version 1.
    pub(crate) fn file(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
        let order = if fortran { "True" } else { "False" };
        let header = format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn floats(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    #[test]
    fn orders_and_types() {
        let c =
            parse_array(&file("'<f4'", false, "(2, 3)", &floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))).unwrap();
        let f =
            parse_array(&file("'<f4'", true, "(2, 3)", &floats(&[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]))).unwrap();
        assert_eq!(c, f);
        assert_eq!(c, NpyArray { shape: vec![2, 3], values: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0] });
        let big = parse_array(&file("'>i2'", false, "(2,)", &[0, 1, 255, 255])).unwrap();
        assert_eq!(big.values, [1.0, -1.0]);
        let halves = parse_array(&file("'<f2'", false, "(3,)", &[0, 0x3C, 1, 0, 0, 0xFC])).unwrap();
        assert_eq!(halves.values, [1.0, 2f64.powi(-24), f64::NEG_INFINITY]);
        assert_eq!(parse_array(&file("'|u1'", false, "()", &[7])).unwrap().values, [7.0]);
    }

    #[test]
    fn clouds() {
        let cloud =
            parse(&file("'<f4'", false, "(1, 2, 3)", &floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))).unwrap();
        assert_eq!(cloud.geometry.positions, [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
        let error = parse(&file("'<f4'", false, "(6,)", &floats(&[0.0; 6]))).unwrap_err();
        assert_eq!(error.to_string(), "expected an array [N,C] of points, found shape [6]");
    }

    #[test]
    fn bad_files_are_errors() {
        let error = |bytes: &[u8]| parse_array(bytes).unwrap_err().to_string();
        assert_eq!(
            error(&file("'<f4'", false, "(1000000000000, 3)", &[])),
            "expected data of shape [1000000000000, 3] (4 bytes a value), found 0 bytes"
        );
        assert!(error(&file("'<f4'", false, "(18446744073709551615, 3)", &[])).ends_with("found 0 bytes"));
        assert_eq!(
            error(&file("'|O'", false, "(1,)", &[])),
            "expected values of type f2, f4, f8, i1-i8, u1-u8 or b1, found \"'|O'\""
        );
        assert!(error(b"PK").starts_with("expected an npy magic"));
        assert!(error(&file("'<f4'", false, "(1", &[])).starts_with("expected an npy header"));
    }
}
