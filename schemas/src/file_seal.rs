//! The hash that a safetensors file carries of itself, so that one damaged bit anywhere in it is found.
//!
//! It stands in the file's metadata, so the file stays one that every reader of the format takes. What is hashed is the whole
//! file with zeros in the place of the hash: tensors, names, shapes, metadata and padding.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::self_hash::{BLANK, hash_around};

/// Key of the hash in the metadata: BLAKE3, hex.
const HASH_KEY: &str = "jepa3d.blake3";
/// Key that tells a file whose hash got lost from one that never had any.
const SEALED_KEY: &str = "jepa3d.sealed";
/// Bytes before the header, which hold its length.
const LENGTH: usize = 8;

/// How the header of a file with metadata begins, as this crate and the format's own writer make it.
const METADATA: &str = "{\"__metadata__\":{";

/// Puts the hash into a safetensors file that was just made.
///
/// # Panics
/// If `file` has no whole header.
pub fn seal_safetensors(mut file: Vec<u8>) -> Vec<u8> {
    let end = find_header(&file).expect("a file that was just made has a header").end;
    let header = file[LENGTH..end].trim_ascii_end();
    let own = format!("\"{HASH_KEY}\":\"{BLANK}\",\"{SEALED_KEY}\":\"whole file\"");
    let comma = |is_followed: bool| if is_followed { "," } else { "" };
    let (at, text) = match header.strip_prefix(METADATA.as_bytes()) {
        Some(rest) => (METADATA.len(), format!("{own}{}", comma(rest.first() != Some(&b'}')))),
        None => (1, format!("{}{own}}}{}", &METADATA[1..], comma(header.get(1) != Some(&b'}')))),
    };
    let mut new = [&header[..at], text.as_bytes(), &header[at..]].concat();
    new.resize(new.len().next_multiple_of(LENGTH), b' ');
    let start = at + text.find(HASH_KEY).expect("it was just written") + HASH_KEY.len() + 3 + LENGTH;
    let length = (new.len() as u64).to_le_bytes();
    file.splice(..end, length.into_iter().chain(new));
    let hash = blake3::hash(&file).to_hex();
    file[start..start + BLANK.len()].copy_from_slice(hash.as_bytes());
    file
}

/// Compares a safetensors file with the hash that it carries; `false` if it is one that carries none, because another tool
/// made it.
///
/// # Errors
/// Fails if the file is not the one that was written; the error names both hashes.
pub fn check_seal(path: &Path, file: &[u8]) -> Result<bool> {
    #[derive(Deserialize)]
    struct SafetensorsHeader {
        #[serde(default, rename = "__metadata__")]
        metadata: BTreeMap<String, String>,
    }
    let what = "header of a safetensors file";
    let range = find_header(file).ok_or_else(|| Error::contract(path, what, "a whole one", "less"))?;
    let header = &file[range.clone()];
    let parsed: SafetensorsHeader =
        serde_json::from_slice(header).map_err(|e| Error::contract(path, what, "JSON", e))?;
    let Some(expected) = parsed.metadata.get(HASH_KEY) else {
        // Damage may have hit the name of one of them, or that of the metadata.
        let is_sealed = [HASH_KEY, SEALED_KEY].iter().any(|key| find(header, key).is_some());
        return match is_sealed {
            true => Err(Error::contract(path, "content hash", "one in the metadata", "none")),
            false => Ok(false),
        };
    };
    let written = format!("\"{HASH_KEY}\":\"{expected}\"");
    let start = find(header, &written).map(|at| range.start + at + written.len() - 1 - expected.len());
    let found = start.map_or_else(String::new, |start| hash_around(file, start..start + expected.len()));
    if *expected != found {
        return Err(Error::contract(path, "content hash", expected, found));
    }
    Ok(true)
}

/// Where `text` first stands in a header.
fn find(header: &[u8], text: &str) -> Option<usize> {
    header.windows(text.len()).position(|window| window == text.as_bytes())
}

/// Where the header is, after its length.
fn find_header(file: &[u8]) -> Option<Range<usize>> {
    let length = u64::from_le_bytes(*file.first_chunk()?);
    let end = usize::try_from(length).ok()?.checked_add(LENGTH)?;
    (end <= file.len()).then_some(LENGTH..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str) -> Vec<u8> {
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        file.extend([1, 2, 3, 4, 5, 6, 7, 8]);
        file
    }

    const HEADERS: [&str; 4] = [
        "{\"__metadata__\":{\"format\":\"pt\"},\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}     ",
        "{\"__metadata__\":{}}",
        "{}",
    ];

    #[test]
    fn every_bit_of_a_sealed_file_counts() {
        let path = Path::new("a.safetensors");
        for header in HEADERS {
            let plain = file(header);
            assert!(!check_seal(path, &plain).unwrap(), "{header}");
            let sealed = seal_safetensors(plain.clone());
            assert!(check_seal(path, &sealed).unwrap(), "{header}");
            assert_eq!(seal_safetensors(plain), sealed, "the same bytes each time");
            let header = find_header(&sealed).unwrap();
            assert_eq!((header.end % 8, sealed.len() - header.end), (0, 8));
            for bit in 0..8 * sealed.len() {
                let mut damaged = sealed.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                let error = check_seal(path, &damaged).expect_err(&format!("bit {bit} of {header:?}"));
                assert!(error.to_string().starts_with("a.safetensors: "), "{error}");
            }
        }
    }

    #[test]
    fn both_hashes_are_named() {
        let mut sealed = seal_safetensors(file(HEADERS[0]));
        *sealed.last_mut().unwrap() ^= 1;
        let error = check_seal(Path::new("a"), &sealed).unwrap_err().to_string();
        let words: Vec<&str> = error.split([' ', ',']).filter(|word| word.len() == BLANK.len()).collect();
        assert!(error.starts_with("a: content hash: expected ") && words.len() == 2, "{error}");
    }
}
