//! The samples of an image: one at every pixel's centre, or several a pixel.

use jepa3d_schemas::Camera;

/// The image of `camera` with `scale` x `scale` samples a pixel.
#[derive(Clone, Copy, Debug)]
pub struct SampleGrid<'a> {
    /// The camera, whose width and height count pixels.
    pub camera: &'a Camera,
    /// Samples a pixel along each axis, 1 or more.
    pub scale: u32,
}

impl SampleGrid<'_> {
    /// Samples in a row.
    pub(crate) fn width(&self) -> usize {
        (self.camera.width * self.scale) as usize
    }

    /// Rows of samples.
    pub(crate) fn height(&self) -> usize {
        (self.camera.height * self.scale) as usize
    }
}
