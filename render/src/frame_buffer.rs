//! What a rasterizer leaves behind: depth and id of the nearest surface at every pixel centre.

use crate::sample_grid::SampleGrid;

/// Marks a pixel that shows nothing.
pub const NO_ID: u32 = u32::MAX;

/// A z-buffer with ids.
///
/// # Shapes
/// `depth`, `id` `[H*W]`, row by row from the top.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FrameBuffer {
    /// Pixels in a row, `W`.
    pub width: usize,
    /// Rows, `H`.
    pub height: usize,
    /// z in the camera frame at the pixel's centre, infinity where nothing is.
    pub depth: Vec<f32>,
    /// Triangle (of a mesh) or point (of a cloud) that is seen, [`NO_ID`] for none.
    pub id: Vec<u32>,
}

impl FrameBuffer {
    /// Makes it an empty buffer of the size of `grid` whose depths are all `depth`, keeping its memory.
    pub(crate) fn reset(&mut self, grid: SampleGrid<'_>, depth: f32) {
        (self.width, self.height) = (grid.width(), grid.height());
        self.depth.clear();
        self.depth.resize(self.width * self.height, depth);
        self.id.clear();
        self.id.resize(self.width * self.height, NO_ID);
    }
}
