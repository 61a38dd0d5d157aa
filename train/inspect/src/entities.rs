//! What a recording says about a sample: one log an entity, none a point.
//!
//! | entity | what |
//! |---|---|
//! | `cloud/points` | the cloud, by label, stored colours, intensity or height |
//! | `cloud/centers`, `cloud/patches` | one grouping, patches in colours of their own |
//! | `cloud/boxes` | annotated boxes with their classes |
//! | `cloud/extent` | the box around the cloud |
//! | `cloud/unseen` | points that no view sees |
//! | `correspondences/NAME` | the points that a view sees, coloured by place |
//! | `cameras/NAME` | pinhole camera; world = the cloud's frame |
//! | `cameras/NAME/image`, `/depth` | the stored files |
//! | `cameras/NAME/correspondences` | the same points over the image, in the same colours |
//! | `facts` | what is known about the sample, as text |

use std::collections::BTreeSet;

use jepa3d_schemas::{BOX_NUMBERS, Camera, Manifest, Sample, View, label_color};
use rerun::components::ImagePlaneDistance;
use rerun::components::Text;
use rerun::{EntityPath, RecordingStream, RecordingStreamResult, TransformRelation};

use super::colors::{self, Color, by_place};
use super::facts;
use super::groups::ShownGrouping;
use super::select::Specimen;
use crate::rerun;

/// The timeline: the number of the sample within the selection.
pub(super) const TIMELINE: &str = "sample";

/// Sizes on screen, whatever the zoom.
const POINT: f32 = 1.5;
const CENTER: f32 = 4.0;
const DOT: f32 = 2.0;

/// Path of a camera and what is below it.
pub(super) fn camera_path(name: &str, below: &[&str]) -> EntityPath {
    let parts = ["cameras", name].into_iter().chain(below.iter().copied());
    EntityPath::new(parts.map(Into::into).collect())
}

/// Path of the points that a camera sees.
pub(super) fn correspondences_path(name: &str) -> EntityPath {
    EntityPath::new(["correspondences", name].map(Into::into).to_vec())
}

/// Logs samples one after the other.
pub(super) struct Scribe<'a> {
    pub stream: &'a RecordingStream,
    pub manifest: &'a Manifest,
    /// Grouping whose patches are shown.
    pub grouping: usize,
    /// Cameras logged so far, by (number, name); a sample without one of them has it cleared.
    pub cameras: BTreeSet<(u16, String)>,
}

impl Scribe<'_> {
    /// What holds for all samples: up axis, dataset, config.
    pub(super) fn log_dataset(&self) -> RecordingStreamResult<()> {
        let (stream, manifest) = (self.stream, self.manifest);
        let up = match manifest.up_axis {
            jepa3d_schemas::UpAxis::X => rerun::ViewCoordinates::RIGHT_HAND_X_UP(),
            jepa3d_schemas::UpAxis::Y => rerun::ViewCoordinates::RIGHT_HAND_Y_UP(),
            jepa3d_schemas::UpAxis::Z => rerun::ViewCoordinates::RIGHT_HAND_Z_UP(),
        };
        stream.log_static("/", &up)?;
        let config = serde_json::to_string_pretty(&manifest.config).unwrap_or_default();
        let text = |text: &str| [Text(text.into())];
        let properties = rerun::DynamicArchetype::new("Dataset")
            .with_component::<Text>("name", text(&manifest.dataset))
            .with_component::<Text>("fingerprint", text(&manifest.fingerprint))
            .with_component::<Text>("tool_version", text(&manifest.tool_version))
            .with_component::<Text>("config", text(&config));
        stream.send_property("dataset", &properties)?;
        let page = format!(
            "# {}\n\nfingerprint `{}`\n\n```json\n{config}\n```\n",
            manifest.dataset, manifest.fingerprint
        );
        stream.log_static("config", &rerun::TextDocument::from_markdown(page))
    }

    /// One sample at its place on the timeline.
    pub(super) fn log(&mut self, specimen: &Specimen) -> RecordingStreamResult<()> {
        self.stream.set_time_sequence(TIMELINE, specimen.index as i64);
        let place = by_place(&specimen.sample.points);
        let (meaning, cloud) = colors::of_cloud(&specimen.sample, self.manifest.up_axis);
        self.log_cloud(&specimen.sample, &cloud)?;
        self.log_boxes(&specimen.sample)?;
        self.log_groups(&specimen.sample)?;
        let page = facts::page(specimen, self.manifest, meaning);
        self.stream.log("facts", &rerun::TextDocument::from_markdown(page))?;
        self.clear_others(specimen)?;
        let bulk = Bulk::measure(&specimen.sample.points);
        for view in &specimen.views {
            self.cameras.insert((view.view, view.name.clone()));
            self.log_camera(view, &bulk)?;
            self.log_correspondences(view, &specimen.sample, &place)?;
        }
        if self.cameras.is_empty() {
            return Ok(());
        }
        let seen = facts::seen(specimen);
        let unseen = positions(&specimen.sample.points, (0..seen.len()).filter(|&i| !seen[i]));
        self.log_points("cloud/unseen".into(), unseen, &[[90; 3]], POINT)
    }

    fn log_cloud(&self, sample: &Sample, colors: &[Color]) -> RecordingStreamResult<()> {
        // An empty list takes back what an earlier sample said.
        let labels = sample.point_labels.as_deref().unwrap_or_default();
        if !labels.is_empty() {
            let distinct: BTreeSet<i16> = labels.iter().copied().collect();
            let classes = distinct.into_iter().map(|label| {
                let [r, g, b] = label_color(label);
                (class(label), label_name(label).as_str(), rerun::Rgba32::from_rgb(r, g, b)).into()
            });
            let classes: Vec<rerun::AnnotationInfo> = classes.collect();
            self.stream.log("cloud", &rerun::AnnotationContext::new(classes))?;
        }
        let points = rerun::Points3D::new(positions(&sample.points, 0..sample.len()))
            .with_colors(colors.iter().map(paint))
            .with_class_ids(labels.iter().map(|&label| class(label)))
            .with_radii([rerun::Radius::new_ui_points(POINT)]);
        self.stream.log("cloud/points", &points)?;
        let (low, high) = extent(&sample.points);
        let size = [0, 1, 2].map(|i| high[i] - low[i]);
        let extent = rerun::Boxes3D::from_mins_and_sizes([low], [size])
            .with_colors([rerun::Color::from_rgb(150, 150, 150)])
            .with_fill_mode(rerun::FillMode::MajorWireframe);
        self.stream.log("cloud/extent", &extent)
    }

    /// Annotated boxes; an empty list takes back those of an earlier sample.
    fn log_boxes(&self, sample: &Sample) -> RecordingStreamResult<()> {
        let boxes = || sample.boxes.as_deref().unwrap_or_default().chunks_exact(BOX_NUMBERS);
        let labels = sample.box_labels.as_deref().unwrap_or_default();
        let name = |&label: &i16| {
            let class = usize::try_from(label).ok().and_then(|label| self.manifest.box_classes.get(label));
            class.cloned().unwrap_or_else(|| label_name(label))
        };
        let boxes = rerun::Boxes3D::from_centers_and_half_sizes(
            boxes().map(|b| [b[0], b[1], b[2]]),
            boxes().map(|b| [0.5 * b[3], 0.5 * b[4], 0.5 * b[5]]),
        )
        .with_quaternions(boxes().map(|b| rerun::Quaternion::from_xyzw([b[7], b[8], b[9], b[6]])))
        .with_colors(labels.iter().map(|&label| paint(&label_color(label))))
        .with_labels(labels.iter().map(name))
        .with_show_labels(false)
        .with_fill_mode(rerun::FillMode::MajorWireframe);
        self.stream.log("cloud/boxes", &boxes)
    }

    fn log_groups(&self, sample: &Sample) -> RecordingStreamResult<()> {
        let groups = ShownGrouping::select(sample, self.manifest.shape.R, self.grouping);
        let (members, colors): (Vec<usize>, Vec<Color>) = groups.colors(sample.len()).into_iter().unzip();
        let points = positions(&sample.points, members.into_iter());
        self.log_points("cloud/patches".into(), points, &colors, 2.0 * POINT)?;
        let centers = positions(
            &sample.points,
            groups.centers.iter().map(|&i| i as usize).filter(|&i| i < sample.len()),
        );
        self.log_points("cloud/centers".into(), centers, &[[255; 3]], CENTER)
    }

    fn log_points(
        &self,
        path: EntityPath,
        points: Vec<[f32; 3]>,
        colors: &[Color],
        radius: f32,
    ) -> RecordingStreamResult<()> {
        self.stream.log(path, &colored(points, colors, radius))
    }

    /// Takes away the cameras of earlier samples that this one does not have.
    fn clear_others(&self, specimen: &Specimen) -> RecordingStreamResult<()> {
        let own: BTreeSet<&str> = specimen.views.iter().map(|view| view.name.as_str()).collect();
        for (_, name) in self.cameras.iter().filter(|(_, name)| !own.contains(name.as_str())) {
            self.stream.log(camera_path(name, &[]), &rerun::Clear::recursive())?;
            self.stream.log(correspondences_path(name), &rerun::Clear::flat())?;
        }
        Ok(())
    }

    fn log_camera(&self, view: &View, bulk: &Bulk) -> RecordingStreamResult<()> {
        let (stream, camera) = (self.stream, &view.camera);
        stream.log(camera_path(&view.name, &[]), &transform(camera))?;
        stream.log(camera_path(&view.name, &[]), &pinhole(camera, bulk))?;
        let image = rerun::EncodedImage::from_file_contents(view.image.clone());
        stream.log(camera_path(&view.name, &["image"]), &image)?;
        let path = camera_path(&view.name, &["depth"]);
        match &view.depth {
            // Steps of a stored depth that make one unit of the cloud.
            Some(depth) => {
                let depth = rerun::EncodedDepthImage::from_file_contents(depth.clone())
                    .with_meter((1.0 / view.depth_scale) as f32);
                stream.log(path, &depth)
            }
            None => stream.log(path, &rerun::Clear::flat()),
        }
    }

    fn log_correspondences(
        &self,
        view: &View,
        sample: &Sample,
        place: &[Color],
    ) -> RecordingStreamResult<()> {
        let c = &view.correspondences;
        let known = || c.point.iter().map(|&point| point as usize).filter(|&point| point < sample.len());
        let colors: Vec<Color> = known().map(|point| place[point]).collect();
        let dots = dots(c.u.iter().zip(&c.v).map(|(&u, &v)| [u, v]).collect(), &colors, DOT);
        self.stream.log(camera_path(&view.name, &["correspondences"]), &dots)?;
        let points = positions(&sample.points, known());
        self.log_points(correspondences_path(&view.name), points, &colors, DOT)
    }
}

/// Points in colours, of one size on screen.
pub(super) fn colored(points: Vec<[f32; 3]>, colors: &[Color], radius: f32) -> rerun::Points3D {
    rerun::Points3D::new(points)
        .with_colors(colors.iter().map(paint))
        .with_radii([rerun::Radius::new_ui_points(radius)])
}

/// Places of an image in colours, of one size on screen.
pub(super) fn dots(pixels: Vec<[f32; 2]>, colors: &[Color], radius: f32) -> rerun::Points2D {
    rerun::Points2D::new(pixels)
        .with_colors(colors.iter().map(paint))
        .with_radii([rerun::Radius::new_ui_points(radius)])
}

fn paint(color: &Color) -> rerun::Color {
    let [r, g, b] = *color;
    rerun::Color::from_rgb(r, g, b)
}

/// Class ids have no sign; no label is the last one.
fn class(label: i16) -> u16 {
    u16::try_from(label).unwrap_or(u16::MAX)
}

fn label_name(label: i16) -> String {
    if label < 0 { "no label".to_owned() } else { format!("label {label}") }
}

fn positions(points: &[f32], indices: impl Iterator<Item = usize>) -> Vec<[f32; 3]> {
    indices.map(|i| [points[3 * i], points[3 * i + 1], points[3 * i + 2]]).collect()
}

fn transform(camera: &Camera) -> rerun::Transform3D {
    let rows = camera.rows().map(|x| x as f32);
    let column = |c: usize| [rows[c], rows[4 + c], rows[8 + c]];
    rerun::Transform3D::from_translation_mat3x3(column(3), [column(0), column(1), column(2)])
        .with_relation(TransformRelation::ChildFromParent)
}

fn pinhole(camera: &Camera, bulk: &Bulk) -> rerun::Pinhole {
    let [fx, fy, cx, cy] = [camera.fx, camera.fy, camera.cx, camera.cy].map(|x| x as f32);
    rerun::Pinhole::new([[fx, 0.0, 0.0], [0.0, fy, 0.0], [cx, cy, 1.0]])
        .with_resolution([camera.width as f32, camera.height as f32])
        .with_camera_xyz(rerun::components::ViewCoordinates::RDF)
        .with_image_plane_distance(ImagePlaneDistance::from(bulk.image_distance(camera)))
}

/// Where most of a cloud is.
struct Bulk {
    middle: [f32; 3],
    /// 9 of 10 points are within it.
    radius: f32,
}

impl Bulk {
    fn measure(points: &[f32]) -> Self {
        let (low, high) = extent(points);
        let middle = [0, 1, 2].map(|i| 0.5 * (low[i] + high[i]));
        let distance = |p: &[f32]| (0..3).map(|i| (p[i] - middle[i]).powi(2)).sum::<f32>().sqrt();
        let mut distances: Vec<f32> = points.chunks_exact(3).map(distance).collect();
        distances.sort_unstable_by(f32::total_cmp);
        Self { middle, radius: distances.get(distances.len() * 9 / 10).copied().unwrap_or(1.0) }
    }

    /// How far in front of a camera its image is shown: short of a cloud that it looks at from
    /// outside, well within one that it stands in.
    fn image_distance(&self, camera: &Camera) -> f32 {
        let middle = self.middle.map(f64::from);
        let seen = camera.camera_from_world.transform_point3(middle.into());
        let away = seen.length() as f32;
        if away > self.radius { 0.25 * away } else { 0.2 * self.radius }
    }
}

fn extent(points: &[f32]) -> ([f32; 3], [f32; 3]) {
    let fold = |start: f32, f: fn(f32, f32) -> f32| {
        [0, 1, 2].map(|axis| points.iter().skip(axis).step_by(3).copied().fold(start, f))
    };
    (fold(f32::INFINITY, f32::min), fold(f32::NEG_INFINITY, f32::max))
}
