//! The views of one sample: rendered, counted, and what failed turned into quarantine rows.
//!
//! Whatever goes wrong here, a panic included, costs views only: the sample keeps its points.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use jepa3d_render::{Rendered, Subject, ViewScratch, ViewsConfig, render_views};
use jepa3d_schemas::{CatalogViews, Sample, View};

use crate::error::{Rejected, Result};
use crate::quarantine::{QuarantineRow, VIEWS_STAGE};
use crate::read::try_again;
use crate::record::SampleViewsRow;

/// The views of a sample.
#[derive(Debug)]
pub(crate) struct SampleViews {
    /// By ascending number; those that failed are left out.
    pub views: Vec<View>,
    /// For the catalog, with what was odd but stopped nothing.
    pub row: SampleViewsRow,
    /// One row for each view that failed, or one for all of them.
    pub quarantine: Vec<QuarantineRow>,
}

/// Makes the views of a subject that is in `split`.
///
/// # Errors
/// Fails if the machine does, at the file of a photo.
pub(crate) fn make_views(
    subject: &Subject<'_>,
    config: &ViewsConfig,
    split: &str,
    scratch: &mut ViewScratch,
) -> Result<SampleViews> {
    let start = Instant::now();
    let attempt = || catch_unwind(AssertUnwindSafe(|| render_views(subject, config, scratch)));
    let attempt = try_again(attempt, |attempt| match attempt {
        Ok(Ok(rendered)) => rendered.failures.iter().find(|e| e.is_of_machine()).map(ToString::to_string),
        _ => None,
    })?;
    let (Rendered { views, warnings, .. }, reasons) = match attempt {
        Ok(Ok(mut rendered)) => {
            let reasons = rendered.failures.drain(..).map(|e| e.to_string()).collect();
            (rendered, reasons)
        }
        Ok(Err(error)) => (Rendered::default(), vec![error.to_string()]),
        Err(panic) => {
            *scratch = ViewScratch::default();
            (Rendered::default(), vec![Rejected::from_panic("renderer", panic.as_ref()).reason])
        }
    };
    let mut made = SampleViews::new(subject.sample, split, views, reasons);
    made.row.counts.views_ms = start.elapsed().as_secs_f64() * 1e3;
    made.row.counts.warnings = warnings.iter().map(ToString::to_string).collect();
    Ok(made)
}

impl SampleViews {
    fn new(sample: &Sample, split: &str, views: Vec<View>, reasons: Vec<String>) -> Self {
        let row = |error| QuarantineRow {
            id: sample.sample_id.clone(),
            split: split.to_owned(),
            source: sample.source.clone(),
            stage: VIEWS_STAGE.to_owned(),
            error,
        };
        let quarantine = reasons.into_iter().map(row).collect();
        let size = |of: fn(&View) -> u32| views.iter().map(of).max().unwrap_or(0);
        let row = SampleViewsRow {
            id: sample.sample_id.clone(),
            counts: counts(&views, sample.len()),
            height: size(|v| v.camera.height),
            width: size(|v| v.camera.width),
        };
        Self { views, row, quarantine }
    }

    /// No view at all, for one reason.
    pub(crate) fn none(sample: &Sample, split: &str, reason: String) -> Self {
        Self::new(sample, split, Vec::new(), vec![reason])
    }
}

/// How much of a cloud of `points` points the views show.
fn counts(views: &[View], points: usize) -> CatalogViews {
    let mut is_seen = vec![false; points];
    let mut visible = 0;
    for view in views {
        visible += view.correspondences.len();
        for &point in &view.correspondences.point {
            if let Some(seen) = is_seen.get_mut(point as usize) {
                *seen = true;
            }
        }
    }
    let share = |part: usize, whole: usize| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    CatalogViews {
        views: views.len() as u32,
        visible: share(visible, views.len() * points),
        covered: share(is_seen.iter().filter(|&&seen| seen).count(), points),
        ..CatalogViews::default()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use jepa3d_schemas::{Camera, Correspondences};

    /// A view of `id` without content, whose camera looks along z.
    pub(crate) fn view(id: &str, number: u16, point: Vec<u32>) -> View {
        let zeros = vec![0.0; point.len()];
        View {
            sample_id: id.to_owned(),
            view: number,
            name: format!("camera {number}"),
            image: vec![],
            camera: Camera {
                width: 8,
                height: 8,
                fx: 8.0,
                fy: 8.0,
                cx: 4.0,
                cy: 4.0,
                camera_from_world: Camera::affine_from_rows(&[
                    1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0,
                ]),
            },
            depth: None,
            depth_scale: 0.0,
            correspondences: Correspondences { point, u: zeros.clone(), v: zeros.clone(), depth: zeros },
            pixel_point: None,
        }
    }

    #[test]
    fn shares_are_of_the_stored_points() {
        let views = [view("a", 0, vec![0, 1]), view("a", 1, vec![1]), view("a", 2, vec![])];
        let counts = counts(&views, 4);
        assert_eq!((counts.views, counts.visible, counts.covered), (3, 3.0 / 12.0, 0.5));
        assert_eq!(super::counts(&[], 4), CatalogViews::default());
        assert_eq!(super::counts(&[view("a", 0, vec![])], 0).visible, 0.0);
    }
}
