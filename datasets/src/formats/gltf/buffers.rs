//! The bytes behind a glTF document: buffers from anywhere, and views into them with bounds.

use std::sync::Arc;

use super::document::Document;
use super::extensions::{MESHOPT, uses_meshopt};
use crate::budget::Budget;
use crate::error::ParseError;
use crate::formats::ascii::quote;
use crate::formats::companions::{Companion, Unread};
use crate::formats::read_fault::ReadFault;

/// Gives the bytes of other files by their names, which may be relative and are free of percent signs.
pub(crate) trait Resolver {
    /// The file of this name, or why there is none.
    ///
    /// # Errors
    /// Fails if the machine does, or if the file exceeds the object's budget.
    fn resolve(&mut self, name: &[u8]) -> Result<Companion, ReadFault>;
}

/// Where the bytes of a buffer are.
enum BufferBytes<'a> {
    Chunk(&'a [u8]),
    Read(Arc<Vec<u8>>),
}

/// The document and its loaded buffers.
pub(super) struct Buffers<'a> {
    pub(super) document: &'a Document,
    pub(super) budget: &'a Budget,
    buffers: Vec<BufferBytes<'a>>,
}

impl<'a> Buffers<'a> {
    /// Loads every buffer: the binary chunk, data URIs, and files through `resolver`.
    ///
    /// # Errors
    /// Fails if the bytes of a buffer are nowhere, or exceed the budget.
    pub(super) fn load(
        document: &'a Document,
        binary: Option<&'a [u8]>,
        resolver: &mut dyn Resolver,
        budget: &'a Budget,
    ) -> Result<Self, ReadFault> {
        let mut buffers = Vec::with_capacity(document.buffers.len());
        for (i, buffer) in document.buffers.iter().enumerate() {
            let missing = |found: String| ParseError::file(format!("the bytes of buffer {i}"), found);
            let bytes = match (&buffer.uri, binary) {
                (Some(uri), _) => match bytes_of_uri(uri, resolver, budget)? {
                    Companion::Read(bytes) => BufferBytes::Read(bytes),
                    Companion::Unread(Unread { why, .. }) => {
                        return Err(missing(format!("{} {why}", quote(uri.as_bytes()))).into());
                    }
                },
                // Only the first buffer may be the binary chunk; more would multiply it.
                (None, Some(chunk)) if i == 0 => BufferBytes::Chunk(chunk),
                (None, _) if buffer.extensions.meshopt.is_some() || uses_meshopt(document) => {
                    return Err(missing(MESHOPT.into()).into());
                }
                (None, _) => return Err(missing("no binary chunk".into()).into()),
            };
            buffers.push(bytes);
        }
        Ok(Self { document, budget, buffers })
    }

    /// The bytes of a buffer view.
    pub(super) fn view(&self, index: usize) -> Result<&[u8], ParseError> {
        let out = || ParseError::file(format!("buffer view {index} inside its buffer"), "one that is not");
        let view = self.document.buffer_views.get(index).ok_or_else(out)?;
        let buffer = match self.buffers.get(view.buffer).ok_or_else(out)? {
            BufferBytes::Chunk(bytes) => *bytes,
            BufferBytes::Read(bytes) => bytes.as_slice(),
        };
        let offset = usize::try_from(view.byte_offset).map_err(|_| out())?;
        let length = usize::try_from(view.byte_length).map_err(|_| out())?;
        let end = offset.checked_add(length).ok_or_else(out)?;
        buffer.get(offset..end).ok_or_else(out)
    }
}

/// The bytes that a URI means: data in the URI itself, or a file beside the glTF.
///
/// # Errors
/// Fails if the machine does, or if the bytes exceed the budget.
pub(super) fn bytes_of_uri(
    uri: &str,
    resolver: &mut dyn Resolver,
    budget: &Budget,
) -> Result<Companion, ReadFault> {
    let Some(data) = uri.strip_prefix("data:") else {
        return match resolver.resolve(&percent_decoded(uri))? {
            // A writer that does not encode may put a percent sign into a name.
            Companion::Unread(unread) if uri.contains('%') => match resolver.resolve(uri.as_bytes())? {
                Companion::Read(bytes) => Ok(Companion::Read(bytes)),
                Companion::Unread(_) => Ok(unread.into()),
            },
            companion => Ok(companion),
        };
    };
    budget.charge(data.len() as u64, "data in the file itself")?;
    let bytes = match data.split_once(',') {
        Some((kind, text)) if kind.to_ascii_lowercase().ends_with(";base64") => base64(text.as_bytes()),
        Some((_, text)) => Some(percent_decoded(text)),
        None => None,
    };
    let unread = || Unread::new("is no data that can be decoded").into();
    Ok(bytes.map_or_else(unread, |bytes| Companion::Read(Arc::new(bytes))))
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

fn percent_decoded(uri: &str) -> Vec<u8> {
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
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Knows no file but the one of a name, and hands the name on.
    struct Echo(&'static [u8]);

    impl Resolver for Echo {
        fn resolve(&mut self, name: &[u8]) -> Result<Companion, ReadFault> {
            Ok(if name == self.0 {
                Companion::Read(Arc::new(name.to_vec()))
            } else {
                Unread::new("is missing").into()
            })
        }
    }

    #[test]
    fn uris() {
        let bytes = |uri: &str, known| match bytes_of_uri(uri, &mut Echo(known), &Budget::default()) {
            Ok(Companion::Read(bytes)) => Some(bytes.to_vec()),
            _ => None,
        };
        for kind in ["application/octet-stream", "application/octet-stream;charset=utf-8", ""] {
            let uri = format!("data:{kind};base64,AAEC/w==");
            assert_eq!(bytes(&uri, b""), Some(vec![0, 1, 2, 255]), "{kind}");
        }
        assert_eq!(bytes("data:text/plain,a%00b", b""), Some(b"a\0b".to_vec()));
        assert_eq!(bytes("data:;base64,A A", b""), None);
        assert_eq!(bytes("a%20b%2", b"a b%2"), Some(b"a b%2".to_vec()));
        assert_eq!(bytes("%2e%2e/%ff", b"../\xff"), Some(b"../\xff".to_vec()));
        assert_eq!(bytes("100%25.bin", b"100%.bin"), Some(b"100%.bin".to_vec()));
        assert_eq!(bytes("a%20b", b"a%20b"), Some(b"a%20b".to_vec()));
        assert_eq!(bytes("a", b"b"), None);
        assert!(bytes_of_uri("data:;base64,AAEC", &mut Echo(b""), &Budget::new(3)).is_err());
    }
}
