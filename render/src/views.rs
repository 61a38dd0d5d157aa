//! One sample's views: cameras, images, depth and correspondences.

use jepa3d_schemas::{Correspondences, Draws, Mesh, Shape, View};

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
/// let object = Object {
///     id: "triangle".to_owned(),
///     category: None,
///     label: None,
///     shape: Shape::Mesh(mesh),
///     photos: Vec::new(),
///     boxes: Vec::new(),
///     source_hash: String::new(),
///     warnings: Vec::new(),
/// };
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
    match (&config.rig, &subject.object.shape) {
        (RigConfig::Photos, _) => add_photos(subject, &mut rendered),
        (_, Shape::Mesh(mesh)) => rendered.views = RenderJob::new(subject, config).draw_mesh(mesh, scratch),
        (_, Shape::Points(_)) => rendered.views = RenderJob::new(subject, config).draw_cloud(scratch),
    }
    if config.pixel_point {
        for view in &mut rendered.views {
            view.pixel_point = Some(nearest_points(&view.correspondences, &view.camera));
        }
    }
    Ok(rendered)
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

    fn draw_mesh(&self, mesh: &Mesh, scratch: &mut ViewScratch) -> Vec<View> {
        let scene = MeshScene::new(mesh, self.subject, self.config);
        let ViewScratch { raster, visibility, frame, samples, pixels, bytes } = scratch;
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
            self.encode(DrawnView { number, frame, rgba: pixels, shown }, bytes)
        };
        self.cameras.iter().enumerate().map(draw).collect()
    }

    /// Views of a cloud without a surface: its stored points as discs.
    fn draw_cloud(&self, scratch: &mut ViewScratch) -> Vec<View> {
        let splats = Splats::new(self.subject.sample.points.as_chunks().0);
        let colors = point_colors(self.subject.sample, self.subject.up, self.config.color);
        let ViewScratch { frame, samples, pixels, bytes, .. } = scratch;
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
            self.encode(DrawnView { number, frame, rgba: pixels, shown }, bytes)
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
