//! The record of a run as a picture.

use std::path::Path;

use jepa3d_fixtures::record::scalars_of_step;
use jepa3d_train::{METRICS_FILE, MetricsWriter, Scalars};

use super::curves::plot_curves;

fn scalars(step: u64) -> Scalars {
    Scalars { step, epoch: step as f64 / 31.0, values: scalars_of_step(step) }
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
