//! Files that carry the hash of their own bytes, so that every reader can tell one that was damaged or edited.
//!
//! The hash is 64 hex digits of BLAKE3 that stand in the file itself, after a marker; it is taken over all bytes with
//! zeros in its place. Neither the order of keys nor the form of numbers has a part in it.

use std::ops::Range;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, Result};

/// Name of the hash in files of text.
const KEY: &str = "self_hash";

/// What stands before the hash in JSON.
const JSON_MARKER: &[u8] = b"\"self_hash\": \"";

/// What stands before the hash in TOML: a comment, so that the file is still a config.
const TOML_MARKER: &[u8] = b"# self_hash = \"";

/// What stands in the place of the hash while it is taken.
pub(crate) const BLANK: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Where the hash stands: behind the last marker.
pub(crate) fn find_place(bytes: &[u8], marker: &[u8]) -> Option<usize> {
    let start = bytes.windows(marker.len()).rposition(|here| here == marker)? + marker.len();
    (bytes.len() >= start + BLANK.len()).then_some(start)
}

/// The hash of all bytes with a blank in the place of `own`, where their hash stands.
pub(crate) fn hash_around(bytes: &[u8], own: Range<usize>) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&bytes[..own.start]).update(BLANK.as_bytes()).update(&bytes[own.end..]);
    hasher.finalize().to_hex().to_string()
}

/// Compares the bytes of the file at `path` with the hash that stands at `place`.
///
/// # Errors
/// Fails if they are not those that were written.
pub(crate) fn check_place(path: &Path, bytes: &[u8], place: usize) -> Result<()> {
    let own = place..place + BLANK.len();
    let (found, stated) = (hash_around(bytes, own.clone()), &bytes[own]);
    if found.as_bytes() == stated {
        return Ok(());
    }
    let expected = format!("{} (as the file states it)", String::from_utf8_lossy(stated).escape_debug());
    Err(Error::contract(path, KEY, expected, format!("{found}: the file was damaged or edited")))
}

/// Whether the file at `path` carries a hash; compares it.
fn check(path: &Path, bytes: &[u8], marker: &[u8]) -> Result<bool> {
    match find_place(bytes, marker) {
        Some(place) => check_place(path, bytes, place).map(|()| true),
        None => Ok(false),
    }
}

/// Text that ends with the marker, a blank and `rest`, with the hash in its place.
fn fill_in(mut text: String, marker: &[u8], rest: &str) -> String {
    text += &String::from_utf8_lossy(marker);
    let own = text.len()..text.len() + BLANK.len();
    text += BLANK;
    text += rest;
    let hash = hash_around(text.as_bytes(), own.clone());
    text.replace_range(own, &hash);
    text
}

/// A struct or map as JSON with the hash of the text under a last key, `self_hash`.
pub fn hashed_json(value: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(value).expect("plain data serialises");
    let head = text.strip_suffix('}').unwrap_or(&text).trim_end();
    fill_in(format!("{head},\n  "), JSON_MARKER, "\"\n}\n")
}

/// Parses what [`hashed_json`] wrote, without the key of the hash; also tells whether there was one, as older versions
/// wrote none.
///
/// # Errors
/// Fails if the bytes are no JSON, or not those that were written.
pub fn parse_hashed_json(path: &Path, bytes: &[u8]) -> Result<(Value, bool)> {
    let mut value: Value =
        serde_json::from_slice(bytes).map_err(|e| Error::contract(path, "text", "JSON", e))?;
    let is_stated = value.as_object_mut().is_some_and(|keys| keys.remove(KEY).is_some());
    let is_hashed = check(path, bytes, JSON_MARKER)?;
    if is_stated && !is_hashed {
        let expected = "64 digits, as it was written";
        return Err(Error::contract(path, KEY, expected, "another form: the file was damaged or edited"));
    }
    Ok((value, is_hashed))
}

/// TOML with the hash of the text in a comment at its end.
pub fn hashed_toml(text: &str) -> String {
    fill_in(format!("{}\n\n", text.trim_end()), TOML_MARKER, "\"\n")
}

/// Whether TOML ends with a hash; compares it.
///
/// # Errors
/// Fails if the text is not the one that was written.
pub fn check_hashed_toml(path: &Path, bytes: &[u8]) -> Result<bool> {
    check(path, bytes, TOML_MARKER)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a reader says of every file with one bit of `good` flipped.
    fn flip_bits(good: &[u8], read: impl Fn(&[u8]) -> Result<bool>) {
        assert!(read(good).unwrap());
        for at in 0..8 * good.len() {
            let mut bad = good.to_vec();
            bad[at / 8] ^= 1 << (at % 8);
            // A key of another name is a key that nobody knows.
            let is_hashed = read(&bad).is_ok_and(|is_hashed| is_hashed);
            assert!(!is_hashed, "bit {at} of {}", String::from_utf8_lossy(&bad));
        }
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let path = Path::new("a");
        let value = serde_json::json!({"b": [1, 2.5e-7], "a": {"self_hash": "no", "c": null}});
        let json = hashed_json(&value);
        assert!(json.ends_with("\"\n}\n"), "{json}");
        let read = |bytes: &[u8]| parse_hashed_json(path, bytes).map(|(_, is_hashed)| is_hashed);
        flip_bits(json.as_bytes(), read);
        assert_eq!(parse_hashed_json(path, json.as_bytes()).unwrap().0, value);
        let toml = hashed_toml("[run]\nseed = 1\n");
        let table: toml::Table = toml::from_str(&toml).unwrap();
        assert_eq!(table["run"]["seed"].as_integer(), Some(1));
        flip_bits(toml.as_bytes(), |bytes| check_hashed_toml(path, bytes));
    }

    #[test]
    fn text_without_a_hash_is_told_from_damaged_text() {
        let path = Path::new("a.json");
        assert!(!parse_hashed_json(path, b"{\"a\": 1}").unwrap().1);
        assert!(!check_hashed_toml(path, b"a = 1\n").unwrap());
        let edited = hashed_json(&serde_json::json!({"rows": 12})).replace("12", "13");
        let error = parse_hashed_json(path, edited.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("a.json: self_hash: expected "), "{error}");
        assert!(error.ends_with(": the file was damaged or edited"), "{error}");
        // Written anew by another tool: the key is there, the form is not.
        let reformed = hashed_json(&serde_json::json!({"rows": 12})).replace(": ", ":");
        let error = parse_hashed_json(path, reformed.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("found another form"), "{error}");
    }
}
