//! Writes a made-up nuScenes directory: a car on a curve past points that stand still.

use std::path::Path;

use glam::{DAffine3, DMat3, DQuat, DVec3};
use serde_json::{Value, json};

/// Frames of the lidar, 50 ms apart; every fourth is a keyframe.
pub(super) const FRAMES: u64 = 9;
const START: u64 = 1_532_402_927_000_000;
const SENSOR: DrivePose = DrivePose { rotation: [0.8, 0.0, 0.0, -0.6], translation: [0.94, 0.0, 1.84] };

/// A rotation (w, x, y, z) and a translation, as the tables have them.
#[derive(Clone, Copy)]
struct DrivePose {
    rotation: [f64; 4],
    translation: [f64; 3],
}

impl DrivePose {
    fn affine(self) -> DAffine3 {
        let [w, x, y, z] = self.rotation;
        let matrix3 = DMat3::from_quat(DQuat::from_xyzw(x, y, z, w));
        DAffine3 { matrix3, translation: DVec3::from_array(self.translation) }
    }
}

/// A token that is different for each table and row.
pub(super) fn token(table: u32, row: u64) -> String {
    format!("{table:016x}{row:016x}")
}

/// Global positions that every frame sees, 8 to 30 m from the start.
pub(super) fn landmarks() -> Vec<DVec3> {
    (0..40)
        .map(|i| {
            let (angle, distance) = (f64::from(i) * 0.61, 8.0 + f64::from(i) * 0.55);
            DVec3::new(600.0, 1600.0, 0.0)
                + DVec3::new(distance * libm::cos(angle), distance * libm::sin(angle), f64::from(i % 5) * 0.3)
        })
        .collect()
}

/// Where the car is at a frame: 10 m/s, turning left.
fn ego_pose(frame: u64) -> DrivePose {
    let half = 0.3 + 0.02 * frame as f64;
    DrivePose {
        rotation: [libm::cos(half), 0.0, 0.0, libm::sin(half)],
        translation: [600.0 + 0.5 * frame as f64, 1600.0 + 0.1 * frame as f64, 0.0],
    }
}

/// Maps the lidar frame of a frame to the global frame.
pub(super) fn global_from_lidar(frame: u64) -> DAffine3 {
    ego_pose(frame).affine() * SENSOR.affine()
}

fn file_name(frame: u64) -> String {
    let folder = if frame.is_multiple_of(4) { "samples" } else { "sweeps" };
    format!("{folder}/LIDAR_TOP/{frame}.pcd.bin")
}

/// Writes one table.
pub(super) fn write_table(root: &Path, name: &str, rows: &[Value]) {
    let path = root.join("v1.0-mini").join(name).with_extension("json");
    std::fs::write(path, serde_json::to_string_pretty(rows).unwrap()).unwrap();
}

/// Rewrites one table row by row.
pub(super) fn edit_table(root: &Path, name: &str, edit: impl Fn(&mut Vec<Value>)) {
    let path = root.join("v1.0-mini").join(name).with_extension("json");
    let mut rows: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    edit(&mut rows);
    write_table(root, name, &rows);
}

fn write_lidar(root: &Path, frame: u64) {
    let lidar_from_global = global_from_lidar(frame).inverse();
    let mut bytes = Vec::new();
    for (i, landmark) in landmarks().into_iter().enumerate() {
        let p = lidar_from_global.transform_point3(landmark);
        for value in [p.x as f32, p.y as f32, p.z as f32, i as f32, 0.0] {
            bytes.extend(value.to_le_bytes());
        }
    }
    // An echo of the car itself.
    for value in [0.2_f32, -0.3, -1.0, 255.0, 0.0] {
        bytes.extend(value.to_le_bytes());
    }
    let path = root.join(file_name(frame));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// Writes a version `v1.0-mini` of one scene with three keyframes, six sweeps and one box.
pub(super) fn write_drive(root: &Path) {
    std::fs::create_dir_all(root.join("v1.0-mini")).unwrap();
    write_table(root, "scene", &[json!({"token": token(1, 0), "name": "scene-0103"})]);
    let samples: Vec<Value> = (0..FRAMES)
        .step_by(4)
        .map(|f| json!({"token": token(2, f), "timestamp": START + 50_000 * f, "scene_token": token(1, 0)}))
        .collect();
    write_table(root, "sample", &samples);
    let sensor = |row, channel: &str| json!({"token": token(3, row), "channel": channel});
    write_table(root, "sensor", &[sensor(0, "LIDAR_TOP"), sensor(1, "RADAR_FRONT"), sensor(2, "CAM_FRONT")]);
    let DrivePose { rotation, translation } = SENSOR;
    let mounted = |row, sensor| {
        json!({"token": token(4, row), "sensor_token": token(3, sensor), "rotation": rotation,
               "translation": translation, "camera_intrinsic": []})
    };
    write_table(root, "calibrated_sensor", &[mounted(0, 0), mounted(1, 1)]);
    let (mut files, mut poses) = (Vec::new(), Vec::new());
    for frame in 0..FRAMES {
        write_lidar(root, frame);
        let prev = if frame == 0 { String::new() } else { token(5, frame - 1) };
        files.push(json!({"token": token(5, frame), "sample_token": token(2, frame.div_ceil(4) * 4),
            "ego_pose_token": token(6, frame), "calibrated_sensor_token": token(4, 0),
            "timestamp": START + 50_000 * frame, "is_key_frame": frame.is_multiple_of(4), "height": 0, "width": 0,
            "filename": file_name(frame), "prev": prev, "next": ""}));
        let DrivePose { rotation, translation } = ego_pose(frame);
        poses.push(json!({"token": token(6, frame), "rotation": rotation, "translation": translation}));
    }
    // A radar file, which nothing needs: its pose is not in the table.
    files.push(json!({"token": token(5, 99), "sample_token": token(2, 0), "ego_pose_token": token(6, 99),
        "calibrated_sensor_token": token(4, 1), "timestamp": START, "is_key_frame": true, "height": null,
        "width": null, "filename": "samples/RADAR_FRONT/0.pcd", "prev": "", "next": ""}));
    write_table(root, "sample_data", &files);
    write_table(root, "ego_pose", &poses);
    write_boxes(root);
}

/// One box around landmark 7, on the last keyframe.
fn write_boxes(root: &Path) {
    write_table(root, "category", &[json!({"token": "car", "name": "vehicle.car"})]);
    write_table(root, "instance", &[json!({"token": "the car", "category_token": "car"})]);
    let center = (landmarks()[7] + DVec3::new(0.3, 0.0, 0.0)).to_array();
    let row = json!({"token": token(9, 0), "sample_token": token(2, 8), "instance_token": "the car",
        "translation": center, "size": [0.5, 1.0, 0.5], "rotation": [1.0, 0.0, 0.0, 0.0], "num_lidar_pts": 1});
    write_table(root, "sample_annotation", &[row]);
}
