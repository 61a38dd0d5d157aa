//! How fast are files parsed? One JSON line a folder: megabytes a second on one thread, best of five.
//!
//! `cargo bench -p jepa3d-datasets --bench formats -- DIR...`; all files are in memory before the clock starts.

use std::path::{Path, PathBuf};
use std::time::Instant;

use jepa3d_datasets::formats::{obj, off, pcd, ply, stl};

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// Parses a file; positions plus triangles, so that nothing is optimised away.
fn parse(extension: &str, bytes: &[u8]) -> Option<usize> {
    let mesh = match extension {
        "obj" => obj::parse(bytes).ok()?.mesh,
        "off" => off::parse(bytes).ok()?.geometry,
        "stl" => stl::parse(bytes).ok()?.geometry,
        "pcd" => return Some(pcd::parse(bytes).ok()?.geometry.len()),
        "ply" => return ply::parse(bytes).ok().map(|_| 1),
        _ => return None,
    };
    Some(mesh.positions.len() + mesh.triangles.len())
}

fn main() {
    for folder in std::env::args().skip(1).filter(|arg| !arg.starts_with("--")) {
        let mut paths = Vec::new();
        files(Path::new(&folder), &mut paths);
        for extension in ["obj", "off", "ply", "stl", "pcd"] {
            let of_kind = paths.iter().filter(|p| p.extension().is_some_and(|e| e == extension));
            let texts: Vec<Vec<u8>> = of_kind.map(|p| std::fs::read(p).expect("a file")).collect();
            let bytes: usize = texts.iter().map(Vec::len).sum();
            if bytes == 0 {
                continue;
            }
            let mut best = f64::INFINITY;
            for _ in 0..5 {
                let start = Instant::now();
                let total: usize = texts.iter().filter_map(|text| parse(extension, text)).sum();
                std::hint::black_box(total);
                best = best.min(start.elapsed().as_secs_f64());
            }
            let rate = bytes as f64 / 1e6 / best;
            println!(
                "{{\"case\": \"parse {extension} {folder}\", \"files\": {}, \"megabytes\": {:.1}, \"ours\": {rate:.0}, \"unit\": \"MB/s\"}}",
                texts.len(),
                bytes as f64 / 1e6
            );
        }
    }
}
