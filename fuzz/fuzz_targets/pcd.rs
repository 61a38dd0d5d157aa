//! Any bytes as a file of the format `pcd`: no panic, no unbounded allocation.

#![no_main]

use jepa3d_datasets::formats::pcd;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = pcd::parse(bytes);
});
