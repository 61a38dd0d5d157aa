//! Any bytes as a file of the format `npy`: no panic, no unbounded allocation.

#![no_main]

use jepa3d_datasets::formats::npy;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = npy::parse(bytes);
});
