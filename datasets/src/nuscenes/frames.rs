//! Reads the two large tables, `sample_data` and `ego_pose` (2.6 million rows each in trainval),
//! keeping only the rows that an object can need.
//!
//! Kept are the keyframes of the lidar and of the cameras asked for and, when sweeps are asked for,
//! every lidar sweep; of the poses, those that a kept frame names. In trainval that is 9 to 21 %.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::broken_row::BrokenRow;
use super::config::{NuScenesConfig, NuScenesUnit};
use super::pose::Pose;
use super::rows::{EgoPoseRow, NuScenesTable, SampleDataRow, TokenColumn};
use super::tables::{Channel, LIDAR, NO_ROW, SmallTables, TableFolder};
use super::token::{Token, TokenIndex};
use crate::error::{FilePlace, ParseError, Result};

/// One file of the lidar or of a camera.
pub(super) struct SensorFrame {
    /// Microseconds since 1970.
    pub(super) timestamp: u64,
    /// Path below the root.
    pub(super) filename: Box<str>,
    /// Row of its calibration.
    pub(super) calibration: u32,
    /// Row of the ego pose at its time.
    pub(super) pose: u32,
    /// Frame before it, of the same sensor; `NO_ROW` for the first, and when sweeps were not asked for.
    pub(super) prev: u32,
    /// Image width in pixels.
    pub(super) width: u32,
    /// Image height in pixels.
    pub(super) height: u32,
}

/// The kept rows of `sample_data` and `ego_pose`.
pub(super) struct Frames {
    pub(super) frames: Vec<SensorFrame>,
    /// Frame of each (sample, camera of the config), row-major; `NO_ROW` where there is none.
    pub(super) camera_frames: Vec<u32>,
    /// Ego poses, global from ego.
    pub(super) poses: KeptPoses,
    /// Unit `sweep`: every lidar file.
    pub(super) sweeps: Vec<Sweep>,
}

/// The ego poses that frames name.
pub(super) struct KeptPoses {
    pub(super) poses: Vec<Pose>,
    /// What is wrong with the rows of poses that mean nothing, by number.
    faults: BTreeMap<u32, ParseError>,
    /// The table, for errors.
    path: PathBuf,
}

impl KeptPoses {
    /// Checks that the row of a pose tells where the car was.
    ///
    /// # Errors
    /// Fails if it does not, naming table and row.
    pub(super) fn check(&self, pose: u32) -> Result<()> {
        self.faults.get(&pose).map_or(Ok(()), |fault| Err(fault.clone().in_file(&self.path)))
    }
}

/// A lidar file as an object.
pub(super) struct Sweep {
    /// Row of its frame.
    pub(super) frame: u32,
    /// Row of the keyframe that it belongs to.
    pub(super) keyframe: u32,
    pub(super) token: Token,
}

impl Frames {
    /// Reads the two tables and sets `lidar` of every keyframe.
    ///
    /// # Errors
    /// Fails if a table is missing or malformed, a token leads nowhere, a sample has two keyframes
    /// of one sensor or none of the lidar.
    pub(super) fn read(
        folder: &TableFolder,
        config: &NuScenesConfig,
        small: &mut SmallTables,
    ) -> Result<Self> {
        let mut reader = FrameReader::new(config, small);
        folder.read(NuScenesTable::SampleData, |row, r| reader.add(row, r))?;
        let found = format!("no keyframe of {LIDAR}");
        if let Some(sample) = reader.small.keyframes.iter().find(|s| s.lidar == NO_ROW) {
            let expected = format!("a keyframe of {LIDAR} for sample {}", sample.token);
            return Err(folder.problem(NuScenesTable::SampleData, expected, &found));
        }
        reader.link_sweeps(folder)?;
        let FrameReader { frames, camera_frames, pose_rows, pose_tokens, sweeps, .. } = reader;
        let poses = read_poses(folder, &pose_rows, &pose_tokens)?;
        Ok(Self { frames, camera_frames, poses, sweeps })
    }
}

/// The state while `sample_data` goes by.
struct FrameReader<'a> {
    small: &'a mut SmallTables,
    /// Each lidar file is joined by those before it, so that it must know its predecessor.
    joins_sweeps: bool,
    /// Each lidar file is an object.
    lists_sweeps: bool,
    sweeps: Vec<Sweep>,
    cameras: usize,
    frames: Vec<SensorFrame>,
    camera_frames: Vec<u32>,
    pose_rows: TokenIndex,
    pose_tokens: Vec<Token>,
    lidar_rows: TokenIndex,
    /// Lidar frames with the token of the frame before them.
    links: Vec<(u32, Token)>,
}

impl<'a> FrameReader<'a> {
    fn new(config: &NuScenesConfig, small: &'a mut SmallTables) -> Self {
        let cameras = config.cameras.len();
        Self {
            camera_frames: vec![NO_ROW; small.keyframes.len() * cameras],
            small,
            joins_sweeps: config.sweeps > 0,
            lists_sweeps: config.unit == NuScenesUnit::Sweep,
            sweeps: Vec::new(),
            cameras,
            frames: Vec::new(),
            pose_rows: TokenIndex::default(),
            pose_tokens: Vec::new(),
            lidar_rows: TokenIndex::default(),
            links: Vec::new(),
        }
    }

    /// Keeps or drops one row.
    fn add(&mut self, row: usize, r: SampleDataRow) -> Result<(), ParseError> {
        let calibration =
            self.small.calibration_rows.resolve(r.calibrated_sensor_token, "calibrated_sensor", row)?;
        let channel = self.small.calibrations[calibration as usize].channel;
        let keeps_all = (self.joins_sweeps || self.lists_sweeps) && channel == Channel::Lidar;
        if channel == Channel::Other || !(r.is_key_frame || keeps_all) {
            return Ok(());
        }
        if r.is_key_frame {
            self.add_keyframe(row, &r, channel)?;
        }
        if keeps_all {
            self.add_sweep(row, &r)?;
        }
        let (pose, is_new) = self.pose_rows.intern(r.ego_pose_token);
        if is_new {
            self.pose_tokens.push(r.ego_pose_token);
        }
        let (width, height) = (r.width.unwrap_or(0), r.height.unwrap_or(0));
        let SampleDataRow { timestamp, filename, .. } = r;
        self.frames.push(SensorFrame { timestamp, filename, calibration, pose, prev: NO_ROW, width, height });
        Ok(())
    }

    /// Notes that the next frame is a lidar file, to be an object or to join others.
    fn add_sweep(&mut self, row: usize, r: &SampleDataRow) -> Result<(), ParseError> {
        let frame = self.frames.len() as u32;
        self.lidar_rows.insert(r.token, frame, row)?;
        if self.lists_sweeps {
            let keyframe = self.small.keyframe_rows.resolve(r.sample_token, "sample", row)?;
            self.sweeps.push(Sweep { frame, keyframe, token: r.token });
        }
        if self.joins_sweeps && !r.prev.is_none() {
            self.links.push((frame, r.prev));
        }
        Ok(())
    }

    /// Notes that the next frame is the file of its sensor for a keyframe.
    fn add_keyframe(&mut self, row: usize, r: &SampleDataRow, channel: Channel) -> Result<(), ParseError> {
        let keyframe = self.small.keyframe_rows.resolve(r.sample_token, "sample", row)? as usize;
        let problem =
            |expected: &str, found: String| Err(ParseError::new(FilePlace::Row(row), expected, found));
        let place = match channel {
            Channel::Camera(camera) => {
                if r.width.unwrap_or(0) == 0 || r.height.unwrap_or(0) == 0 {
                    let found = format!("{:?} x {:?}", r.width, r.height);
                    return problem("the width and height of an image in pixels", found);
                }
                &mut self.camera_frames[keyframe * self.cameras + camera as usize]
            }
            Channel::Lidar | Channel::Other => {
                self.small.keyframes[keyframe].lidar_token = r.token;
                &mut self.small.keyframes[keyframe].lidar
            }
        };
        if *place != NO_ROW {
            let found = format!("a second one of sample {}", r.sample_token);
            return problem("one keyframe of a sensor for a sample", found);
        }
        *place = self.frames.len() as u32;
        Ok(())
    }

    /// Turns the `prev` tokens of the lidar into rows.
    fn link_sweeps(&mut self, folder: &TableFolder) -> Result<()> {
        for &(frame, token) in &self.links {
            let Some(prev) = self.lidar_rows.get(token) else {
                let expected = format!("a frame of {LIDAR} with the token {token}");
                let found = format!("none, though {} names it as prev", self.frames[frame as usize].filename);
                return Err(folder.problem(NuScenesTable::SampleData, expected, &found));
            };
            self.frames[frame as usize].prev = prev;
        }
        Ok(())
    }
}

/// The poses of the interned tokens, in the order of their numbers; what is wrong with one concerns the frames that name
/// it alone.
fn read_poses(folder: &TableFolder, pose_rows: &TokenIndex, tokens: &[Token]) -> Result<KeptPoses> {
    let mut poses: Vec<Option<Pose>> = vec![None; tokens.len()];
    let mut faults = BTreeMap::new();
    folder.read_all(NuScenesTable::EgoPose, |row, r: Result<EgoPoseRow, BrokenRow>| {
        let token = match &r {
            Ok(r) => r.token,
            Err(broken) => broken.read::<TokenColumn>()?.token,
        };
        let Some(number) = pose_rows.get(token) else { return Ok(()) };
        let read = r.map_err(|broken| broken.problem).and_then(|r| Pose::new(r.rotation, r.translation, row));
        let pose = read.unwrap_or_else(|fault| {
            faults.insert(number, fault);
            Pose::IDENTITY
        });
        if poses[number as usize].replace(pose).is_some() {
            let found = format!("token {token} a second time");
            return Err(ParseError::new(FilePlace::Row(row), "a token of its own", found));
        }
        Ok(())
    })?;
    if let Some(lost) = poses.iter().position(Option::is_none) {
        let expected = format!("the token {} that sample_data.json names", tokens[lost]);
        return Err(folder.problem(NuScenesTable::EgoPose, expected, "no such row"));
    }
    let poses = poses.into_iter().flatten().collect();
    Ok(KeptPoses { poses, faults, path: folder.path(NuScenesTable::EgoPose) })
}
