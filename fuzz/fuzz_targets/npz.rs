//! Any bytes as a file of the format `npz`: no panic, no unbounded allocation.

#![no_main]

use jepa3d_datasets::formats::npz;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = npz::parse(bytes);
});
