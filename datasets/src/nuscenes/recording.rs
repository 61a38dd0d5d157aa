//! What the objects of every unit are made from: keyframes, sensors, poses, and the files below the root.

use std::path::{Path, PathBuf};

use glam::DAffine3;
use jepa3d_schemas::{Photo, Warning, WarningKind};

use super::chain::{Chain, sees};
use super::config::NuScenesConfig;
use super::frames::Frames;
use super::lidar_cloud::{LidarCloud, LidarFile};
use super::splits::Splits;
use super::tables::{Keyframe, NO_ROW, SmallTables, TableFolder};
use super::token::TokenIndex;
use crate::budget::Budget;
use crate::error::Result;
use crate::split::Split;

/// A version of nuScenes as far as its tables are read for every unit.
pub(super) struct Recording {
    pub(super) root: PathBuf,
    pub(super) config: NuScenesConfig,
    pub(super) keyframes: Vec<Keyframe>,
    /// Rows of `keyframes` by token, for tables that point to them.
    pub(super) keyframe_rows: TokenIndex,
    pub(super) chain: Chain,
    scenes: Vec<String>,
    scene_splits: Vec<Split>,
    /// What the splits go by.
    pub(super) split_note: String,
}

impl Recording {
    /// Reads the tables that every unit needs; no lidar file is opened.
    ///
    /// # Errors
    /// Fails if a table is missing or malformed, or a token leads nowhere.
    pub(super) fn read(
        root: &Path,
        config: &NuScenesConfig,
        folder: &TableFolder,
        splits: Splits,
    ) -> Result<Self> {
        let mut small = SmallTables::read(folder, config)?;
        let frames = Frames::read(folder, config, &mut small)?;
        let SmallTables { scenes, keyframes, keyframe_rows, calibrations, .. } = small;
        Ok(Self {
            root: root.to_owned(),
            config: config.clone(),
            keyframes,
            keyframe_rows,
            chain: Chain { calibrations, frames },
            scene_splits: scenes.iter().map(|name| splits.split_of_scene(name)).collect(),
            scenes,
            split_note: splits.note,
        })
    }

    /// How many scenes and keyframes there are.
    pub(super) fn count_note(&self) -> String {
        let (scenes, keyframes) = (self.scenes.len(), self.keyframes.len());
        format!("{}: {scenes} scenes, {keyframes} keyframes", self.config.version)
    }

    /// A keyframe by its row.
    pub(super) fn keyframe(&self, row: u32) -> &Keyframe {
        &self.keyframes[row as usize]
    }

    /// The split of a keyframe's scene.
    pub(super) fn split(&self, keyframe: u32) -> Split {
        self.scene_splits[self.keyframe(keyframe).scene as usize]
    }

    /// Start of the ids of what was recorded at `timestamp` for a keyframe: ids then ascend with time.
    pub(super) fn id_at(&self, keyframe: &Keyframe, timestamp: u64) -> String {
        format!("{}/{timestamp:016}", self.scenes[keyframe.scene as usize])
    }

    /// Reads the cloud of a lidar file with as many sweeps before it as the config asks for.
    ///
    /// # Errors
    /// Fails if a file is missing or malformed, or a sweep is not earlier than the one after it.
    pub(super) fn read_cloud(&self, file: LidarFile, budget: &Budget) -> Result<LidarCloud> {
        let token = self.keyframe(file.keyframe).token;
        LidarCloud::read(&self.root, &self.config, &self.chain, file.frame, token, budget)
    }

    /// The photos of a keyframe for a world that `global_from_world` places; `sees_point` leaves out
    /// the cameras that do not see that point of the world.
    pub(super) fn photos(
        &self,
        keyframe: u32,
        global_from_world: &DAffine3,
        sees_point: Option<[f64; 3]>,
    ) -> Vec<Photo> {
        let mut photos = Vec::new();
        let taken = self.config.cameras.iter().zip(self.camera_frames(keyframe));
        for (name, &row) in taken.filter(|(_, row)| **row != NO_ROW) {
            let frame = self.chain.frame(row);
            if self.chain.check(frame).is_err() {
                continue;
            }
            let Some(camera) = self.chain.camera(frame, global_from_world) else { continue };
            if sees_point.is_none_or(|point| sees(&camera, point)) {
                photos.push(Photo { name: name.clone(), path: self.root.join(&*frame.filename), camera });
            }
        }
        photos
    }

    /// One sentence for each camera that has no photo of a keyframe.
    pub(super) fn missing_photos(&self, keyframe: u32) -> impl Iterator<Item = Warning> {
        let frames = self.config.cameras.iter().zip(self.camera_frames(keyframe));
        frames.filter_map(|(name, &row)| {
            let text = match row {
                NO_ROW => format!("sample_data has no photo of {name} for this keyframe"),
                row => match self.chain.check(self.chain.frame(row)) {
                    Ok(()) => return None,
                    Err(error) => format!("the photo of {name} is left out: {error}"),
                },
            };
            Some(Warning::new(WarningKind::PhotoMissing, text))
        })
    }

    /// The frame of each camera of the config for a keyframe, or `NO_ROW`.
    fn camera_frames(&self, keyframe: u32) -> &[u32] {
        let cameras = self.config.cameras.len();
        &self.chain.frames.camera_frames[keyframe as usize * cameras..][..cameras]
    }
}
