//! Any bytes as an HDF5 file: no panic, no unbounded allocation.

#![no_main]

use jepa3d_datasets::formats::hdf5;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let path = std::env::temp_dir().join(format!("jepa3d-fuzz-{}.h5", std::process::id()));
    if std::fs::write(&path, bytes).is_ok() {
        let _ = hdf5::count_rows(&path);
    }
});
