//! HDF5 against numpy's values of the same arrays, and against broken files.

use std::path::Path;

use super::H5File;
use crate::budget::Budget;
use crate::error::Result;
use crate::formats::npy::tests::values;
use crate::test_data::test_data;

/// Values of an npy that numpy wrote beside the variants.
fn npy(path: &Path) -> Vec<f64> {
    values(&std::fs::read(path).unwrap())
}

fn all(file: &H5File, name: &str) -> Result<Vec<f64>> {
    let array = file.array(name)?;
    let mut values = Vec::new();
    for row in 0..array.rows() {
        values.extend(array.row(row, &Budget::default())?.reals());
    }
    Ok(values)
}

#[test]
fn every_storage_variant_gives_the_values_or_is_refused_by_name() {
    let Some(dir) = test_data("h5/variants") else { return };
    let data = npy(&dir.join("expected_data.npy"));
    let label = npy(&dir.join("expected_label.npy"));
    for (name, group) in [
        ("contiguous", ""),
        ("chunked_plain", ""),
        ("gzip9_shuffle", ""),
        ("gzip_fletcher32", ""),
        ("lzf", ""),
        ("libver_v110_contiguous", ""),
        ("big_endian", ""),
        ("resizable", ""),
        ("in_group_with_attributes_and_strings", "train/"),
    ] {
        let file = H5File::open(&dir.join(format!("{name}.h5"))).unwrap();
        assert_eq!(all(&file, &format!("{group}data")).unwrap(), data, "{name}");
        assert_eq!(all(&file, &format!("{group}label")).unwrap(), label, "{name}");
    }
    let latest = H5File::open(&dir.join("libver_latest.h5")).unwrap();
    let error = latest.array("data").err().unwrap().to_string();
    assert!(error.contains("invalid data layout version: 5) is not supported"), "{error}");
    let half = H5File::open(&dir.join("f16_data_u8_label.h5")).unwrap();
    let error = half.array("data").err().unwrap().to_string();
    assert!(error.contains("element type") && error.contains("is not supported"), "{error}");
    assert_eq!(all(&half, "label").unwrap(), label);
    let error = H5File::open(&dir.join("truncated.h5")).and_then(|f| all(&f, "data")).unwrap_err();
    assert!(error.to_string().contains("truncated.h5"), "{error}");
    let empty = H5File::open(&dir.join("empty_rows.h5")).unwrap();
    assert_eq!(empty.array("data").unwrap().rows(), 0);
}

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/formats/hdf5/fixtures").join(name)
}

fn expected_reals() -> Vec<f64> {
    (0..60).map(|k| f64::from(k) / 4.0 - 3.0).collect()
}

/// File, arrays of reals, arrays of integers.
const FIXTURES: [(&str, &[&str], &[&str]); 2] = [
    ("arrays.h5", &["f32", "f32_inner_chunks"], &["u8"]),
    (
        "newer.h5",
        &["f64_big_endian", "f32_checksum", "f32_lzf"],
        &["u16", "u32", "u64", "i8", "i16", "i32", "i64", "i64_gzip", "f32_whole"],
    ),
];

#[test]
fn arrays_of_every_type() {
    for (file, reals, integers) in FIXTURES {
        let file = H5File::open(&fixture(file)).unwrap();
        for name in reals {
            assert_eq!(all(&file, name).unwrap(), expected_reals(), "{name}");
        }
        for name in integers {
            let array = file.array(name).unwrap();
            let low = if name.starts_with('u') { 0 } else { 1 };
            for row in (0..5).rev() {
                assert_eq!(
                    array.row(row, &Budget::default()).unwrap().integers().unwrap(),
                    [row as i64 - low],
                    "{name}"
                );
            }
            assert!(
                array
                    .row(5, &Budget::default())
                    .is_err_and(|e| e.to_string().contains("row 5: expected more than 5 rows"))
            );
        }
    }
    let file = H5File::open(&fixture("arrays.h5")).unwrap();
    assert!(file.has("f32").unwrap() && !file.has("normal").unwrap());
    let error = file.array("normal").err().unwrap().to_string();
    assert!(error.ends_with("arrays.h5: expected an array \"normal\", found none of that name"), "{error}");
}

#[test]
fn rows_are_charged_before_they_are_decoded() {
    let file = H5File::open(&fixture("arrays.h5")).unwrap();
    let error = file.array("f32").unwrap().row(0, &Budget::new(100)).err().unwrap().to_string();
    assert!(
        error.contains("arrays.h5: expected at most 0 MiB decoded for one object (run.max_object_mb)"),
        "{error}"
    );
}

#[test]
fn what_is_not_read_is_refused_by_name() {
    let file = H5File::open(&fixture("newer.h5")).unwrap();
    for (name, expected) in [
        ("half", "element type"),
        ("text", "element type"),
        ("pairs", "element type"),
        ("flags", "element type"),
        ("scalar", "with an array with rows, found a single number"),
        ("unwritten", "expected array \"unwritten\" with written data, found storage that was never written"),
        ("unwritten_chunk", "with written data, found 1 of 2 chunks never written"),
        ("scaled", "filter scaleoffset (number 6) of array"),
        ("huge", "with sizes that fit a file of"),
        ("no_row_bytes", "with sizes that fit a file of"),
    ] {
        let error = file.array(name).err().unwrap().to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
    let number = file.array("number").unwrap();
    for (row, found) in [(0, "0.5"), (1, "NaN")] {
        let error = number.row(row, &Budget::default()).unwrap().integers().unwrap_err().to_string();
        assert!(error.ends_with(&format!("row {row}: expected whole numbers in \"number\", found {found}")));
    }
    let error =
        file.array("beyond").unwrap().row(0, &Budget::default()).unwrap().integers().unwrap_err().to_string();
    assert!(error.ends_with("found 9223372036854775808"), "{error}");
}

/// Opens bytes as a file and reads all of it; counts arrays that were read in full.
fn read_everything(path: &Path, bytes: &[u8], names: &[&str]) -> usize {
    std::fs::write(path, bytes).unwrap();
    let Ok(file) = H5File::open(path) else { return 0 };
    let read = |name: &&&str| {
        let Ok(array) = file.array(name) else { return false };
        // A changed header may claim more rows than the array had, within the limits.
        (0..array.rows().min(1000)).all(|row| {
            array.row(row, &Budget::default()).is_ok_and(|r| {
                let _ = r.integers();
                r.reals().len() * array.rows() == array.shape().iter().product::<usize>()
            })
        })
    };
    names.iter().filter(read).count()
}

#[test]
fn broken_files_never_panic() {
    let rounds = std::env::var("JEPA3D_FUZZ_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(400);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("broken.h5");
    let mut draws = jepa3d_schemas::Draws::new(1, "hdf5", "mutations");
    let mut read = 0;
    for round in 0..rounds {
        let (name, reals, integers) = FIXTURES[round % 2];
        let bytes = std::fs::read(fixture(name)).unwrap();
        let names = [reals, integers].concat();
        if round < 2 {
            assert_eq!(read_everything(&path, &bytes, &names), names.len());
        }
        let mut broken = bytes.clone();
        if draws.chance(0.2) {
            broken.truncate(draws.index(bytes.len()));
        }
        for _ in 0..draws.index(4) {
            let at = draws.index(broken.len().max(1));
            let value = [0, 0xff, 0x7f, 1 << draws.index(8)][draws.index(4)];
            let run = if draws.chance(0.3) { 8 } else { 1 };
            broken.iter_mut().skip(at).take(run).for_each(|b| *b = if run == 1 { *b ^ value } else { value });
        }
        read += read_everything(&path, &broken, &names);
    }
    assert!(read > 0, "no mutation left anything readable: the test tests nothing");
}
