//! One view of a sample: an image, its camera, and the cloud's points that the image shows.

use crate::camera::Camera;

/// The visible points of a view.
///
/// # Shapes
/// `C` correspondences, by ascending `point`; all four arrays have `C` entries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Correspondences {
    /// `[C]` indices into the sample's stored cloud.
    pub point: Vec<u32>,
    /// `[C]` pixel x; the centre of the top-left pixel is (0.5, 0.5).
    pub u: Vec<f32>,
    /// `[C]` pixel y.
    pub v: Vec<f32>,
    /// `[C]` z in the camera frame, in the cloud's units.
    pub depth: Vec<f32>,
}

impl Correspondences {
    /// Number of visible points, `C`.
    pub fn len(&self) -> usize {
        self.point.len()
    }

    /// Whether no point is visible.
    pub fn is_empty(&self) -> bool {
        self.point.is_empty()
    }

    /// Appends the point `point` at pixel `u`, `v` and depth `depth`.
    pub fn push(&mut self, point: u32, [u, v, depth]: [f32; 3]) {
        self.point.push(point);
        self.u.push(u);
        self.v.push(v);
        self.depth.push(depth);
    }
}

/// Marks a pixel of [`View::pixel_point`] that shows no stored point.
pub const NO_POINT: u32 = u32::MAX;

/// A view of a sample, the row of a `views` shard.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// The sample it belongs to.
    pub sample_id: String,
    /// Number within the sample: the camera of the rig, or the photo.
    pub view: u16,
    /// Name of the camera, for example `orbit-e20-a045` or `CAM_FRONT`.
    pub name: String,
    /// PNG or JPEG file.
    pub image: Vec<u8>,
    /// Calibration; the world of `camera_from_world` is the frame of the stored cloud.
    pub camera: Camera,
    /// 16-bit grey PNG, 0 = nothing there, else depth = value * `depth_scale`.
    pub depth: Option<Vec<u8>>,
    /// Depth of one step of `depth`, in the cloud's units; 0 without `depth`.
    pub depth_scale: f64,
    /// The points that can be seen.
    pub correspondences: Correspondences,
    /// `[H*W]` nearest visible point of each pixel, [`NO_POINT`] for none.
    pub pixel_point: Option<Vec<u32>>,
}
