//! Text primitives of the line-based formats: encoding, lines, fields and numbers.
//!
//! Everything works on bytes: real files carry names in encodings nobody declared, and only
//! the numbers matter here.

use std::borrow::Cow;

/// The text as bytes with `\n` line ends: byte order marks are decoded (UTF-8, UTF-16), and a
/// file whose only line end is `\r` (classic Mac) is rewritten.
pub(crate) fn decode(bytes: &[u8]) -> Cow<'_, [u8]> {
    let text = match bytes {
        [0xEF, 0xBB, 0xBF, rest @ ..] => Cow::Borrowed(rest),
        [0xFF, 0xFE, rest @ ..] => Cow::Owned(utf8_from_utf16(rest, u16::from_le_bytes)),
        [0xFE, 0xFF, rest @ ..] => Cow::Owned(utf8_from_utf16(rest, u16::from_be_bytes)),
        _ => Cow::Borrowed(bytes),
    };
    if memchr::memchr(b'\n', &text).is_none() && memchr::memchr(b'\r', &text).is_some() {
        return Cow::Owned(text.iter().map(|&b| if b == b'\r' { b'\n' } else { b }).collect());
    }
    text
}

fn utf8_from_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Vec<u8> {
    let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    let text: String = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    text.into_bytes()
}

/// The lines of a text with their numbers (from 1), without line ends and trailing blanks.
#[derive(Clone, Debug)]
pub(crate) struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> Lines<'a> {
    /// The lines of `text`.
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { rest: text, number: 0 }
    }

    /// Number of the line that [`Iterator::next`] returned last.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// What follows the line end of the last line returned.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next line that holds more than blanks and a `#` comment, which is cut off.
    pub(crate) fn next_content(&mut self) -> Option<(usize, &'a [u8])> {
        loop {
            let (number, line) = self.next()?;
            let line = without_comment(line).trim_ascii();
            if !line.is_empty() {
                return Some((number, line));
            }
        }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = (usize, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let end = memchr::memchr(b'\n', self.rest).unwrap_or(self.rest.len());
        let line = &self.rest[..end];
        self.rest = self.rest.get(end + 1..).unwrap_or(&[]);
        self.number += 1;
        Some((self.number, line.trim_ascii_end()))
    }
}

/// A line without its `#` comment.
pub(crate) fn without_comment(line: &[u8]) -> &[u8] {
    memchr::memchr(b'#', line).map_or(line, |at| &line[..at])
}

/// Fields of a line, split at blanks.
pub(crate) fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty())
}

/// The number that a whole field spells; NaN and infinity are numbers here.
pub(crate) fn number(field: &[u8]) -> Option<f64> {
    fast_float2::parse(field).ok()
}

/// The whole number that a whole field spells.
pub(crate) fn integer<T: std::str::FromStr>(field: &[u8]) -> Option<T> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// Takes blanks and one number off the front; `None` (and nothing taken but blanks) if there is
/// no number or something is glued to it.
#[inline]
pub(crate) fn take_number(rest: &mut &[u8]) -> Option<f64> {
    skip_blanks(rest);
    let (value, used) = fast_float2::parse_partial::<f64, _>(*rest).ok()?;
    if rest.get(used).is_some_and(|b| !is_blank(*b)) {
        return None;
    }
    *rest = &rest[used..];
    Some(value)
}

/// Takes three numbers off the front.
#[inline]
pub(crate) fn take_three(rest: &mut &[u8]) -> Option<[f64; 3]> {
    Some([take_number(rest)?, take_number(rest)?, take_number(rest)?])
}

/// Drops leading blanks.
#[inline]
pub(crate) fn skip_blanks(rest: &mut &[u8]) {
    while let [first, tail @ ..] = *rest
        && is_blank(*first)
    {
        *rest = tail;
    }
}

#[inline]
fn is_blank(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\r' | b'\n' | 0x0B | 0x0C)
}

/// A short, printable quotation of file bytes for an error message.
pub(crate) fn quote(bytes: &[u8]) -> String {
    const LONGEST: usize = 48;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST)]);
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() })
        .collect();
    let dots = if bytes.len() > LONGEST { "..." } else { "" };
    format!("\"{text}\"{dots}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_numbered_and_trimmed() {
        let lines: Vec<_> = Lines::new(b"a\r\n\n  b \nc").collect();
        assert_eq!(lines, [(1, &b"a"[..]), (2, b""), (3, b"  b"), (4, b"c")]);
        let mut lines = Lines::new(b"# x\n\n 1 2 # y\n");
        assert_eq!(lines.next_content(), Some((3, &b"1 2"[..])));
        assert_eq!(lines.next_content(), None);
    }

    #[test]
    fn byte_order_marks_are_decoded() {
        assert_eq!(&*decode(b"\xEF\xBB\xBFv 1"), b"v 1");
        assert_eq!(&*decode(b"\xFF\xFEv\x00 \x001\x00"), b"v 1");
        assert_eq!(&*decode(b"\xFE\xFF\x00v\x00 \x001"), b"v 1");
        assert_eq!(&*decode(b"a\rb\r"), b"a\nb\n");
        assert_eq!(&*decode(b"a\rb\n"), b"a\rb\n");
    }

    #[test]
    fn numbers_end_at_blanks() {
        let mut rest = &b" 1.5\t-2.e1 +3 4x"[..];
        assert_eq!(take_three(&mut rest), Some([1.5, -20.0, 3.0]));
        assert_eq!(take_number(&mut rest), None);
        assert_eq!(rest, b"4x");
        assert_eq!(take_number(&mut &b"3.1+e2"[..]), None);
    }
}
