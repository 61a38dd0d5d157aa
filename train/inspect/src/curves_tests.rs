//! The record of a run as a picture.

use std::path::Path;

use jepa3d_schemas::Draws;
use jepa3d_train::{METRICS_FILE, MetricsWriter, Scalars};

use super::curves::plot_curves;

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

fn write(run: &Path, steps: std::ops::Range<u64>) {
    let mut writer = MetricsWriter::open(run, None).unwrap();
    steps.for_each(|step| writer.write(&scalars(step)).unwrap());
    writer.flush().unwrap();
}

#[test]
fn a_run_as_a_picture() {
    let dir = tempfile::tempdir().unwrap();
    let png = dir.path().join("curves.png");
    write(dir.path(), 0..4001);
    plot_curves(dir.path(), &png).unwrap();
    let picture = image::open(&png).unwrap();
    assert_eq!((picture.width(), picture.height()), (1800, 64 + 3 * 320));
    if let Some(kept) = std::env::var_os("JEPA3D_KEEP_PLOTS") {
        std::fs::copy(&png, Path::new(&kept).join("curves.png")).unwrap();
    }
}

/// A run of one step, and one that logged nothing finite.
#[test]
fn short_runs() {
    let dir = tempfile::tempdir().unwrap();
    let png = dir.path().join("curves.png");
    write(dir.path(), 1..2);
    plot_curves(dir.path(), &png).unwrap();
    assert!(image::open(&png).is_ok());
    let mut writer = MetricsWriter::open(dir.path(), None).unwrap();
    writer.write(&Scalars { step: 1, epoch: 0.0, values: vec![("loss", f64::NAN)] }).unwrap();
    let message = plot_curves(dir.path(), &png).unwrap_err().to_string();
    let record = dir.path().join(METRICS_FILE);
    assert_eq!(message, format!("{}: scalars: expected some to draw, found 1 lines", record.display()));
    std::fs::remove_file(&record).unwrap();
    assert!(
        plot_curves(dir.path(), &png).unwrap_err().to_string().starts_with(&record.display().to_string())
    );
}
