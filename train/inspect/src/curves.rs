//! `curves.png`: the record of a run as one picture.

use std::path::Path;

use jepa3d_schemas::{Error as DataError, write_atomically};
use jepa3d_train::{Logged, METRICS_FILE, read_metrics};

use super::chart::{self, Heading};
use super::panels::panels;
use super::smooth::window;
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
    let png = chart::draw(&heading(run, &log), &panels)
        .map_err(|reason| DataError::contract(out_png, "plot", "a picture of the curves", reason))?;
    Ok(write_atomically(out_png, &png)?)
}

/// Name and length of the run, and how to read the picture.
fn heading(run: &Path, log: &[Logged]) -> Heading {
    let name = run.canonicalize().unwrap_or_else(|_| run.to_owned());
    let title = name.file_name().map_or_else(|| "run".to_owned(), |n| n.to_string_lossy().into_owned());
    let steps = log.iter().map(|entry| entry.step).max().unwrap_or(0);
    let mut subtitle = format!("{steps} steps");
    if let Some(epoch) = log.iter().map(|entry| entry.epoch).filter(|e| e.is_finite()).reduce(f64::max) {
        subtitle += &format!(", {epoch:.1} epochs");
    }
    let losses = log.iter().filter(|entry| entry.values.contains_key("loss")).count();
    if window(losses) > 1 {
        subtitle += &format!("; faint: as logged, bold: running mean ({} values)", window(losses));
    }
    let strange = log.iter().filter(|entry| entry.values.values().any(|x| !x.is_finite())).count();
    if strange > 0 {
        subtitle += &format!("; {strange} steps with values that are not finite");
    }
    Heading { title, subtitle }
}
