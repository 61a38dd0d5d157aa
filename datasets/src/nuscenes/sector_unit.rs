//! Unit `sector`: one object a sector of a keyframe, for learning and judging on one keyframe without mixing the two.
//!
//! A keyframe is cut into equal sectors about the lidar. Each is turned so that its middle looks along +x, and holds points
//! and their labels alone, without photos and boxes. Those behind the lidar (y < 0) are `train`, those before it `test`:
//! disjoint halves of the scene, whatever splits say.

use std::f64::consts::PI;

use jepa3d_schemas::{Object, PointClasses};

use super::dataset::{ListedObject, ObjectUnit};
use super::keyframe_unit::KeyframeUnit;
use super::lidar_cloud::{LidarCloud, LidarFile};
use super::recording::Recording;
use super::tables::TableFolder;
use crate::budget::Budget;
use crate::error::Result;
use crate::split::Split;

/// Sectors; ids are those of keyframes with `/<sector>` after them.
pub(super) struct SectorUnit {
    keyframes: KeyframeUnit,
    sectors: u32,
}

impl SectorUnit {
    /// The row of the keyframe and the sector of it.
    fn split_row(&self, row: u32) -> (u32, u32) {
        (row / self.sectors, row % self.sectors)
    }
}

impl ObjectUnit for SectorUnit {
    fn read(folder: &TableFolder, recording: &Recording) -> Result<Self> {
        let sectors = recording.config.sectors;
        Ok(Self { keyframes: KeyframeUnit::read(folder, recording)?, sectors })
    }

    fn ids(&self, recording: &Recording) -> Vec<String> {
        let keyframes = self.keyframes.ids(recording).into_iter();
        keyframes.flat_map(|id| (0..self.sectors).map(move |sector| format!("{id}/{sector:02}"))).collect()
    }

    fn lidar_file(&self, recording: &Recording, row: u32) -> LidarFile {
        self.keyframes.lidar_file(recording, self.split_row(row).0)
    }

    fn label_points(
        &self,
        recording: &Recording,
        row: u32,
        cloud: &mut LidarCloud,
        budget: &Budget,
    ) -> Result<()> {
        self.keyframes.label_points(recording, self.split_row(row).0, cloud, budget)
    }

    fn object(&self, _: &Recording, listed: &ListedObject, mut cloud: LidarCloud) -> Object {
        let (_, sector) = self.split_row(listed.row);
        let positions = &cloud.points.positions;
        let is_in = |&index: &u32| find_sector(positions[index as usize], self.sectors) == sector;
        let chosen: Vec<u32> = (0..positions.len() as u32).filter(is_in).collect();
        cloud.points = cloud.points.select(&chosen);
        let middle = (f64::from(sector) + 0.5) / f64::from(self.sectors) * 2.0 * PI - PI;
        let (sin, cos) = (libm::sin(middle), libm::cos(middle));
        for [x, y, _] in &mut cloud.points.positions {
            (*x, *y) = (cos * *x + sin * *y, cos * *y - sin * *x);
        }
        cloud.parts.push([self.sectors, sector].iter().flat_map(|v| v.to_le_bytes()).collect());
        cloud.into_object(&listed.id, Vec::new())
    }

    fn split(&self, _: &Recording, row: u32) -> Split {
        if 2 * self.split_row(row).1 < self.sectors { Split::Train } else { Split::Test }
    }

    fn point_classes(&self) -> Option<PointClasses> {
        self.keyframes.point_classes()
    }

    fn note(&self, recording: &Recording) -> Option<String> {
        let own = "sectors behind the lidar are train, those before it test: halves of the same scenes";
        let keyframes = self.keyframes.note(recording);
        Some(keyframes.map_or_else(|| own.to_owned(), |note| format!("{own}; {note}")))
    }
}

/// The sector of a point, counted from straight left of the lidar (-x) over behind and right to before it.
fn find_sector(point: [f64; 3], sectors: u32) -> u32 {
    let [x, y, _] = point;
    let share = (libm::atan2(y, x) + PI) / (2.0 * PI);
    ((share * f64::from(sectors)) as u32).min(sectors - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_the_sectors_are_behind() {
        let place = |x, y| find_sector([x, y, 7.0], 8);
        assert_eq!([place(-1.0, -0.1), place(-0.1, -1.0), place(0.1, -1.0), place(1.0, -0.1)], [0, 1, 2, 3]);
        assert_eq!([place(1.0, 0.1), place(0.1, 1.0), place(-0.1, 1.0), place(-1.0, 0.1)], [4, 5, 6, 7]);
        assert!(place(0.0, 0.0) < 8 && place(-1.0, 0.0) == 7);
    }
}
