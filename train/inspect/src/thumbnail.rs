//! Small pictures of clouds, for reports.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jepa3d_schemas::{UpAxis, label_color};

use super::canvas::{Canvas, PixelRect};
use super::cloud::{SeenCloud, Viewpoint};
use super::colors::{Color, of_heights};
use super::select::{Selection, Specimen};
use super::sheet::{BACKDROP, Sheet, draw_front};
use crate::error::Result;

/// Points that a thumbnail shows at most, evenly chosen: more would not be seen apart.
const MAX_POINTS: usize = 4_096;
/// Steps between the brightnesses of a channel: smooth to the eye, and a third fewer bytes than all 256.
const STEP: u8 = 8;

/// What colours the points of a thumbnail.
#[derive(Clone, Copy, Debug)]
pub enum PointColors<'a> {
    /// Height along the up axis, dark to bright.
    Height,
    /// A part or class of each point `[S]`; negative ones are grey.
    Labels(&'a [i16]),
    /// sRGB of each point `[S]`.
    Given(&'a [[u8; 3]]),
}

/// Draws a cloud, seen from above at an angle, as a PNG file.
///
/// Points without a colour, because there are fewer of these, are left out.
///
/// # Shapes
/// `points [S,3]` -> a picture of `side` by `side` pixels.
pub fn render_thumbnail(points: &[f32], colors: PointColors<'_>, up: UpAxis, side: u32) -> Vec<u8> {
    let tile = PixelRect { x: 0, y: 0, width: side, height: side };
    let mut canvas = Canvas::new(side, side, BACKDROP);
    let count = points.len() / 3;
    let colors: Vec<Color> = match colors {
        PointColors::Height => of_heights(points, up),
        PointColors::Labels(labels) => labels.iter().map(|&label| label_color(label)).collect(),
        PointColors::Given(colors) => colors.to_vec(),
    };
    let all = colors.into_iter().take(count).enumerate();
    let shown: Vec<(usize, Color)> = all.step_by(count.div_ceil(MAX_POINTS).max(1)).collect();
    let seen = SeenCloud::new(points, &Viewpoint::above(up), tile);
    draw_front(&mut canvas, &seen, shown);
    for value in canvas.0.iter_mut() {
        *value = (value.saturating_add(STEP / 2) / STEP).saturating_mul(STEP);
    }
    Sheet(canvas.0).encode()
}

/// Thumbnails of some samples of a prepared set, coloured by height, as PNG files by id.
///
/// # Errors
/// Fails if the folder holds no complete prepared dataset, a sample is not there, or a shard is not the one that was prepared.
pub fn render_samples(folder: &Path, ids: &BTreeSet<String>, side: u32) -> Result<BTreeMap<String, Vec<u8>>> {
    let selection = Selection::with_ids(folder, ids)?;
    let up = selection.manifest().up_axis;
    let mut pictures = BTreeMap::new();
    let mut draw = |specimen: &Specimen| {
        let picture = render_thumbnail(&specimen.sample.points, PointColors::Height, up, side);
        pictures.insert(specimen.sample.sample_id.clone(), picture);
        Ok(())
    };
    selection.visit_clouds(&mut draw)?;
    Ok(pictures)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(png: &[u8]) -> image::RgbImage {
        image::load_from_memory(png).unwrap().into_rgb8()
    }

    #[test]
    fn points_have_their_colours_and_the_rest_is_paper() {
        let points = [0.0f32, 0.0, -0.5, 0.0, 0.0, 0.5];
        let picture = decode(&render_thumbnail(&points, PointColors::Labels(&[0, 3]), UpAxis::Z, 60));
        assert_eq!(picture.dimensions(), (60, 60));
        let near = |a: [u8; 3], b: [u8; 3]| a.iter().zip(b).all(|(a, b)| a.abs_diff(b) <= STEP);
        let has = |color: [u8; 3]| picture.pixels().any(|p| near(p.0, color));
        assert!(has(label_color(0)) && has(label_color(3)) && !has(label_color(1)) && has(BACKDROP));
        let top =
            (0..60).find(|&y| (0..60).any(|x| near(picture.get_pixel(x, y).0, label_color(3)))).unwrap();
        assert!(top < 30, "up is up");
        let given = render_thumbnail(&points, PointColors::Given(&[[200, 0, 0]; 2]), UpAxis::Z, 60);
        assert!(decode(&given).pixels().any(|p| near(p.0, [200, 0, 0])));
        for few in [&[][..], &points] {
            decode(&render_thumbnail(few, PointColors::Height, UpAxis::Y, 8));
        }
    }
}
