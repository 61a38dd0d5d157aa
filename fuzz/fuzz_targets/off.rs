//! Any bytes as a file of the format `off`: no panic, no unbounded allocation.

#![no_main]

use jepa3d_datasets::formats::off;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = off::parse(bytes);
});
