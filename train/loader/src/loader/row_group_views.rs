//! The views of a row group, still encoded.

use std::ops::Range;
use std::path::Path;

use jepa3d_schemas::{ListColumn, ViewGroup, ViewReader};

use crate::dataset::{PreparedDataset, RowGroupAt};
use crate::error::{Result, breach, require_column};
use crate::sample_key::SampleKey;

/// The columns that are read.
const COLUMNS: [&str; 9] =
    ["sample_id", "view", "image", "width", "height", "corr_point", "corr_u", "corr_v", "corr_depth"];

/// The views of the samples of a row group.
pub(super) struct RowGroupViews {
    /// Rows of each sample, in the order of the points.
    rows_of_sample: Vec<Range<usize>>,
    numbers: Vec<u16>,
    images: Vec<Vec<u8>>,
    sizes: Vec<[f32; 2]>,
    points: ListColumn<u32>,
    u: ListColumn<f32>,
    v: ListColumn<f32>,
    depth: ListColumn<f32>,
}

/// A view of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct EncodedView<'a> {
    /// Number within its sample.
    pub number: u16,
    /// A PNG or JPEG file.
    pub image: &'a [u8],
    /// Width and height in pixels.
    pub size: [f32; 2],
    /// Points of the cloud that it shows, ascending.
    pub points: &'a [u32],
    /// Pixel x of each of them.
    pub u: &'a [f32],
    /// Pixel y of each of them.
    pub v: &'a [f32],
    /// Depth of each of them.
    pub depth: &'a [f32],
}

impl RowGroupViews {
    /// Reads the views of a row group of points, whose samples are `ids`.
    ///
    /// # Errors
    /// Fails if the shard is not the one that was prepared, does not decode, or holds views of other samples.
    pub fn read(dataset: &PreparedDataset, at: RowGroupAt, ids: &[String]) -> Result<Self> {
        let path = dataset.check_views(at.shard)?;
        let group = ViewReader::open(&path)?.read_row_group(at.index, &COLUMNS)?;
        Self::take(group, ids, &path)
    }

    pub(super) fn take(group: ViewGroup, ids: &[String], path: &Path) -> Result<Self> {
        let owners = require_column(path, "sample_id", group.sample_id)?;
        let rows_of_sample = assign_rows(&owners, ids, path)?;
        let widths = require_column(path, "width", group.width)?;
        let heights = require_column(path, "height", group.height)?;
        let views = Self {
            rows_of_sample,
            numbers: require_column(path, "view", group.view)?,
            images: require_column(path, "image", group.image)?,
            sizes: widths.into_iter().zip(heights).map(|(w, h)| [w as f32, h as f32]).collect(),
            points: require_column(path, "corr_point", group.corr_point)?,
            u: require_column(path, "corr_u", group.corr_u)?,
            v: require_column(path, "corr_v", group.corr_v)?,
            depth: require_column(path, "corr_depth", group.corr_depth)?,
        };
        let are_even = [&views.u, &views.v, &views.depth].iter().all(|list| list.ends == views.points.ends);
        match are_even {
            true => Ok(views),
            false => Err(breach(path, "correspondences", "lists of one length", "several")),
        }
    }

    /// The view that a sample shows in an epoch; `None` if it has none.
    pub fn choose(&self, row: usize, key: SampleKey<'_>) -> Option<EncodedView<'_>> {
        let rows = self.rows_of_sample[row].clone();
        key.choose_view(rows.len()).map(|at| self.get(rows.start + at))
    }

    /// View `at` of the row group.
    pub(super) fn get(&self, at: usize) -> EncodedView<'_> {
        let start = at.checked_sub(1).map_or(0, |before| self.points.ends[before]);
        let shown = start..self.points.ends[at];
        EncodedView {
            number: self.numbers[at],
            image: &self.images[at],
            size: self.sizes[at],
            points: &self.points.values[shown.clone()],
            u: &self.u.values[shown.clone()],
            v: &self.v.values[shown.clone()],
            depth: &self.depth.values[shown],
        }
    }
}

/// The rows of each sample: views stand in the order of the samples.
fn assign_rows(owners: &[String], ids: &[String], path: &Path) -> Result<Vec<Range<usize>>> {
    let mut at = 0;
    let rows = ids.iter().map(|id| {
        let start = at;
        at += owners[at..].iter().take_while(|owner| *owner == id).count();
        start..at
    });
    let rows: Vec<_> = rows.collect();
    match owners.get(at) {
        None => Ok(rows),
        Some(other) => {
            let expected = format!("one of its {} samples, in their order", ids.len());
            Err(breach(path, format!("column sample_id, row {at}"), expected, other))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader::view_fixture::{ids, list, view_group};

    #[test]
    fn views_belong_to_their_samples() {
        let views = RowGroupViews::take(view_group(), &ids(&["a", "b", "c"]), Path::new("x")).unwrap();
        let choose = |row, id, seed| views.choose(row, SampleKey { seed, id, epoch: 0 });
        assert_eq!(choose(1, "b", 1), None);
        assert_eq!(choose(2, "c", 1).map(|view| view.number), Some(2));
        let drawn: Vec<u16> = (0..30).filter_map(|seed| Some(choose(0, "a", seed)?.number)).collect();
        assert!(drawn.contains(&0) && drawn.contains(&5) && !drawn.contains(&2));
        let (first, second) = (views.get(0), views.get(1));
        assert_eq!((first.points, first.v), (&[0, 2, 5, 9][..], &[0.0, 4.0, 2.0, 3.5][..]));
        assert_eq!((second.points, second.depth, second.size), (&[3][..], &[6.0][..], [8.0, 2.0]));
    }

    #[test]
    fn views_of_other_samples_and_uneven_lists_are_refused() {
        let refuse = |group, samples: &[&str]| {
            RowGroupViews::take(group, &ids(samples), Path::new("x")).err().unwrap().to_string()
        };
        assert_eq!(
            refuse(view_group(), &["a", "b"]),
            "x: column sample_id, row 2: expected one of its 2 samples, in their order, found c"
        );
        let uneven = ViewGroup { corr_u: Some(list(&[&[1.0], &[4.0], &[]])), ..view_group() };
        assert_eq!(
            refuse(uneven, &["a", "b", "c"]),
            "x: correspondences: expected lists of one length, found several"
        );
        let none = ViewGroup { image: None, ..view_group() };
        assert_eq!(refuse(none, &["a", "b", "c"]), "x: column image: expected values, found none");
    }
}
