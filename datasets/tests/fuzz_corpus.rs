//! Replays the fuzzing seeds and seeded mutations of them through every parser: no panic, bounded memory.
//!
//! Runs on stable; libFuzzer itself is in `fuzz/`. `JEPA3D_FUZZ_ROUNDS` sets the mutations of each seed.

#![allow(clippy::unwrap_used, reason = "a test that cannot read its seeds has failed")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use jepa3d_datasets::formats::{ColumnSpec, gltf, hdf5, mtl, npy, npz, obj, off, pcd, ply, stl, text};
use jepa3d_datasets::{NuScenesTable, parse_lidar, parse_nuscenes_table};
use jepa3d_schemas::Draws;

/// Whether the bytes were taken as a file of the format.
type Parse = fn(&[u8]) -> bool;

const TARGETS: [(&str, Parse); 13] = [
    ("gltf", |b| gltf::parse(b).is_ok()),
    ("hdf5", |b| hdf5_rows(b).is_some_and(|rows| rows > 0)),
    ("mtl", |b| !mtl::parse(b).geometry.is_empty()),
    ("npy", |b| npy::parse(b).is_ok()),
    ("npz", |b| npz::parse(b).is_ok()),
    ("nuscenes_lidar", |b| parse_lidar(b).is_ok()),
    ("nuscenes_tables", |b| NuScenesTable::ALL.iter().any(|&t| parse_nuscenes_table(t, b).is_ok())),
    ("obj", |b| obj::parse(b).is_ok()),
    ("off", |b| off::parse(b).is_ok()),
    ("pcd", |b| pcd::parse(b).is_ok()),
    ("ply", |b| ply::parse(b).is_ok()),
    ("stl", |b| stl::parse(b).is_ok()),
    ("text", |b| text::parse_columns(b, &ColumnSpec::default()).is_ok()),
];

/// HDF5 is read from a path, not from bytes.
fn hdf5_rows(bytes: &[u8]) -> Option<usize> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    hdf5::count_rows(file.path()).ok()
}

/// No input of this size may take longer.
const SLOWEST: Duration = Duration::from_secs(5);

/// The seeds of one target with their names, sorted.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus")).join(target);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|p| (p.display().to_string(), std::fs::read(p).unwrap())).collect()
}

/// Text and bytes that parsers stumble over.
const SPLICES: [&[u8]; 16] = [
    b"4294967295",
    b"-1",
    b"0",
    b"1e999",
    b"nan",
    b"99999999999999999999",
    b"\n",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\x00\x00\x80\x7f",
    b" ",
    b"/",
    b"\\\n",
    b"#",
    b"\xef\xbb\xbf",
];

/// A damaged copy: cut off, bits flipped, pieces spliced in, taken out or repeated.
fn mutate(bytes: &[u8], draws: &mut Draws) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for _ in 0..=draws.index(4) {
        let at = draws.index(out.len() + 1);
        match draws.index(6) {
            0 => out.truncate(at),
            1 | 2 if at < out.len() => out[at] ^= 1 << draws.index(8),
            3 => {
                let splice = SPLICES[draws.index(SPLICES.len())];
                out.splice(at..at, splice.iter().copied());
            }
            4 => {
                let end = (at + draws.index(16)).min(out.len());
                out.drain(at..end);
            }
            5 => {
                let end = (at + draws.index(64)).min(out.len());
                out.extend_from_within(at..end);
            }
            _ => {
                let splice = SPLICES[draws.index(SPLICES.len())];
                for (slot, b) in out[at..].iter_mut().zip(splice) {
                    *slot = *b;
                }
            }
        }
    }
    out
}

/// Parses within the time limit; the caller names what was parsed.
fn timed(parse: Parse, bytes: &[u8], what: &dyn Fn() -> String) -> bool {
    let start = Instant::now();
    let ok = parse(bytes);
    assert!(start.elapsed() < SLOWEST, "{}: {:?}", what(), start.elapsed());
    ok
}

/// Largest virtual size so far, in KiB, where the system tells.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmPeak:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn damaged_seeds_neither_panic_nor_eat_memory() {
    let rounds = std::env::var("JEPA3D_FUZZ_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(2000);
    let before = peak_kib();
    for (target, parse) in TARGETS {
        let mut taken = 0usize;
        // A seed of HDF5 is kilobytes long, goes through a file, and costs as much as many others.
        let thrift = if target == "hdf5" { 40 } else { 1 };
        for (name, seed) in seeds(target) {
            for cut in (0..seed.len()).step_by(thrift) {
                timed(parse, &seed[..cut], &|| format!("{name} cut to {cut} bytes"));
            }
            for round in 0..rounds / thrift as u64 {
                let mut draws = Draws::new(round, &name[name.len() - 6..], "mutate");
                let damaged = mutate(&seed, &mut draws);
                taken += usize::from(timed(parse, &damaged, &|| format!("{name}, round {round}")));
                // Other parsers meet the file too: extensions lie.
                let (_, other) = TARGETS[draws.index(TARGETS.len())];
                timed(other, &damaged, &|| format!("{name} as another format, round {round}"));
            }
        }
        assert!(taken > 0 || rounds < 100, "{target}: no damaged seed is still legal; are the seeds?");
    }
    if let (Some(before), Some(after)) = (before, peak_kib()) {
        assert!(after - before < 1 << 20, "{} MiB more virtual memory", (after - before) >> 10);
    }
}

/// Seeds that are wrong on purpose.
const REFUSED: [&str; 3] = ["bad.obj", "huge.off", "cut_chunk.glb"];

#[test]
fn seeds_are_legal_unless_named() {
    for (target, parse) in TARGETS {
        for (name, seed) in seeds(target) {
            assert_eq!(parse(&seed), !REFUSED.iter().any(|r| name.ends_with(r)), "{name}");
        }
    }
}
