//! The record as others read it: after a kill, in TensorBoard.

use std::path::Path;
use std::process::Command;

use jepa3d_schemas::Draws;

use super::*;

/// Exit code of a script that lacks a package.
const SKIPPED: i32 = 77;

fn scalars(step: u64) -> Scalars {
    let mut draws = Draws::new(3, &step.to_string(), "metrics");
    let t = step as f64 / 4000.0;
    let noise = |draws: &mut Draws, size: f64| draws.range(-size, size);
    let mut values = vec![
        ("loss", 0.06 + 0.1 * (-6.0 * t).exp() + noise(&mut draws, 0.01)),
        ("lr", 5e-4 * (1.0 + (3.1 * t).cos())),
        ("tau", 0.996 + 0.004 * t),
        ("grad_norm", 0.4 + noise(&mut draws, 0.3) + if step.is_multiple_of(997) { 30.0 } else { 0.0 }),
        ("pred_std", 0.3 + 0.1 * t + noise(&mut draws, 0.02)),
        ("target_std", 0.5 + 0.1 * t + noise(&mut draws, 0.02)),
        ("r2", 0.7 - 0.6 * (-8.0 * t).exp() + noise(&mut draws, 0.03)),
        ("samples_per_s", 600.0 + noise(&mut draws, 40.0)),
        ("data_ms", 2.0 + noise(&mut draws, 1.0)),
        ("step_ms", 200.0),
    ];
    if step.is_multiple_of(250) {
        values.push(("probe/knn20", 0.75 + 0.14 * t));
        values.push(("probe/labels5", 0.55 + 0.2 * t));
        values.push(("probe/labels20", 0.7 + 0.19 * t));
        values.push(("position/target", 0.6 - 0.4 * t));
        values.push(("position/encoder", 0.4 - 0.3 * t));
        values.push(("rank", 30.0 + 60.0 * t));
    }
    if step == 0 {
        values = vec![("random/knn20", 0.806), ("random/labels5", 0.68), ("random/labels20", 0.83)];
    }
    Scalars { step, epoch: step as f64 / 31.0, values }
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
