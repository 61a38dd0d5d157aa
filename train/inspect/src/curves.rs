//! `curves.png`: the record of a run as one picture.

use std::path::Path;

use jepa3d_charts::{CurveSheet, smoothing_window};
use jepa3d_schemas::{Error as DataError, write_atomically};
use jepa3d_train::{Logged, METRICS_FILE, read_metrics};

use super::panels::panels;
use crate::error::Result;

/// Draws the record of the run folder `run` into the PNG file `out_png`.
///
/// Panels: loss; standard deviations with their alarms; gradient norm; learning rate and tau; the
/// probe with random weights as dashed lines; the share of variance that position explains;
/// effective rank; R²; speed. What was not logged has no panel. Long curves are drawn faint, with
/// their running mean on top.
///
/// # Errors
/// Fails if the record cannot be read or holds nothing to draw, or the PNG cannot be written.
pub fn plot_curves(run: &Path, out_png: &Path) -> Result<()> {
    let log = read_metrics(run)?;
    let panels = panels(&log);
    if panels.is_empty() {
        let path = run.join(METRICS_FILE);
        return Err(
            DataError::contract(&path, "scalars", "some to draw", format!("{} lines", log.len())).into()
        );
    }
    let sheet = CurveSheet { title: name_run(run), subtitle: describe_run(&log), panels };
    let png = sheet.draw().map_err(|e| DataError::contract(out_png, "plot", "a picture of the curves", e))?;
    Ok(write_atomically(out_png, &png)?)
}

fn name_run(run: &Path) -> String {
    let path = run.canonicalize().unwrap_or_else(|_| run.to_owned());
    path.file_name().map_or_else(|| "run".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Length of the run, and how to read the picture.
fn describe_run(log: &[Logged]) -> String {
    let steps = log.iter().map(|entry| entry.step).max().unwrap_or(0);
    let mut subtitle = format!("{steps} steps");
    if let Some(epoch) = log.iter().map(|entry| entry.epoch).filter(|e| e.is_finite()).reduce(f64::max) {
        subtitle += &format!(", {epoch:.1} epochs");
    }
    let losses = log.iter().filter(|entry| entry.values.contains_key("loss")).count();
    if smoothing_window(losses) > 1 {
        subtitle += &format!("; faint: as logged, bold: running mean ({} values)", smoothing_window(losses));
    }
    let strange = log.iter().filter(|entry| entry.values.values().any(|x| !x.is_finite())).count();
    if strange > 0 {
        subtitle += &format!("; {strange} steps with values that are not finite");
    }
    subtitle
}
