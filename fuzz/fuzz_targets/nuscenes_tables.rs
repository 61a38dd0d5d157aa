//! Any bytes as each table of nuScenes: no panic, no unbounded allocation.

#![no_main]

use jepa3d_datasets::{NuScenesTable, parse_nuscenes_table};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for table in NuScenesTable::ALL {
        let _ = parse_nuscenes_table(table, bytes);
    }
});
