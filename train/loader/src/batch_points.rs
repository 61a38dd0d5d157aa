//! The points that a batch's patches are of, with their labels, for learning to label points.

/// Which points of a sample a batch holds with their labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointScope {
    /// The `N` points that its patches were grouped from.
    Grouping,
    /// All points of the stored cloud; only with stored groupings.
    Cloud,
}

/// Labelled points of the samples of a batch, changed as the patches are: those of one sample follow those of the one before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BatchPoints {
    /// `[P,3]`.
    pub positions: Vec<f32>,
    /// `[P]`, as stored; negative ones are of no class.
    pub labels: Vec<i16>,
    /// `[P]`: which point of its stored cloud each is.
    pub indices: Vec<u32>,
    /// `[B]`: where the points of each sample end.
    pub ends: Vec<usize>,
}

impl BatchPoints {
    /// Adds the points `chosen` (all if empty) of a cloud with a label for each of its points.
    pub(crate) fn add_chosen(&mut self, points: &[[f32; 3]], chosen: &[u32], labels: &[i16]) {
        match chosen {
            [] => self.positions.extend(points.as_flattened()),
            chosen => self.positions.extend(chosen.iter().flat_map(|&index| points[index as usize])),
        }
        self.add_labels(chosen, labels);
    }

    /// Adds points whose labels [`BatchPoints::add_labels`] adds.
    pub(crate) fn add_positions(&mut self, points: &[[f32; 3]]) {
        self.positions.extend(points.as_flattened());
    }

    /// Adds the labels of the points `chosen` (all if empty) of a cloud, which ends a sample.
    pub(crate) fn add_labels(&mut self, chosen: &[u32], labels: &[i16]) {
        match chosen {
            [] => {
                self.labels.extend(labels);
                self.indices.extend(0..labels.len() as u32);
            }
            chosen => {
                self.labels.extend(chosen.iter().map(|&index| labels[index as usize]));
                self.indices.extend(chosen);
            }
        }
        self.ends.push(self.labels.len());
    }
}
