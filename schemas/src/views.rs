//! The `views` table: one view of a sample a row, an image, its camera, and the cloud's points that the image shows.
//!
//! A new column is a field of [`View`], an entry of the table below, and a line where the compiler then asks for it.

use crate::camera::Camera;
use crate::column::{copy_list, copy_value};
use crate::column_type::{ArrayOf, ImageFile, ListOf, PixelIndices, Utf8Key, Utf8Repeated};
use crate::error::{Error, Result};
use crate::table_row::table;

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

    /// Appends a point with its pixel and depth.
    pub fn push(&mut self, point: u32, u_v_depth: [f32; 3]) {
        let [u, v, depth] = u_v_depth;
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

table! {
    /// The columns of one row group of `views`; those not asked for stay `None`.
    ViewGroup of View, checked by check_views;

    /// the sample it shows
    sample_id: Utf8Key, "", |view| &view.sample_id;
    /// number within the sample: the camera of the rig, or the photo
    view: u16, "", |view| view.view;
    /// name of the camera, for example `CAM_FRONT`
    name: Utf8Repeated, "", |view| &view.name;
    /// PNG (RGBA), or the photo's own JPEG
    image: ImageFile, "H x W", |view| &view.image;
    /// pixels in a row of the image
    width: u32, "", |view| view.camera.width;
    /// rows of the image
    height: u32, "", |view| view.camera.height;
    /// focal length along x in pixels
    fx: f64, "", |view| view.camera.fx;
    /// focal length along y in pixels
    fy: f64, "", |view| view.camera.fy;
    /// principal point x in pixels
    cx: f64, "", |view| view.camera.cx;
    /// principal point y in pixels
    cy: f64, "", |view| view.camera.cy;
    /// rows of rotation and translation; the world is the frame of `points`
    camera_from_world: ArrayOf<f64, 12>, "3 x 4", |view| view.camera.rows();
    /// 16-bit grey PNG: 0 = nothing there, else depth = value x `depth_scale`
    depth: Option<ImageFile>, "H x W", |view| view.depth.as_deref();
    /// depth of one step in units of `points`; 0 without `depth`
    depth_scale: f64, "", |view| view.depth_scale;
    /// visible points, ascending indices into `points`
    corr_point: ListOf<u32>, "C", |view| &view.correspondences.point;
    /// where they are in the image: pixel x
    corr_u: ListOf<f32>, "C", |view| &view.correspondences.u;
    /// pixel y
    corr_v: ListOf<f32>, "C", |view| &view.correspondences.v;
    /// their depth: z in the camera frame, in units of `points`
    corr_depth: ListOf<f32>, "C", |view| &view.correspondences.depth;
    /// little-endian u32: the nearest visible point of each pixel, 4294967295 = none
    pixel_point: Option<PixelIndices>, "H x W", |view| view.pixel_point.as_deref();
}

/// The columns that make a [`Camera`].
pub const CAMERA_COLUMNS: [&str; 7] = ["width", "height", "fx", "fy", "cx", "cy", "camera_from_world"];

impl ViewGroup {
    /// The camera of a row, if the columns of [`CAMERA_COLUMNS`] were read and are well-formed.
    pub fn camera(&self, row: usize) -> Option<Camera> {
        let rows: &[f64; 12] = self.camera_from_world.as_ref()?.row(row)?.try_into().ok()?;
        Some(Camera {
            width: copy_value(&self.width, row)?,
            height: copy_value(&self.height, row)?,
            fx: copy_value(&self.fx, row)?,
            fy: copy_value(&self.fy, row)?,
            cx: copy_value(&self.cx, row)?,
            cy: copy_value(&self.cy, row)?,
            camera_from_world: Camera::affine_from_rows(rows),
        })
    }

    /// The view in a row, if every column was read.
    pub fn view(&self, row: usize) -> Option<View> {
        Some(View {
            sample_id: copy_value(&self.sample_id, row)?,
            view: copy_value(&self.view, row)?,
            name: copy_value(&self.name, row)?,
            image: copy_value(&self.image, row)?,
            camera: self.camera(row)?,
            depth: copy_value(&self.depth, row)?,
            depth_scale: copy_value(&self.depth_scale, row)?,
            correspondences: Correspondences {
                point: copy_list(&self.corr_point, row)?,
                u: copy_list(&self.corr_u, row)?,
                v: copy_list(&self.corr_v, row)?,
                depth: copy_list(&self.corr_depth, row)?,
            },
            pixel_point: copy_value(&self.pixel_point, row)?,
        })
    }
}

fn check_views(views: &[View]) -> Result<()> {
    views.iter().try_for_each(check_view)
}

/// Checks that the arrays of a view agree with each other and with its image size.
///
/// # Errors
/// Fails if one does not; the error names sample, view and column.
pub fn check_view(view: &View) -> Result<()> {
    let c = &view.correspondences;
    let pixels = view.camera.width as usize * view.camera.height as usize;
    let lengths = [
        ("corr_u", Some(c.u.len()), c.len()),
        ("corr_v", Some(c.v.len()), c.len()),
        ("corr_depth", Some(c.depth.len()), c.len()),
        ("pixel_point", view.pixel_point.as_ref().map(Vec::len), pixels),
    ];
    for (column, found, expected) in lengths {
        if let Some(found) = found.filter(|&found| found != expected) {
            return Err(Error::Column {
                id: format!("{} view {}", view.sample_id, view.view),
                column,
                expected: format!("{expected} values"),
                found: found.to_string(),
            });
        }
    }
    Ok(())
}
