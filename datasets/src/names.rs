//! File names as text: what is no UTF-8 is written out byte by byte, so that no two names become one.
//!
//! A byte that is no part of a UTF-8 letter becomes `\xBA`. Names that are UTF-8 stay as they are, but for a backslash
//! that would read as such an escape, which becomes `\x5C`: every text leads back to one name.

use std::ffi::OsStr;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The text of a name.
pub(crate) fn name_text(name: &OsStr) -> String {
    let bytes = name.as_encoded_bytes();
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        let valid = chunk.valid();
        for (at, letter) in valid.char_indices() {
            match letter {
                '\\' if escaped_byte(&valid[at..]).is_some() => text += "\\x5C",
                _ => text.push(letter),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02X}");
        }
    }
    text
}

/// The byte that an escape at the start of `text` stands for: no other text is one.
fn escaped_byte(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("\\x")?.get(..2)?;
    let is_digit = |b: u8| b.is_ascii_digit() || (b'A'..=b'F').contains(&b);
    let byte = u8::from_str_radix(digits, 16).ok().filter(|_| digits.bytes().all(is_digit))?;
    (byte >= 0x80 || byte == b'\\').then_some(byte)
}

/// The path of `text` (texts of names, `/` between them) below a folder.
pub(crate) fn path_below(folder: &Path, text: &str) -> PathBuf {
    #[cfg(unix)]
    if text.contains("\\x") {
        let name = std::os::unix::ffi::OsStringExt::from_vec(name_bytes(text));
        return folder.join::<std::ffi::OsString>(name);
    }
    folder.join(text)
}

/// The bytes that [`name_text`] made `text` of.
#[cfg(unix)]
fn name_bytes(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at..];
        match escaped_byte(rest) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[4..];
            }
            None => {
                bytes.push(b'\\');
                rest = &rest[1..];
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_stay_apart() {
        let text = |bytes: &[u8]| name_text(OsStr::from_bytes(bytes));
        assert_eq!(text(b"\xba\xec.npy"), "\\xBA\\xEC.npy");
        assert_eq!(text(b"\xc0\xb6.npy"), "\\xC0\\xB6.npy");
        assert_eq!(text("椅子 é.npy".as_bytes()), "椅子 é.npy");
        assert_eq!(text(b"new\nline%20#1.npy"), "new\nline%20#1.npy");
        // The escape's own letters stay letters.
        assert_eq!(text(b"\\xBA\\xEC.npy"), "\\x5CxBA\\x5CxEC.npy");
        assert_eq!(text(b"a\\b\\xba\\x41"), "a\\b\\xba\\x41");
    }

    proptest! {
        #[test]
        fn every_text_leads_back_to_its_name(
            bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'\\'), Just(b'x'), Just(b'B'), Just(b'A')], 1..24)
        ) {
            let name = std::ffi::OsString::from_vec(bytes.into_iter().filter(|b| ![0, b'/'].contains(b)).collect());
            prop_assert_eq!(path_below(Path::new("a"), &name_text(&name)), Path::new("a").join(&name));
        }
    }
}
