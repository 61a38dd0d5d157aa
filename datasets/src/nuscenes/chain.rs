//! The chain of frames from a lidar to another sensor: sensor, ego, global, ego at another time, sensor.
//!
//! The car moves between the two times (by up to 0.4 m from a lidar keyframe to its photos), so both
//! ego poses are used; leaving them out is the classic error of 10 to 20 pixels. Ego z is always 0 in
//! the tables. All products are f64: global coordinates are about 1,000 m, where one f32 step moves
//! a projected point by up to 0.02 pixels.

use glam::DAffine3;
use jepa3d_schemas::Camera;

use super::frames::{Frames, SensorFrame};
use super::tables::Calibration;
use crate::error::Result;

/// Points nearer to the image plane than this (metres) do not count as seen.
const MIN_DEPTH: f64 = 1.0;

/// Everything that places sensors in the world.
pub(super) struct Chain {
    pub(super) calibrations: Vec<Calibration>,
    pub(super) frames: Frames,
}

impl Chain {
    /// Checks that the tables tell where a frame was recorded.
    ///
    /// # Errors
    /// Fails if the row of its pose is broken, naming table and row.
    pub(super) fn check(&self, frame: &SensorFrame) -> Result<()> {
        self.frames.poses.check(frame.pose)
    }

    /// A frame by its row.
    pub(super) fn frame(&self, frame: u32) -> &SensorFrame {
        &self.frames.frames[frame as usize]
    }

    /// Maps coordinates of the sensor that recorded `frame` to global ones, at its time.
    pub(super) fn global_from_sensor(&self, frame: &SensorFrame) -> DAffine3 {
        let global_from_ego = self.frames.poses.poses[frame.pose as usize].parent_from_child();
        let ego_from_sensor = self.calibration(frame).ego_from_sensor.parent_from_child();
        global_from_ego * ego_from_sensor
    }

    /// The inverse of [`Chain::global_from_sensor`].
    pub(super) fn sensor_from_global(&self, frame: &SensorFrame) -> DAffine3 {
        let sensor_from_ego = self.calibration(frame).ego_from_sensor.child_from_parent();
        let ego_from_global = self.frames.poses.poses[frame.pose as usize].child_from_parent();
        sensor_from_ego * ego_from_global
    }

    /// The camera that recorded `frame`, in a world that `global_from_world` places; `None` for a lidar.
    pub(super) fn camera(&self, frame: &SensorFrame, global_from_world: &DAffine3) -> Option<Camera> {
        let k = self.calibration(frame).intrinsics?;
        let camera_from_world = self.sensor_from_global(frame) * *global_from_world;
        let SensorFrame { width, height, .. } = *frame;
        Some(Camera { width, height, fx: k.fx, fy: k.fy, cx: k.cx, cy: k.cy, camera_from_world })
    }

    fn calibration(&self, frame: &SensorFrame) -> &Calibration {
        &self.calibrations[frame.calibration as usize]
    }
}

/// Whether a point projects into the image, by the devkit's rule: depth above 1 m, at least 1 pixel
/// from the edge. Says nothing about what stands before it.
pub(super) fn sees(camera: &Camera, world: [f64; 3]) -> bool {
    let [u, v, depth] = camera.project(world);
    let (width, height) = (f64::from(camera.width), f64::from(camera.height));
    depth > MIN_DEPTH && 1.0 < u && u < width - 1.0 && 1.0 < v && v < height - 1.0
}
