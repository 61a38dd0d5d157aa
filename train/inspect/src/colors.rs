//! What colour a point, patch or label has, in pictures and recordings alike.
//!
//! The colour of a correspondence is its place in the cloud: x is red, y is green, z is blue.
//! Equal colours in 3D and in an image are therefore the same point, or its near neighbour.

use jepa3d_schemas::{Sample, UpAxis, label_color};

/// sRGB.
pub(crate) type Color = [u8; 3];

/// Points beyond this share of a cloud at either end of an axis take the colour of the end, so
/// that a few far returns do not leave a sweep in one colour.
const TAIL: f64 = 0.02;

/// One colour a point, by its place in the cloud.
///
/// # Shapes
/// `points [S,3]` -> `[S]`.
pub(crate) fn by_place(points: &[f32]) -> Vec<Color> {
    let ends = [0, 1, 2].map(|axis| ValueRange::measure_bulk(points.iter().skip(axis).step_by(3).copied()));
    let place = |p: &[f32]| -> Color {
        let share = [0, 1, 2].map(|axis| {
            let ValueRange { low, high } = ends[axis];
            if high > low { ((p[axis] - low) / (high - low)).clamp(0.0, 1.0) } else { 0.5 }
        });
        vivid(share)
    };
    points.chunks_exact(3).map(place).collect()
}

/// A share of each of red, green and blue, kept away from black, grey and white.
fn vivid(share: [f32; 3]) -> Color {
    let mean = (share[0] + share[1] + share[2]) / 3.0;
    share.map(|s| {
        let saturated = mean + 1.35 * (s - mean);
        (30.0 + 205.0 * saturated.clamp(0.0, 1.0)).round() as u8
    })
}

/// Where the bulk of some values lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ValueRange {
    /// Its low end.
    pub low: f32,
    /// Its high end.
    pub high: f32,
}

impl ValueRange {
    /// The values without a share `low_tail` of the least and `high_tail` of the greatest; 0 to 0 for none.
    pub(crate) fn measure(values: impl Iterator<Item = f32>, low_tail: f64, high_tail: f64) -> Self {
        let mut sorted: Vec<f32> = values.collect();
        sorted.sort_unstable_by(f32::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else { return Self { low: 0.0, high: 0.0 } };
        let cut = |share: f64| (last as f64 * share) as usize;
        Self { low: sorted[cut(low_tail)], high: sorted[last - cut(high_tail)] }
    }

    fn measure_bulk(values: impl Iterator<Item = f32>) -> Self {
        Self::measure(values, TAIL, TAIL)
    }
}

/// What the colours of [`of_cloud`] mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Part or semantic label.
    Label,
    /// The stored colours.
    Stored,
    /// Return intensity, dark to bright.
    Intensity,
    /// Height along the up axis, dark to bright.
    Height,
}

/// One colour a point from the first that is there: labels, colours, intensity, height.
pub(crate) fn of_cloud(sample: &Sample, up: UpAxis) -> (Meaning, Vec<Color>) {
    if let Some(labels) = &sample.point_labels {
        return (Meaning::Label, labels.iter().map(|&label| label_color(label)).collect());
    }
    if let Some(colors) = &sample.colors {
        return (Meaning::Stored, colors.chunks_exact(3).map(|c| [c[0], c[1], c[2]]).collect());
    }
    if let Some(intensity) = &sample.intensity {
        return (Meaning::Intensity, ramp(intensity.iter().copied()));
    }
    (Meaning::Height, of_heights(&sample.points, up))
}

/// One colour a point, dark to bright along the up axis.
///
/// # Shapes
/// `points [S,3]` -> `[S]`.
pub(crate) fn of_heights(points: &[f32], up: UpAxis) -> Vec<Color> {
    ramp(points.iter().skip(up.index()).step_by(3).copied())
}

/// A patch's colour.
pub(crate) fn of_group(group: usize) -> Color {
    of_number(group)
}

/// Hues a golden section apart, in three strengths: neighbours in number differ well.
fn of_number(number: usize) -> Color {
    let hue = (number as f64 * 0.618_033_988_749_895).fract() as f32;
    let (saturation, value) = [(0.80, 0.92), (0.60, 0.75), (0.95, 0.68)][number % 3];
    from_hsv(hue, saturation, value)
}

/// sRGB of hue (0 to 1), saturation and value.
fn from_hsv(hue: f32, saturation: f32, value: f32) -> Color {
    [5.0, 3.0, 1.0].map(|offset: f32| {
        let k = (offset + 6.0 * hue) % 6.0;
        let channel = value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0);
        (255.0 * channel).round() as u8
    })
}

/// Viridis from the low to the high end of some values.
fn ramp(values: impl Iterator<Item = f32> + Clone) -> Vec<Color> {
    let range = ValueRange::measure_bulk(values.clone());
    values.map(|value| viridis(value, range)).collect()
}

/// Viridis at the place of a value in a range.
pub(crate) fn viridis(value: f32, range: ValueRange) -> Color {
    let ValueRange { low, high } = range;
    jepa3d_schemas::viridis(if high > low { (value - low) / (high - low) } else { 0.0 })
}

/// A patch of the context.
pub(crate) const CONTEXT: Color = [0x44, 0x77, 0xaa];
/// A patch that is neither seen nor predicted.
pub(crate) const UNUSED: Color = [198, 198, 204];
/// The first target blocks; with [`CONTEXT`] told apart also by colour-blind readers (Paul Tol, "bright").
const BLOCKS: [Color; 4] = [[0xee, 0x66, 0x77], [0xcc, 0xbb, 0x44], [0x22, 0x88, 0x33], [0xaa, 0x33, 0x77]];

/// A target block's colour.
pub(crate) fn of_block(block: usize) -> Color {
    BLOCKS.get(block).copied().unwrap_or_else(|| of_number(block + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_red_green_and_blue() {
        let corners = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0f32]];
        let colors = by_place(corners.as_flattened());
        for axis in 0..3 {
            let [origin, end] = [colors[0], colors[axis + 1]];
            assert!(end[axis] > origin[axis] + 150, "{axis}: {origin:?} {end:?}");
        }
    }

    #[test]
    fn hues_are_those_of_the_color_wheel() {
        assert_eq!(from_hsv(0.0, 1.0, 1.0), [255, 0, 0]);
        assert_eq!(from_hsv(1.0 / 3.0, 1.0, 1.0), [0, 255, 0]);
        assert_eq!(from_hsv(2.0 / 3.0, 1.0, 1.0), [0, 0, 255]);
        assert_eq!(from_hsv(0.5, 0.0, 0.4), [102; 3]);
    }

    #[test]
    fn patches_differ_from_their_neighbours() {
        for number in 0..64 {
            let (a, b) = (of_group(number), of_group(number + 1));
            let apart: u32 = (0..3).map(|c| u32::from(a[c].abs_diff(b[c]))).sum();
            assert!(apart > 90, "{number}: {a:?} {b:?}");
        }
    }

    #[test]
    fn a_far_point_does_not_take_the_colours_of_all_others() {
        let mut heights: Vec<f32> = (0..100).map(|i| i as f32).collect();
        heights.push(1e6);
        let colors = ramp(heights.into_iter());
        assert_eq!((colors[0], colors[100]), ([68, 1, 84], [253, 231, 37]));
        assert_ne!(colors[20], colors[80]);
    }

    #[test]
    fn empty_and_flat_clouds_have_colours() {
        assert!(by_place(&[]).is_empty());
        assert_eq!(by_place(&[1.0; 6]).len(), 2);
        assert_eq!(ramp([2.0; 3].into_iter()), [[68, 1, 84]; 3]);
    }
}
