//! What all end-to-end tests share: running the binary, small sets, and what a folder holds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jepa3d_schemas::{
    CATALOG_FILE, CatalogRow, Manifest, Sample, ShardReader, View, ViewReader, read_catalog, source_hash,
};

/// A synthetic set of 60 small objects in 21 shards.
pub(crate) const SMALL: [&str; 8] = [
    "dataset.count=60",
    "cloud.points=256",
    "groups.points=128",
    "groups.centers=8",
    "groups.neighbors=8",
    "groups.groupings=2",
    "shards.rows=3",
    "shards.row_group=2",
];

/// Small views of the small set, as arguments.
pub(crate) const VIEWS: [&str; 4] =
    ["--set", "views.size=48", "--set", "views.rig={kind=\"fibonacci\", views=3}"];

/// What a call of the binary printed and returned.
pub(crate) struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// The call, after a check of its exit code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "\nstdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// The one JSON object on standard output.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        let value: serde_json::Value =
            serde_json::from_str(&self.stdout).expect("one JSON object, nothing else");
        assert!(value.is_object(), "{value}");
        value
    }
}

/// The binary with arguments, its streams caught.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jepa3d"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn finish(mut command: Command) -> Run {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

pub(crate) fn jepa3d(args: &[&str]) -> Run {
    finish(command(args))
}

/// `prepare --out OUT` with settings and further arguments.
pub(crate) fn prepare_command(out: &Path, sets: &[&str], args: &[&str]) -> Command {
    let mut command = command(&["prepare", "--out"]);
    command.arg(out).args(args);
    for set in sets {
        command.args(["--set", set]);
    }
    command
}

/// Prepares the small synthetic set.
pub(crate) fn prepare_small(out: &Path, args: &[&str]) -> Run {
    finish(prepare_command(out, &SMALL, args))
}

/// Prepares a folder of clouds with small settings.
pub(crate) fn prepare_folder(data: &Path, out: &Path, args: &[&str]) -> Run {
    let mut command = prepare_command(out, &SMALL[1..], args);
    command.args(["--set", "dataset.kind=folder", "--data"]).arg(data);
    finish(command)
}

pub(crate) fn verify(out: &Path) -> Run {
    jepa3d(&["verify", text(out)])
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have UTF-8 names")
}

/// Everything below a prepared dataset that must not depend on how it was made.
#[derive(Debug, PartialEq)]
pub(crate) struct Contents {
    /// Hash of every file but the catalog, whose times differ.
    pub files: BTreeMap<String, String>,
    /// The catalog without its times.
    pub catalog: Vec<CatalogRow>,
}

pub(crate) fn contents(out: &Path) -> Contents {
    let mut files = BTreeMap::new();
    for path in files_below(out) {
        let name = text(path.strip_prefix(out).unwrap()).to_owned();
        files.insert(name, source_hash(&[&std::fs::read(&path).unwrap()]));
    }
    assert!(files.remove(CATALOG_FILE).is_some(), "no catalog");
    let mut catalog = read_catalog(&out.join(CATALOG_FILE)).unwrap();
    for row in &mut catalog {
        (row.read_ms, row.sample_ms, row.group_ms) = (0.0, 0.0, 0.0);
        row.views.iter_mut().for_each(|views| views.views_ms = 0.0);
    }
    Contents { files, catalog }
}

/// All files below a folder, hidden ones too, in order.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}

/// Paths of the shards that the manifest lists.
pub(crate) fn shards(out: &Path) -> Vec<PathBuf> {
    Manifest::read(out).unwrap().shards.iter().map(|shard| out.join(&shard.file)).collect()
}

/// All views of a shard, row group by row group.
pub(crate) fn views_of(path: &Path) -> Vec<Vec<View>> {
    let reader = ViewReader::open(path).unwrap();
    let read = |group| {
        let rows = reader.read_row_group(group, &[]).unwrap();
        (0..rows.rows).map(|row| rows.view(row).unwrap()).collect()
    };
    (0..reader.row_groups()).map(read).collect()
}

/// All samples of a shard, row group by row group.
pub(crate) fn samples_of(path: &Path) -> Vec<Vec<Sample>> {
    let reader = ShardReader::open(path).unwrap();
    let read = |group| {
        let rows = reader.read_row_group(group, &[]).unwrap();
        (0..rows.rows).map(|row| rows.sample(row).unwrap()).collect()
    };
    (0..reader.row_groups()).map(read).collect()
}

/// A cloud of `count` points on a wavy sheet as text columns.
pub(crate) fn cloud(count: usize, seed: usize) -> String {
    let at = |i: usize| (i as f64, (i * (7 + seed)) as f64);
    (0..count).map(at).map(|(i, j)| format!("{} {} {}\n", (i * 0.37).sin(), j.cos(), i * 0.01)).collect()
}

/// An OFF file of a slanted pyramid.
pub(crate) fn pyramid(seed: usize) -> String {
    let tip = 1.0 + seed as f64 * 0.1;
    format!("OFF\n4 4 0\n0 0 0\n1 0 0\n0 0 1\n0.3 {tip} 0.2\n3 0 1 2\n3 0 3 1\n3 1 3 2\n3 0 2 3\n")
}

/// Writes a file, and the folders above it.
pub(crate) fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// A path below the real data, or `None` (with a note) if there is none.
pub(crate) fn test_data(relative: &str) -> Option<PathBuf> {
    let root = std::env::var_os("JEPA3D_TEST_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")), PathBuf::from);
    let path = root.join(relative);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: no test data at {}", path.display());
    None
}

/// The binary under a shell that first runs `before`, for limits that only a shell sets.
pub(crate) fn limited(before: &str, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("{before}; exec \"$@\""))
        .arg("sh")
        .arg(env!("CARGO_BIN_EXE_jepa3d"))
        .args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}
