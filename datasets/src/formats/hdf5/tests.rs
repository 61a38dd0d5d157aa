//! HDF5 against numpy's values of the same arrays, and against broken files.

use std::path::Path;

use super::H5File;
use crate::error::{Error, Result};
use crate::test_data::test_data;

/// Values of a little-endian npy of f4, i8 or f8 as h5py wrote them beside the variants.
fn npy(path: &Path) -> Vec<f64> {
    let bytes = std::fs::read(path).unwrap();
    let npy = npyz::NpyFile::new(&bytes[..]).unwrap();
    match npy.dtype() {
        npyz::DType::Plain(t) if t.to_string().contains("f4") => {
            npy.into_vec::<f32>().unwrap().into_iter().map(f64::from).collect()
        }
        npyz::DType::Plain(t) if t.to_string().contains("u1") => {
            npy.into_vec::<u8>().unwrap().into_iter().map(f64::from).collect()
        }
        _ => npy.into_vec::<i64>().unwrap().into_iter().map(|x| x as f64).collect(),
    }
}

fn all(file: &H5File, name: &str) -> Result<Vec<f64>> {
    let array = file.array(name)?;
    let mut values = Vec::new();
    for row in 0..array.rows() {
        values.extend(array.row(row)?.reals());
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
    println!("{error}");
    let empty = H5File::open(&dir.join("empty_rows.h5")).unwrap();
    assert_eq!(empty.array("data").unwrap().rows(), 0);
}
