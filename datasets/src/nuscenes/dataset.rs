//! nuScenes as a list of objects of one unit; what an object is, the unit alone says.

use std::path::Path;

use jepa3d_schemas::{Object, PointClasses, UpAxis};

use super::config::NuScenesConfig;
use super::lidar_cloud::{LidarCloud, LidarFile};
use super::recording::Recording;
use super::splits::Splits;
use super::tables::TableFolder;
use crate::budget::Budget;
use crate::dataset::Dataset;
use crate::error::Result;
use crate::split::Split;

/// A kind of object: keyframes, sectors of them, lidar files or annotated boxes, numbered by rows.
pub(super) trait ObjectUnit: Send + Sync + Sized {
    /// Reads the tables that this unit alone needs.
    ///
    /// # Errors
    /// Fails if a table is missing or malformed, or a token leads nowhere.
    fn read(folder: &TableFolder, recording: &Recording) -> Result<Self>;

    /// The id of each row.
    fn ids(&self, recording: &Recording) -> Vec<String>;

    /// The lidar file of a row.
    fn lidar_file(&self, recording: &Recording, row: u32) -> LidarFile;

    /// Checks that the tables tell enough of a row.
    ///
    /// # Errors
    /// Fails if they do not, naming the table and its row.
    fn check(&self, _row: u32) -> Result<()> {
        Ok(())
    }

    /// Labels the points of the cloud of a row, where they have labels.
    ///
    /// # Errors
    /// Fails if the labels are missing or malformed.
    fn label_points(
        &self,
        _recording: &Recording,
        _row: u32,
        _cloud: &mut LidarCloud,
        _budget: &Budget,
    ) -> Result<()> {
        Ok(())
    }

    /// The split of a row.
    fn split(&self, recording: &Recording, row: u32) -> Split {
        recording.split(self.lidar_file(recording, row).keyframe)
    }

    /// What the labels of points mean.
    fn point_classes(&self) -> Option<PointClasses> {
        None
    }

    /// The object that a row makes of the cloud of its lidar file.
    fn object(&self, recording: &Recording, listed: &ListedObject, cloud: LidarCloud) -> Object;

    /// What to tell about the rows.
    fn note(&self, _: &Recording) -> Option<String> {
        None
    }

    /// Class names of the objects.
    fn classes(&self) -> &[String] {
        &[]
    }

    /// Class names of the boxes in the objects.
    fn box_classes(&self) -> &[String] {
        &[]
    }
}

/// One object of the list.
pub(super) struct ListedObject {
    pub(super) id: Box<str>,
    /// Its row, as the unit counts.
    pub(super) row: u32,
}

/// nuScenes on disk, listed by one unit.
pub(super) struct NuScenes<U> {
    pub(super) recording: Recording,
    pub(super) unit: U,
    /// In the byte order of the ids, which is that of time within a scene.
    pub(super) listed: Vec<ListedObject>,
    notes: Vec<String>,
}

impl<U: ObjectUnit> NuScenes<U> {
    /// Reads the tables of `root/<version>` and lists the objects; no lidar file is opened.
    ///
    /// # Errors
    /// Fails if a setting has no meaning, a table is missing or malformed, or a token leads nowhere.
    pub(super) fn open(root: &Path, config: &NuScenesConfig) -> Result<Self> {
        config.check()?;
        let splits = match &config.splits {
            Some(file) => Splits::from_file(&root.join(file))?,
            None => Splits::official(&config.version),
        };
        let folder = TableFolder::open(root, &config.version)?;
        let recording = Recording::read(root, config, &folder, splits)?;
        let unit = U::read(&folder, &recording)?;
        let ids = unit.ids(&recording).into_iter().enumerate();
        let mut listed: Vec<ListedObject> =
            ids.map(|(row, id)| ListedObject { id: id.into(), row: row as u32 }).collect();
        listed.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        let mut notes = vec![recording.count_note(), recording.split_note.clone()];
        notes.extend(unit.note(&recording));
        if config.sweeps > 0 {
            let sweeps = config.sweeps;
            notes.push(format!("up to {sweeps} sweeps are added to a keyframe; moving objects smear"));
        }
        Ok(Self { recording, unit, listed, notes })
    }

    fn lidar_file(&self, index: usize) -> LidarFile {
        self.unit.lidar_file(&self.recording, self.listed[index].row)
    }
}

impl<U: ObjectUnit> Dataset for NuScenes<U> {
    fn name(&self) -> &str {
        "nuscenes"
    }

    fn len(&self) -> usize {
        self.listed.len()
    }

    fn id(&self, index: usize) -> &str {
        &self.listed[index].id
    }

    fn split(&self, index: usize) -> &str {
        self.unit.split(&self.recording, self.listed[index].row).name()
    }

    fn source(&self, index: usize) -> String {
        self.recording.chain.frame(self.lidar_file(index).frame).filename.to_string()
    }

    fn classes(&self) -> &[String] {
        self.unit.classes()
    }

    fn box_classes(&self) -> &[String] {
        self.unit.box_classes()
    }

    fn point_classes(&self) -> Option<PointClasses> {
        self.unit.point_classes()
    }

    fn up_axis(&self) -> UpAxis {
        UpAxis::Z
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn get_within(&self, index: usize, budget: &Budget) -> Result<Object> {
        self.unit.check(self.listed[index].row)?;
        let mut cloud = self.recording.read_cloud(self.lidar_file(index), budget)?;
        self.unit.label_points(&self.recording, self.listed[index].row, &mut cloud, budget)?;
        Ok(self.unit.object(&self.recording, &self.listed[index], cloud))
    }
}
