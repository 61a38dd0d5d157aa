//! One sample's views: cameras, images, depth and correspondences.

use jepa3d_schemas::{Camera, Correspondences, Draws, Mesh, Shape, View};

use crate::config::{RigConfig, ViewsConfig};
use crate::dense::nearest_points;
use crate::error::Result;
use crate::frame_buffer::FrameBuffer;
use crate::mesh_scene::MeshScene;
use crate::photo_views::add_photos;
use crate::png_file::{encode_depth, encode_rgba};
use crate::rasterize::rasterize;
use crate::rig::{NamedCamera, Sphere, place_cameras};
use crate::sample_grid::SampleGrid;
use crate::shade::{average_samples, shade};
use crate::splat::correspond_splats;
use crate::splat_fit::Splats;
use crate::splat_shade::{light_splats, point_colors};
use crate::subject::{Rendered, Subject, ViewScratch};
use crate::visible::correspond_mesh;

/// Surfaces nearer to the camera than this part of the scene's radius are not drawn.
const NEAR_PLANE: f64 = 1e-3;

/// Renders all views of a subject: a mesh is drawn, a cloud is drawn as discs, photos are taken as they are.
///
/// # Errors
/// Fails if the config is out of range ([`ViewsConfig::check`]).
///
/// # Examples
/// Three views of a triangle, and which of two stored points each of them shows:
///
/// ```
/// use jepa3d_render::{RigConfig, Subject, ViewScratch, ViewsConfig, render_views};
/// use jepa3d_schemas::{Mesh, Object, Sample, Shape, UpAxis};
///
/// let mesh = Mesh {
///     positions: vec![[-0.8, -0.6, 0.0], [0.8, -0.6, 0.0], [0.0, 1.0, 0.0]],
///     triangles: vec![[0, 1, 2]],
///     ..Mesh::default()
/// };
/// let object = Object::new("triangle", Shape::Mesh(mesh));
/// // The second point lies behind the triangle, for a camera in front of it.
/// let points = vec![0.0, 1.0, 0.0, 0.0, 0.0, 0.2];
/// let sample = Sample { sample_id: "triangle".to_owned(), points, norm_scale: 1.0, ..Sample::default() };
/// let subject = Subject { object: &object, sample: &sample, up: UpAxis::Y, seed: 0 };
/// let rig = RigConfig::Orbit { elevations: vec![0.0], azimuths: 3 };
/// let config = ViewsConfig { rig, size: 64, ..ViewsConfig::default() };
/// let rendered = render_views(&subject, &config, &mut ViewScratch::default())?;
/// let front = &rendered.views[0];
/// assert_eq!((rendered.views.len(), front.name.as_str()), (3, "orbit-e00-a000"));
/// assert_eq!(front.correspondences.point, [0]);
/// assert!(front.image.starts_with(b"\x89PNG"));
/// # Ok::<(), jepa3d_render::Error>(())
/// ```
pub fn render_views(
    subject: &Subject<'_>,
    config: &ViewsConfig,
    scratch: &mut ViewScratch,
) -> Result<Rendered> {
    config.check()?;
    let mut rendered = Rendered::default();
    if config.rig == RigConfig::Photos {
        add_photos(subject, &mut rendered);
    } else {
        let job = RenderJob::new(subject, config);
        let mut bytes = std::mem::take(&mut scratch.bytes);
        rendered.views = job.draw(scratch, &mut |drawn| job.encode(drawn, &mut bytes));
        scratch.bytes = bytes;
    }
    if config.pixel_point {
        for view in &mut rendered.views {
            view.pixel_point = Some(nearest_points(&view.correspondences, &view.camera));
        }
    }
    Ok(rendered)
}

/// A picture of a subject as numbers.
///
/// # Shapes
/// `rgba`, `depth`, `id` `[H*W]`, row by row from the top.
#[derive(Clone, Debug, PartialEq)]
pub struct DrawnPicture {
    /// sRGB and coverage.
    pub rgba: Vec<[u8; 4]>,
    /// z in the camera frame at the pixel's centre, infinity where nothing is.
    pub depth: Vec<f32>,
    /// Triangle (of a mesh) or point (of a cloud) that is seen, `u32::MAX` for none.
    pub id: Vec<u32>,
    /// The sample's points that can be seen.
    pub shown: Correspondences,
}

/// Pictures of a subject from cameras of the caller's choice; where the config's own stand is not looked at.
///
/// # Errors
/// Fails if a setting is out of range.
pub fn draw_pictures(
    subject: &Subject<'_>,
    cameras: &[Camera],
    config: &ViewsConfig,
) -> Result<Vec<DrawnPicture>> {
    config.check()?;
    let named = |&camera: &Camera| NamedCamera { name: String::new(), camera };
    let near = NEAR_PLANE * enclose_subject(subject).radius;
    let job = RenderJob { subject, config, cameras: cameras.iter().map(named).collect(), near };
    Ok(job.draw(&mut ViewScratch::default(), &mut |drawn| DrawnPicture {
        rgba: drawn.rgba.to_vec(),
        depth: drawn.frame.depth.clone(),
        id: drawn.frame.id.clone(),
        shown: drawn.shown,
    }))
}

/// The cameras of the config's rig around a subject, as [`render_views`] places them.
///
/// # Errors
/// Fails if a setting is out of range.
pub fn place_around(subject: &Subject<'_>, config: &ViewsConfig) -> Result<Vec<Camera>> {
    config.check()?;
    let mut draws = Draws::new(subject.seed, &subject.sample.sample_id, "views");
    let placed = place_cameras(config, subject.up, enclose_subject(subject), &mut draws);
    Ok(placed.into_iter().map(|named| named.camera).collect())
}

/// The ball about the sample's points, or about the vertices of a mesh without any.
fn enclose_subject(subject: &Subject<'_>) -> Sphere {
    match &subject.object.shape {
        Shape::Mesh(mesh) if subject.sample.is_empty() => {
            let vertices: Vec<f32> = mesh.positions.as_flattened().iter().map(|&x| x as f32).collect();
            Sphere::enclose(&vertices)
        }
        _ => Sphere::enclose(&subject.sample.points),
    }
}

/// What the drawn views of a subject share.
struct RenderJob<'a> {
    subject: &'a Subject<'a>,
    config: &'a ViewsConfig,
    cameras: Vec<NamedCamera>,
    /// Depth of the near plane.
    near: f64,
}

/// What a view is stored from.
struct DrawnView<'a> {
    number: usize,
    /// Depths, one sample a pixel.
    frame: &'a FrameBuffer,
    rgba: &'a [[u8; 4]],
    shown: Correspondences,
}

impl<'a> RenderJob<'a> {
    fn new(subject: &'a Subject<'a>, config: &'a ViewsConfig) -> Self {
        let mut draws = Draws::new(subject.seed, &subject.sample.sample_id, "views");
        let sphere = Sphere::enclose(&subject.sample.points);
        let cameras = place_cameras(config, subject.up, sphere, &mut draws);
        Self { subject, config, cameras, near: NEAR_PLANE * sphere.radius }
    }

    fn draw<T>(&self, scratch: &mut ViewScratch, finish: &mut dyn FnMut(DrawnView<'_>) -> T) -> Vec<T> {
        match &self.subject.object.shape {
            Shape::Mesh(mesh) => self.draw_mesh(mesh, scratch, finish),
            Shape::Points(_) => self.draw_cloud(scratch, finish),
        }
    }

    /// Draws a mesh from every camera; `finish` takes what is drawn before its memory serves the next view.
    fn draw_mesh<T>(
        &self,
        mesh: &Mesh,
        scratch: &mut ViewScratch,
        finish: &mut dyn FnMut(DrawnView<'_>) -> T,
    ) -> Vec<T> {
        let scene = MeshScene::new(mesh, self.subject, self.config);
        let ViewScratch { raster, visibility, frame, samples, pixels, .. } = scratch;
        let (points, _) = self.subject.sample.points.as_chunks::<3>();
        let scale = self.config.supersample;
        let draw = |(number, NamedCamera { camera, .. }): (usize, &NamedCamera)| {
            rasterize(scene.triangles(), SampleGrid { camera, scale: 1 }, self.near, raster, frame);
            let grid = SampleGrid { camera, scale };
            let colored = if scale > 1 {
                rasterize(scene.triangles(), grid, self.near, raster, samples);
                &*samples
            } else {
                &*frame
            };
            shade(&scene, grid, colored, self.config.background, pixels);
            let shown = correspond_mesh(points, camera, scene.triangles(), visibility);
            finish(DrawnView { number, frame, rgba: pixels, shown })
        };
        self.cameras.iter().enumerate().map(draw).collect()
    }

    /// Views of a cloud without a surface: its stored points as discs.
    fn draw_cloud<T>(&self, scratch: &mut ViewScratch, finish: &mut dyn FnMut(DrawnView<'_>) -> T) -> Vec<T> {
        let splats = Splats::new(self.subject.sample.points.as_chunks().0);
        let colors = point_colors(self.subject.sample, self.subject.up, self.config.color);
        let ViewScratch { frame, samples, pixels, .. } = scratch;
        let scale = self.config.supersample;
        let draw = |(number, NamedCamera { camera, .. }): (usize, &NamedCamera)| {
            splats.draw(SampleGrid { camera, scale: 1 }, frame);
            let colored = if scale > 1 {
                splats.draw(SampleGrid { camera, scale }, samples);
                &*samples
            } else {
                &*frame
            };
            let lights = light_splats(&splats, &colors, camera);
            average_samples(colored, scale, self.config.background, pixels, |s| lights[s.id as usize]);
            let shown = correspond_splats(&splats, camera, frame);
            finish(DrawnView { number, frame, rgba: pixels, shown })
        };
        self.cameras.iter().enumerate().map(draw).collect()
    }

    /// The row of a drawn view: image and depth encoded, with the points it shows.
    fn encode(&self, drawn: DrawnView<'_>, bytes: &mut Vec<u8>) -> View {
        let NamedCamera { name, camera } = &self.cameras[drawn.number];
        let depth = self.config.depth.then(|| encode_depth(drawn.frame, bytes));
        let (depth, depth_scale) = depth.map_or((None, 0.0), |(file, step)| (Some(file), step));
        View {
            sample_id: self.subject.sample.sample_id.clone(),
            view: drawn.number as u16,
            name: name.clone(),
            image: encode_rgba(drawn.rgba.as_flattened(), drawn.frame.width, drawn.frame.height),
            camera: *camera,
            depth,
            depth_scale,
            correspondences: drawn.shown,
            pixel_point: None,
        }
    }
}
