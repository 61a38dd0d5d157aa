//! One sample's views: cameras, images, depth and correspondences.

use jepa3d_schemas::{Object, Sample, UpAxis, View};

use crate::config::ViewsConfig;
use crate::error::{Error, Result};

/// What [`render_views`] looks at: a raw object and the sample that was made of it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Raw geometry, textures and photos, in the frame of the source.
    pub object: &'a Object,
    /// The stored cloud, whose frame is the world of the views.
    pub sample: &'a Sample,
    /// Axis that points up.
    pub up: UpAxis,
    /// Seed of the run.
    pub seed: u64,
}

/// The views of a sample.
#[derive(Debug, Default)]
pub struct Rendered {
    /// By ascending view number; views that failed are left out.
    pub views: Vec<View>,
    /// Views that could not be made (a photo that does not decode), each with its reason.
    pub failures: Vec<Error>,
    /// What was odd but did not stop a view.
    pub warnings: Vec<String>,
}

/// Memory that is used again from view to view and sample to sample.
#[derive(Debug, Default)]
pub struct Scratch {}

/// Renders all views of a subject.
///
/// # Errors
/// Fails if the subject cannot be rendered at all.
pub fn render_views(subject: &Subject<'_>, config: &ViewsConfig, scratch: &mut Scratch) -> Result<Rendered> {
    let _ = (subject, config, scratch);
    Ok(Rendered::default())
}
