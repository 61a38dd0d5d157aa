//! The views of a row group, and what a batch takes of one: its image as tokens, and the patches that it shows.

use std::ops::Range;

use jepa3d_schemas::{Draws, Error as DataError, ListColumn, ViewGroup, ViewReader};

use super::config::ViewConfig;
use super::row_group::{Wrong, absent};
use crate::Picture;
use crate::batch::ViewPart;
use crate::dataset::PreparedDataset;
use crate::error::Result;

/// The columns that are read.
const COLUMNS: [&str; 9] =
    ["sample_id", "view", "image", "width", "height", "corr_point", "corr_u", "corr_v", "corr_depth"];

/// Colours are brought to about -1 to 1.
const MIDDLE: f32 = 0.5;

/// The views of the samples of a row group, still encoded.
pub(super) struct ViewRows {
    /// Rows of each sample, in the order of the points.
    of_sample: Vec<Range<usize>>,
    numbers: Vec<u16>,
    images: Vec<Vec<u8>>,
    /// Width and height in pixels.
    sizes: Vec<[f32; 2]>,
    points: ListColumn<u32>,
    u: ListColumn<f32>,
    v: ListColumn<f32>,
    depth: ListColumn<f32>,
}

impl ViewRows {
    /// Reads the views that belong to row group `index` of the points shard `file`, whose samples are `ids`.
    ///
    /// # Errors
    /// Fails if the shard is not the one that was prepared, does not decode, or holds views of other samples.
    pub fn read(dataset: &PreparedDataset, (shard, index): (usize, usize), ids: &[String]) -> Result<Self> {
        let path = dataset.check_views(shard)?;
        let group = ViewReader::open(&path)?.read_row_group(index, &COLUMNS)?;
        let wrong = |(what, expected, found): Wrong| DataError::contract(&path, what, expected, found);
        Ok(Self::new(group, ids).map_err(wrong)?)
    }

    fn new(group: ViewGroup, ids: &[String]) -> Result<Self, Wrong> {
        let of = group.sample_id.ok_or_else(|| absent("sample_id"))?;
        let mut of_sample = Vec::with_capacity(ids.len());
        let mut at = 0;
        for id in ids {
            let end = at + of[at..].iter().take_while(|other| *other == id).count();
            of_sample.push(at..end);
            at = end;
        }
        if at < of.len() {
            let expected = format!("one of its {} samples, in their order", ids.len());
            return Err((format!("column sample_id, row {at}"), expected, of[at].clone()));
        }
        let (widths, heights) =
            (group.width.ok_or_else(|| absent("width"))?, group.height.ok_or_else(|| absent("height"))?);
        let rows = Self {
            of_sample,
            numbers: group.view.ok_or_else(|| absent("view"))?,
            images: group.image.ok_or_else(|| absent("image"))?,
            sizes: widths.into_iter().zip(heights).map(|(w, h)| [w as f32, h as f32]).collect(),
            points: group.corr_point.ok_or_else(|| absent("corr_point"))?,
            u: group.corr_u.ok_or_else(|| absent("corr_u"))?,
            v: group.corr_v.ok_or_else(|| absent("corr_v"))?,
            depth: group.corr_depth.ok_or_else(|| absent("corr_depth"))?,
        };
        let is_one_length = [&rows.u, &rows.v, &rows.depth].iter().all(|list| list.ends == rows.points.ends);
        match is_one_length {
            true => Ok(rows),
            false => Err(("correspondences".into(), "lists of one length".into(), "several".into())),
        }
    }

    /// One view of sample `row`, drawn; `None` if it has none.
    pub fn draw(&self, row: usize, draws: &mut Draws) -> Option<usize> {
        let rows = self.of_sample[row].clone();
        (!rows.is_empty()).then(|| rows.start + draws.index(rows.len()))
    }

    /// Points of the cloud that view `at` shows, ascending.
    pub fn visible(&self, at: usize) -> &[u32] {
        self.points.row(at).unwrap_or_default()
    }

    /// Adds the image of view `at` to a batch: normed colours, cut into square pieces, each as channel, row, column.
    ///
    /// # Errors
    /// Fails if the image does not decode; the error names sample and view.
    pub fn add_image(
        &self,
        (at, id): (usize, &str),
        (config, background): (&ViewConfig, [u8; 3]),
        out: &mut ViewPart,
    ) -> Result<()> {
        let picture = Picture::decode(id, self.numbers[at], &self.images[at])?;
        let (size, patch) = (config.image_size, config.image_patch);
        let planes = picture.square(background, size);
        for (top, left) in (0..config.side()).flat_map(|y| (0..config.side()).map(move |x| (y, x))) {
            for (channel, row) in (0..3).flat_map(|c| (0..patch).map(move |row| (c, row))) {
                let start = (channel * size + top * patch + row) * size + left * patch;
                out.pixels.extend(planes[start..start + patch].iter().map(|x| (x - MIDDLE) / MIDDLE));
            }
        }
        out.numbers.push(self.numbers[at]);
        Ok(())
    }

    /// Adds the patches that view `at` shows enough of: `members [G, K]` are their points in the cloud, of which the first
    /// `counts [G]` are distinct. At most `queries`, drawn; padding behind them.
    pub fn add_queries(
        &self,
        at: usize,
        (members, counts): (&[u32], &[u16]),
        config: &ViewConfig,
        (draws, out): (&mut Draws, &mut ViewPart),
    ) {
        let size = members.len() / counts.len();
        let each = members.chunks_exact(size).zip(counts).enumerate();
        let shown: Vec<(u32, [f32; 3])> = each
            .filter_map(|(patch, (points, &count))| {
                let mean = self.mean_seen(at, &points[..usize::from(count)], config.visible)?;
                Some((patch as u32, mean))
            })
            .collect();
        let count = shown.len().min(config.queries);
        for chosen in draws.distinct_sorted(shown.len(), count) {
            let (patch, projected) = shown[chosen as usize];
            out.patches.push(patch);
            out.projected.extend(projected);
        }
        out.pad(config.queries - count);
        out.counts.push(count as u32);
    }

    /// Where view `at` shows a patch, in the mean: u / W, v / H, depth. `None` if it shows less than `share` of it.
    fn mean_seen(&self, at: usize, points: &[u32], share: f64) -> Option<[f32; 3]> {
        let (visible, first) =
            (self.visible(at), at.checked_sub(1).map_or(0, |before| self.points.ends[before]));
        let (mut sum, mut count) = ([0.0f64; 3], 0usize);
        for found in points.iter().filter_map(|point| visible.binary_search(point).ok()) {
            count += 1;
            for (sum, list) in sum.iter_mut().zip([&self.u, &self.v, &self.depth]) {
                *sum += f64::from(list.values[first + found]);
            }
        }
        if count == 0 || (count as f64) < share * points.len() as f64 {
            return None;
        }
        let [w, h] = self.sizes[at].map(f64::from);
        let mean = sum.map(|sum| sum / count as f64);
        Some([(mean[0] / w) as f32, (mean[1] / h) as f32, mean[2] as f32])
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// A list column from its rows.
    fn list<T: Copy>(rows: &[&[T]]) -> ListColumn<T> {
        let ends = rows.iter().scan(0, |end, row| {
            *end += row.len();
            Some(*end)
        });
        ListColumn { ends: ends.collect(), values: rows.concat(), valid: vec![true; rows.len()] }
    }

    fn png(width: u32, height: u32, at: impl Fn(u32, u32) -> [u8; 3]) -> Vec<u8> {
        let image = image::RgbImage::from_fn(width, height, |x, y| image::Rgb(at(x, y)));
        let mut out = Cursor::new(Vec::new());
        image.write_to(&mut out, image::ImageFormat::Png).unwrap();
        out.into_inner()
    }

    /// Two views of `a`, none of `b`, one of `c`.
    fn group() -> ViewGroup {
        let image = png(4, 4, |x, y| [(16 * (4 * y + x)) as u8, 255, 0]);
        ViewGroup {
            rows: 3,
            sample_id: Some(["a", "a", "c"].map(str::to_owned).to_vec()),
            view: Some(vec![0, 5, 2]),
            image: Some(vec![image; 3]),
            width: Some(vec![4, 8, 4]),
            height: Some(vec![4, 2, 4]),
            corr_point: Some(list(&[&[0, 2, 5, 9], &[3], &[]])),
            corr_u: Some(list(&[&[1.0, 2.0, 3.0, 0.5], &[4.0], &[]])),
            corr_v: Some(list(&[&[0.0, 4.0, 2.0, 3.5], &[1.0], &[]])),
            corr_depth: Some(list(&[&[1.0, 3.0, 7.0, 2.0], &[6.0], &[]])),
            ..ViewGroup::default()
        }
    }

    fn ids(all: &[&str]) -> Vec<String> {
        all.iter().map(|&id| id.to_owned()).collect()
    }

    fn config(queries: usize, visible: f64) -> ViewConfig {
        ViewConfig { image_size: 4, image_patch: 2, queries, visible }
    }

    fn queries(rows: &ViewRows, at: usize, config: &ViewConfig) -> ViewPart {
        let members = [0, 2, 4, 5, 6, 7, 8, 1, 9, 9, 9, 9];
        let mut out = ViewPart::default();
        rows.add_queries(at, (&members, &[4, 4, 1]), config, (&mut Draws::new(1, "x", "y"), &mut out));
        out
    }

    #[test]
    fn patches_are_asked_for_where_enough_of_them_is_seen() {
        let rows = ViewRows::new(group(), &ids(&["a", "b", "c"])).unwrap();
        assert_eq!(rows.visible(0), [0, 2, 5, 9]);
        // Patch 0 shows 3 of its 4 points, patch 1 none, patch 2 the one that it has.
        let out = queries(&rows, 0, &config(3, 0.5));
        assert_eq!((out.patches, out.counts), (vec![0, 2, 0], vec![2]));
        let want = [2.0 / 4.0, 2.0 / 4.0, 11.0 / 3.0, 0.5 / 4.0, 3.5 / 4.0, 2.0, 0.0, 0.0, 0.0];
        assert!(out.projected.iter().zip(want).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6));
        let out = queries(&rows, 0, &config(3, 0.8));
        assert_eq!((out.patches, out.counts), (vec![2, 0, 0], vec![1]), "3 of 4 is not enough");
        let out = queries(&rows, 2, &config(2, 0.1));
        assert_eq!((out.patches, out.counts), (vec![0, 0], vec![0]), "nothing is seen");
        let one: Vec<u32> = (0..40)
            .map(|seed| {
                let mut out = ViewPart::default();
                let members = [0, 2, 5, 9];
                let mut draws = Draws::new(seed, "x", "y");
                rows.add_queries(0, (&members, &[1; 4]), &config(1, 0.25), (&mut draws, &mut out));
                out.patches[0]
            })
            .collect();
        assert!((0..4).all(|patch| one.contains(&patch)), "any of them may be drawn: {one:?}");
    }

    #[test]
    fn views_belong_to_their_samples_and_pixels_to_their_pieces() {
        let rows = ViewRows::new(group(), &ids(&["a", "b", "c"])).unwrap();
        assert_eq!(rows.draw(1, &mut Draws::new(1, "b", "view")), None);
        assert_eq!(rows.draw(2, &mut Draws::new(1, "c", "view")), Some(2));
        let drawn: Vec<usize> =
            (0..30).filter_map(|s| rows.draw(0, &mut Draws::new(s, "a", "view"))).collect();
        assert!(drawn.contains(&0) && drawn.contains(&1) && !drawn.contains(&2));
        let mut out = ViewPart::default();
        rows.add_image((1, "a"), (&config(2, 0.5), [255; 3]), &mut out).unwrap();
        assert_eq!((out.numbers, out.pixels.len()), (vec![5], 4 * 3 * 4));
        let red = |pixel: u32| (16.0 * pixel as f32 / 255.0 - 0.5) / 0.5;
        // The second piece of the first row: pixels 2, 3, 6, 7, then their green, then their blue.
        let piece = [red(2), red(3), red(6), red(7), 1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0];
        assert!(out.pixels[12..24].iter().zip(piece).all(|(a, b)| (a - b).abs() < 1e-6), "{:?}", out.pixels);
    }

    #[test]
    fn views_of_other_samples_and_uneven_lists_are_refused() {
        let (what, expected, found) = ViewRows::new(group(), &ids(&["a", "b"])).err().unwrap();
        assert_eq!(what, "column sample_id, row 2");
        assert_eq!((expected.as_str(), found.as_str()), ("one of its 2 samples, in their order", "c"));
        let uneven = ViewGroup { corr_u: Some(list(&[&[1.0], &[4.0], &[]])), ..group() };
        assert_eq!(ViewRows::new(uneven, &ids(&["a", "b", "c"])).err().unwrap().0, "correspondences");
    }
}
