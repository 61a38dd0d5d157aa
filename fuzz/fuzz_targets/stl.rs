//! Any bytes as a file of the format `stl`: no panic, no unbounded allocation.

#![no_main]

use jepa3d_datasets::formats::stl;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = stl::parse(bytes);
});
