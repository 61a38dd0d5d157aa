//! How long does opening nuScenes trainval take, and how much memory? Measured on generated tables of its size.
//!
//! The tables of the full data set are not free to hand on, so their like is generated: the numbers
//! of rows are those of trainval, tokens are random hex, columns and their formatting as in the
//! originals. Opening runs in a child process, so that its peak memory is its own (`VmHWM`, Linux).
//! With `--peer PYTHON` the official devkit, if that Python has it, opens the same tables for comparison
//! (about 12 GiB and minutes). Usage:
//! `cargo bench -p jepa3d-datasets --bench nuscenes_tables [-- --samples N] [--keep DIR] [--peer PYTHON]`.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use jepa3d_datasets::{DatasetConfig, NuScenesConfig, NuScenesUnit};

type BenchResult<T> = Result<T, Box<dyn Error>>;

const CHANNELS: [&str; 12] = [
    "LIDAR_TOP",
    "CAM_FRONT",
    "CAM_FRONT_RIGHT",
    "CAM_BACK_RIGHT",
    "CAM_BACK",
    "CAM_BACK_LEFT",
    "CAM_FRONT_LEFT",
    "RADAR_FRONT",
    "RADAR_FRONT_LEFT",
    "RADAR_FRONT_RIGHT",
    "RADAR_BACK_LEFT",
    "RADAR_BACK_RIGHT",
];

/// Files of each channel for one keyframe: the keyframe and the sweeps that follow it.
/// 10 + 6 x 6 + 4 x 6 + 7 = 77 files, as in trainval (2,631,083 / 34,149 = 77.05).
const FILES_PER_SAMPLE: [u64; 12] = [10, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 7];

/// What is left of trainval's 2,631,083 files: so many of the first samples have one file more.
const EXTRA_FILES: u64 = 2_631_083 - 34_149 * 77;

/// Files of a channel for a keyframe.
fn files_of(sample: u64, channel: usize) -> u64 {
    FILES_PER_SAMPLE[channel] + u64::from(channel == 11 && sample < EXTRA_FILES)
}

/// Boxes of a keyframe in trainval: 1,166,187 / 34,149.
const BOXES_PER_SAMPLE: u64 = 34;

/// What was written, for the report: rows of `sample_data`, and bytes in all.
struct WrittenTables {
    files: u64,
    bytes: u64,
}

fn main() -> BenchResult<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |key: &str| arguments.iter().position(|a| a == key).and_then(|i| arguments.get(i + 1));
    if let Some(case) = value("--open") {
        let root = value("--root").ok_or("--open needs --root")?;
        let number = |key| value(key).map(|n| n.parse::<f64>()).transpose();
        let peer = PeerFigures { seconds: number("--peer-s")?, mib: number("--peer-mib")? };
        return open(Path::new(root), case, peer);
    }
    let samples: u64 = value("--samples").map_or(Ok(34_149), |n| n.parse())?;
    let kept = value("--keep").map(PathBuf::from);
    let temporary = tempfile::tempdir()?;
    let root = kept.unwrap_or_else(|| temporary.path().to_owned());
    let start = Instant::now();
    let WrittenTables { files, bytes } = write_tables(&root, samples)?;
    eprintln!("wrote {files} files, {} MiB of tables in {:.1?}", bytes >> 20, start.elapsed());
    let peer = value("--peer").map(|python| open_with_devkit(python, &root)).transpose()?;
    for case in ["scene", "scene-10-sweeps", "box"] {
        let mut child = Command::new(std::env::current_exe()?);
        child.args(["--open", case, "--root"]).arg(&root);
        if let Some([seconds, mib]) = peer {
            child.args(["--peer-s", &seconds.to_string(), "--peer-mib", &mib.to_string()]);
        }
        let status = child.status()?;
        if !status.success() {
            return Err(format!("case {case} failed").into());
        }
    }
    Ok(())
}

/// What the devkit took, where it was asked.
struct PeerFigures {
    seconds: Option<f64>,
    mib: Option<f64>,
}

/// Opens the tables and prints time and peak memory as JSON lines.
fn open(root: &Path, case: &str, peer: PeerFigures) -> BenchResult<()> {
    let config = NuScenesConfig {
        version: "v1.0-trainval".to_owned(),
        unit: if case == "box" { NuScenesUnit::Box } else { NuScenesUnit::Scene },
        sweeps: if case == "scene-10-sweeps" { 9 } else { 0 },
        min_box_points: 0,
        ..NuScenesConfig::default()
    };
    let start = Instant::now();
    let dataset = DatasetConfig::NuScenes(config).open(root)?;
    let seconds = start.elapsed().as_secs_f64();
    eprintln!("{case}: {} objects; {}", dataset.len(), dataset.notes().join("; "));
    let line = |unit: &str, ours: f64, peer: Option<f64>| {
        let text = |value: Option<f64>| value.map_or("null".to_owned(), |v| format!("{v:.2}"));
        let (ratio, peer) = (text(peer.map(|p| p / ours)), text(peer));
        println!(
            "{{\"case\": \"nuscenes-tables/{case}\", \"ours\": {ours:.2}, \"peer\": {peer}, \"unit\": \"{unit}\", \
             \"ratio\": {ratio}}}"
        );
    };
    line("s", seconds, peer.seconds);
    if let Some(kib) = peak_memory_kib() {
        line("MiB", kib / 1024.0, peer.mib);
    }
    Ok(())
}

/// Seconds and peak MiB of the devkit on the same tables; it always reads all of them.
fn open_with_devkit(python: &str, root: &Path) -> BenchResult<[f64; 2]> {
    const SCRIPT: &str = "import resource, sys, time
from nuscenes import NuScenes
start = time.time()
NuScenes(version='v1.0-trainval', dataroot=sys.argv[1], verbose=False)
print(time.time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)";
    let output = Command::new(python).args(["-c", SCRIPT]).arg(root).output()?;
    let text = String::from_utf8(output.stdout)?;
    let numbers: Vec<f64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    match numbers[..] {
        [seconds, mib] => Ok([seconds, mib]),
        _ => Err(format!("the devkit failed: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

/// Peak resident memory of this process, where the system tells.
fn peak_memory_kib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// A JSON array written row by row.
struct JsonTable {
    file: BufWriter<File>,
    rows: u64,
}

impl JsonTable {
    fn create(root: &Path, name: &str) -> BenchResult<Self> {
        let folder = root.join("v1.0-trainval");
        std::fs::create_dir_all(&folder)?;
        let mut file =
            BufWriter::with_capacity(1 << 20, File::create(folder.join(name).with_extension("json"))?);
        file.write_all(b"[\n")?;
        Ok(Self { file, rows: 0 })
    }

    fn row(&mut self, columns: std::fmt::Arguments<'_>) -> BenchResult<()> {
        let separator = if self.rows == 0 { "" } else { ",\n" };
        self.rows += 1;
        write!(self.file, "{separator}{{\n{columns}\n}}")?;
        Ok(())
    }

    /// Closes the table; returns its length in bytes.
    fn finish(mut self) -> BenchResult<u64> {
        self.file.write_all(b"\n]")?;
        Ok(self.file.into_inner()?.metadata()?.len())
    }
}

/// 32 hex digits that look random and differ for each (table, row).
fn token(table: u64, row: u64) -> String {
    let mix = |mut x: u64| {
        // SplitMix64, a bijection.
        x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    };
    format!("{:016x}{:016x}", mix(table << 40 | row), mix(row ^ 0x5555))
}

const ROTATION: &str =
    "[\n0.5720320396729045,\n-0.0016977771610471074,\n0.011798001930183783,\n-0.8201446642457809\n]";

fn write_tables(root: &Path, samples: u64) -> BenchResult<WrittenTables> {
    let mut bytes = write_small_tables(root, samples)?;
    let (mut files, mut poses) =
        (JsonTable::create(root, "sample_data")?, JsonTable::create(root, "ego_pose")?);
    for sample in 0..samples {
        for channel in 0..CHANNELS.len() {
            for nth in 0..files_of(sample, channel) {
                write_file(&mut files, &mut poses, TableFile { sample, channel: channel as u64, nth })?;
            }
        }
    }
    let rows = files.rows;
    bytes += files.finish()? + poses.finish()?;
    bytes += write_boxes(root, samples)?;
    Ok(WrittenTables { files: rows, bytes })
}

/// A file of `sample_data`: the `nth` of a channel for a keyframe, 0 the keyframe itself.
struct TableFile {
    sample: u64,
    channel: u64,
    nth: u64,
}

/// Writes the row of a file and its pose.
fn write_file(files: &mut JsonTable, poses: &mut JsonTable, file: TableFile) -> BenchResult<()> {
    let TableFile { sample, channel, nth } = file;
    let number = |sample: u64, nth: u64| sample << 8 | channel << 4 | nth;
    // 40 keyframes make a scene; the chain starts anew with each.
    let prev = match (sample % 40, nth) {
        (0, 0) => String::new(),
        (_, 0) => token(5, number(sample - 1, files_of(sample - 1, channel as usize) - 1)),
        _ => token(5, number(sample, nth - 1)),
    };
    let (folder, key) = if nth == 0 { ("samples", true) } else { ("sweeps", false) };
    let (size, format) = match channel {
        0 => ((0, 0), ("pcd", "pcd.bin")),
        1..=6 => ((900, 1600), ("jpg", "jpg")),
        _ => ((0, 0), ("pcd", "pcd")),
    };
    let time = 1_532_402_927_647_951 + sample * 500_000 + nth * 50_000;
    let own = token(5, number(sample, nth));
    let name = CHANNELS[channel as usize];
    files.row(format_args!(
        "\"token\": \"{own}\",\n\"sample_token\": \"{}\",\n\"ego_pose_token\": \"{own}\",\n\
         \"calibrated_sensor_token\": \"{}\",\n\"timestamp\": {time},\n\"fileformat\": \"{}\",\n\
         \"is_key_frame\": {key},\n\"height\": {},\n\"width\": {},\n\
         \"filename\": \"{folder}/{name}/n015-2018-07-24-11-22-45+0800__{name}__{time}.{}\",\n\
         \"prev\": \"{prev}\",\n\"next\": \"{}\"",
        token(2, sample),
        token(4, sample / 40 * 12 + channel),
        format.0,
        size.0,
        size.1,
        format.1,
        token(5, number(sample, nth + 1)),
    ))?;
    poses.row(format_args!(
        "\"token\": \"{own}\",\n\"timestamp\": {time},\n\"rotation\": {ROTATION},\n\
         \"translation\": [\n{:.13},\n1180.890380859375,\n0.0\n]",
        411.3039245605469 + sample as f64 * 0.01
    ))
}

fn write_small_tables(root: &Path, samples: u64) -> BenchResult<u64> {
    let scenes = samples.div_ceil(40);
    let mut table = JsonTable::create(root, "scene")?;
    for scene in 0..scenes {
        table.row(format_args!("\"token\": \"{}\",\n\"name\": \"scene-{scene:04}\"", token(1, scene)))?;
    }
    let mut bytes = table.finish()?;
    table = JsonTable::create(root, "sample")?;
    for sample in 0..samples {
        table.row(format_args!(
            "\"token\": \"{}\",\n\"timestamp\": {},\n\"prev\": \"\",\n\"next\": \"\",\n\"scene_token\": \"{}\"",
            token(2, sample),
            1_532_402_927_647_951 + sample * 500_000,
            token(1, sample / 40)
        ))?;
    }
    bytes += table.finish()?;
    table = JsonTable::create(root, "sensor")?;
    for (row, channel) in CHANNELS.iter().enumerate() {
        let modality =
            channel.split('_').next().map(|m| m.replace("CAM", "CAMERA").to_lowercase()).unwrap_or_default();
        let own = token(3, row as u64);
        table.row(format_args!(
            "\"token\": \"{own}\",\n\"channel\": \"{channel}\",\n\"modality\": \"{modality}\""
        ))?;
    }
    bytes += table.finish()?;
    // Not read by ours, but the devkit wants them.
    for name in ["attribute", "visibility", "log"] {
        bytes += JsonTable::create(root, name)?.finish()?;
    }
    table = JsonTable::create(root, "map")?;
    std::fs::write(root.join("map.png"), "")?;
    let own = token(11, 0);
    table.row(format_args!("\"token\": \"{own}\",\n\"log_tokens\": [],\n\"filename\": \"map.png\""))?;
    bytes += table.finish()?;
    Ok(bytes + write_calibrations(root, scenes)?)
}

fn write_calibrations(root: &Path, scenes: u64) -> BenchResult<u64> {
    let mut table = JsonTable::create(root, "calibrated_sensor")?;
    for row in 0..scenes * 12 {
        let is_camera = (1..=6).contains(&(row % 12));
        let matrix =
            if is_camera { "[[1266.4, 0.0, 816.2], [0.0, 1266.4, 491.5], [0.0, 0.0, 1.0]]" } else { "[]" };
        table.row(format_args!(
            "\"token\": \"{}\",\n\"sensor_token\": \"{}\",\n\"translation\": [0.9, 0.0, 1.8],\n\
             \"rotation\": {ROTATION},\n\"camera_intrinsic\": {matrix}",
            token(4, row),
            token(3, row % 12)
        ))?;
    }
    table.finish()
}

fn write_boxes(root: &Path, samples: u64) -> BenchResult<u64> {
    let mut table = JsonTable::create(root, "category")?;
    table.row(format_args!("\"token\": \"{}\",\n\"name\": \"vehicle.car\"", token(7, 0)))?;
    let mut bytes = table.finish()?;
    let instances = samples * 2;
    table = JsonTable::create(root, "instance")?;
    for row in 0..instances {
        let (own, category) = (token(8, row), token(7, 0));
        table.row(format_args!("\"token\": \"{own}\",\n\"category_token\": \"{category}\""))?;
    }
    bytes += table.finish()?;
    table = JsonTable::create(root, "sample_annotation")?;
    for row in 0..samples * BOXES_PER_SAMPLE {
        table.row(format_args!(
            "\"token\": \"{}\",\n\"sample_token\": \"{}\",\n\"instance_token\": \"{}\",\n\
             \"visibility_token\": \"4\",\n\"attribute_tokens\": [\n\"{}\"\n],\n\
             \"translation\": [\n373.25598935130824,\n1130.4190018913391,\n0.7999999661199165\n],\n\
             \"size\": [\n0.621,\n0.669,\n1.642\n],\n\"rotation\": {ROTATION},\n\"prev\": \"{}\",\n\
             \"next\": \"{}\",\n\"num_lidar_pts\": {},\n\"num_radar_pts\": 0",
            token(9, row),
            token(2, row / BOXES_PER_SAMPLE),
            token(8, row % instances),
            token(10, 0),
            token(9, row.wrapping_sub(1)),
            token(9, row + 1),
            row % 100
        ))?;
    }
    Ok(bytes + table.finish()?)
}
