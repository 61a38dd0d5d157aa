//! Any bytes as a file of the format `mtl`: no panic, no unbounded allocation.

#![no_main]

use jepa3d_datasets::formats::mtl;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = mtl::parse(bytes);
});
