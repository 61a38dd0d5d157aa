//! What views are made of, what comes out, and the memory in between.

use jepa3d_schemas::{Object, Sample, UpAxis, View, Warning};

use crate::error::Error;
use crate::frame_buffer::FrameBuffer;
use crate::rasterize::RasterScratch;
use crate::visible::VisibilityScratch;

/// What [`crate::render_views`] looks at: a raw object and the sample that was made of it.
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
    pub warnings: Vec<Warning>,
}

/// Memory that is used again from view to view and sample to sample.
#[derive(Debug, Default)]
pub struct ViewScratch {
    pub(crate) raster: RasterScratch,
    pub(crate) visibility: VisibilityScratch,
    /// One sample a pixel: what depth and correspondences are read from.
    pub(crate) frame: FrameBuffer,
    /// Several samples a pixel, for colours.
    pub(crate) samples: FrameBuffer,
    pub(crate) pixels: Vec<[u8; 4]>,
    pub(crate) bytes: Vec<u8>,
}
