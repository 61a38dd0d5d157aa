//! Any bytes as a nuScenes LiDAR sweep: no panic, no unbounded allocation.

#![no_main]

use jepa3d_datasets::parse_lidar;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = parse_lidar(bytes);
});
