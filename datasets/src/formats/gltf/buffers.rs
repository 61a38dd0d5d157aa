//! The binary side of glTF: GLB chunks, buffers from anywhere, and accessors read with bounds.

use gltf::json;
use gltf::json::accessor::{ComponentType, Type};
use gltf::json::validation::Checked;

use crate::error::{FilePlace, ParseError};
use crate::formats::ascii::quote;

/// Most bytes of all buffers: a file may name one large buffer many times.
const MAX_BYTES: usize = 2 << 30;

/// Bytes of a file beside the glTF, by its (percent-decoded) relative name.
pub(super) type Resolve<'a> = dyn FnMut(&str) -> Option<Vec<u8>> + 'a;

/// JSON text and binary chunk of a `.glb`; a `.gltf` is JSON alone.
pub(super) fn split_glb(bytes: &[u8]) -> Result<(&[u8], Option<&[u8]>), ParseError> {
    if !bytes.starts_with(b"glTF") {
        return Ok((bytes, None));
    }
    let version = u32_at(bytes, 4)?;
    if version != 2 {
        return Err(ParseError::new(FilePlace::Byte(4), "GLB version 2", version.to_string()));
    }
    let (kind, json, next) = chunk(bytes, 12)?;
    if kind != b"JSON" {
        return Err(ParseError::new(FilePlace::Byte(16), "a first chunk JSON", quote(kind)));
    }
    let binary = if next < bytes.len() { Some(chunk(bytes, next)?) } else { None };
    Ok((json, binary.filter(|(kind, ..)| kind == b"BIN\0").map(|(_, data, _)| data)))
}

/// Kind and data of the chunk at `at`, and where the next one starts.
fn chunk(bytes: &[u8], at: usize) -> Result<(&[u8], &[u8], usize), ParseError> {
    let length = u32_at(bytes, at)? as usize;
    // The kind has to be there too, even for a chunk of no bytes.
    u32_at(bytes, at + 4)?;
    let body = &bytes[at + 8..];
    let data = body.get(..length).ok_or_else(|| {
        ParseError::new(
            FilePlace::Byte(at as u64),
            format!("a chunk of {length} bytes"),
            format!("{}", body.len()),
        )
    })?;
    Ok((&bytes[at + 4..at + 8], data, at + 8 + length))
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, ParseError> {
    let four = bytes.get(at..).and_then(|rest| rest.first_chunk());
    let four = four
        .ok_or_else(|| ParseError::new(FilePlace::Byte(at as u64), "4 bytes more", "the end of the file"))?;
    Ok(u32::from_le_bytes(*four))
}

/// The numbers of an accessor, row after row.
pub(super) struct AccessorRows {
    pub(super) width: usize,
    pub(super) values: Vec<f64>,
}

impl AccessorRows {
    /// The first `N` numbers of each row; `None` if rows are narrower.
    pub(super) fn rows<const N: usize>(&self) -> Option<Vec<[f64; N]>> {
        self.values.chunks_exact(self.width).map(|row| row.first_chunk().copied()).collect()
    }
}

/// The JSON and its loaded buffers.
pub(super) struct Buffers<'a> {
    pub(super) root: &'a json::Root,
    buffers: Vec<Vec<u8>>,
}

impl<'a> Buffers<'a> {
    /// Loads every buffer: the binary chunk, data URIs, and files through `resolve`.
    pub(super) fn load(
        root: &'a json::Root,
        binary: Option<&[u8]>,
        resolve: &mut Resolve<'_>,
    ) -> Result<Self, ParseError> {
        let (mut buffers, mut total) = (Vec::with_capacity(root.buffers.len()), 0usize);
        for (i, buffer) in root.buffers.iter().enumerate() {
            let bytes = match &buffer.uri {
                // Only the first buffer may be the binary chunk; more would multiply it.
                None if i == 0 => binary.map(<[u8]>::to_vec),
                None => None,
                Some(uri) => bytes_of_uri(uri, resolve),
            };
            let found =
                || buffer.uri.as_deref().map_or("no binary chunk".into(), |uri| quote(uri.as_bytes()));
            let bytes = bytes.ok_or_else(|| ParseError::file(format!("the bytes of buffer {i}"), found()))?;
            total = total.saturating_add(bytes.len());
            if total > MAX_BYTES {
                return Err(ParseError::file(
                    format!("buffers of at most {MAX_BYTES} bytes"),
                    total.to_string(),
                ));
            }
            buffers.push(bytes);
        }
        Ok(Self { root, buffers })
    }

    /// The bytes of a buffer view.
    pub(super) fn view(&self, index: usize) -> Result<&[u8], ParseError> {
        let out = || ParseError::file(format!("buffer view {index} inside its buffer"), "one that is not");
        let view = self.root.buffer_views.get(index).ok_or_else(out)?;
        let buffer = self.buffers.get(view.buffer.value()).ok_or_else(out)?;
        let offset = usize::try_from(view.byte_offset.unwrap_or_default().0).map_err(|_| out())?;
        let length = usize::try_from(view.byte_length.0).map_err(|_| out())?;
        let end = offset.checked_add(length).ok_or_else(out)?;
        buffer.get(offset..end).ok_or_else(out)
    }

    /// The numbers of an accessor; integers marked normalized become 0..1 (or -1..1).
    pub(super) fn accessor(&self, index: usize) -> Result<AccessorRows, ParseError> {
        let out = || ParseError::file(format!("accessor {index} inside its buffer view"), "one that is not");
        let accessor = self.root.accessors.get(index).ok_or_else(out)?;
        let (Checked::Valid(component), Checked::Valid(kind)) = (&accessor.component_type, &accessor.type_)
        else {
            return Err(ParseError::file(format!("a known type of accessor {index}"), "an unknown one"));
        };
        let Some(view) = accessor.buffer_view.filter(|_| accessor.sparse.is_none()) else {
            return Err(ParseError::file(
                format!("accessor {index} with a buffer view"),
                "a sparse accessor",
            ));
        };
        let width = row_width(*kind)
            .ok_or_else(|| ParseError::file(format!("accessor {index} of scalars or vectors"), "matrices"))?;
        let size = width * component.0.size();
        let stride =
            self.root.buffer_views.get(view.value()).and_then(|v| v.byte_stride).map_or(size, |s| s.0);
        let count = usize::try_from(accessor.count.0).map_err(|_| out())?;
        let data = self.view(view.value())?;
        let offset = usize::try_from(accessor.byte_offset.unwrap_or_default().0).map_err(|_| out())?;
        let data = data.get(offset..).ok_or_else(out)?;
        let last = count.saturating_sub(1).checked_mul(stride);
        let needed = if count == 0 { Some(0) } else { last.and_then(|start| start.checked_add(size)) };
        if stride < size || needed.is_none_or(|needed| needed > data.len()) {
            return Err(out());
        }
        let mut values = Vec::with_capacity(count * width);
        for row in data.chunks(stride).take(count) {
            values.extend(row[..size].chunks_exact(component.0.size()).map(|b| scalar(component.0, b)));
        }
        if accessor.normalized {
            normalize(component.0, &mut values);
        }
        Ok(AccessorRows { width, values })
    }
}

/// Numbers in a row of an accessor; `None` for matrices.
fn row_width(kind: Type) -> Option<usize> {
    Some(match kind {
        Type::Scalar => 1,
        Type::Vec2 => 2,
        Type::Vec3 => 3,
        Type::Vec4 => 4,
        Type::Mat2 | Type::Mat3 | Type::Mat4 => return None,
    })
}

fn scalar(component: ComponentType, bytes: &[u8]) -> f64 {
    match (component, bytes) {
        (ComponentType::I8, [a]) => f64::from(*a as i8),
        (ComponentType::U8, [a]) => f64::from(*a),
        (ComponentType::I16, [a, b]) => f64::from(i16::from_le_bytes([*a, *b])),
        (ComponentType::U16, [a, b]) => f64::from(u16::from_le_bytes([*a, *b])),
        (ComponentType::U32, [a, b, c, d]) => f64::from(u32::from_le_bytes([*a, *b, *c, *d])),
        (_, [a, b, c, d]) => f64::from(f32::from_le_bytes([*a, *b, *c, *d])),
        _ => f64::NAN,
    }
}

fn normalize(component: ComponentType, values: &mut [f64]) {
    let largest = match component {
        ComponentType::I8 => 127.0,
        ComponentType::U8 => 255.0,
        ComponentType::I16 => 32767.0,
        ComponentType::U16 => 65535.0,
        ComponentType::U32 | ComponentType::F32 => return,
    };
    for value in values {
        *value = (*value / largest).max(-1.0);
    }
}

/// The bytes that a URI means: base64 data, or a file beside the glTF.
pub(super) fn bytes_of_uri(uri: &str, resolve: &mut Resolve<'_>) -> Option<Vec<u8>> {
    match uri.strip_prefix("data:") {
        Some(data) => base64(data.split_once(";base64,")?.1.as_bytes()),
        None => resolve(&percent_decoded(uri)),
    }
}

fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0u32, 0);
    for &b in text.trim_ascii_end() {
        let value = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' => break,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    Some(out)
}

fn percent_decoded(uri: &str) -> String {
    let mut out = Vec::with_capacity(uri.len());
    let mut rest = uri.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |b: u8| char::from(b).to_digit(16);
        if let (b'%', [a, b, after @ ..]) = (first, tail)
            && let (Some(a), Some(b)) = (hex(*a), hex(*b))
        {
            out.push((16 * a + b) as u8);
            rest = after;
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris() {
        let none: &mut Resolve<'_> = &mut |_| None;
        assert_eq!(
            bytes_of_uri("data:application/octet-stream;base64,AAEC/w==", none),
            Some(vec![0, 1, 2, 255])
        );
        assert_eq!(bytes_of_uri("data:;base64,A A", none), None);
        assert_eq!(bytes_of_uri("a%20b%2", &mut |name| Some(name.into())), Some(b"a b%2".to_vec()));
    }

    #[test]
    fn glb_chunks_are_bounded() {
        let error = |bytes: &[u8]| split_glb(bytes).unwrap_err().to_string();
        assert_eq!(error(b"glTF\x01\0\0\0"), "expected GLB version 2, found 1, byte 4");
        assert_eq!(
            error(b"glTF\x02\0\0\0\0\0\0\0\xff\xff\xff\xffJSON"),
            "expected a chunk of 4294967295 bytes, found 0, byte 12"
        );
        let cut = b"glTF\x02\0\0\0\0\0\0\0\0\0\0\0JS";
        assert_eq!(error(cut), "expected 4 bytes more, found the end of the file, byte 16");
        assert_eq!(error(b"glTF"), "expected 4 bytes more, found the end of the file, byte 4");
    }
}
