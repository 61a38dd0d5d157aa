//! The clouds of a batch turned once more about the vertical, each by an angle of its own: what does not depend on where an
//! object faces is the same of both.

use jepa3d_schemas::{Draws, UpAxis};

use crate::augment::rotate_about;
use crate::batch::{Batch, SeenPatches};
use crate::masking::BatchKey;

impl Batch {
    /// Its patches after a turn of at most `most` radians about `up`; every cloud's angle is a draw of (seed, epoch, sample).
    pub fn turn_again(&self, up: UpAxis, most: f64, key: BatchKey) -> SeenPatches {
        let mut turned = SeenPatches { patches: self.patches.clone(), centers: self.centers.clone() };
        let purpose = format!("epoch {} turned again", key.epoch);
        let patches =
            turned.patches.as_chunks_mut::<3>().0.chunks_exact_mut(self.patches.len() / 3 / self.rows.max(1));
        let centers = turned.centers.as_chunks_mut::<3>().0.chunks_exact_mut(self.groups.max(1));
        for ((patches, centers), id) in patches.zip(centers).zip(self.keys()) {
            let angle = Draws::new(key.seed, id, &purpose).range(-most, most);
            let m = rotate_about(up, angle).map(|row| row.map(|x| x as f32));
            for p in patches.iter_mut().chain(centers) {
                *p = m.map(|row| row[0] * p[0] + row[1] * p[1] + row[2] * p[2]);
            }
        }
        turned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clouds_turn_about_the_vertical_each_by_its_own_angle() {
        let points: Vec<f32> = (0..2 * 3 * 2 * 3).map(|i| (i as f32).sin()).collect();
        let batch = Batch {
            rows: 2,
            groups: 3,
            sample_ids: vec!["a".into(), "b".into()],
            centers: points[..18].to_vec(),
            patches: points,
            ..Batch::default()
        };
        let key = BatchKey { seed: 1, epoch: 2, batch: 3 };
        let turned = batch.turn_again(UpAxis::Z, 3.0, key);
        assert_eq!(
            turned,
            batch.turn_again(UpAxis::Z, 3.0, BatchKey { batch: 4, ..key }),
            "by sample, not batch"
        );
        let angle = |p: &[f32], q: &[f32]| {
            assert!((p[2] - q[2]).abs() < 1e-6 && (p[0].hypot(p[1]) - q[0].hypot(q[1])).abs() < 1e-5);
            let turn = f64::from(q[1]).atan2(q[0].into()) - f64::from(p[1]).atan2(p[0].into());
            turn.rem_euclid(std::f64::consts::TAU)
        };
        let angles: Vec<f64> = batch
            .centers
            .chunks_exact(3)
            .zip(turned.centers.chunks_exact(3))
            .map(|(p, q)| angle(p, q))
            .collect();
        assert!((angles[0] - angles[2]).abs() < 1e-4 && (angles[3] - angles[5]).abs() < 1e-4, "{angles:?}");
        assert!((angles[0] - angles[3]).abs() > 1e-2, "{angles:?}");
        let of_patch = angle(&batch.patches[18..21], &turned.patches[18..21]);
        assert!((of_patch - angles[3]).abs() < 1e-4, "patches turn with their centers: {of_patch}");
    }
}
