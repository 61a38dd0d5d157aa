//! Batches cut into equal parts, each a batch of its own, with the draws that the whole one has.

use crate::batch::{Batch, BatchViews, SeenPatches};

/// Which of how many equal parts.
#[derive(Clone, Copy)]
struct EqualPart {
    number: usize,
    count: usize,
}

impl EqualPart {
    fn cut<T: Clone>(self, all: &[T]) -> Vec<T> {
        let each = all.len() / self.count;
        all[self.number * each..(self.number + 1) * each].to_vec()
    }

    fn cut_views(self, views: &BatchViews) -> BatchViews {
        BatchViews {
            numbers: self.cut(&views.numbers),
            pixels: self.cut(&views.pixels),
            patches: self.cut(&views.patches),
            projected: self.cut(&views.projected),
            counts: self.cut(&views.counts),
        }
    }
}

impl Batch {
    /// The batch in `count` parts of equally many samples, in their order; points with labels are left out.
    ///
    /// # Panics
    /// If the samples cannot be divided so.
    pub fn cut(&self, count: usize) -> Vec<Self> {
        assert!(self.rows.is_multiple_of(count.max(1)), "{} samples in {count} parts", self.rows);
        (0..count).map(|number| self.part(EqualPart { number, count })).collect()
    }

    fn part(&self, part: EqualPart) -> Self {
        let seen = self
            .seen
            .as_ref()
            .map(|seen| SeenPatches { patches: part.cut(&seen.patches), centers: part.cut(&seen.centers) });
        Self {
            number: self.number,
            epoch: self.epoch,
            rows: self.rows / part.count,
            groups: self.groups,
            sample_ids: part.cut(&self.sample_ids),
            labels: part.cut(&self.labels),
            sets: part.cut(&self.sets),
            patches: part.cut(&self.patches),
            centers: part.cut(&self.centers),
            counts: self.counts.as_ref().map(|all| part.cut(all)),
            keys: part.cut(&self.keys),
            turns: part.cut(&self.turns),
            views: self.views.as_ref().map(|views| part.cut_views(views)),
            points: None,
            cells: self.cells.as_ref().map(|all| part.cut(all)),
            edges: self.edges.as_ref().map(|all| part.cut(all)),
            seen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_samples_in_their_order() {
        let batch = Batch {
            number: 7,
            epoch: 2,
            rows: 4,
            groups: 2,
            sample_ids: ["a", "b", "c", "d"].map(str::to_owned).to_vec(),
            labels: vec![Some(0), None, Some(2), Some(3)],
            sets: vec![0; 4],
            turns: vec![0.1, 0.2, 0.3, 0.4],
            patches: (0..4 * 2 * 3 * 3).map(|x| x as f32).collect(),
            centers: (0..4 * 2 * 3).map(|x| x as f32).collect(),
            edges: Some(vec![1.0, 2.0, 3.0, 4.0]),
            ..Batch::default()
        };
        let parts = batch.cut(2);
        let all = |take: fn(&Batch) -> Vec<f32>| parts.iter().flat_map(take).collect::<Vec<f32>>();
        assert_eq!(all(|part| part.patches.clone()), batch.patches);
        assert_eq!(all(|part| part.centers.clone()), batch.centers);
        assert_eq!(all(|part| part.edges.clone().unwrap()), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(
            (parts[1].keys(), parts[1].labels[0], parts[1].rows),
            (&batch.sample_ids[2..], Some(2), 2)
        );
        assert_eq!(parts[1].turns, [0.3, 0.4]);
        assert!(parts.iter().all(|part| (part.number, part.epoch, part.groups) == (7, 2, 2)));
        assert_eq!(batch.cut(1)[0], batch);
    }
}
