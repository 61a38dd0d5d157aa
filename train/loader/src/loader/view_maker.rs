//! What a batch takes of a view: its image as tokens, and the patches that it shows.

use jepa3d_schemas::Draws;

use super::row_group_views::EncodedView;
use crate::Picture;
use crate::batch::BatchViews;
use crate::config::ViewConfig;
use crate::error::Result;

/// Colours are brought to about -1 to 1.
const MIDDLE: f32 = 0.5;

/// Adds views to batches.
pub(super) struct ViewMaker {
    pub config: ViewConfig,
    /// Behind the objects of renders.
    pub background: [u8; 3],
}

/// The patches that a view is asked about.
pub(super) struct AskedPatches<'a> {
    /// `[G,K]`: their points in the stored cloud.
    pub members: &'a [u32],
    /// `K`.
    pub size: usize,
    /// `[G]`: how many points of each come first and are distinct; all of them, if absent.
    pub counts: Option<&'a [u16]>,
}

impl ViewMaker {
    /// Adds a sample without views.
    pub fn add_nothing(&self, out: &mut BatchViews) {
        let config = &self.config;
        out.add_nothing(config.side() * config.side() * config.token_numbers(), config.queries);
    }

    /// Adds the image of a view of sample `id`: normed colours, cut into square pieces, each as channel, row, column.
    ///
    /// # Errors
    /// Fails if the image does not decode; the error names sample and view.
    pub fn add_image(&self, view: &EncodedView<'_>, id: &str, out: &mut BatchViews) -> Result<()> {
        let picture = Picture::decode(id, view.number, view.image)?;
        let (side, size, patch) = (self.config.side(), self.config.image_size, self.config.image_patch);
        let planes = picture.square(self.background, size);
        for (top, left) in (0..side).flat_map(|y| (0..side).map(move |x| (y, x))) {
            for (channel, row) in (0..3).flat_map(|c| (0..patch).map(move |row| (c, row))) {
                let start = (channel * size + top * patch + row) * size + left * patch;
                out.pixels.extend(planes[start..start + patch].iter().map(|x| (x - MIDDLE) / MIDDLE));
            }
        }
        out.numbers.push(view.number);
        Ok(())
    }

    /// Adds the patches that a view shows enough of: at most as many as the config asks for, drawn; padding behind them.
    pub fn add_queries(
        &self,
        view: &EncodedView<'_>,
        patches: &AskedPatches<'_>,
        draws: &mut Draws,
        out: &mut BatchViews,
    ) {
        let each = patches.members.chunks_exact(patches.size).enumerate();
        let shown: Vec<(u32, [f32; 3])> = each
            .filter_map(|(patch, points)| {
                let count = patches.counts.map_or(points.len(), |counts| usize::from(counts[patch]));
                let mean = project_mean(view, &points[..count], self.config.visible)?;
                Some((patch as u32, mean))
            })
            .collect();
        let count = shown.len().min(self.config.queries);
        for chosen in draws.distinct_sorted(shown.len(), count) {
            let (patch, projected) = shown[chosen as usize];
            out.patches.push(patch);
            out.projected.extend(projected);
        }
        out.pad(self.config.queries - count);
        out.counts.push(count as u32);
    }
}

/// Where a view shows a patch, in the mean: u / W, v / H, depth. `None` if it shows less than `share` of its points.
fn project_mean(view: &EncodedView<'_>, points: &[u32], share: f64) -> Option<[f32; 3]> {
    let (mut sum, mut count) = ([0.0f64; 3], 0usize);
    for found in points.iter().filter_map(|point| view.points.binary_search(point).ok()) {
        count += 1;
        for (sum, list) in sum.iter_mut().zip([view.u, view.v, view.depth]) {
            *sum += f64::from(list[found]);
        }
    }
    if count == 0 || (count as f64) < share * points.len() as f64 {
        return None;
    }
    let [w, h] = view.size.map(f64::from);
    let mean = sum.map(|sum| sum / count as f64);
    Some([(mean[0] / w) as f32, (mean[1] / h) as f32, mean[2] as f32])
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::loader::row_group_views::RowGroupViews;
    use crate::loader::view_fixture::{ids, view_group};

    fn rows() -> RowGroupViews {
        RowGroupViews::take(view_group(), &ids(&["a", "b", "c"]), Path::new("x")).unwrap()
    }

    fn maker(queries: usize, visible: f64) -> ViewMaker {
        ViewMaker {
            config: ViewConfig { image_size: 4, image_patch: 2, queries, visible },
            background: [255; 3],
        }
    }

    fn queries(at: usize, maker: &ViewMaker) -> BatchViews {
        let members = [0, 2, 4, 5, 6, 7, 8, 1, 9, 9, 9, 9];
        let patches = AskedPatches { members: &members, size: 4, counts: Some(&[4, 4, 1]) };
        let mut out = BatchViews::default();
        maker.add_queries(&rows().get(at), &patches, &mut Draws::new(1, "x", "y"), &mut out);
        out
    }

    #[test]
    fn patches_are_asked_for_where_enough_of_them_is_seen() {
        // Patch 0 shows 3 of its 4 points, patch 1 none, patch 2 the one that it has.
        let out = queries(0, &maker(3, 0.5));
        assert_eq!((out.patches, out.counts), (vec![0, 2, 0], vec![2]));
        let want = [2.0 / 4.0, 2.0 / 4.0, 11.0 / 3.0, 0.5 / 4.0, 3.5 / 4.0, 2.0, 0.0, 0.0, 0.0];
        assert!(out.projected.iter().zip(want).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6));
        let out = queries(0, &maker(3, 0.8));
        assert_eq!((out.patches, out.counts), (vec![2, 0, 0], vec![1]), "3 of 4 is not enough");
        let out = queries(2, &maker(2, 0.1));
        assert_eq!((out.patches, out.counts), (vec![0, 0], vec![0]), "nothing is seen");
        let rows = rows();
        let one: Vec<u32> = (0..40)
            .map(|seed| {
                let mut out = BatchViews::default();
                let patches = AskedPatches { members: &[0, 2, 5, 9], size: 1, counts: None };
                let mut draws = Draws::new(seed, "x", "y");
                maker(1, 0.25).add_queries(&rows.get(0), &patches, &mut draws, &mut out);
                out.patches[0]
            })
            .collect();
        assert!((0..4).all(|patch| one.contains(&patch)), "any of them may be drawn: {one:?}");
    }

    #[test]
    fn pixels_belong_to_their_pieces() {
        let mut out = BatchViews::default();
        let maker = ViewMaker {
            config: ViewConfig { image_size: 4, image_patch: 2, queries: 2, visible: 0.5 },
            background: [255; 3],
        };
        maker.add_image(&rows().get(1), "a", &mut out).unwrap();
        assert_eq!((out.numbers, out.pixels.len()), (vec![5], 4 * 3 * 4));
        let red = |pixel: u32| (16.0 * pixel as f32 / 255.0 - 0.5) / 0.5;
        // The second piece of the first row: pixels 2, 3, 6, 7, then their green, then their blue.
        let piece = [red(2), red(3), red(6), red(7), 1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0];
        assert!(out.pixels[12..24].iter().zip(piece).all(|(a, b)| (a - b).abs() < 1e-6), "{:?}", out.pixels);
    }
}
