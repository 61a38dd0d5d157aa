//! `[data.sensor]`: what a sensor would see of the clouds, for models whose context is a worse cloud than their targets.
//!
//! A stored cloud, all of its points, loses and moves points by kinds of corruption that are drawn with their severities;
//! of what is left so many raw points are kept as are drawn, and may be repeated, as sets of a fixed size have it. Noise of
//! the points that are kept, and outliers, come last, so that there are as many of them as their kinds say. Nothing turns:
//! what is seen stays in the frame of the cloud that is predicted. Every draw is of (seed, epoch, sample).

use jepa3d_schemas::Draws;
use serde::{Deserialize, Serialize};

use crate::corruption::{CloudUpright, CorruptionKind, SEVERITIES, fill_up, keep_some};
use crate::error::{Result, out_of_range};
use crate::patch_source::{PatchesFrom, PointSubset};
use crate::sample_key::SampleKey;

/// `[data.sensor]`: the keys, each with a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sensor {
    /// Share of the samples whose context is that of the clean cloud. Default 0.1.
    pub clean: f64,
    /// The kinds of corruption that are drawn from, with a severity from 1 to 5. Default jitter, scale, drop-global,
    /// drop-local, add-global, add-local, density, occlude. Of the others `rotate` may be added; `turn` would leave the frame
    /// of the targets, and `points` does what `subsample` and `repeat` do.
    pub kinds: Vec<CorruptionKind>,
    /// Kinds that a sample gets, at most: uniform from 0. Default 2.
    pub most: usize,
    /// Raw points that are kept of a cloud, log-uniform between these two; smaller clouds are kept whole. More than
    /// `data.points` are a part of that size again, as `data.subset` takes it. Default [128, 1024].
    pub points: [usize; 2],
    /// Chance that the points are then repeated at random up to `data.points`. Default 0.5.
    pub repeated: f64,
    /// Chance that a sample is seen from one side, with a severity from 1 to 5, besides the kinds that are drawn, in epochs from
    /// `one_sided_from` on. Not a key: a run whose last epochs are of another kind sets both. Default 0.
    #[serde(skip)]
    pub one_sided: f64,
    /// Default 0.
    #[serde(skip)]
    pub one_sided_from: u64,
    /// Whether mean and radius of what is seen make the frame of both, as preparation would have placed what is seen: the
    /// targets move along, so that positions still mean the same. Default false: the frame of the clean cloud.
    pub normalize_seen: bool,
}

impl Default for Sensor {
    fn default() -> Self {
        use CorruptionKind::{AddGlobal, AddLocal, Density, DropGlobal, DropLocal, Jitter, Occlude, Scale};
        Self {
            clean: 0.1,
            kinds: vec![Jitter, Scale, DropGlobal, DropLocal, AddGlobal, AddLocal, Density, Occlude],
            most: 2,
            points: [128, 1024],
            repeated: 0.5,
            one_sided: 0.0,
            one_sided_from: 0,
            normalize_seen: false,
        }
    }
}

/// How many points what is seen may have.
#[derive(Clone, Copy)]
pub(crate) struct SeenSize {
    /// Repeated points come to this many.
    pub full: usize,
    /// Fewer are filled up to this many, so that they can be grouped.
    pub fewest: usize,
}

/// A kind and how severe it is.
#[derive(Clone, Copy)]
struct DrawnKind {
    kind: CorruptionKind,
    severity: usize,
}

impl Sensor {
    /// Checks every value, and where patches come from.
    ///
    /// # Errors
    /// Fails if a share is none, the points are no range, a kind is listed twice or makes no sense here, or patches are not
    /// made online of whole clouds.
    pub fn check(&self, patches_from: PatchesFrom, subset: PointSubset) -> Result<()> {
        for (key, share) in [("data.sensor.clean", self.clean), ("data.sensor.repeated", self.repeated)] {
            if !(0.0..=1.0).contains(&share) {
                return Err(out_of_range(key, "a share of 1", share));
            }
        }
        let [low, high] = self.points;
        if low == 0 || low > high {
            return Err(out_of_range("data.sensor.points", "1 <= low <= high", format!("[{low}, {high}]")));
        }
        self.check_kinds()?;
        if patches_from == PatchesFrom::Shard {
            let expected = "\"online\" with data.sensor: stored groupings are of clean clouds";
            return Err(out_of_range("data.patches_from", expected, "shard"));
        }
        if subset == PointSubset::Crop {
            let expected = "whole clouds with data.sensor: crops have an origin of their own";
            return Err(out_of_range("data.subset", expected, "crop"));
        }
        Ok(())
    }

    fn check_kinds(&self) -> Result<()> {
        const KEY: &str = "data.sensor.kinds";
        for (at, kind) in self.kinds.iter().enumerate() {
            let reason = match kind {
                CorruptionKind::Turn => "no turn: what is seen has the frame of what is predicted",
                CorruptionKind::Subsample | CorruptionKind::Repeat => {
                    "no subsample and no repeat: data.sensor.points and data.sensor.repeated do that"
                }
                _ if self.kinds[..at].contains(kind) => "every kind once",
                _ => continue,
            };
            return Err(out_of_range(KEY, reason, kind.name()));
        }
        match self.most > self.kinds.len() {
            true => {
                let expected = format!("at most the {} of data.sensor.kinds", self.kinds.len());
                Err(out_of_range("data.sensor.most", expected, self.most))
            }
            false => Ok(()),
        }
    }

    /// What is seen of a stored cloud; `None` if it is seen as it is.
    ///
    /// # Shapes
    /// `points [S,3]` to `[S',3]`.
    pub(crate) fn observe(
        &self,
        cloud: &CloudUpright<'_>,
        key: SampleKey<'_>,
        size: SeenSize,
    ) -> Option<Vec<[f32; 3]>> {
        let mut draws = key.draws("sensor");
        if draws.chance(self.clean) {
            return None;
        }
        let kinds = self.draw_kinds(key.epoch, &mut draws);
        let count = self.draw_count(&mut draws);
        let is_repeated = draws.chance(self.repeated);
        let mut points = cloud.points.to_vec();
        let change = |points: &mut Vec<[f32; 3]>, is_last: bool| {
            for DrawnKind { kind, severity } in kinds.iter().filter(|drawn| comes_last(drawn.kind) == is_last)
            {
                let mut draws = key.draws(&format!("sensor {}", kind.name()));
                *points = kind.change(&CloudUpright { points, up: cloud.up }, *severity, &mut draws);
            }
        };
        change(&mut points, false);
        if points.len() > count {
            points = keep_some(&points, count, &mut draws);
        }
        change(&mut points, true);
        let full = if is_repeated { size.full } else { 0 };
        fill_up(&mut points, full.max(size.fewest), &mut draws);
        Some(points)
    }

    /// From none to `most` kinds in a drawn order, and one side where that is drawn.
    fn draw_kinds(&self, epoch: u64, draws: &mut Draws) -> Vec<DrawnKind> {
        let count = draws.index(self.most + 1);
        let chosen = draws.distinct(self.kinds.len(), count);
        let severe = |at| DrawnKind { kind: self.kinds[at], severity: 1 + draws.index(SEVERITIES) };
        let mut kinds: Vec<DrawnKind> = chosen.into_iter().map(severe).collect();
        let is_one_sided =
            self.one_sided > 0.0 && epoch >= self.one_sided_from && draws.chance(self.one_sided);
        if is_one_sided && kinds.iter().all(|drawn| drawn.kind != CorruptionKind::Occlude) {
            kinds.push(DrawnKind { kind: CorruptionKind::Occlude, severity: 1 + draws.index(SEVERITIES) });
        }
        kinds
    }

    /// Raw points that are kept, log-uniform.
    fn draw_count(&self, draws: &mut Draws) -> usize {
        let [low, high] = self.points.map(|count| count as f64);
        let drawn = low * libm::pow((high + 1.0) / low, draws.unit());
        (drawn as usize).clamp(self.points[0], self.points[1])
    }
}

/// Whether a kind changes the points that are kept, and not the cloud that they are of.
fn comes_last(kind: CorruptionKind) -> bool {
    matches!(kind, CorruptionKind::Jitter | CorruptionKind::AddGlobal)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jepa3d_schemas::UpAxis;

    use super::*;

    fn cloud(count: usize) -> Vec<[f32; 3]> {
        let mut draws = Draws::new(1, "sensor", "test");
        (0..count).map(|_| [(); 3].map(|()| draws.range(-1.0, 1.0) as f32)).collect()
    }

    fn observe(sensor: &Sensor, points: &[[f32; 3]], id: &str) -> Option<Vec<[f32; 3]>> {
        let key = SampleKey { seed: 3, id, epoch: 2 };
        sensor.observe(&CloudUpright { points, up: UpAxis::Y }, key, SeenSize { full: 512, fewest: 40 })
    }

    fn distinct(points: &[[f32; 3]]) -> usize {
        points.iter().map(|p| p.map(f32::to_bits)).collect::<BTreeSet<_>>().len()
    }

    #[test]
    fn shares_and_counts_are_those_asked_for() {
        let points = cloud(900);
        let sensor = Sensor { clean: 0.25, most: 0, points: [50, 400], repeated: 0.75, ..Sensor::default() };
        let made: Vec<Option<Vec<[f32; 3]>>> =
            (0..2000).map(|id| observe(&sensor, &points, &id.to_string())).collect();
        let seen: Vec<&Vec<[f32; 3]>> = made.iter().flatten().collect();
        let share = |count: usize, of: usize| count as f64 / of as f64;
        assert!((share(seen.len(), 2000) - 0.75).abs() < 0.04);
        let repeated = seen.iter().filter(|points| points.len() == 512).count();
        assert!((share(repeated, seen.len()) - 0.75).abs() < 0.04);
        let counts: Vec<usize> = seen.iter().map(|points| distinct(points)).collect();
        assert!(counts.iter().all(|count| (50..=400).contains(count)));
        // As many below the geometric mean as above it.
        let below = counts.iter().filter(|&&count| count < 141).count();
        assert!((share(below, counts.len()) - 0.5).abs() < 0.04, "{below}");
        assert!(seen.iter().all(|seen| seen.iter().all(|p| points.contains(p))), "nothing is moved");
    }

    #[test]
    fn every_kind_is_drawn_and_every_cloud_can_be_grouped() {
        let sensor = Sensor { clean: 0.0, most: 3, points: [1, 600], ..Sensor::default() };
        let all = [sensor.kinds.clone(), vec![CorruptionKind::Rotate]].concat();
        let sensor = Sensor { kinds: all.clone(), ..sensor };
        let mut drawn = BTreeSet::new();
        let mut lengths = BTreeSet::new();
        for id in 0..300 {
            let kinds = sensor.draw_kinds(2, &mut Draws::new(id, "a", "b"));
            lengths.insert(kinds.len());
            drawn.extend(kinds.iter().map(|drawn| (drawn.kind, drawn.severity)));
            for points in [cloud(600), cloud(7), vec![[0.5; 3]; 3]] {
                let made = observe(&sensor, &points, &id.to_string()).unwrap();
                assert!(made.len() >= 40 && made.as_flattened().iter().all(|x| x.is_finite()));
                assert_eq!(made, observe(&sensor, &points, &id.to_string()).unwrap());
            }
        }
        assert_eq!(drawn.len(), all.len() * SEVERITIES);
        assert!(lengths.into_iter().eq(0..=3));
    }

    #[test]
    fn one_side_is_seen_as_often_as_is_asked_and_leaves_the_other_draws_alone() {
        let often = |one_sided: f64, epoch: u64| {
            let sensor = Sensor {
                one_sided,
                one_sided_from: 3,
                most: 1,
                kinds: vec![CorruptionKind::Jitter, CorruptionKind::Density],
                ..Sensor::default()
            };
            let drawn = (0..2000)
                .map(|id| sensor.draw_kinds(epoch, &mut Draws::new(id, "a", "b")))
                .collect::<Vec<_>>();
            let kinds: Vec<Vec<CorruptionKind>> =
                drawn.iter().map(|drawn| drawn.iter().map(|one| one.kind).collect()).collect();
            let is_occluded = |kinds: &&Vec<CorruptionKind>| kinds.contains(&CorruptionKind::Occlude);
            (kinds.iter().filter(is_occluded).count() as f64 / 2000.0, kinds)
        };
        let ((never, plain), (third, mixed)) = (often(0.0, 3), often(0.3, 3));
        assert_eq!(often(0.3, 2).1, plain, "not before its epochs");
        assert!(never == 0.0 && (third - 0.3).abs() < 0.03, "{never} {third}");
        assert!(plain.iter().zip(&mixed).all(|(plain, mixed)| mixed.starts_with(plain)));
    }

    #[test]
    fn outliers_are_as_many_as_their_kind_says() {
        let kinds = vec![CorruptionKind::AddGlobal];
        let sensor =
            Sensor { clean: 0.0, kinds, most: 1, points: [60, 60], repeated: 0.0, ..Sensor::default() };
        let counts: BTreeSet<usize> =
            (0..100).map(|id| observe(&sensor, &cloud(900), &id.to_string()).unwrap().len()).collect();
        assert!(counts.into_iter().eq([60, 70, 80, 90, 100, 110]), "none, or 10 to 50");
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let online = |sensor: Sensor| {
            sensor.check(PatchesFrom::Online, PointSubset::Farthest).unwrap_err().to_string()
        };
        Sensor::default().check(PatchesFrom::Online, PointSubset::Random).unwrap();
        for (sensor, message) in [
            (
                Sensor { clean: 1.5, ..Sensor::default() },
                "data.sensor.clean: expected a share of 1, found 1.5",
            ),
            (
                Sensor { repeated: f64::NAN, ..Sensor::default() },
                "data.sensor.repeated: expected a share of 1, found NaN",
            ),
            (
                Sensor { points: [9, 8], ..Sensor::default() },
                "data.sensor.points: expected 1 <= low <= high, found [9, 8]",
            ),
            (
                Sensor { kinds: vec![CorruptionKind::Turn], ..Sensor::default() },
                "data.sensor.kinds: expected no turn: what is seen has the frame of what is predicted, found turn",
            ),
            (
                Sensor { kinds: vec![CorruptionKind::Repeat], ..Sensor::default() },
                "data.sensor.kinds: expected no subsample and no repeat: data.sensor.points and data.sensor.repeated do \
                 that, found repeat",
            ),
            (
                Sensor { kinds: vec![CorruptionKind::Jitter; 2], ..Sensor::default() },
                "data.sensor.kinds: expected every kind once, found jitter",
            ),
            (
                Sensor { most: 9, ..Sensor::default() },
                "data.sensor.most: expected at most the 8 of data.sensor.kinds, found 9",
            ),
        ] {
            assert_eq!(online(sensor), format!("config: {message}"));
        }
        let sensor = Sensor::default();
        let stored = sensor.check(PatchesFrom::Shard, PointSubset::Farthest).unwrap_err().to_string();
        assert!(
            stored.starts_with("config: data.patches_from: expected \"online\" with data.sensor"),
            "{stored}"
        );
        let crop = sensor.check(PatchesFrom::Online, PointSubset::Crop).unwrap_err().to_string();
        assert!(crop.starts_with("config: data.subset: expected whole clouds with data.sensor"), "{crop}");
    }
}
