//! Unit `sweep`: one object a lidar file, the keyframes and the sweeps between them.

use jepa3d_schemas::Object;

use super::dataset::{ListedObject, ObjectUnit};
use super::lidar_cloud::{LidarCloud, LidarFile};
use super::recording::Recording;
use super::tables::TableFolder;
use crate::error::Result;

/// Lidar files, which the frames list already; ids are `<scene name>/<timestamp>-<file token>`, by
/// the time and the token of the file itself.
pub(super) struct SweepUnit;

impl ObjectUnit for SweepUnit {
    fn read(_: &TableFolder, _: &Recording) -> Result<Self> {
        Ok(Self)
    }

    fn ids(&self, recording: &Recording) -> Vec<String> {
        let frames = &recording.chain.frames;
        let sweeps = frames.sweeps.iter().map(|sweep| {
            let time = frames.frames[sweep.frame as usize].timestamp;
            format!("{}-{}", recording.id_at(recording.keyframe(sweep.keyframe), time), sweep.token)
        });
        sweeps.collect()
    }

    fn lidar_file(&self, recording: &Recording, row: u32) -> LidarFile {
        let sweep = &recording.chain.frames.sweeps[row as usize];
        LidarFile { keyframe: sweep.keyframe, frame: sweep.frame }
    }

    fn object(&self, _: &Recording, listed: &ListedObject, cloud: LidarCloud) -> Object {
        cloud.into_object(&listed.id, Vec::new())
    }
}
