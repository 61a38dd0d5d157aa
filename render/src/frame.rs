//! What a rasterizer leaves behind: depth and id of the nearest surface at every pixel centre.

/// Marks a pixel that shows nothing.
pub const NO_ID: u32 = u32::MAX;

/// A z-buffer with ids.
///
/// # Shapes
/// `depth`, `id` `[H*W]`, row by row from the top.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frame {
    /// Pixels in a row, `W`.
    pub width: usize,
    /// Rows, `H`.
    pub height: usize,
    /// z in the camera frame at the pixel's centre, infinity where nothing is.
    pub depth: Vec<f32>,
    /// Triangle (of a mesh) or point (of a cloud) that is seen, [`NO_ID`] for none.
    pub id: Vec<u32>,
}

impl Frame {
    /// Makes it an empty frame of `width` x `height` pixels, keeping its memory.
    pub fn clear(&mut self, width: usize, height: usize) {
        (self.width, self.height) = (width, height);
        self.depth.clear();
        self.depth.resize(width * height, f32::INFINITY);
        self.id.clear();
        self.id.resize(width * height, NO_ID);
    }
}
