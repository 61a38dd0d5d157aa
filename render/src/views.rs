//! One sample's views: cameras, images, depth and correspondences.

use jepa3d_schemas::{Camera, Correspondences, Draws, Mesh, Object, Sample, Shape, UpAxis, View};

use crate::config::{RigConfig, ViewsConfig};
use crate::dense::nearest_points;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::photo_views::photo_views;
use crate::png_file::{encode_depth, encode_rgba};
use crate::rasterize::{RasterScratch, rasterize};
use crate::rig::{Sphere, cameras};
use crate::scene::Scene;
use crate::shade::shade;
use crate::splat::correspond_splats;
use crate::splat_fit::Splats;
use crate::splat_shade::{point_colors, shade_splats};
use crate::visible::{VisibilityScratch, correspond_mesh};

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
pub struct Scratch {
    raster: RasterScratch,
    visibility: VisibilityScratch,
    frame: Frame,
    samples: Frame,
    pixels: Vec<[u8; 4]>,
    bytes: Vec<u8>,
}

/// Surfaces nearer to the camera than this part of the scene's radius are not drawn.
const NEAR: f64 = 1e-3;

/// Renders all views of a subject.
///
/// # Errors
/// Fails if the config is out of range ([`ViewsConfig::check`]).
pub fn render_views(subject: &Subject<'_>, config: &ViewsConfig, scratch: &mut Scratch) -> Result<Rendered> {
    let mut rendered = render_all(subject, config, scratch)?;
    if config.pixel_point {
        for view in &mut rendered.views {
            view.pixel_point = Some(nearest_points(&view.correspondences, &view.camera));
        }
    }
    Ok(rendered)
}

fn render_all(subject: &Subject<'_>, config: &ViewsConfig, scratch: &mut Scratch) -> Result<Rendered> {
    config.check()?;
    let mut draws = Draws::new(subject.seed, &subject.sample.sample_id, "views");
    let sphere = Sphere::around(&subject.sample.points);
    let rig = cameras(config, subject.up, sphere, &mut draws);
    let mut rendered = Rendered::default();
    if matches!(config.rig, RigConfig::Photos) {
        photo_views(subject, &mut rendered);
        return Ok(rendered);
    }
    match &subject.object.shape {
        Shape::Mesh(mesh) => render_mesh(mesh, subject, config, (&rig, sphere), scratch, &mut rendered),
        Shape::Points(_) => render_cloud(subject, config, &rig, scratch, &mut rendered),
    }
    Ok(rendered)
}

fn render_mesh(
    mesh: &Mesh,
    subject: &Subject<'_>,
    config: &ViewsConfig,
    (rig, sphere): (&[(String, Camera)], Sphere),
    scratch: &mut Scratch,
    rendered: &mut Rendered,
) {
    let scene = Scene::new(mesh, subject.sample, subject.up, (config.color, config.smooth));
    let near = NEAR * sphere.radius;
    let Scratch { raster, visibility, frame, samples, pixels, bytes } = scratch;
    let (points, _) = subject.sample.points.as_chunks::<3>();
    for (number, (name, camera)) in rig.iter().enumerate() {
        rasterize(scene.surface(), camera, (1, near), raster, frame);
        if config.supersample > 1 {
            rasterize(scene.surface(), camera, (config.supersample, near), raster, samples);
            shade(&scene, (camera, config.supersample), samples, config.background, pixels);
        } else {
            shade(&scene, (camera, 1), frame, config.background, pixels);
        }
        let shown = correspond_mesh(points, camera, scene.surface(), visibility);
        rendered.views.push(row((subject, number, name), camera, (frame, pixels), (config, bytes), shown));
    }
}

/// Views of a cloud without a surface: its stored points as discs.
fn render_cloud(
    subject: &Subject<'_>,
    config: &ViewsConfig,
    rig: &[(String, Camera)],
    scratch: &mut Scratch,
    rendered: &mut Rendered,
) {
    let splats = Splats::new(subject.sample.points.as_chunks().0);
    let colors = point_colors(subject.sample, subject.up, config.color);
    let Scratch { frame, samples, pixels, bytes, .. } = scratch;
    for (number, (name, camera)) in rig.iter().enumerate() {
        splats.draw(camera, 1, frame);
        let fine = if config.supersample > 1 {
            splats.draw(camera, config.supersample, samples);
            &*samples
        } else {
            &*frame
        };
        shade_splats((&splats, &colors), (camera, config.supersample), fine, config.background, pixels);
        let shown = correspond_splats(&splats, camera, frame);
        rendered.views.push(row((subject, number, name), camera, (frame, pixels), (config, bytes), shown));
    }
}

/// The row of a drawn view: image and depth encoded, with the points it shows.
fn row(
    (subject, number, name): (&Subject<'_>, usize, &str),
    camera: &Camera,
    (frame, pixels): (&Frame, &[[u8; 4]]),
    (config, bytes): (&ViewsConfig, &mut Vec<u8>),
    correspondences: Correspondences,
) -> View {
    let depth = config.depth.then(|| encode_depth(frame, bytes));
    let (depth, depth_scale) = depth.map_or((None, 0.0), |(file, step)| (Some(file), step));
    View {
        sample_id: subject.sample.sample_id.clone(),
        view: number as u16,
        name: name.to_owned(),
        image: encode_rgba(pixels.as_flattened(), frame.width, frame.height),
        camera: *camera,
        depth,
        depth_scale,
        correspondences,
        pixel_point: None,
    }
}
