//! The nuScenes reader: keyframes of a lidar with six calibrated cameras, or the annotated objects in them.
//!
//! Opening streams the JSON tables and keeps what an object can need (trainval: 2.6 million rows of
//! files go by, about a tenth stays); an object then costs the reading of its lidar files. Axes: lidar
//! x right, y forward, z up; box x forward, y left, z up; camera x right, y down, z forward; metres.
//! The tree expected on disk, the splits and the licence are described in `README.md` beside this file.

mod boxes;
mod chain;
mod classes;
mod config;
mod frames;
mod keyframe;
mod lidar;
mod pose;
mod rows;
mod splits;
mod stream;
mod tables;
#[cfg(test)]
mod tests;
mod token;

use std::path::{Path, PathBuf};

use glam::DAffine3;
use jepa3d_schemas::{BoxLabel, Object, Photo, PointCloud, Shape, UpAxis, source_hash};

use self::boxes::{BoxRow, Boxes, points_in_box};
use self::chain::{Chain, sees};
use self::frames::{Frames, Sweep};
use self::keyframe::{Keyframe, Lidar, affine_bytes};
use self::splits::Splits;
use self::tables::{NO_ROW, Sample, SmallTables, TableFolder};
use crate::dataset::Dataset;
use crate::error::Result;

pub use self::config::{NUSCENES_CAMERAS, NuScenesClasses, NuScenesConfig, NuScenesUnit};
pub use self::lidar::{LidarSweep, parse_lidar};
pub use self::rows::{NuScenesTable, parse_nuscenes_table};

/// nuScenes on disk: one object a keyframe, a lidar file or an annotated box, by [`NuScenesConfig::unit`].
///
/// Ids are `<scene name>/<timestamp>-<sample token>` for keyframes, the same with the file's own timestamp and token for sweeps, and
/// `<scene name>/<timestamp>/<annotation token>` for boxes, so a scene's objects stand together in
/// the order of time.
pub struct NuScenes {
    root: PathBuf,
    config: NuScenesConfig,
    items: Vec<Item>,
    samples: Vec<Sample>,
    scene_splits: Vec<&'static str>,
    chain: Chain,
    boxes: Vec<BoxRow>,
    /// Rows of `boxes` of each keyframe.
    boxes_of_sample: Vec<Vec<u32>>,
    box_classes: Vec<String>,
    classes: Vec<String>,
    notes: Vec<String>,
}

/// One object of the list.
struct Item {
    id: Box<str>,
    /// Row of its keyframe.
    sample: u32,
    /// Row of its lidar file.
    lidar: u32,
    /// Row of its box; `NO_ROW` for a keyframe or a sweep.
    annotation: u32,
}

impl NuScenes {
    /// Reads the tables of `root/<version>` and lists the objects; no lidar file is opened.
    ///
    /// # Errors
    /// Fails if a setting has no meaning, a table is missing or malformed, or a token leads nowhere.
    pub fn open(root: &Path, config: &NuScenesConfig) -> Result<Self> {
        config.check()?;
        let splits = match &config.splits {
            Some(file) => Splits::from_file(&root.join(file))?,
            None => Splits::official(&config.version),
        };
        let folder = TableFolder::open(root, &config.version)?;
        let mut small = SmallTables::read(&folder, config)?;
        let frames = Frames::read(&folder, config, &mut small)?;
        let boxes = match config.unit {
            NuScenesUnit::Scene if !config.boxes => Boxes::default(),
            NuScenesUnit::Sweep => Boxes::default(),
            _ => Boxes::read(&folder, config, &small)?,
        };
        let scene_splits: Vec<_> = small.scenes.iter().map(|name| splits.of_scene(name)).collect();
        let items = list_items(config, &small, &boxes.rows, &frames);
        let notes = notes(config, &small, &boxes, splits.note);
        let box_classes = match config.unit {
            NuScenesUnit::Scene => classes::class_names(config.classes),
            NuScenesUnit::Sweep | NuScenesUnit::Box => Vec::new(),
        };
        let classes = match config.unit {
            NuScenesUnit::Scene | NuScenesUnit::Sweep => Vec::new(),
            NuScenesUnit::Box => classes::class_names(config.classes),
        };
        let small_samples = small.samples.len();
        Ok(Self {
            root: root.to_owned(),
            config: config.clone(),
            items,
            samples: small.samples,
            scene_splits,
            chain: Chain { calibrations: small.calibrations, frames },
            boxes_of_sample: boxes_of_samples(&boxes.rows, small_samples),
            boxes: boxes.rows,
            box_classes,
            classes,
            notes,
        })
    }

    fn sample(&self, index: usize) -> &Sample {
        &self.samples[self.items[index].sample as usize]
    }

    /// The photos of a keyframe for a world that `global_from_world` places; `sees_point` leaves out
    /// the cameras that do not see that point of the world.
    fn photos(&self, sample: u32, global_from_world: &DAffine3, sees_point: Option<[f64; 3]>) -> Vec<Photo> {
        let cameras = self.config.cameras.len();
        let rows = &self.chain.frames.camera_frames[sample as usize * cameras..][..cameras];
        let mut photos = Vec::new();
        for (name, &row) in self.config.cameras.iter().zip(rows).filter(|(_, row)| **row != NO_ROW) {
            let frame = self.chain.frame(row);
            let Some(camera) = self.chain.camera(frame, global_from_world) else { continue };
            if sees_point.is_none_or(|point| sees(&camera, point)) {
                photos.push(Photo { name: name.clone(), path: self.root.join(&*frame.filename), camera });
            }
        }
        photos
    }

    /// One sentence for each camera that has no photo of the keyframe.
    fn missing_photos(&self, sample: u32) -> impl Iterator<Item = String> {
        let cameras = self.config.cameras.len();
        let rows = &self.chain.frames.camera_frames[sample as usize * cameras..][..cameras];
        let missing = self.config.cameras.iter().zip(rows).filter(|(_, row)| **row == NO_ROW);
        missing.map(|(name, _)| format!("sample_data has no photo of {name} for this keyframe"))
    }

    /// The keyframe as an object in the lidar frame.
    fn scene_object(&self, item: &Item, keyframe: Keyframe) -> Object {
        let sample = &self.samples[item.sample as usize];
        let global_from_lidar = self.chain.global_from_sensor(self.chain.frame(sample.lidar));
        let photos = self.photos(item.sample, &global_from_lidar, None);
        let Keyframe { cloud, mut parts, mut warnings } = keyframe;
        warnings.extend(self.missing_photos(item.sample));
        let lidar_from_global = self.chain.sensor_from_global(self.chain.frame(sample.lidar));
        let rows = self.boxes_of_sample[item.sample as usize].iter();
        let boxes: Vec<BoxLabel> =
            rows.map(|&row| self.boxes[row as usize].in_lidar_frame(&lidar_from_global)).collect();
        parts.extend(boxes.iter().map(box_bytes));
        Object {
            id: item.id.to_string(),
            category: None,
            label: None,
            shape: Shape::Points(cloud),
            source_hash: hash(parts, &photos),
            photos,
            boxes,
            warnings,
        }
    }

    /// One lidar file as an object in its lidar frame.
    fn sweep_object(item: &Item, keyframe: Keyframe) -> Object {
        let Keyframe { cloud, parts, warnings } = keyframe;
        Object {
            id: item.id.to_string(),
            category: None,
            label: None,
            shape: Shape::Points(cloud),
            source_hash: hash(parts, &[]),
            photos: Vec::new(),
            boxes: Vec::new(),
            warnings,
        }
    }

    /// The points of one box as an object in the frame of the box.
    fn box_object(&self, item: &Item, keyframe: Keyframe) -> Object {
        let (row, sample) = (&self.boxes[item.annotation as usize], &self.samples[item.sample as usize]);
        let global_from_lidar = self.chain.global_from_sensor(self.chain.frame(sample.lidar));
        let box_from_lidar = row.global_from_box.child_from_parent() * global_from_lidar;
        let global_from_box = row.global_from_box.parent_from_child();
        let photos = self.photos(item.sample, &global_from_box, Some([0.0; 3]));
        let Keyframe { cloud, mut parts, mut warnings } = keyframe;
        let (indices, inside) =
            points_in_box(&cloud.positions, &box_from_lidar, row.wlh, self.config.box_margin);
        let cloud = PointCloud { positions: inside, ..cloud.select(&indices) };
        if cloud.len() < self.config.min_box_points as usize {
            let (found, told) = (cloud.len(), row.lidar_points);
            warnings.push(format!("{found} points lie in the box, though num_lidar_pts is {told}"));
        }
        warnings.extend(self.missing_photos(item.sample));
        parts.push(affine_bytes(&box_from_lidar));
        parts.push(row.wlh.iter().flat_map(|v| v.to_le_bytes()).collect());
        parts.push(u32::from(row.label).to_le_bytes().to_vec());
        Object {
            id: item.id.to_string(),
            category: self.classes.get(usize::from(row.label)).cloned(),
            label: Some(i32::from(row.label)),
            shape: Shape::Points(cloud),
            source_hash: hash(parts, &photos),
            photos,
            boxes: Vec::new(),
            warnings,
        }
    }
}

impl Dataset for NuScenes {
    fn name(&self) -> &str {
        "nuscenes"
    }

    fn len(&self) -> usize {
        self.items.len()
    }

    fn id(&self, index: usize) -> &str {
        &self.items[index].id
    }

    fn split(&self, index: usize) -> &str {
        self.scene_splits[self.sample(index).scene as usize]
    }

    fn source(&self, index: usize) -> String {
        self.chain.frame(self.items[index].lidar).filename.to_string()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn box_classes(&self) -> &[String] {
        &self.box_classes
    }

    fn up_axis(&self) -> UpAxis {
        UpAxis::Z
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn get(&self, index: usize) -> Result<Object> {
        let item = &self.items[index];
        let lidar = Lidar { frame: item.lidar, sample: self.sample(index).token };
        let keyframe = Keyframe::read(&self.root, &self.config, &self.chain, lidar)?;
        Ok(match self.config.unit {
            NuScenesUnit::Scene => self.scene_object(item, keyframe),
            NuScenesUnit::Sweep => Self::sweep_object(item, keyframe),
            NuScenesUnit::Box => self.box_object(item, keyframe),
        })
    }
}

/// The objects in the byte order of their ids.
fn list_items(config: &NuScenesConfig, small: &SmallTables, boxes: &[BoxRow], frames: &Frames) -> Vec<Item> {
    let at = |sample: &Sample, time: u64| format!("{}/{time:016}", small.scenes[sample.scene as usize]);
    let stem = |sample: &Sample| at(sample, sample.timestamp);
    let mut items: Vec<Item> = match config.unit {
        NuScenesUnit::Scene => {
            let item = |(row, sample): (usize, &Sample)| Item {
                id: format!("{}-{}", stem(sample), sample.token).into(),
                sample: row as u32,
                lidar: sample.lidar,
                annotation: NO_ROW,
            };
            small.samples.iter().enumerate().map(item).collect()
        }
        NuScenesUnit::Sweep => {
            let item = |sweep: &Sweep| {
                let time = frames.frames[sweep.frame as usize].timestamp;
                let stem = at(&small.samples[sweep.sample as usize], time);
                Item {
                    id: format!("{stem}-{}", sweep.token).into(),
                    sample: sweep.sample,
                    lidar: sweep.frame,
                    annotation: NO_ROW,
                }
            };
            frames.sweeps.iter().map(item).collect()
        }
        NuScenesUnit::Box => {
            let item = |(row, b): (usize, &BoxRow)| Item {
                id: format!("{}/{}", stem(&small.samples[b.sample as usize]), b.token).into(),
                sample: b.sample,
                lidar: small.samples[b.sample as usize].lidar,
                annotation: row as u32,
            };
            boxes.iter().enumerate().map(item).collect()
        }
    };
    items.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    items
}

fn notes(config: &NuScenesConfig, small: &SmallTables, boxes: &Boxes, splits: String) -> Vec<String> {
    let (scenes, keyframes) = (small.scenes.len(), small.samples.len());
    let mut notes = vec![format!("{}: {scenes} scenes, {keyframes} keyframes", config.version), splits];
    if config.unit == NuScenesUnit::Box {
        let (kept, dropped, few) = (boxes.rows.len(), boxes.without_class, boxes.too_few_points);
        notes.push(format!(
            "{kept} boxes; not listed: {dropped} without a class of the scheme, {few} with fewer than {} lidar points",
            config.min_box_points
        ));
    }
    if config.sweeps > 0 {
        notes.push(format!("up to {} sweeps are added to a keyframe; moving objects smear", config.sweeps));
    }
    notes
}

/// Rows of the boxes of each keyframe, in the order of the table.
fn boxes_of_samples(boxes: &[BoxRow], samples: usize) -> Vec<Vec<u32>> {
    let mut rows = vec![Vec::new(); samples];
    for (row, b) in boxes.iter().enumerate() {
        rows[b.sample as usize].push(row as u32);
    }
    rows
}

/// What decides a box of a keyframe.
fn box_bytes(b: &BoxLabel) -> Vec<u8> {
    let numbers = b.center.iter().chain(&b.size).chain(&b.rotation);
    numbers.flat_map(|v| v.to_le_bytes()).chain(b.label.to_le_bytes()).collect()
}

/// Hash of the lidar bytes, the transforms and the cameras. Photos count by their calibration; their
/// bytes are not read here.
fn hash(mut parts: Vec<Vec<u8>>, photos: &[Photo]) -> String {
    for Photo { name, camera, .. } in photos {
        parts.push(name.as_bytes().to_vec());
        parts.push([camera.width, camera.height].iter().flat_map(|v| v.to_le_bytes()).collect());
        parts.push(
            [camera.fx, camera.fy, camera.cx, camera.cy].iter().flat_map(|v| v.to_le_bytes()).collect(),
        );
        parts.push(affine_bytes(&camera.camera_from_world));
    }
    source_hash(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
}
