//! Any bytes as a file of the format `ply`: no panic, no unbounded allocation.

#![no_main]

use jepa3d_datasets::formats::ply;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = ply::parse(bytes);
});
