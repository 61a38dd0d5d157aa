//! Any bytes as a file of the format `gltf`: no panic, no unbounded allocation.

#![no_main]

use jepa3d_datasets::formats::gltf;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = gltf::parse(bytes);
});
