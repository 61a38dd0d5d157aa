//! Any bytes as a file of the format `text`: no panic, no unbounded allocation.

#![no_main]

use jepa3d_datasets::formats::{ColumnSpec, text};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = text::parse_columns(bytes, &ColumnSpec::default());
});
