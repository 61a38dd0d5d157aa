//! Any bytes as a file of the format `obj`: no panic, no unbounded allocation.

#![no_main]

use jepa3d_datasets::formats::obj;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = obj::parse(bytes);
});
