//! The record as others read it: after a kill, in TensorBoard.

use std::path::Path;
use std::process::Command;

use jepa3d_fixtures::record::scalars_of_step;

use super::*;

/// Exit code of a script that lacks a package.
const SKIPPED: i32 = 77;

fn scalars(step: u64) -> Scalars {
    Scalars { step, epoch: step as f64 / 31.0, values: scalars_of_step(step) }
}

fn write(run: &Path, resume: Option<u64>, steps: std::ops::Range<u64>) {
    let mut writer = MetricsWriter::open(run, resume).unwrap();
    steps.for_each(|step| writer.write(&scalars(step)).unwrap());
    writer.flush().unwrap();
}

/// A killed and resumed run shows each step once, with the values of the second start.
#[test]
fn tensorboard_reads_the_events() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), None, 0..30);
    write(dir.path(), Some(20), 21..26);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/metrics/tensorboard_check.py");
    let output = match Command::new("python3").arg(script).arg(dir.path()).output() {
        Ok(output) if output.status.code() != Some(SKIPPED) => output,
        Ok(output) => return eprintln!("skipped: {}", String::from_utf8_lossy(&output.stdout).trim()),
        Err(error) => return eprintln!("skipped: python3: {error}"),
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read: std::collections::BTreeMap<String, Vec<(u64, f32)>> =
        serde_json::from_slice(&output.stdout).unwrap();
    let expected = |name: &str| -> Vec<(u64, f32)> {
        let value = |step| Some((step, scalars(step).values.iter().find(|v| v.0 == name)?.1 as f32));
        (0..26).filter_map(value).collect()
    };
    for name in ["loss", "lr", "tau", "step_ms", "random/knn20"] {
        assert_eq!(read[name], expected(name), "{name}");
    }
}
