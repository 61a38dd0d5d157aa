//! Bad files concern themselves alone: they are named with a reason, and the rest is prepared.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use jepa3d_schemas::{CATALOG_FILE, read_catalog};

use super::harness::{
    SMALL, cloud, files_below, prepare_command, prepare_folder, test_data, text, verify, write,
};

/// Rows of the quarantine by id.
fn quarantine(out: &Path) -> BTreeMap<String, serde_json::Value> {
    let text = std::fs::read_to_string(out.join("quarantine.jsonl")).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    rows.map(|row| (row["id"].as_str().unwrap().to_owned(), row)).collect()
}

fn pcd(points: &str) -> String {
    let count = points.lines().count();
    format!(
        "VERSION .7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH {count}\nHEIGHT 1\n\
         VIEWPOINT 0 0 0 1 0 0 0\nPOINTS {count}\nDATA ascii\n{points}"
    )
}

/// A folder of 20 good clouds and one of each bad kind: file, stage and a part of the reason.
fn mixed(data: &Path) -> Vec<(&'static str, &'static str, &'static str)> {
    for i in 0..20 {
        write(&data.join(format!("good/{i:02}.pcd")), pcd(&cloud(140 + i, i)));
    }
    let whole = pcd(&cloud(300, 1));
    let (cut, nan, few) = (&whole[..whole.len() / 2], pcd(&"nan nan nan\n".repeat(200)), pcd(&cloud(20, 1)));
    let huge = "ply\nformat binary_little_endian 1.0\nelement vertex 1000000000000\n\
                property float x\nproperty float y\nproperty float z\nend_header\n0000";
    let faceless = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\n";
    let bad = [
        ("bad/cut.pcd", cut, "read", "expected 3 numbers, found"),
        ("bad/nan.pcd", &nan, "read", "finite"),
        ("bad/empty.ply", "", "read", "found"),
        ("bad/faceless.obj", faceless, "read", "no faces (4 vertices)"),
        ("bad/few.pcd", &few, "sample", "expected at least 128 points, found 20"),
        ("bad/huge.ply", huge, "read", "1000000000000"),
        ("bad/index.off", "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n", "read", "7"),
        ("bad/flat.off", "OFF\n3 1 0\n0 0 0\n0 0 0\n0 0 0\n3 0 1 2\n", "sample", "area"),
        ("bad/words.stl", "solid\nfacet of nothing\n", "read", "expected"),
        ("bad/zip.npz", "PK\u{3}\u{4} is all there is", "read", "expected"),
    ];
    bad.map(|(file, bytes, stage, reason)| {
        write(&data.join(file), bytes);
        (file, stage, reason)
    })
    .to_vec()
}

#[test]
fn bad_files_never_stop_a_batch() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("data"), dir.path().join("out"));
    let bad = mixed(&data);
    let run = prepare_folder(&data, &out, &[]).expect(1);
    assert!(run.stdout.contains("complete, 20 samples, 10 quarantined"), "{}", run.stdout);
    assert!(run.stderr.contains("10 objects are quarantined, run.max_failures allows 0"), "{}", run.stderr);
    let rows = quarantine(&out);
    assert_eq!(rows.len(), bad.len());
    for (file, stage, reason) in bad {
        let id = file.split_once('.').unwrap().0;
        let (row, error) = (&rows[id], rows[id]["error"].as_str().unwrap());
        assert_eq!(
            (&row["source"], &row["stage"], &row["split"]),
            (&file.into(), &stage.into(), &"train".into())
        );
        assert!(error.contains(reason) && error.contains("found"), "{row}");
        assert!(run.stderr.contains(id), "{id} is printed: {}", run.stderr);
    }
    let catalog = read_catalog(&out.join(CATALOG_FILE)).unwrap();
    let good: Vec<_> =
        catalog.iter().filter(|row| row.status == "written").map(|row| row.id.clone()).collect();
    assert_eq!(good, (0..20).map(|i| format!("good/{i:02}")).collect::<Vec<_>>());
    assert!(
        catalog.iter().filter(|row| row.status != "written").all(|row| rows[&row.id]["stage"] == *row.status)
    );
    verify(&out).expect(0);
    // A complete dataset keeps its verdict, and the verdict follows the tolerance asked for.
    prepare_folder(&data, &out, &[]).expect(1);
    prepare_folder(&data, &out, &["--max-failures", "9"]).expect(1);
    prepare_folder(&data, &out, &["--max-failures", "10"]).expect(0);
    let tolerant = prepare_folder(&data, &dir.path().join("tolerant"), &["--max-failures", "10", "--json"]);
    assert_eq!(tolerant.expect(0).json()["quarantined"], 10);
}

#[test]
fn nothing_but_bad_files_is_a_dataset_without_rows() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("data"), dir.path().join("out"));
    write(&data.join("test/a.pcd"), "no cloud");
    write(&data.join("train/b.pcd"), pcd(&cloud(200, 3)));
    let run = prepare_folder(&data, &out, &[]).expect(1);
    assert!(run.stdout.contains("complete, 1 samples, 1 quarantined"), "{}", run.stdout);
    let verified = verify(&out).expect(0);
    assert!(verified.stdout.contains("1 rows in 2 shards, 1 quarantined: all good"), "{}", verified.stdout);
    super::harness::jepa3d(&["stats", text(&out)]).expect(0);
}

#[cfg(unix)]
#[test]
fn a_file_that_is_listed_but_missing_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("data"), dir.path().join("out"));
    write(&data.join("here.pcd"), pcd(&cloud(200, 3)));
    std::os::unix::fs::symlink(data.join("nowhere.pcd"), data.join("gone.pcd")).unwrap();
    prepare_folder(&data, &out, &[]).expect(1);
    let rows = quarantine(&out);
    assert_eq!(rows["gone"]["stage"], "read");
    let error = rows["gone"]["error"].as_str().unwrap();
    assert!(error.contains("gone.pcd") && error.contains("No such file"), "{error}");
}

/// A cloud of `count` points as an npy array.
fn npy(count: usize) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({count}, 3), }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend((0..3 * count).flat_map(|i| ((i as f32) * 0.7).sin().to_le_bytes()));
    bytes
}

#[test]
fn a_cloud_that_a_list_names_but_is_missing_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("data"), dir.path().join("out"));
    write(&data.join("shapenet_pc/02691156-here.npy"), npy(200));
    write(&data.join("shapenet_pc/02958343-there.npy"), npy(200));
    write(&data.join("train.txt"), "02691156-here.npy\n02691156-gone.npy\n");
    write(&data.join("test.txt"), "02958343-there.npy\n");
    let args = ["--set", "dataset.kind=shapenet", "--data", text(&data)];
    let run = super::harness::finish(prepare_command(&out, &SMALL[1..], &args)).expect(1);
    assert!(run.stdout.contains("complete, 2 samples, 1 quarantined"), "{}", run.stdout);
    let rows = quarantine(&out);
    let row = rows.values().next().unwrap();
    assert!(row["source"].as_str().unwrap().ends_with("shapenet_pc/02691156-gone.npy"), "{row}");
    assert!(row["error"].as_str().unwrap().contains("02691156-gone.npy: missing: expected"), "{row}");
    assert!(row["error"].as_str().unwrap().contains("train.txt"), "the list is named: {row}");
    verify(&out).expect(0);
}

#[cfg(unix)]
#[test]
fn a_sweep_that_the_tables_name_but_is_missing_is_named() {
    let Some(real) = test_data("nuscenes") else { return };
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("data"), dir.path().join("out"));
    for path in files_below(&real) {
        let relative = path.strip_prefix(&real).unwrap();
        if !relative.starts_with("samples/LIDAR_TOP") {
            std::fs::create_dir_all(data.join(relative).parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(&path, data.join(relative)).unwrap();
        }
    }
    let args = ["--set", "dataset.kind=nuscenes", "--data", text(&data)];
    let command = prepare_command(&out, &SMALL[1..], &args);
    super::harness::finish(command).expect(1);
    let rows = quarantine(&out);
    assert!(!rows.is_empty());
    for row in rows.values() {
        assert_eq!(row["stage"], "read");
        let (source, error) = (row["source"].as_str().unwrap(), row["error"].as_str().unwrap());
        assert!(source.contains("LIDAR_TOP") && error.contains(source), "{row}");
    }
    verify(&out).expect(0);
}

/// A folder of good clouds, as many as the small set has objects.
#[cfg(target_os = "linux")]
fn good_clouds(data: &Path) {
    (0..20).for_each(|i| write(&data.join(format!("{i:02}.pcd")), pcd(&cloud(140 + i, i))));
}

#[cfg(target_os = "linux")]
#[test]
fn pipes_and_devices_fail_by_name_and_hold_nothing_up() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("data"), dir.path().join("out"));
    good_clouds(&data);
    for pipe in ["pipe.pcd", "pipe.obj", "notes"] {
        let made = std::process::Command::new("mkfifo").arg(data.join(pipe)).status().unwrap();
        assert!(made.success());
    }
    std::os::unix::fs::symlink("/dev/zero", data.join("zero.ply")).unwrap();
    std::os::unix::fs::symlink("/dev/stdin", data.join("standard.npy")).unwrap();
    let run = prepare_folder(&data, &out, &[]).expect(1);
    assert!(run.stdout.contains("complete, 20 samples, 4 quarantined"), "{}", run.stdout);
    let rows = quarantine(&out);
    for (id, found) in [
        ("pipe.pcd", "a named pipe"),
        ("pipe.obj", "a named pipe"),
        ("zero", "a device"),
        ("standard", "a device"),
    ] {
        let error = rows[id]["error"].as_str().unwrap();
        assert!(error.ends_with(&format!("expected a regular file, found {found}")), "{error}");
    }
    // As the whole of the raw data, too.
    let run = prepare_folder(&data.join("pipe.pcd"), &dir.path().join("none"), &[]).expect(2);
    assert!(run.stderr.contains("expected a folder"), "{}", run.stderr);
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_no_text_are_objects_of_their_own() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("data"), dir.path().join("out"));
    for (i, name) in [&b"\xba\xec.pcd"[..], b"\xc0\xb6.pcd", b"new\nline.pcd"].into_iter().enumerate() {
        let name = std::ffi::OsStr::from_bytes(name);
        write(&data.join("chair").join(name), pcd(&cloud(140 + i, i)));
    }
    prepare_folder(&data, &out, &[]).expect(0);
    let catalog = read_catalog(&out.join(CATALOG_FILE)).unwrap();
    let found: Vec<_> = catalog.iter().map(|row| (row.id.as_str(), row.source_points)).collect();
    assert_eq!(found, [("chair/\\xBA\\xEC", 140), ("chair/\\xC0\\xB6", 141), ("chair/new\nline", 142)]);
    verify(&out).expect(0);
}

/// A process that runs out of file handles quarantines nothing: it ends, and the same command goes on.
#[cfg(target_os = "linux")]
#[test]
fn a_lack_of_file_handles_costs_no_object() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    good_clouds(&data);
    let mut has_met_limit = false;
    for limit in 4..12 {
        let out = dir.path().join(format!("out{limit}"));
        let mut whole = prepare_command(&out, &SMALL[1..], &["--threads", "1"]);
        whole.args(["--set", "dataset.kind=folder", "--data", text(&data)]);
        let mut bounded = std::process::Command::new("sh");
        bounded.arg("-c").arg(format!("ulimit -n {limit}; exec \"$@\"")).arg("sh");
        bounded.arg(whole.get_program()).args(whole.get_args());
        let run = super::harness::finish(bounded);
        assert!(matches!(run.code, Some(0 | 3)), "{limit}: {:?} {}", run.code, run.stderr);
        has_met_limit |= run.code == Some(3);
        // How many handles a run needs depends on those it inherits: it may have come to its end, or to all but it.
        let run = super::harness::finish(whole).expect(0);
        let done =
            ["complete, ", "complete already, "].map(|word| format!("{word}20 samples, 0 quarantined"));
        assert!(done.iter().any(|line| run.stdout.contains(line)), "{limit}: {}", run.stdout);
    }
    assert!(has_met_limit, "no limit was met");
}

/// Every real odd file is prepared or named; none makes a reader panic or take much memory.
#[test]
fn odd_files_are_prepared_or_named() {
    let Some(odd) = test_data("odd") else { return };
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("data"), dir.path().join("out"));
    let mut largest = 0;
    for path in files_below(&odd) {
        let flat = text(path.strip_prefix(&odd).unwrap()).replace('/', "__");
        write(&data.join(flat), std::fs::read(&path).unwrap());
        largest = largest.max(path.metadata().unwrap().len());
    }
    let sets = ["groups.points=3", "groups.centers=2", "groups.neighbors=2", "cloud.points=512"];
    let mut command = prepare_command(&out, &sets, &["--threads", "1", "--max-failures", "1000", "--json"]);
    command.args(["--set", "dataset.kind=folder", "--data", text(&data)]);
    let child = command.spawn().unwrap();
    let peak = peak_memory(&child);
    let run = child.wait_with_output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let report: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    let rows = quarantine(&out);
    for row in rows.values() {
        assert_ne!(row["stage"], "panic", "{row}");
        assert!(!row["error"].as_str().unwrap().is_empty(), "{row}");
    }
    verify(&out).expect(0);
    let (written, peak_mib) = (report["written"].as_u64().unwrap(), peak >> 20);
    eprintln!("{written} odd files prepared, {} quarantined, peak {peak_mib} MiB", rows.len());
    assert!(written >= 30, "{written} of 57");
    // Text becomes some ten times its size in numbers on the way; the header that claims 10^11 vertices does not.
    assert!(
        peak == 0 || peak < (64 << 20) + 40 * largest,
        "{peak_mib} MiB for files of up to {largest} bytes"
    );
}

/// The largest resident size of a running process in bytes; 0 where the system does not tell.
fn peak_memory(child: &Child) -> u64 {
    let mut peak = 0;
    while let Ok(status) = std::fs::read_to_string(format!("/proc/{}/status", child.id())) {
        // A process that has ended and waits to be collected has no such line any more.
        let Some(line) = status.lines().find(|line| line.starts_with("VmHWM:")) else { break };
        let kib: u64 = line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0);
        peak = peak.max(kib << 10);
        std::thread::sleep(Duration::from_millis(2));
    }
    peak
}
