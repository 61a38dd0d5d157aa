//! npz (NumPy): a zip of npy arrays, of which one holds the points.

use std::io::{Cursor, Read};

use jepa3d_schemas::PointCloud;
use zip::ZipArchive;

use super::columns::ColumnSpec;
use super::npy;
use super::parsed::Parsed;
use crate::error::ParseError;

/// Array names that hold points, in the order in which they are tried.
const POINT_NAMES: [&str; 4] = ["points", "xyz", "pos", "data"];

/// Most bytes that one array may unpack to.
const MAX_UNPACKED: u64 = 1 << 30;

/// Reads the points of an npz file: the array `points`, `xyz`, `pos` or `data`, else the only one.
///
/// # Errors
/// Fails as [`npy::parse`] does, or if the file is no zip, no array can be chosen (the error lists the
/// names), or the array unpacks to more than 1 GiB or more than deflate can hold.
pub fn parse(bytes: &[u8]) -> Result<Parsed<PointCloud>, ParseError> {
    parse_columns(bytes, &ColumnSpec::default())
}

/// Reads the points of an npz file whose array `[N,C]` has the columns that `spec` names.
///
/// # Errors
/// Fails as [`parse`] does, or if the array has other columns.
pub(crate) fn parse_columns(bytes: &[u8], spec: &ColumnSpec) -> Result<Parsed<PointCloud>, ParseError> {
    let broken = |e: zip::result::ZipError| ParseError::file("an npz (zip) file", e.to_string());
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    let (index, name) = choose_array(&archive)?;
    let entry = archive.by_index(index).map_err(broken)?;
    let in_array = |e: ParseError| ParseError { expected: format!("{} in array {name:?}", e.expected), ..e };
    // Deflate cannot hold more than 1032 bytes in one; the slack is for tiny arrays.
    let limit = entry.compressed_size().saturating_mul(1032).saturating_add(1024).min(MAX_UNPACKED);
    if entry.size() > limit {
        let expected = format!("at most {limit} unpacked bytes");
        return Err(in_array(ParseError::file(expected, entry.size().to_string())));
    }
    let mut unpacked = Vec::new();
    entry
        .take(limit)
        .read_to_end(&mut unpacked)
        .map_err(|e| in_array(ParseError::file("packed data", e.to_string())))?;
    npy::parse_columns(&unpacked, spec).map_err(in_array)
}

/// Number and name of the entry that holds the points.
fn choose_array(archive: &ZipArchive<Cursor<&[u8]>>) -> Result<(usize, String), ParseError> {
    let array = |i| Some((i, archive.name_for_index(i)?.ok()?.strip_suffix(".npy")?.to_owned()));
    let mut arrays: Vec<(usize, String)> = (0..archive.len()).filter_map(array).collect();
    let known = POINT_NAMES.iter().find_map(|name| arrays.iter().position(|(_, n)| n == name));
    match known {
        Some(at) => Ok(arrays.swap_remove(at)),
        None if arrays.len() == 1 => Ok(arrays.swap_remove(0)),
        None => {
            let names: Vec<&String> = arrays.iter().take(8).map(|(_, name)| name).collect();
            let expected = format!("an array named {} or a single array", POINT_NAMES.join(", "));
            Err(ParseError::file(expected, format!("arrays {names:?}")))
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use super::*;
    use crate::formats::npy::tests::file;

    /// An npz file with the given arrays.
    pub(crate) fn archive(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in arrays {
            writer.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn cloud(value: u8) -> Vec<u8> {
        file("'|u1'", false, "(1, 3)", &[value; 3])
    }

    #[test]
    fn the_array_is_chosen_by_name() {
        let read = |arrays: &[(&str, Vec<u8>)]| parse(&archive(arrays)).unwrap().geometry.positions[0][0];
        assert_eq!(read(&[("odd", cloud(1))]), 1.0);
        assert_eq!(read(&[("data", cloud(1)), ("points", cloud(2))]), 2.0);
        let error = parse(&archive(&[("a", cloud(1)), ("b", cloud(2))])).unwrap_err().to_string();
        assert_eq!(
            error,
            "expected an array named points, xyz, pos, data or a single array, found arrays [\"a\", \"b\"]"
        );
        let error = parse(&archive(&[("a", b"x".to_vec())])).unwrap_err().to_string();
        assert_eq!(error, "expected an npy magic of version 1, 2 or 3 in array \"a\", found \"x\", byte 0");
        assert!(parse(b"PK").unwrap_err().to_string().starts_with("expected an npz (zip) file"));
    }
}
